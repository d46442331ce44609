package eventstream_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/internal/campaign"
)

// While syncs wait, some appends are in the log and others in the queue. Those in the queue
// are withdrawn by their ctx, for good; those in the log end with an open outcome, and are
// there once the sync is over.
func TestACancelledAppendIsWithdrawnOrOpen(t *testing.T) {
	t.Parallel()
	db, gate, _ := openGated(t)
	mustAppend(t, db, "s", eventstream.NoStream, event("X"))
	gate.close()
	contexts, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	errs := make([]error, 101)
	begin := func(n int) {
		running.Go(func() {
			_, errs[n] = db.Append(contexts, eventstream.StreamID(fmt.Sprintf("c-c-%d", n)), eventstream.NoStream, withID(id(n+1), "X"))
		})
	}
	// settled waits until so many are queued or in flight. While some are in flight, none of
	// the others is taken.
	settled := func(many int) (queued, inFlight int) {
		for {
			queued, inFlight = eventstream.Waiting(db)
			if queued+inFlight == many && inFlight > 0 {
				return queued, inFlight
			}
			runtime.Gosched()
		}
	}
	many := len(errs) - 1
	for n := range many {
		begin(n)
	}
	<-gate.held
	queued, inFlight := settled(many)
	if queued == 0 {
		begin(many) // it is not taken
		many++
		queued, inFlight = settled(many)
	}
	errs = errs[:many]
	cancel()
	running.Wait()
	open, withdrawn := 0, 0
	for n, err := range errs {
		switch {
		case !errors.Is(err, context.Canceled):
			t.Errorf("append %d: got %v, want the context's error", n, err)
		case errors.Is(err, eventstream.ErrCommitUnknown):
			open++
			equalSlices(t, "ids", errAs[*eventstream.CommitUnknownError](t, err).EventIDs, []eventstream.EventID{id(n + 1)})
		default:
			withdrawn++
		}
	}
	if open != inFlight || withdrawn != queued || open == 0 || withdrawn == 0 {
		t.Errorf("%d outcomes are open of %d in flight, %d were withdrawn of %d queued", open, inFlight, withdrawn, queued)
	}
	gate.open(nil)
	if err := db.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	for n, err := range errs {
		_, found := db.Event(ctx, id(n+1))
		if (found == nil) != errors.Is(err, eventstream.ErrCommitUnknown) {
			t.Errorf("append %d ended with %v, and looking for it with %v", n, err, found)
		}
	}
	// Those who left keep nobody waiting, neither in the queue nor in the log, and their
	// streams are free.
	patient, end := context.WithTimeout(ctx, 30*time.Second)
	defer end()
	for n, err := range errs {
		res, failed := db.Append(patient, eventstream.StreamID(fmt.Sprintf("c-c-%d", n)), eventstream.NoStream, withID(id(n+1), "X"))
		if failed != nil {
			t.Fatal(failed)
		}
		equal(t, "deduplicated", res.Deduplicated, errors.Is(err, eventstream.ErrCommitUnknown))
	}
	equal(t, "head", db.Head(), eventstream.Position(many+1))
	mustClose(t, db)
}

// Calls of every kind that writes, cancelled at a random moment: each commit is there whole
// or not at all, what is not in doubt is as the call said, and the same call again brings
// about what is missing, once.
func TestACancelledCallIsDoneOpenOrNot(t *testing.T) {
	t.Parallel()
	counts := make(map[string]int)
	var mu sync.Mutex
	for _, seed := range campaign.Seeds(t, campaign.Scale(t, campaign.Cases{Short: 2, PullRequest: 10, Nightly: 500})) {
		rng := campaign.Rand(t, seed)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			db := estest.Open(t, estest.Seed(seed))
			mustAppend(t, db, "first", eventstream.NoStream, event("X"))
			const callers, calls, size = 8, 25, 3
			var running sync.WaitGroup
			for c := range callers {
				patience := make([]time.Duration, calls)
				for n := range patience {
					patience[n] = time.Duration(rng.IntN(300)) * time.Microsecond
				}
				running.Go(func() {
					for n, patience := range patience {
						ids := make([]eventstream.EventID, size)
						for i := range ids {
							ids[i] = id(1 + (c*calls+n)*size + i)
						}
						do := cancelled(db.DB, (c+n)%4, c, n, ids)
						hasty, stop := context.WithTimeout(ctx, patience)
						err := do(hasty)
						stop()
						outcome := "done"
						switch {
						case err == nil:
						case !errors.Is(err, context.DeadlineExceeded):
							t.Errorf("seed %d: call %d of %d: %v", seed, n, c, err)
							return
						case errors.Is(err, eventstream.ErrCommitUnknown):
							outcome = "open"
							if got := errAs[*eventstream.CommitUnknownError](t, err).EventIDs; !slices.Equal(got, ids) {
								t.Errorf("seed %d: got the ids %v, want %v", seed, got, ids)
							}
						default:
							outcome = "not done"
						}
						if outcome == "not done" {
							for _, id := range ids {
								if _, err := db.Event(ctx, id); !errors.Is(err, eventstream.ErrEventNotFound) {
									t.Errorf("seed %d: an append that was not done is there: %v", seed, err)
								}
							}
						}
						if err := do(ctx); err != nil {
							t.Errorf("seed %d: call %d of %d again: %v", seed, n, c, err)
							return
						}
						mu.Lock()
						counts[outcome]++
						mu.Unlock()
					}
				})
			}
			running.Wait()
			equal(t, "head", db.Head(), callers*calls*size+1)
			for _, e := range mustCollect(t, db.ReadAll(ctx, eventstream.After(1))) {
				if e.CommitSize != size {
					t.Fatalf("seed %d: a commit has %d events, want %d", seed, e.CommitSize, size)
				}
			}
			equal(t, "records", len(recordsOf(t, defaultTenant(db.DB), "r")), callers*calls/4)
		})
	}
	t.Log(counts)
	for _, outcome := range []string{"done", "open", "not done"} {
		if counts[outcome] == 0 {
			t.Errorf("no call was %s: got %v", outcome, counts)
		}
	}
}

// cancelled returns a call of a kind, which commits three events over two streams.
func cancelled(db *eventstream.DB, kind, caller, n int, ids []eventstream.EventID) func(context.Context) error {
	a, b := eventstream.StreamID(fmt.Sprintf("a-a-%d-%d", caller, n)), eventstream.StreamID(fmt.Sprintf("b-b-%d-%d", caller, n))
	entries := []eventstream.StreamAppend{
		{Stream: a, Expect: eventstream.NoStream, Events: []eventstream.NewEvent{withID(ids[0], "X"), withID(ids[1], "X")}},
		{Stream: b, Expect: eventstream.NoStream, Events: []eventstream.NewEvent{withID(ids[2], "X")}},
	}
	switch kind {
	case 0:
		return func(ctx context.Context) error {
			_, err := db.Append(ctx, a, eventstream.NoStream, append(entries[0].Events, entries[1].Events...)...)
			return err
		}
	case 1:
		return func(ctx context.Context) error {
			_, err := db.AppendAll(ctx, entries)
			return err
		}
	case 2:
		return func(ctx context.Context) error {
			_, err := db.AppendIf(ctx, eventstream.Condition{Query: eventstream.Query{}.Streams(a).Types("Never")}, entries)
			return err
		}
	default:
		return func(ctx context.Context) error {
			_, err := db.Update(ctx, func(tx *eventstream.UpdateTx) error {
				return errors.Join(
					tx.Records("r").Put([]byte(a), []byte(b)),
					tx.Append(a, eventstream.NoStream, entries[0].Events...), tx.Append(b, eventstream.NoStream, entries[1].Events...),
				)
			})
			return err
		}
	}
}

// A backup whose context ends while it copies or checks leaves nothing, whenever that is,
// and the store goes on.
func TestACancelledBackupLeavesNothing(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	var left atomic.Int64
	var end atomic.Value // of the context
	db := mustOpen(t, "store", onFS(errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if strings.HasPrefix(op.Path, "backup") && left.Add(-1) == 0 {
			end.Load().(context.CancelFunc)()
		}
		return nil
	})), smallTables))
	for range 100 {
		mustAppend(t, db, "a-b-1", eventstream.Any, event("X"))
	}
	step := int64(campaign.Scale(t, campaign.Cases{Short: 40, PullRequest: 7, Nightly: 1}))
	cut := 0
	for n := int64(1); ; n += step {
		ending, cancel := context.WithCancel(ctx)
		end.Store(cancel)
		left.Store(n)
		_, err := db.Backup(ending, "backup")
		cancel()
		if err == nil {
			break
		}
		cut++
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("ended at operation %d: got %v, want the context's error", n, err)
		}
		names, err := mem.List("")
		if err != nil {
			t.Fatal(err)
		}
		equalSlices(t, fmt.Sprintf("what is there after operation %d", n), names, []string{"store"})
	}
	t.Logf("%d backups were cut short", cut)
	if cut < 3 {
		t.Errorf("only %d backups were cut short", cut)
	}
	mustAppend(t, db, "a-b-1", eventstream.StreamExists, event("X"))
	if _, err := eventstream.Restore(ctx, "backup", "restored", &eventstream.RestoreOptions{Options: onFS(mem, smallTables)}); err != nil {
		t.Error(err)
	}
}
