package eventstream_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nexus-erp/eventstream"
)

// A disk takes three seconds for a sync. Callers with less patience are told in time that
// the outcome is open, and find their events once when they ask again; those with more get
// their answer; readers never wait. In the time of a bubble.
func TestADiskTakesItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const takes, patience = 3 * time.Second, 100 * time.Millisecond
		var slow atomic.Bool
		fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			switch op.Kind {
			case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
				if slow.Load() {
					<-time.After(takes)
				}
			default:
			}
			return nil
		}))
		db, err := eventstream.Open("store", onFS(fs, smallTables))
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, db, "s", eventstream.NoStream, event("X"))
		slow.Store(true)
		for n := range 5 {
			hasty, cancel := context.WithTimeout(ctx, patience)
			began := time.Now()
			_, err := db.Append(hasty, "s", eventstream.Exact(eventstream.Version(n+1)), withID(id(n+1), "X"))
			cancel()
			if !errors.Is(err, eventstream.ErrCommitUnknown) || !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("append %d: got %v, want an open outcome", n, err)
			}
			equal(t, "what the hasty one waited", time.Since(began), patience)
			began = time.Now()
			equal(t, "events that are readable", len(mustCollect(t, db.ReadAll(ctx))), n+1)
			equal(t, "what a reader waited", time.Since(began), 0)

			res := mustAppend(t, db, "s", eventstream.Exact(eventstream.Version(n+1)), withID(id(n+1), "X"))
			equal(t, "deduplicated", res.Deduplicated, true)
			if waited := time.Since(began); waited < takes-patience || waited > 3*takes {
				t.Errorf("the answer came after %v", waited)
			}
			equal(t, "head", db.Head(), eventstream.Position(n+2))
		}
		slow.Store(false)
		wantSound(t, db)
		mustClose(t, db)
	})
}

// Sixty-four writers append one event after the other to a disk whose sync takes a second.
// Each sync serves them all: those who were told of one are in the queue again when the
// next round begins. In the time of a bubble, where a second passes only once everybody
// waits.
func TestEachSyncServesEverybody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const writers, each, takes = 64, 10, time.Second
		var slow atomic.Bool
		fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpFileSyncData && slow.Load() {
				<-time.After(takes)
			}
			return nil
		}))
		db, err := eventstream.Open("store", onFS(fs, smallTables))
		if err != nil {
			t.Fatal(err)
		}
		slow.Store(true)
		began := time.Now()
		var running sync.WaitGroup
		for w := range writers {
			running.Go(func() {
				stream := eventstream.StreamID(fmt.Sprintf("s-s-%d", w))
				for n := range each {
					if _, err := db.Append(ctx, stream, eventstream.Exact(eventstream.Version(n)), event("X")); err != nil {
						t.Error(err)
					}
				}
			})
		}
		running.Wait()
		// The first sync may serve the first writer alone, and now and then one writer is
		// still on its way to the queue. Were they two halves, it would take twice as long.
		if took, most := time.Since(began), (each*3/2+1)*takes; took > most {
			t.Errorf("%d appends of each took %v of syncs, want %v at most", each, took, most)
		}
		slow.Store(false)
		equal(t, "head", db.Head(), writers*each)
		wantSound(t, db)
		mustClose(t, db)
	})
}
