package eventstream_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
)

// observation is the greatest position that somebody saw, or that an answer rested
// on.
type observation struct{ greatest atomic.Uint64 }

func (o *observation) saw(p eventstream.Position) {
	for {
		old := o.greatest.Load()
		if uint64(p) <= old || o.greatest.CompareAndSwap(old, uint64(p)) {
			return
		}
	}
}

// 64 writers compete for the versions of 8 streams while observers read and the
// power fails. Exactly one wins each version, positions have no hole, and nothing
// that was seen or answered is missing afterwards.
func TestConcurrentExactAppends(t *testing.T) {
	t.Parallel()
	const writers, streams, perWriter = 64, 8, 60
	mem := vfs.NewCrashableMem()
	db, err := eventstream.Open("store", &eventstream.Options{FS: mem, MemTableBytes: 1 << 20, CacheBytes: 1 << 20, TailBytes: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	var seen observation
	var crash struct {
		once  sync.Once
		clone *vfs.MemFS
		seen  eventstream.Position
	}
	stopped, stop := context.WithCancel(ctx)
	var observers, wg sync.WaitGroup
	observers.Go(func() {
		next := eventstream.Position(1)
		for e, err := range db.Follow(stopped) {
			if err != nil {
				return
			}
			if e.Position != next {
				t.Errorf("follower: got position %d, want %d", e.Position, next)
				return
			}
			seen.saw(e.Position)
			next++
		}
	})
	observers.Go(func() {
		for stopped.Err() == nil {
			next := eventstream.Position(1)
			for e, err := range db.ReadAll(stopped) {
				if err != nil {
					return
				}
				if e.Position != next {
					t.Errorf("reader: got position %d, want %d", e.Position, next)
					return
				}
				seen.saw(e.Position)
				next++
			}
		}
	})
	var winners [streams]sync.Map // version → writer
	var total atomic.Int64
	for w := range writers {
		wg.Go(func() {
			random := newRand(w)
			versions := make(map[int]eventstream.Version)
			for range perWriter {
				s := random.IntN(streams)
				stream := eventstream.StreamID(fmt.Sprintf("s-s-%d", s))
				res, err := db.Append(ctx, stream, eventstream.Exact(versions[s]), event("X"))
				if conflict, ok := errors.AsType[*eventstream.ConflictError](err); ok {
					// The version in the conflict is readable.
					events, err := collect(db.ReadStream(ctx, stream, eventstream.From(conflict.Actual), eventstream.To(conflict.Actual)))
					if err != nil || (conflict.Actual > 0 && len(events) != 1) {
						t.Errorf("conflict at version %d, which reads as %d events, error %v", conflict.Actual, len(events), err)
					} else if conflict.Actual > 0 {
						seen.saw(events[0].Position)
					}
					versions[s] = conflict.Actual
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if other, taken := winners[s].LoadOrStore(res.LastVersion, w); taken {
					t.Errorf("version %d of stream %d was won by writers %v and %d", res.LastVersion, s, other, w)
				}
				versions[s] = res.LastVersion
				seen.saw(res.LastPosition)
				if total.Add(1) > writers {
					crash.once.Do(func() {
						crash.seen = eventstream.Position(seen.greatest.Load())
						crash.clone = mem.CrashClone(vfs.CrashCloneCfg{})
					})
				}
			}
		})
	}
	wg.Wait()
	stop()
	observers.Wait()

	equal(t, "head", db.Head(), eventstream.Position(total.Load()))
	for i, e := range mustCollect(t, db.ReadAll(ctx)) {
		if e.Position != eventstream.Position(i+1) {
			t.Fatalf("event %d has position %d", i, e.Position)
		}
	}
	for s := range streams {
		n := 0
		winners[s].Range(func(any, any) bool { n++; return true })
		equal(t, fmt.Sprintf("versions of stream %d", s), len(mustCollect(t, db.ReadStream(ctx, eventstream.StreamID(fmt.Sprintf("s-s-%d", s))))), n)
	}
	report, err := db.Check(ctx, eventstream.Deep())
	if err != nil || !report.OK() {
		t.Errorf("check: %+v, %v", report, err)
	}
	mustClose(t, db)

	if crash.clone == nil {
		t.Fatal("no crash was taken")
	}
	db = mustOpen(t, "store", &eventstream.Options{FS: crash.clone})
	if db.Head() < crash.seen {
		t.Errorf("position %d had been seen before the crash; afterwards the head is %d", crash.seen, db.Head())
	}
}

// Journal entries over five streams are seen whole or not at all, by readers, by
// followers and after crashes.
func TestJournalEntriesAreWhole(t *testing.T) {
	t.Parallel()
	const writers, entries, width = 8, 40, 5
	db := estest.Open(t)
	var wg sync.WaitGroup
	done, stop := context.WithCancel(ctx)
	for w := range writers {
		wg.Go(func() {
			for i := range entries {
				var parts []eventstream.StreamAppend
				for k := range width {
					e := event("Posted")
					e.CorrelationID = fmt.Sprintf("%d/%d", w, i)
					parts = append(parts, eventstream.StreamAppend{
						Stream: eventstream.StreamID(fmt.Sprintf("ledger-account-%d", (w+k)%width)), Expect: eventstream.Any,
						Events: []eventstream.NewEvent{e},
					})
				}
				mustAppendAll(t, db, parts...)
			}
		})
	}
	var reader sync.WaitGroup
	reader.Go(func() {
		for done.Err() == nil {
			counts := make(map[string]int)
			err := db.Read(ctx, func(r *eventstream.Reader) error {
				for k := range width {
					for e, err := range r.ReadStream(ctx, eventstream.StreamID(fmt.Sprintf("ledger-account-%d", k))) {
						if err != nil {
							return err
						}
						counts[e.CorrelationID]++
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
				return
			}
			for entry, n := range counts {
				if n != width {
					t.Errorf("entry %s is seen with %d of its %d parts", entry, n, width)
				}
			}
		}
	})
	wg.Wait()
	stop()
	reader.Wait()
	equal(t, "events", len(mustCollect(t, db.ReadAll(ctx))), writers*entries*width)
}

// The cache of stream heads is far smaller than the number of streams in use, and
// no version is given twice.
func TestAppendsWithFewStreamHeadsInMemory(t *testing.T) {
	t.Parallel()
	db := estest.Open(t, estest.Options(func(o *eventstream.Options) { o.StreamHeads = 2 }))
	const writers, rounds, streams = 8, 60, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			random := newRand(w)
			for range rounds {
				stream := eventstream.StreamID(fmt.Sprintf("s-s-%d", random.IntN(streams)))
				err := eventstream.RetryOnConflict(ctx, func() error {
					version := eventstream.Version(0)
					info, err := db.Stream(ctx, stream)
					if err == nil {
						version = info.Version
					} else if !errors.Is(err, eventstream.ErrStreamNotFound) {
						return err
					}
					_, err = db.Append(ctx, stream, eventstream.Exact(version), event("X"))
					return err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	equal(t, "head", db.Head(), writers*rounds)
}

func TestRetryOnConflictEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ending, cancel := context.WithCancel(ctx)
	attempts := 0
	conflict := &eventstream.ConflictError{Stream: "s", Expected: eventstream.NoStream, Actual: 1}
	err := eventstream.RetryOnConflict(ending, func() error {
		if attempts++; attempts == 3 {
			cancel()
		}
		return conflict
	})
	if !errors.Is(err, context.Canceled) || !errors.Is(err, eventstream.ErrConflict) {
		t.Errorf("got %v, want the context's error and the conflict", err)
	}
	equal(t, "attempts", attempts, 3)
	other := errors.New("other")
	if err := eventstream.RetryOnConflict(ctx, func() error { return other }); err != other {
		t.Errorf("got %v, want what the attempt returned", err)
	}
}
