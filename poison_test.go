package eventstream_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/internal/campaign/faultfs"
)

// Whatever operation on the log fails, and however: no append is acknowledged that
// a reopen does not have, every later write says that the store is poisoned, reads
// go on, and Close returns.
func TestAFailingLogPoisonsTheStore(t *testing.T) {
	t.Parallel()
	for _, fault := range []struct {
		name  string
		kinds []errorfs.OpKind
	}{
		{"write", []errorfs.OpKind{errorfs.OpFileWrite}},
		{"sync", []errorfs.OpKind{errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo}},
	} {
		for _, cause := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
			t.Run(fmt.Sprintf("%s %v", fault.name, cause), func(t *testing.T) {
				t.Parallel()
				testFailingLog(t, fault.kinds, cause)
			})
		}
	}
}

func testFailingLog(t *testing.T, kinds []errorfs.OpKind, cause syscall.Errno) {
	mem := vfs.NewCrashableMem()
	fault := &faultfs.Trigger{
		At: 1, Onward: true, Do: faultfs.Fail(cause),
		Match: func(op errorfs.Op) bool {
			return strings.HasSuffix(op.Path, ".log") && slices.Contains(kinds, op.Kind)
		},
	}
	fault.Pause()
	db, err := eventstream.Open("store", &eventstream.Options{FS: fault.Wrap(mem), MemTableBytes: 1 << 20, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, db, "before", eventstream.NoStream, event("X"))
	follower := make(chan error, 1)
	go func() {
		_, err := collect(db.Follow(ctx))
		follower <- err
	}()

	// Writers run into the fault. Each counts what was acknowledged to it.
	const writers = 8
	acknowledged := make([]eventstream.Version, writers)
	unknown := make([]bool, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			stream := eventstream.StreamID(fmt.Sprintf("w-w-%d", w))
			for i := 0; ; i++ {
				if w == 0 && i == 20 {
					fault.Resume()
				}
				_, err := db.Append(ctx, stream, eventstream.Exact(eventstream.Version(i)), event("X"))
				if err == nil {
					acknowledged[w]++
					continue
				}
				if cause == syscall.ENOSPC && errors.Is(err, eventstream.ErrDiskFull) {
					return // refused before it was handed over, since another one just found no room
				}
				wantErr(t, err, eventstream.ErrPoisoned)
				unknown[w] = errors.Is(err, eventstream.ErrCommitUnknown)
				if unknown[w] {
					equal(t, "ids of the unknown append", len(errAs[*eventstream.CommitUnknownError](t, err).EventIDs), 1)
				}
				return
			}
		})
	}
	wg.Wait()
	if !fault.Fired() {
		t.Fatal("the fault was never hit")
	}

	_, err = db.Append(ctx, "later", eventstream.Any, event("X"))
	wantErr(t, err, eventstream.ErrPoisoned)
	if errors.Is(err, eventstream.ErrCommitUnknown) {
		t.Errorf("an append after the failure was handed over: %v", err)
	}
	wantErr(t, db.Sync(ctx), eventstream.ErrPoisoned)
	wantErr(t, <-follower, eventstream.ErrPoisoned)

	// Readers see what is durable and nothing else.
	head := db.Head()
	total := eventstream.Position(1)
	for w := range writers {
		total += eventstream.Position(acknowledged[w])
	}
	if head < total {
		t.Errorf("head %d is below the %d acknowledged events", head, total)
	}
	equal(t, "events readable", eventstream.Position(len(mustCollect(t, db.ReadAll(ctx)))), head)

	// A conflict that rests on what is not durable is no conflict.
	for w := range writers {
		if unknown[w] {
			_, err := db.Append(ctx, eventstream.StreamID(fmt.Sprintf("w-w-%d", w)), eventstream.NoStream, event("X"))
			if errors.Is(err, eventstream.ErrConflict) {
				t.Errorf("a conflict was answered after the failure: %v", err)
			}
		}
	}
	started := time.Now()
	_ = db.Close() // with or without an error: the log is gone
	if took := time.Since(started); took > 30*time.Second {
		t.Errorf("close took %v", took)
	}

	reopened := mem.CrashClone(vfs.CrashCloneCfg{})
	db = mustOpen(t, "store", &eventstream.Options{FS: reopened, MemTableBytes: 1 << 20, CacheBytes: 1 << 20})
	for w := range writers {
		got := eventstream.Version(len(mustCollect(t, db.ReadStream(ctx, eventstream.StreamID(fmt.Sprintf("w-w-%d", w))))))
		if got < acknowledged[w] || got > acknowledged[w]+1 || (got > acknowledged[w] && !unknown[w]) {
			t.Errorf("writer %d: %d acknowledged, unknown %v, %d after reopening", w, acknowledged[w], unknown[w], got)
		}
	}
	if db.Head() < head {
		t.Errorf("head was readable up to %d, and is %d after reopening", head, db.Head())
	}
	report, err := db.Check(ctx, eventstream.Deep())
	if err != nil || !report.OK() {
		t.Errorf("check after reopening: %+v, %v", report, err)
	}
}

// gatedSync lets syncs of the log wait until the gate opens.
type gatedSync struct {
	mu   sync.Mutex
	gate chan struct{} // nil: open
	held chan struct{} // receives when a sync waits
	err  error         // what waiting syncs return in the end
}

func (g *gatedSync) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gate, g.held = make(chan struct{}), make(chan struct{}, 64)
}

func (g *gatedSync) open(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = err
	close(g.gate)
	if err == nil {
		g.gate = nil
	}
}

// next lets go of the syncs that wait, and holds those that follow.
func (g *gatedSync) next() {
	g.mu.Lock()
	held := g.gate
	g.mu.Unlock()
	g.close()
	close(held)
}

func (g *gatedSync) wrap(fs vfs.FS) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
		default:
			return nil
		}
		g.mu.Lock()
		gate, held := g.gate, g.held
		g.mu.Unlock()
		if gate == nil {
			return nil
		}
		held <- struct{}{}
		<-gate
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.err
	}))
}

func openGated(t *testing.T) (*eventstream.DB, *gatedSync, *vfs.MemFS) {
	t.Helper()
	mem := vfs.NewCrashableMem()
	gate := &gatedSync{}
	db, err := eventstream.Open("store", &eventstream.Options{FS: gate.wrap(mem), MemTableBytes: 1 << 20, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return db, gate, mem
}

// A round commits an event and a record, and decides what comes against them as well: a
// conflict, a repetition, a guard, an update that has read the record. None of it is
// answered before the commit is durable.
func TestNoAnswerRestsOnItsOwnRound(t *testing.T) {
	t.Parallel()
	db, gate, _ := openGated(t)
	mustAppend(t, db, "s", eventstream.NoStream, event("X"))
	gate.close()
	answers := map[string]chan error{}
	begin := func(name string, do func() error) {
		answer := make(chan error, 1)
		answers[name] = answer
		go func() { answer <- do() }()
	}
	add := func(ctx context.Context, stream eventstream.StreamID, expect eventstream.Expected, e eventstream.NewEvent) error {
		_, err := db.Append(ctx, stream, expect, e)
		return err
	}
	begin("the round before", func() error { return add(ctx, "t", eventstream.NoStream, event("X")) })
	<-gate.held
	for i, q := range []struct {
		name string
		do   func() error
	}{
		{"commit", func() error {
			_, err := db.Update(ctx, func(tx *eventstream.UpdateTx) error {
				return errors.Join(tx.Records("names").Put([]byte("ada"), []byte("1")), tx.Append("s", eventstream.Exact(1), withID(id(7), "Y")))
			})
			return err
		}},
		{"conflict", func() error { return add(ctx, "s", eventstream.Exact(1), event("Z")) }},
		{"duplicate", func() error { return add(ctx, "s", eventstream.Exact(1), withID(id(7), "Y")) }},
		{"guard", func() error {
			_, err := db.AppendIf(ctx, eventstream.Condition{Query: eventstream.Query{}.Types("Y")}, []eventstream.StreamAppend{
				{Stream: "v", Expect: eventstream.Any, Events: []eventstream.NewEvent{event("Z")}},
			})
			return err
		}},
		{"update", func() error {
			_, err := db.Update(ctx, func(tx *eventstream.UpdateTx) error {
				_, _, err := tx.Records("names").Get([]byte("ada"))
				return errors.Join(err, tx.Append("w", eventstream.NoStream, event("Z")))
			})
			return err
		}},
	} {
		begin(q.name, q.do)
		for queued := 0; queued <= i; queued, _ = eventstream.Waiting(db) {
			runtime.Gosched()
		}
	}
	gate.next()
	<-gate.held
	if err := <-answers["the round before"]; err != nil {
		t.Fatal(err)
	}
	impatient, cancel := context.WithTimeout(ctx, 50*time.Millisecond) // for whoever would answer at once
	defer cancel()
	if err := add(impatient, "u", eventstream.Any, event("X")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an append of the next round: got %v", err)
	}
	for name, answer := range answers {
		select {
		case err := <-answer:
			t.Errorf("%s: answered before the commit was durable: %v", name, err)
			answer <- err
		default:
		}
	}
	gate.open(nil)
	for _, name := range []string{"commit", "duplicate"} {
		if err := <-answers[name]; err != nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, name := range []string{"conflict", "guard", "update"} {
		wantErr(t, <-answers[name], eventstream.ErrConflict)
	}
	equal(t, "head", db.Head(), 3)
	mustClose(t, db)
}

// While the sync of an append waits, nobody sees the append, and no answer rests on
// it: not a conflict, not a deduplicated result.
func TestNothingRestsOnWhatIsNotDurable(t *testing.T) {
	t.Parallel()
	db, gate, _ := openGated(t)
	mustAppend(t, db, "s", eventstream.NoStream, event("X"))
	gate.close()
	appended := make(chan error, 1)
	go func() {
		_, err := db.Append(ctx, "s", eventstream.Exact(1), withID(id(7), "Y"))
		appended <- err
	}()
	<-gate.held

	conflict, duplicate, followed := make(chan error, 1), make(chan error, 1), make(chan eventstream.Event, 1)
	go func() {
		_, err := db.Append(ctx, "s", eventstream.Exact(1), event("Z"))
		conflict <- err
	}()
	go func() {
		res, err := db.Append(ctx, "s", eventstream.Exact(1), withID(id(7), "Y"))
		if err == nil && !res.Deduplicated {
			err = errors.New("the event was written twice")
		}
		duplicate <- err
	}()
	go func() {
		for e, err := range db.Follow(ctx, eventstream.Limit(2)) {
			if err == nil && e.Position > 1 {
				followed <- e
			}
		}
	}()
	equal(t, "head", db.Head(), 1)
	equal(t, "stream", len(mustCollect(t, db.ReadStream(ctx, "s"))), 1)
	equal(t, "stream backward", len(mustCollect(t, db.ReadStream(ctx, "s", eventstream.Backward()))), 1)
	equal(t, "all", len(mustCollect(t, db.ReadAll(ctx))), 1)
	info, err := db.Stream(ctx, "s")
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "version", info.Version, 1)
	_, err = db.Event(ctx, id(7))
	wantErr(t, err, eventstream.ErrEventNotFound)
	_, err = db.EventAt(ctx, 2)
	wantErr(t, err, eventstream.ErrEventNotFound)

	// A caller who is asked to wait can go away.
	for what, e := range map[string]eventstream.NewEvent{"conflict": event("Z"), "duplicate": withID(id(7), "Y")} {
		impatient, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		_, err = db.Append(impatient, "s", eventstream.Exact(1), e)
		cancel()
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, eventstream.ErrConflict) || errors.Is(err, eventstream.ErrCommitUnknown) {
			t.Errorf("%s with a deadline: got %v, want the deadline alone", what, err)
		}
	}
	impatient, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	seen, err := collect(db.Follow(impatient))
	if len(seen) != 1 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("follower with a deadline: got %d events and %v, want the durable one and the deadline", len(seen), err)
	}
	select {
	case err := <-conflict:
		t.Errorf("a conflict was answered before its event was durable: %v", err)
		conflict <- err // for those who ask below
	case err := <-duplicate:
		t.Errorf("a deduplicated result was answered before its event was durable: %v", err)
		duplicate <- err
	case e := <-followed:
		t.Errorf("position %d was delivered before it was durable", e.Position)
		followed <- e
	default:
	}

	gate.open(nil)
	if err := <-appended; err != nil {
		t.Fatal(err)
	}
	wantErr(t, <-conflict, eventstream.ErrConflict)
	if err := <-duplicate; err != nil {
		t.Error(err)
	}
	equal(t, "followed", (<-followed).Position, 2)
	mustClose(t, db)
}

func TestATenantIsNamedOnceItsFirstCommitIsDurable(t *testing.T) {
	t.Parallel()
	db, gate, _ := openGated(t)
	mustAppend(t, db.Tenant("old"), "s", eventstream.NoStream, event("X"))
	gate.close()
	appended := make(chan error, 1)
	go func() {
		_, err := db.Tenant("new").Append(ctx, "s", eventstream.NoStream, event("X"))
		appended <- err
	}()
	<-gate.held
	equalSlices(t, "tenants", db.Tenants(), []string{"old"})
	gate.open(nil)
	if err := <-appended; err != nil {
		t.Fatal(err)
	}
	equalSlices(t, "tenants", db.Tenants(), []string{"new", "old"})
	mustClose(t, db)
}

// If the sync fails, what waited for it gets the poison error, never an answer.
func TestAnswersBecomeThePoisonErrorIfTheSyncFails(t *testing.T) {
	t.Parallel()
	db, gate, _ := openGated(t)
	mustAppend(t, db, "s", eventstream.NoStream, event("X"))
	gate.close()
	results := make(chan error, 3)
	go func() {
		_, err := db.Append(ctx, "s", eventstream.Exact(1), withID(id(7), "Y"))
		if !errors.Is(err, eventstream.ErrCommitUnknown) {
			err = fmt.Errorf("append: got %w, want ErrCommitUnknown", err)
		}
		results <- err
	}()
	<-gate.held
	for _, e := range []eventstream.NewEvent{event("Z"), withID(id(7), "Y")} {
		go func() {
			_, err := db.Append(ctx, "s", eventstream.Exact(1), e)
			results <- err
		}()
	}
	gate.open(syscall.EIO)
	for range 3 {
		err := <-results
		wantErr(t, err, eventstream.ErrPoisoned)
		if errors.Is(err, eventstream.ErrConflict) {
			t.Errorf("a conflict was answered on an event that may be lost: %v", err)
		}
	}
	equal(t, "events readable", len(mustCollect(t, db.ReadAll(ctx))), 1)
	_ = db.Close()
}

// A caller who goes away after the hand-over learns that the outcome is unknown,
// and a retry with the same ids finds the one event.
func TestCommitUnknownAndRetry(t *testing.T) {
	t.Parallel()
	db, gate, _ := openGated(t)
	gate.close()
	impatient, cancel := context.WithCancel(ctx)
	result := make(chan error, 1)
	go func() {
		_, err := db.Append(impatient, "s", eventstream.NoStream, event("X"), event("Y"))
		result <- err
	}()
	<-gate.held
	cancel()
	err := <-result
	wantErr(t, err, eventstream.ErrCommitUnknown)
	if !errors.Is(err, context.Canceled) || errors.Is(err, eventstream.ErrPoisoned) {
		t.Errorf("got %v, want one that holds the context's error alone", err)
	}
	ids := errAs[*eventstream.CommitUnknownError](t, err).EventIDs
	equal(t, "ids", len(ids), 2)
	gate.open(nil)
	res := mustAppend(t, db, "s", eventstream.NoStream, withID(ids[0], "X"), withID(ids[1], "Y"))
	equal(t, "deduplicated", res.Deduplicated, true)
	equal(t, "first position", res.FirstPosition, 1)
	equal(t, "head", db.Head(), 2)
	mustClose(t, db)
}

// Between the hand-over and the sync the power fails: the commit is there whole or
// not at all, and the retry brings it about exactly once.
func TestACrashBetweenHandOverAndSync(t *testing.T) {
	t.Parallel()
	seeds := campaign.Seeds(t, campaign.Scale(t, campaign.Cases{Short: 20, PullRequest: 500, Nightly: 5_000}))
	whole, absent := 0, 0
	for _, seed := range seeds {
		db, gate, mem := openGated(t)
		mustAppend(t, db, "before", eventstream.NoStream, event("X"))
		entries := []eventstream.StreamAppend{}
		for i := range 5 {
			entries = append(entries, eventstream.StreamAppend{
				Stream: eventstream.StreamID(fmt.Sprintf("j-j-%d", i)), Expect: eventstream.NoStream,
				Events: []eventstream.NewEvent{withID(id(i+1), "Posted")},
			})
		}
		gate.close()
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = db.AppendAll(ctx, entries)
		}()
		<-gate.held
		clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: campaign.Rand(t, seed)})
		gate.open(nil)
		<-done
		mustClose(t, db)

		db, err := eventstream.Open("store", &eventstream.Options{FS: clone, MemTableBytes: 1 << 20, CacheBytes: 1 << 20})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		switch n := len(mustCollect(t, db.ReadAll(ctx))); n {
		case 1:
			absent++
		case 6:
			whole++
		default:
			t.Fatalf("seed %d: %d events: the commit is there in part", seed, n)
		}
		mustAppendAll(t, db, entries...)
		equal(t, "events after the retry", len(mustCollect(t, db.ReadAll(ctx))), 6)
		report, err := db.Check(ctx, eventstream.Deep())
		if err != nil || !report.OK() {
			t.Fatalf("seed %d: check: %+v, %v", seed, report, err)
		}
		mustClose(t, db)
	}
	campaign.Count(t, campaign.CrashPoints, len(seeds))
	t.Logf("whole %d, absent %d", whole, absent)
	if len(seeds) > 1 && (whole == 0 || absent == 0) {
		t.Errorf("whole %d, absent %d: the crash always came out the same", whole, absent)
	}
}
