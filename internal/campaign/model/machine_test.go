package model_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/internal/campaign/model"
	"github.com/nexus-erp/eventstream/projection"
	"github.com/nexus-erp/eventstream/snapshot"
)

// Whatever is done with a store, in whatever order, it answers as one that is plain and
// obviously right, and keeps every invariant after each crash and in the end.
func TestAStoreDoesWhatTheModelDoes(t *testing.T) { // not parallel: the flags of rapid are the process's
	cases := campaign.Scale(t, campaign.Cases{Short: 20, PullRequest: 250, Nightly: 20_000})
	var done, lost atomic.Int64
	met := map[string]int{}
	property := func(t *rapid.T) {
		m := newMachine(t, &lost)
		m.met = met
		t.Cleanup(m.close)
		t.Repeat(m.actions())
		verify(t, "in the end", m.db, m.oracle)
		done.Add(1)
	}
	// rapid draws the case of a seed, shrinks it if it fails, and says which seed it was.
	setFlag(t, "rapid.steps", "25")
	seeds := campaign.Seeds(t, 1)
	for i, seed := range seeds {
		checks := 1
		if i == len(seeds)-1 && !seedGiven() {
			checks = cases
		}
		if testing.Short() {
			checks *= 5 // rapid does a fifth of them
		}
		setFlag(t, "rapid.seed", strconv.FormatUint(seed, 10))
		setFlag(t, "rapid.checks", strconv.Itoa(checks))
		rapid.Check(t, property)
	}
	setFlag(t, "rapid.seed", "0") // others that use rapid draw anew
	campaign.Count(t, campaign.ModelCases, int(done.Load()))
	campaign.Exception(t, campaign.LostManifest, int(lost.Load()))
	t.Logf("met: %v", met)
	for _, what := range []string{
		"answered", "answered again", "conflict", "guarded", "id taken", "invalid", "doubt that came true", "doubt that did not",
		"poisoned", "sealed", "restored", "restored as of", "projected", "rebuilt", "snapshot", "page of several", "crash in an opening",
	} {
		if met[what] == 0 && done.Load() >= 100 {
			t.Errorf("no case met: %s", what)
		}
	}
}

// seedGiven reports whether the test was asked to try one seed alone.
func seedGiven() bool { return flag.Lookup("seed").Value.String() != "0" }

func setFlag(t *testing.T, name, value string) {
	t.Helper()
	if err := flag.Set(name, value); err != nil {
		t.Fatal(err)
	}
}

// machine is a store, and the model that it is compared with.
type machine struct {
	mem    *vfs.MemFS
	dirs   int // how many directories were used
	dir    string
	db     *eventstream.DB
	clock  *estest.Clock
	oracle *model.Store
	past   []model.Append // that were acknowledged, with the ids that they got
	ids    int
	lost   *atomic.Int64
	met    map[string]int // how often what happened that is to happen

	onWrite atomic.Pointer[func(path string)] // called before each operation that changes something
	logFail atomic.Bool                       // syncs of the log fail
}

func newMachine(t failer, lost *atomic.Int64) *machine {
	m := &machine{lost: lost, met: map[string]int{}}
	m.start(t)
	return m
}

// start begins with an empty store.
func (m *machine) start(t failer) {
	t.Helper()
	m.mem, m.clock, m.oracle, m.past = vfs.NewCrashableMem(), estest.NewClock(timeOrigin), model.New(), nil
	m.oracle.Projections = []model.Projection{
		{Tenant: eventstream.DefaultTenant, Definition: counts, Fold: countFold},
		{Tenant: "acme", Definition: postings, Fold: postingsFold},
	}
	m.dir = m.newDir("store")
	m.open(t)
}

func (m *machine) newDir(name string) string {
	m.dirs++
	return fmt.Sprintf("%s-%d", name, m.dirs)
}

func (m *machine) options() *eventstream.Options {
	fs := errorfs.Wrap(m.mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
			return nil
		}
		if hook := m.onWrite.Load(); hook != nil {
			(*hook)(op.Path)
		}
		syncs := op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
		if syncs && m.logFail.Load() && isLog(op.Path) {
			return syscall.EIO
		}
		return nil
	}))
	return &eventstream.Options{
		FS: fs, Clock: m.clock.Now, MemTableBytes: 256 << 10, CacheBytes: 1 << 20, TailBytes: 64 << 10, StreamHeads: 4,
		Indexes:  append(eventstream.DefaultIndexes(), eventstream.IndexUser, eventstream.IndexOccurred, eventstream.IndexTag),
		Unstable: eventstream.Unstable{RunEvents: runEvents},
	}
}

func isLog(path string) bool { return strings.HasSuffix(path, ".log") }

// runEvents is the greatest run that is sealed: few, so that there are several.
const runEvents = 4

func (m *machine) open(t failer) {
	t.Helper()
	db, err := eventstream.Open(m.dir, m.options())
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	m.db = db
}

func (m *machine) close() {
	if m.db != nil {
		_ = m.db.Close() // those who care have closed it
		m.db = nil
	}
}

func (m *machine) reopen(t failer) {
	t.Helper()
	if err := m.db.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
	m.db = nil
	m.open(t)
}

// crashTo puts the store on what a power failure left, and verifies it.
func (m *machine) crashTo(t failer, left *vfs.MemFS) {
	t.Helper()
	m.close()
	m.mem = left
	m.oracle.Crash()
	db, err := eventstream.Open(m.dir, m.options())
	if err != nil && withoutManifest(left, m.dir, err) {
		m.lost.Add(1)
		m.start(t)
		return
	}
	if err != nil {
		t.Fatalf("open after a crash: %v", err)
	}
	m.db = db
	verify(t, "after a crash", m.db, m.oracle)
}

// actions are what is done at random. Appends come oftener than crashes.
func (m *machine) actions() map[string]func(*rapid.T) {
	with := func(action func(source)) func(*rapid.T) {
		return func(t *rapid.T) { action(source{t, &m.ids}) }
	}
	return map[string]func(*rapid.T){
		"":                      m.compareLog,
		"append":                with(func(s source) { m.append(s, s.append(m.oracle, 1, false)) }),
		"append all":            with(func(s source) { m.append(s, s.append(m.oracle, 2+s.upTo("entries", 1), false)) }),
		"append several":        with(m.appendSeveral),
		"append several more":   with(m.appendSeveral),
		"append large":          with(m.appendLarge),
		"append if":             with(m.appendIf),
		"append again":          with(m.appendAgain),
		"append almost again":   with(m.appendAltered),
		"update":                with(m.update),
		"snapshot":              with(m.snapshot),
		"read":                  with(m.read),
		"query":                 with(m.query),
		"follow":                with(m.follow),
		"project":               with(m.project),
		"move the clock":        with(func(s source) { m.clock.Advance(time.Duration(s.upTo("minutes", 40)-10) * time.Minute) }),
		"reopen, seal, index":   with(m.seal),
		"crash":                 with(func(s source) { m.crashTo(s, m.clone(s)) }),
		"crash in an append":    with(m.crashInAppend),
		"crash in an opening":   with(m.crashInOpening),
		"crash in a projection": with(m.crashInProjection),
		"fail in an append":     with(m.failInAppend),
		"back up and restore":   with(m.backup),
		"rebuild a projection":  with(m.rebuild),
		"records of namespaces": with(m.records),
	}
}

// compareLog compares what is cheapest to compare, after each action.
func (m *machine) compareLog(t *rapid.T) {
	if got, want := m.db.Head(), m.oracle.Head(); got != want {
		t.Fatalf("head: got %d, want %d", got, want)
	}
	if got, want := m.db.Tenants(), m.oracle.Tenants(); !slices.Equal(got, want) {
		t.Fatalf("tenants: got %q, want %q", got, want)
	}
}

// append makes an append, and compares its answer.
func (m *machine) append(t failer, a model.Append) {
	t.Helper()
	want, wantErr := m.oracle.Decide(a, m.clock.Now())
	got, gotErr := appendTo(m.db, a)
	if differ := model.SameAnswer(got, gotErr, want, wantErr); differ != "" {
		t.Fatalf("append %s: %s", shown(a), differ)
	}
	m.met[outcomeOf(got, gotErr)]++
	if gotErr == nil {
		m.oracle.Acknowledge(a, got)
		m.past = append(m.past, named(a, got))
	}
}

// outcomeOf says in a word what came of an append.
func outcomeOf(res eventstream.CommitResult, err error) string {
	_, guarded := errors.AsType[*eventstream.GuardError](err)
	switch {
	case guarded:
		return "guarded"
	case errors.Is(err, eventstream.ErrConflict):
		return "conflict"
	case errors.Is(err, eventstream.ErrDuplicateEvent):
		return "id taken"
	case err != nil:
		return "invalid"
	case res.Deduplicated:
		return "answered again"
	default:
		return "answered"
	}
}

// shown is an append as a failure shows it.
func shown(a model.Append) string { return fmt.Sprintf("%.1500s", fmt.Sprintf("%+v", a)) }

// named returns an append with the ids that the store gave its events.
func named(a model.Append, res eventstream.CommitResult) model.Append {
	a.Entries = slices.Clone(a.Entries)
	for i := range a.Entries {
		a.Entries[i].Events = slices.Clone(a.Entries[i].Events)
		for j := range a.Entries[i].Events {
			a.Entries[i].Events[j].ID = res.Streams[i].EventIDs[j]
		}
	}
	return a
}

// appendSeveral makes the store grow.
func (m *machine) appendSeveral(s source) {
	for range 2 + s.upTo("more appends", 6) {
		m.append(s, s.append(m.oracle, 1+s.upTo("entries", 1), s.oneIn("ids", 2)))
	}
}

func (m *machine) appendLarge(s source) {
	a := s.append(m.oracle, 1, true)
	a.Entries[0].Events = append(a.Entries[0].Events, s.large())
	m.append(s, a)
}

func (m *machine) appendIf(s source) {
	a := s.append(m.oracle, 1+s.upTo("entries", 1), s.oneIn("ids", 2))
	a.Unless = &model.Query{Types: []string{pick(s, "type", typeNames)}, Users: []string{pick(s, "user", texts[1:])}}
	a.After = m.oracle.Head() - min(eventstream.Position(s.upTo("behind", 6)), m.oracle.Head())
	m.append(s, a)
}

func (m *machine) appendAgain(s source) {
	if len(m.past) == 0 {
		s.Skip("nothing was appended")
	}
	m.append(s, pick(s, "append", m.past))
}

func (m *machine) appendAltered(s source) {
	if len(m.past) == 0 {
		s.Skip("nothing was appended")
	}
	m.append(s, s.altered(pick(s, "append", m.past)))
}

// namespaces are written by updates.
var namespaces = []string{"numbers", "names"}

func (m *machine) update(s source) {
	a := s.append(m.oracle, 1+s.upTo("entries", 1), true)
	for range 1 + s.upTo("records", 2) {
		r := model.Record{Namespace: pick(s, "namespace", namespaces), Key: strconv.Itoa(s.upTo("key", 4))}
		if !s.oneIn("delete", 4) {
			r.Value = []byte(strconv.Itoa(s.upTo("value", 999)))
		}
		a.Records = append(a.Records, r)
	}
	m.append(s, a)
}

func (m *machine) records(s source) {
	tenant, namespace := pick(s, "tenant", tenantNames), pick(s, "namespace", namespaces)
	got, err := model.ReadRecords(ctx, m.db.Tenant(tenant), namespace)
	if want := m.oracle.Records(tenant, namespace); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		s.Fatalf("records of %s/%s: got %v and error %v, want %v", tenant, namespace, got, err, want)
	}
}

func (m *machine) snapshot(s source) {
	tenant, stream := pick(s, "tenant", tenantNames), pick(s, "stream", streamNames)
	events := m.oracle.Stream(tenant, stream)
	if len(events) == 0 {
		s.Skip("the stream does not exist")
	}
	keep := 1 + s.upTo("keep", 2)
	if s.oneIn("prune", 3) {
		want := max(len(m.oracle.Snapshots(tenant, stream))-keep, 0)
		if got, err := m.db.Tenant(tenant).PruneSnapshots(ctx, stream, keep); err != nil || got != want {
			s.Fatalf("prune: got %d and error %v, want %d", got, err, want)
		}
		m.oracle.PruneSnapshots(tenant, stream, keep)
	} else {
		events = events[:1+s.upTo("version", len(events)-1)]
		snap := snapshot.Snapshot{
			Stream: stream, Version: eventstream.Version(len(events)), Fingerprint: 7, Codec: codec.Raw,
			State: []byte(fmt.Sprint("state ", s.upTo("state", 999))), Algorithm: snapshot.XXHash64,
		}
		for _, e := range events {
			if e.OccurredAt.After(snap.OccurredUntil) {
				snap.OccurredUntil = e.OccurredAt
			}
		}
		if err := m.db.Tenant(tenant).SaveSnapshot(ctx, snap, keep); err != nil {
			s.Fatalf("save snapshot: %v", err)
		}
		m.oracle.SaveSnapshot(tenant, snap, keep)
		m.met["snapshot"]++
	}
	var got []snapshot.Snapshot
	for found, err := range m.db.Tenant(tenant).Snapshots(ctx, stream) {
		if err != nil || found.Err != nil {
			s.Fatalf("snapshots: %v, %v", err, found.Err)
		}
		got = append(got, found.Snapshot)
	}
	if want := m.oracle.Snapshots(tenant, stream); !model.SameSnapshots(got, want) {
		s.Fatalf("snapshots: got %+v, want %+v", got, want)
	}
}

// clone draws what a power failure leaves of what was not synced.
func (m *machine) clone(s source) *vfs.MemFS {
	return m.mem.CrashClone(s.crash())
}

func (s source) crash() vfs.CrashCloneCfg {
	percent, seed := pick(s, "left of what was not synced", []int{0, 50, 100}), s.upTo("seed of the crash", 1<<30)
	return vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(uint64(seed), 0))}
}

// crashInAppend cuts the power at an operation on the log during an append, which then
// was perhaps made, or as soon as it was answered.
func (m *machine) crashInAppend(s source) {
	a := s.append(m.oracle, 1+s.upTo("entries", 2), true)
	if s.oneIn("with records", 3) {
		a.Records = []model.Record{{Namespace: namespaces[0], Key: strconv.Itoa(s.upTo("key", 4)), Value: []byte("crash")}}
	}
	_, refused := m.oracle.Decide(a, m.clock.Now())
	var got eventstream.CommitResult
	var err error
	left, within := m.crashWithin(s, 2, isLog, func() { got, err = appendTo(m.db, a) })
	if (err == nil) != (refused == nil) {
		s.Fatalf("append %s: got error %v, want %v", shown(a), err, refused)
	}
	switch {
	case within && err == nil:
		m.oracle.Doubt(a)
	case err == nil:
		m.oracle.Acknowledge(a, got)
	}
	head := m.oracle.Head()
	m.crashTo(s, left)
	if within && err == nil && m.oracle.Head() > head {
		m.met["doubt that came true"]++
	} else if within && err == nil {
		m.met["doubt that did not"]++
	}
}

// crashWithin returns what a power failure leaves at one of the first operations on such
// files while something is done, or, if there are fewer, right behind it.
func (m *machine) crashWithin(s source, operations int, on func(path string) bool, do func()) (left *vfs.MemFS, within bool) {
	cfg, at := s.crash(), int64(1+s.upTo("operation", operations))
	var clone atomic.Pointer[vfs.MemFS]
	var count atomic.Int64
	mem := m.mem
	hook := func(path string) {
		if on(path) && count.Add(1) == at {
			clone.Store(mem.CrashClone(cfg))
		}
	}
	func() {
		m.onWrite.Store(&hook)
		defer m.onWrite.Store(nil) // also if what is done is left out
		do()
	}()
	if left = clone.Load(); left != nil {
		return left, true
	}
	return mem.CrashClone(cfg), false
}

// failInAppend lets the log fail during an append, which then was perhaps made. From then
// on the store reads and refuses, until it is opened again, with or without a crash.
func (m *machine) failInAppend(s source) {
	a, later := s.append(m.oracle, 1+s.upTo("entries", 1), true), s.append(m.oracle, 1, true)
	_, refused := m.oracle.Decide(a, m.clock.Now())
	m.logFail.Store(true)
	_, err := appendTo(m.db, a)
	switch {
	case refused != nil && err == nil, refused == nil && !errors.Is(err, eventstream.ErrPoisoned):
		s.Fatalf("append %s to a log that fails: got error %v, want ErrPoisoned or %v", shown(a), err, refused)
	case errors.Is(err, eventstream.ErrCommitUnknown):
		m.oracle.Doubt(a)
		m.met["poisoned"]++
		if _, err := appendTo(m.db, later); !errors.Is(err, eventstream.ErrPoisoned) || errors.Is(err, eventstream.ErrCommitUnknown) {
			s.Fatalf("append after the log failed: got error %v, want ErrPoisoned", err)
		}
		m.compareLog(s.T)
	}
	m.logFail.Store(false)
	if s.oneIn("crash too", 2) {
		m.crashTo(s, m.clone(s))
		return
	}
	m.close()
	m.oracle.Crash() // some of what was not synced may not be in the files
	m.open(s)
	verify(s, "opened after the log failed", m.db, m.oracle)
}

// seal opens the store again, which makes it pack and index at once, and waits for it.
func (m *machine) seal(s source) {
	m.reopen(s)
	const mostInCommit = 16
	ticker := time.NewTicker(200 * time.Microsecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-ticker.C {
		stats, err := m.db.Stats()
		if err != nil {
			s.Fatalf("stats: %v", err)
		}
		behind := slices.ContainsFunc(m.db.Indexes(), func(x eventstream.IndexInfo) bool { return x.Checkpoint < m.oracle.Head() })
		if !behind && stats.Sealed+runEvents+mostInCommit > m.oracle.Head() {
			if stats.Sealed > 0 {
				m.met["sealed"]++
			}
			break
		}
		if time.Now().After(deadline) {
			s.Fatalf("sealed up to %d, indexes at %+v, head %d", stats.Sealed, m.db.Indexes(), m.oracle.Head())
		}
	}
	if s.oneIn("verify", 4) {
		verify(s, "sealed", m.db, m.oracle)
	}
}

// backup makes a backup, and goes on with what is restored from it, or as before.
func (m *machine) backup(s source) {
	dest := m.newDir("backup")
	info, err := m.db.Backup(ctx, dest)
	if err != nil || info.Head != m.oracle.Head() {
		s.Fatalf("backup: got %+v and error %v, want head %d", info, err, m.oracle.Head())
	}
	if s.oneIn("go on as before", 3) {
		return
	}
	head := m.oracle.Head()
	opts := &eventstream.RestoreOptions{Options: m.options()}
	if head > 0 && s.oneIn("as of", 2) {
		opts.AsOfPosition = eventstream.Position(1 + s.upTo("cut", int(head)-1))
		if head = m.wholeUpTo(opts.AsOfPosition); head == 0 {
			opts.AsOfPosition, head = 0, m.oracle.Head() // nothing would be left
		}
	}
	dir := m.newDir("store")
	restored, err := eventstream.Restore(ctx, dest, dir, opts)
	if err != nil || restored.Head != head {
		s.Fatalf("restore as of %d: got %+v and error %v, want head %d", opts.AsOfPosition, restored, err, head)
	}
	if err := m.db.Close(); err != nil {
		s.Fatalf("close: %v", err)
	}
	m.dir = dir
	m.open(s)
	m.met["restored"]++
	if head < m.oracle.Head() {
		m.met["restored as of"]++
		m.oracle.Restore(head)
		m.past = nil // what was cut off can be appended as if for the first time
	}
	verify(s, "restored", m.db, m.oracle)
}

// wholeUpTo returns where the last commit ends that does not reach beyond a position.
func (m *machine) wholeUpTo(p eventstream.Position) eventstream.Position {
	e, _ := m.oracle.At(p)
	if e.CommitIndex == e.CommitSize-1 {
		return p
	}
	return e.CommitPosition() - 1
}

// engineOf returns an engine with the projection of the model.
func (m *machine) engineOf(s source, p *model.Projection) *projection.Engine {
	engine := projection.New(m.db, &projection.Options{Tenant: p.Tenant})
	if err := engine.Register(p.Definition); err != nil {
		s.Fatalf("register: %v", err)
	}
	return engine
}

// project runs a projection until it is at the head.
func (m *machine) project(s source) {
	p := &m.oracle.Projections[s.upTo("projection", len(m.oracle.Projections)-1)]
	if len(m.oracle.Log(p.Tenant)) == 0 {
		s.Skip("there is nothing to project")
	}
	engine := m.engineOf(s, p)
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(running) }()
	patient, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := engine.WaitFor(patient, p.Definition.Name, m.oracle.Head())
	stop()
	if ran := <-ended; err != nil || !errors.Is(ran, context.Canceled) {
		s.Fatalf("project: %v, %v", err, ran)
	}
	m.met["projected"]++
}

// crashInOpening cuts the power at any operation while the store is closed and opened
// again.
func (m *machine) crashInOpening(s source) {
	left, within := m.crashWithin(s, 80, func(string) bool { return true }, func() { m.reopen(s) })
	if within {
		m.met["crash in an opening"]++
	}
	m.crashTo(s, left)
}

// crashInProjection cuts the power while a projection commits.
func (m *machine) crashInProjection(s source) {
	left, _ := m.crashWithin(s, 8, isLog, func() {
		if s.oneIn("rebuild", 3) {
			m.rebuild(s)
		} else {
			m.project(s)
		}
	})
	m.crashTo(s, left)
}

func (m *machine) rebuild(s source) {
	p := &m.oracle.Projections[s.upTo("projection", len(m.oracle.Projections)-1)]
	patient, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := m.engineOf(s, p).Rebuild(patient, p.Definition.Name, projection.RebuildOptions{})
	if len(m.oracle.Log(p.Tenant)) == 0 && errors.Is(err, eventstream.ErrInvalidArgument) {
		return // nothing can be derived from no events
	}
	if err != nil {
		s.Fatalf("rebuild: %v", err)
	}
	m.met["rebuilt"]++
}

// counts counts the events of each stream, and remembers the last one's type.
var counts = projection.Definition{
	Name: "counts", BatchEvents: 3,
	Apply: func(_ context.Context, tx *eventstream.Tx, e eventstream.Event) error {
		value, _, err := tx.Get([]byte(e.Stream))
		if err != nil {
			return err
		}
		return tx.Put([]byte(e.Stream), []byte(countAfter(string(value), &e)))
	},
}

func countAfter(value string, e *eventstream.Event) string {
	text, _, _ := strings.Cut(value, " ")
	n, _ := strconv.Atoi(text) // none is 0
	return fmt.Sprint(n+1, " ", e.Type)
}

func countFold(view map[string]string, e *eventstream.Event) {
	view[string(e.Stream)] = countAfter(view[string(e.Stream)], e)
}

// postings keeps, for each user and each correlation id, the positions of some events,
// and forgets them all at an opening.
var postings = projection.Definition{
	Name: "postings", Types: []string{"Posted", "Opened"}, BatchEvents: 2,
	Keyed: &projection.Keyed{
		AsOf: true,
		Keys: func(e eventstream.Event) ([][]byte, error) {
			var all [][]byte
			for _, key := range postingKeys(&e) {
				all = append(all, []byte(key))
			}
			return all, nil
		},
		Fold: func(_, value []byte, e eventstream.Event) ([]byte, error) {
			if e.Type == "Opened" {
				return nil, nil
			}
			return fmt.Appendf(value, "%s@%d ", e.Stream, e.Version), nil
		},
	},
}

func postingKeys(e *eventstream.Event) (keys []string) {
	if e.UserID != "" {
		keys = append(keys, "user "+e.UserID)
	}
	if e.CorrelationID != "" {
		keys = append(keys, "process "+e.CorrelationID)
	}
	return keys
}

func postingsFold(view map[string]string, e *eventstream.Event) {
	for _, key := range postingKeys(e) {
		if e.Type == "Opened" {
			delete(view, key)
		} else {
			view[key] += fmt.Sprintf("%s@%d ", e.Stream, e.Version)
		}
	}
}
