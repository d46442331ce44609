package eventstream_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/estest"
)

func TestFollowCatchesUpAndGoesLive(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	fill(t, db, 3, "a-b-1")
	live, cancel := context.WithCancel(ctx)
	defer cancel()
	var got []string
	var last error
	for e, err := range db.Follow(live, eventstream.After(1)) {
		if err != nil {
			last = err
			continue
		}
		got = append(got, fmt.Sprint(e.Position))
		switch e.Position {
		case 3: // caught up: what follows is live
			mustAppend(t, db.Tenant("acme"), "a-b-1", eventstream.Any, event("Other"))
			mustAppend(t, db, "a-b-2", eventstream.Any, event("Live"), event("Live"))
		case 6:
			cancel()
		}
	}
	equalSlices(t, "positions", got, []string{"2", "3", "5", "6"})
	if !errors.Is(last, context.Canceled) {
		t.Errorf("last item: got %v, want context.Canceled", last)
	}
}

func TestFollowFiltersAndLimits(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	fill(t, db, 6, "a-b-1", "a-c-1")
	equalSlices(t, "events", places(mustCollect(t, db.Follow(ctx, eventstream.Types("T1"), eventstream.Category("a-c"), eventstream.Limit(2)))),
		[]string{"a-c-1@2:4", "a-c-1@5:10"})
}

func TestFollowEndsWithTheStore(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	fill(t, db, 1, "s")
	ended := make(chan error)
	seen := make(chan struct{})
	go func() {
		var last error
		for _, err := range db.Follow(ctx) {
			if last = err; err == nil {
				close(seen)
			}
		}
		ended <- last
	}()
	<-seen
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	wantErr(t, <-ended, eventstream.ErrClosed)
}

// Followers that start at any time while writers append get every event once, in
// order, commits whole, whether it comes from the log or from the tail.
func TestFollowersSeeEveryEventOnce(t *testing.T) {
	t.Parallel()
	db := estest.Open(t, estest.Options(func(o *eventstream.Options) { o.TailBytes = 64 << 10 }))
	const writers, commits, size, followers = 4, 150, 3, 4
	total := writers * commits * size
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for range commits {
				events := make([]eventstream.NewEvent, size)
				for i := range events {
					events[i] = eventstream.NewEvent{Type: "X", Codec: codec.Raw, Data: make([]byte, 100)}
				}
				mustAppend(t, db, eventstream.StreamID(fmt.Sprintf("w-w-%d", w)), eventstream.Any, events...)
			}
		})
	}
	for range followers {
		wg.Go(func() {
			next, inCommit := eventstream.Position(1), 0
			for e, err := range db.Follow(ctx, eventstream.Limit(total)) {
				if err != nil {
					t.Error(err)
					return
				}
				if e.Position != next {
					t.Errorf("got position %d, want %d", e.Position, next)
					return
				}
				if e.CommitIndex != inCommit {
					t.Errorf("position %d: got commit index %d, want %d", e.Position, e.CommitIndex, inCommit)
					return
				}
				if db.Head() < e.CommitPosition()+eventstream.Position(e.CommitSize-1) {
					t.Errorf("position %d was seen before the end of its commit was readable", e.Position)
				}
				inCommit = (inCommit + 1) % size
				next++
			}
			equal(t, "events followed", int(next-1), total)
		})
	}
	wg.Wait()
}

// A follower that has seen what the store does not have is told: it would wait, and then
// pass over other events in the places of those that it saw.
func TestAFollowerAheadOfTheStoreIsTold(t *testing.T) {
	t.Parallel()
	mem := vfs.NewCrashableMem()
	opts := &eventstream.Options{FS: mem, MemTableBytes: 256 << 10, CacheBytes: 1 << 20, Durability: eventstream.None}
	db := mustOpen(t, "store", opts)
	for range 3 {
		mustAppend(t, db, "s", eventstream.Any, event("X"))
	}
	if err := db.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	seen := mustAppend(t, db, "s", eventstream.Any, event("X")).LastPosition
	crashed := mem.CrashClone(vfs.CrashCloneCfg{}) // takes the fourth

	follow := func(db *eventstream.DB, after eventstream.Position) error {
		short, cancel := context.WithCancel(ctx)
		cancel() // once it has nothing more to give, it ends
		_, err := collect(db.Follow(short, eventstream.After(after)))
		return err
	}
	for after := range seen + 1 {
		if err := follow(db, after); !errors.Is(err, context.Canceled) {
			t.Errorf("after %d of 4: got error %v, want that of the context", after, err)
		}
	}
	reopened := *opts
	reopened.FS = crashed
	db = mustOpen(t, "store", &reopened)
	if err := follow(db, 3); !errors.Is(err, context.Canceled) {
		t.Errorf("after the newest: got error %v, want that of the context", err)
	}
	for _, after := range []eventstream.Position{seen, 1_000_000} {
		err := follow(db, after)
		wantErr(t, err, eventstream.ErrAhead)
		ahead := errAs[*eventstream.AheadError](t, err)
		equal(t, "position", ahead.Position, after)
		equal(t, "head", ahead.Head, 3)
		if !strings.Contains(err.Error(), "ends at 3") {
			t.Errorf("the error does not say where the store ends: %v", err)
		}
	}
	empty := mustOpen(t, "empty", &eventstream.Options{FS: vfs.NewMem()})
	wantErr(t, follow(empty, 1), eventstream.ErrAhead)
}
