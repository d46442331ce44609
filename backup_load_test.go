package eventstream_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
)

// Eight writers append commits over several streams, a backup is made every 200 ms, and
// the load lasts until there are a few, for one may take seconds on a busy machine.
// Each one holds what was acknowledged before it began, ends with a commit, and gives
// back exactly those events.
func TestBackupsUnderLoadAreWhole(t *testing.T) {
	t.Parallel()
	length := 20 * time.Second
	if testing.Short() {
		length = 2 * time.Second
	}
	const writers, atLeast, every, pause = 8, 3, 200 * time.Millisecond, 25 * time.Millisecond
	dir := t.TempDir()
	opts := &eventstream.Options{MemTableBytes: 256 << 10, Unstable: eventstream.Unstable{RunEvents: 100}}
	db := mustOpen(t, filepath.Join(dir, "store"), opts)
	loading, stop := context.WithCancel(ctx)
	defer stop()
	var acknowledged atomic.Uint64
	var running sync.WaitGroup
	begun := make(chan struct{})
	begin := sync.OnceFunc(func() { close(begun) })
	for w := range writers {
		running.Go(func() {
			tenant := db.Tenant([]string{eventstream.DefaultTenant, "acme"}[w%2])
			tick := time.NewTicker(pause) // so that what is compared stays small
			defer tick.Stop()
			for n := 0; loading.Err() == nil; n++ {
				var entries []eventstream.StreamAppend
				for s := range 1 + n%3 {
					entries = append(entries, eventstream.StreamAppend{
						Stream: eventstream.StreamID(fmt.Sprintf("load-%d-%d", w, s)), Expect: eventstream.Any,
						Events: []eventstream.NewEvent{event("A"), event("B")}[:1+n%2],
					})
				}
				res, err := tenant.AppendAll(ctx, entries)
				begin()
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
				for {
					known := acknowledged.Load()
					if known >= uint64(res.LastPosition) || acknowledged.CompareAndSwap(known, uint64(res.LastPosition)) {
						break
					}
				}
				<-tick.C
			}
		})
	}
	<-begun // a backup of nothing cannot be cut
	var backups []eventstream.BackupInfo
	enough, tick := time.After(length), time.NewTicker(every)
	for loading.Err() == nil {
		<-tick.C
		before := eventstream.Position(acknowledged.Load())
		info := mustBackup(t, db, filepath.Join(dir, fmt.Sprintf("backup-%d", len(backups))))
		if info.Head < before || info.DurableHead > info.Head || info.Events != uint64(info.Head) {
			t.Errorf("got %+v, want all up to %d, which was acknowledged", info, before)
		}
		if backups = append(backups, info); len(backups) < atLeast {
			continue
		}
		select {
		case <-enough:
			stop()
		default:
		}
	}
	tick.Stop()
	running.Wait()
	all := records(t, db, db.Head())
	rng := newRand(5)
	for n, info := range backups {
		asked := 1 + eventstream.Position(rng.Uint64N(uint64(info.Head)))
		for what, as := range map[string]*eventstream.RestoreOptions{"whole": nil, "cut": {AsOfPosition: asked}} {
			restored, err := eventstream.Restore(ctx, info.Path, filepath.Join(dir, fmt.Sprintf("%s-%d", what, n)), as)
			if as != nil && errors.Is(err, eventstream.ErrInvalidArgument) && asked < 6 {
				continue // inside the first commit, which has at most six events
			}
			if err != nil {
				t.Fatal(err)
			}
			if as == nil {
				equal(t, "head", restored.Head, info.Head)
			} else if restored.Head > asked || restored.Head+6 <= asked {
				t.Errorf("as of %d: got head %d", asked, restored.Head)
			}
			copied, err := eventstream.Open(restored.Path, opts)
			if err != nil {
				t.Fatal(err)
			}
			equalSlices(t, fmt.Sprintf("%s restore of backup %d", what, n), records(t, copied, copied.Head()), all[:restored.Head])
			last := mustEventAt(t, copied, restored.Head)
			equal(t, "events of the last commit", last.CommitIndex+1, last.CommitSize)
			mustClose(t, copied)
		}
	}
	t.Logf("%d backups, %d events", len(backups), len(all))
}

// mustEventAt returns the event at a position, of whichever tenant.
func mustEventAt(t *testing.T, db *eventstream.DB, p eventstream.Position) eventstream.Event {
	t.Helper()
	for _, tenant := range db.Tenants() {
		if e, err := db.Tenant(tenant).EventAt(ctx, p); err == nil {
			return e
		}
	}
	t.Fatalf("no tenant has an event at position %d", p)
	return eventstream.Event{}
}
