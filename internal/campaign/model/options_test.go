package model_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/internal/campaign/model"
	"github.com/nexus-erp/eventstream/projection"
	"github.com/nexus-erp/eventstream/snapshot"
)

// life is what is done with a store, in order, and what it must hold in the end.
type life struct {
	steps   []lifeStep
	queries []model.Query
	oracle  *model.Store
}

// lifeStep is an append, and what else happens behind it.
type lifeStep struct {
	append  model.Append
	advance time.Duration
	snap    *snapshot.Snapshot // of the append's tenant
	refused bool
}

// lifeOf draws a life. All events have ids, so that they are the same wherever it is led.
func lifeOf(steps int) *rapid.Generator[life] {
	return rapid.Custom(func(t *rapid.T) life {
		ids := 0
		s := source{t, &ids}
		l := life{oracle: model.New()}
		clock := estest.NewClock(timeOrigin)
		var past []model.Append
		for range steps {
			var step lifeStep
			switch {
			case len(past) > 0 && s.oneIn("again", 6):
				step.append = pick(s, "append", past)
			case s.oneIn("large", 12):
				step.append = s.append(l.oracle, 1, true)
				step.append.Entries[0].Events = append(step.append.Entries[0].Events, s.large())
			default:
				step.append = s.append(l.oracle, 1+s.upTo("entries", 2), true)
			}
			if s.oneIn("records", 6) {
				step.append.Records = []model.Record{{Namespace: namespaces[0], Key: fmt.Sprint(s.upTo("key", 4)), Value: []byte(fmt.Sprint(s.upTo("value", 99)))}}
			}
			res, err := l.oracle.Decide(step.append, clock.Now())
			if step.refused = err != nil; !step.refused {
				l.oracle.Acknowledge(step.append, res)
				past = append(past, step.append)
				step.snap = s.snapshotOf(l.oracle, step.append)
			}
			step.advance = time.Duration(s.upTo("minutes", 40)-10) * time.Minute
			clock.Advance(step.advance)
			l.steps = append(l.steps, step)
		}
		for range 40 {
			l.queries = append(l.queries, s.query(l.oracle.Head()))
		}
		return l
	})
}

// snapshotOf draws a snapshot of a stream that was appended to, or none.
func (s source) snapshotOf(oracle *model.Store, a model.Append) *snapshot.Snapshot {
	stream := a.Entries[0].Stream
	events := oracle.Stream(a.Tenant, stream)
	if len(events) == 0 || !s.oneIn("snapshot", 4) {
		return nil
	}
	snap := &snapshot.Snapshot{
		Stream: stream, Version: eventstream.Version(len(events)), Codec: codec.Raw, State: []byte(fmt.Sprint(s.upTo("state", 99))),
		OccurredUntil: timeOrigin.Add(1000 * time.Hour), Algorithm: snapshot.XXHash64,
	}
	oracle.SaveSnapshot(a.Tenant, *snap, 2)
	return snap
}

// variant is a way to lead a life that no read may show.
type variant struct {
	name    string
	change  func(*eventstream.Options)
	between func(*led, int) // behind each step
}

// variants all differ in one thing from the first one.
func variants() []variant {
	option := func(name string, change func(*eventstream.Options)) variant {
		return variant{name: name, change: change}
	}
	every := func(name string, n int, do func(*led)) variant {
		return variant{name: name, between: func(l *led, step int) {
			if step%n == n-1 {
				do(l)
			}
		}}
	}
	all := append(eventstream.DefaultIndexes(), eventstream.IndexUser, eventstream.IndexOccurred, eventstream.IndexTag)
	return []variant{
		{name: "as it is by default"},
		option("little memory", func(o *eventstream.Options) {
			o.MemTableBytes, o.CacheBytes, o.TailBytes, o.StreamHeads = 256<<10, 1, 64<<10, 1
		}),
		option("small tables", func(o *eventstream.Options) { o.MemTableBytes = 256 << 10 }),
		option("hardly a cache", func(o *eventstream.Options) { o.CacheBytes = 1 }),
		option("a short tail", func(o *eventstream.Options) { o.TailBytes = 64 << 10 }),
		option("one stream head", func(o *eventstream.Options) { o.StreamHeads = 1 }),
		option("no index", func(o *eventstream.Options) { o.Indexes = []eventstream.Index{} }),
		option("all indexes", func(o *eventstream.Options) { o.Indexes = all }),
		option("no sync", func(o *eventstream.Options) { o.Durability = eventstream.None }),
		option("a sync every millisecond", func(o *eventstream.Options) { o.Durability = eventstream.SyncEvery(time.Millisecond) }),
		option("short runs", func(o *eventstream.Options) { o.Unstable.RunEvents = 3 }),
		option("nothing sealed", func(o *eventstream.Options) { o.Unstable.RunEvents = -1 }),
		option("a real disk", func(o *eventstream.Options) { o.FS = nil }),
		every("opened again often", 3, (*led).reopen),
		{name: "opened again often, short runs and all indexes", change: func(o *eventstream.Options) {
			o.Unstable.RunEvents, o.Indexes, o.MemTableBytes = 3, all, 256<<10
		}, between: func(l *led, _ int) { l.reopen() }},
		every("a power failure now and then", 7, (*led).crash),
		every("indexes that come and go", 5, func(l *led) {
			l.turn++
			l.opts.Indexes = all[:1+l.turn*3%len(all)]
			l.reopen()
		}),
		every("restored from a backup", 20, (*led).restore),
	}
}

// led is a life under way.
type led struct {
	t     *testing.T
	life  *life
	clock *estest.Clock
	opts  eventstream.Options
	mem   *vfs.MemFS
	dir   string
	db    *eventstream.DB
	turn  int
}

func (l *led) open() {
	l.t.Helper()
	db, err := eventstream.Open(l.dir, &l.opts)
	if err != nil {
		l.t.Fatal(err)
	}
	l.db = db
}

func (l *led) close() {
	l.t.Helper()
	if err := l.db.Close(); err != nil {
		l.t.Fatal(err)
	}
}

func (l *led) reopen() {
	l.t.Helper()
	l.close()
	l.open()
}

// crash keeps nothing that was not synced; snapshots are, so that they stay.
func (l *led) crash() {
	l.t.Helper()
	if err := l.db.Sync(ctx); err != nil {
		l.t.Fatal(err)
	}
	left := l.mem.CrashClone(vfs.CrashCloneCfg{})
	l.close()
	l.mem, l.opts.FS = left, left
	l.open()
}

func (l *led) restore() {
	l.t.Helper()
	l.turn++
	backup, dir := fmt.Sprint("backup-", l.turn), fmt.Sprint("restored-", l.turn)
	if _, err := l.db.Backup(ctx, backup); err != nil {
		l.t.Fatal(err)
	}
	l.close()
	if _, err := eventstream.Restore(ctx, backup, dir, &eventstream.RestoreOptions{Options: &l.opts}); err != nil {
		l.t.Fatal(err)
	}
	l.dir = dir
	l.open()
}

// lead leads a life, and returns all that the store shows in the end.
func lead(t *testing.T, l *life, v variant) string {
	t.Helper()
	w := &led{t: t, life: l, clock: estest.NewClock(timeOrigin), mem: vfs.NewCrashableMem(), dir: filepath.Join(t.TempDir(), "store")}
	w.opts = eventstream.Options{FS: w.mem, Clock: w.clock.Now}
	if v.change != nil {
		v.change(&w.opts)
	}
	w.open()
	defer func() { w.close() }()
	for i, step := range l.steps {
		_, err := appendTo(w.db, step.append)
		if (err != nil) != step.refused {
			t.Fatalf("step %d, append %s: got error %v, want one: %v", i, shown(step.append), err, step.refused)
		}
		if step.snap != nil {
			if err := w.db.Tenant(step.append.Tenant).SaveSnapshot(ctx, *step.snap, 2); err != nil {
				t.Fatal(err)
			}
		}
		w.clock.Advance(step.advance)
		if v.between != nil {
			v.between(w, i)
		}
	}
	w.project(counts, eventstream.DefaultTenant)
	return w.all()
}

func (l *led) project(d projection.Definition, tenant string) {
	l.t.Helper()
	engine := projection.New(l.db, &projection.Options{Tenant: tenant})
	if err := engine.Register(d); err != nil {
		l.t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(running) }()
	patient, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	err := engine.WaitFor(patient, d.Name, l.db.Head())
	stop()
	if <-ended; err != nil {
		l.t.Fatal(err)
	}
}

// all writes down everything that can be read.
func (l *led) all() string {
	l.t.Helper()
	var b strings.Builder
	head := l.db.Head()
	fmt.Fprintln(&b, "head", head, l.db.Tenants())
	for _, name := range tenantNames {
		tenant := l.db.Tenant(name)
		events := func(what string, got []eventstream.Event) {
			fmt.Fprintln(&b, name, what, len(got))
			for _, e := range got {
				sum := sha256.Sum256(e.Data)
				e.Data = nil
				fmt.Fprintf(&b, "\t%+v, payload %x\n", e, sum[:8])
			}
		}
		events("log", collect(l.t, "log", tenant.ReadAll(ctx)))
		events("log backward", collect(l.t, "log", tenant.ReadAll(ctx, eventstream.Backward(), eventstream.Limit(20))))
		for _, info := range collect(l.t, "streams", tenant.Streams(ctx, "")) {
			fmt.Fprintf(&b, "%+v\n", info)
			events("stream", collect(l.t, "stream", tenant.ReadStream(ctx, info.Stream, eventstream.From(2), eventstream.To(info.Version-1))))
			for snap, err := range tenant.Snapshots(ctx, info.Stream) {
				if err != nil || snap.Err != nil {
					l.t.Fatal(err, snap.Err)
				}
				fmt.Fprintf(&b, "%+v\n", snap.Snapshot)
			}
		}
		for i, q := range l.life.queries {
			got := collect(l.t, "query", tenant.Query(ctx, q.Build()))
			events(fmt.Sprint("query ", i), got)
			n, err := tenant.Count(ctx, q.Build())
			page, pageErr := tenant.QueryPage(ctx, q.Build(), eventstream.PageOptions{Size: 3, Offset: 2})
			if err != nil || pageErr != nil {
				l.t.Fatal(err, pageErr)
			}
			events(fmt.Sprint("page of ", n), page.Events)
		}
		for p := range head {
			e, err := tenant.EventAt(ctx, p+1)
			fmt.Fprintln(&b, p+1, e.ID, err)
		}
		records, err := model.ReadRecords(ctx, tenant, namespaces[0])
		fmt.Fprintln(&b, records, err)
	}
	engine := projection.New(l.db, nil)
	if err := engine.Register(counts); err != nil {
		l.t.Fatal(err)
	}
	err := engine.ReadView(counts.Name, func(v projection.View) error {
		fmt.Fprintln(&b, "view at", v.Checkpoint)
		for record, err := range v.Scan(nil, nil) {
			fmt.Fprintf(&b, "%s=%s %v\n", record.Key, record.Value, err)
		}
		return nil
	})
	fmt.Fprintln(&b, err)
	verify(l.t, "in the end", l.db, l.life.oracle)
	return b.String()
}

// Whatever the options of a store are, and however often it is opened, crashes or is
// restored: the same life leaves a store that reads the same, byte for byte.
func TestNoOptionChangesWhatIsRead(t *testing.T) {
	t.Parallel()
	seeds := campaign.Seeds(t, campaign.Scale(t, campaign.Cases{Short: 1, PullRequest: 3, Nightly: 100}))
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			campaign.Rand(t, seed) // how to have it again
			l := lifeOf(60).Example(int(seed))
			if l.oracle.Head() < 30 || len(l.oracle.Tenants()) < 2 {
				t.Fatalf("a life of %d events in %d tenants shows little", l.oracle.Head(), len(l.oracle.Tenants()))
			}
			var want []string
			for _, v := range variants() {
				t.Run(v.name, func(t *testing.T) {
					got := strings.Split(lead(t, &l, v), "\n")
					if want == nil {
						want = got
					}
					if i := firstDifference(got, want); i >= 0 {
						t.Errorf("line %d: got %.600s\nwant %.600s", i, got[min(i, len(got)-1)], want[min(i, len(want)-1)])
					}
				})
			}
		})
	}
	campaign.Count(t, campaign.ModelCases, len(seeds)*len(variants()))
}

// firstDifference returns the first index at which two texts differ, or -1.
func firstDifference(a, b []string) int {
	if slices.Equal(a, b) {
		return -1
	}
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}
