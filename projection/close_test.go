package projection_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/projection"
)

// engineCalls has a call of every method of an engine that can fail.
func engineCalls(e *projection.Engine, d projection.Definition) map[string]func(context.Context) error {
	name := d.Name
	return map[string]func(context.Context) error{
		"Run":         func(c context.Context) error { return e.Run(c) },
		"WaitFor":     func(c context.Context) error { return e.WaitFor(c, name, 1<<40) },
		"Rebuild":     func(c context.Context) error { return e.Rebuild(c, name, projection.RebuildOptions{Workers: 2}) },
		"DryRun":      func(c context.Context) error { _, err := e.DryRun(c, d, projection.DryRunOptions{}); return err },
		"Status":      func(c context.Context) error { _, err := e.Status(c, name); return err },
		"Parked":      func(context.Context) error { _, err := e.Parked(name); return err },
		"ApplyParked": func(c context.Context) error { return e.ApplyParked(c, name, 1, "ada", "test") },
		"DropParked":  func(context.Context) error { return e.DropParked(name, 1, "ada", "test") },
		"Audit":       func(context.Context) error { _, err := e.Audit(name); return err },
		"Pause":       func(context.Context) error { return e.Pause(name) },
		"Resume":      func(context.Context) error { return e.Resume(name) },
		"SwitchBack":  func(c context.Context) error { return e.SwitchBack(c, name) },
		"Drop":        func(c context.Context) error { return e.Drop(c, name, 1) },
		"Reset":       func(c context.Context) error { return e.Reset(c, name) },
		"Read":        func(context.Context) error { return e.Read(name, func(*eventstream.ViewReader) error { return nil }) },
		"ReadView":    func(context.Context) error { return e.ReadView(name, func(projection.View) error { return nil }) },
		"ReadAsOf": func(c context.Context) error {
			return e.ReadAsOf(c, name, projection.AsOf{}, func(*projection.AsOfReader) error { return nil })
		},
	}
}

func TestEveryMethodOfAnEngineIsCalled(t *testing.T) {
	t.Parallel()
	calls := engineCalls(nil, projection.Definition{})
	engine := reflect.TypeFor[*projection.Engine]()
	for i := range engine.NumMethod() {
		if name := engine.Method(i).Name; calls[name] == nil && name != "Register" && name != "Names" {
			t.Errorf("Engine.%s is not in the table of calls", name)
		}
	}
}

// The store is closed while an engine does everything that it can do, over and over.
// Nobody hangs or panics, whoever waits for a projection learns of it, each call says in the end that the store is closed, and the view
// is found as it was left: the fold of the log up to its checkpoint.
func TestCloseWhileAnEngineDoesEverything(t *testing.T) {
	t.Parallel()
	for _, seed := range campaign.Seeds(t, campaign.Scale(t, campaign.Cases{Short: 2, PullRequest: 6, Nightly: 200})) {
		rng := campaign.Rand(t, seed)
		opts := &eventstream.Options{FS: vfs.NewMem(), MemTableBytes: 1 << 20, CacheBytes: 1 << 20}
		db, err := eventstream.Open("store", opts)
		if err != nil {
			t.Fatal(err)
		}
		enterMany(t, db, rand.New(rand.NewPCG(seed, 1)), 200)
		e := projection.New(db, nil)
		d := projection.Definition{Name: "balances", Apply: balance, BatchEvents: 20, PartitionedByStream: true}
		register(t, e, d)
		var running sync.WaitGroup
		var closed atomic.Bool
		ctx := context.Background()
		for name, call := range engineCalls(e, d) {
			running.Go(func() {
				for {
					late := closed.Load()
					err := call(ctx)
					switch {
					case errors.Is(err, eventstream.ErrClosed):
						return
					case late && (errors.Is(err, eventstream.ErrInvalidArgument) || errors.Is(err, projection.ErrUnknown)):
						return // refused before the store was asked
					case errors.Is(err, projection.ErrLocked): // another call is not over yet
					case late:
						t.Errorf("seed %d: %s after Close: got %v, want ErrClosed", seed, name, err)
						return
					}
				}
			})
		}
		patience := time.NewTimer(time.Duration(rng.IntN(60)) * time.Millisecond)
		<-patience.C
		if err := db.Close(); err != nil {
			t.Errorf("seed %d: close: %v", seed, err)
		}
		closed.Store(true)
		running.Wait()
		if db, err = eventstream.Open("store", opts); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		e = projection.New(db, nil)
		register(t, e, d)
		checkpoint := status(t, e, d.Name).Checkpoint
		sameSums(t, fmt.Sprintf("seed %d, at checkpoint %d", seed, checkpoint), sums(t, e, d.Name), fold(t, db, checkpoint))
		report, err := db.Check(ctx, eventstream.Deep())
		if err != nil || !report.OK() {
			t.Errorf("seed %d: check: %+v, %v", seed, report, err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// An engine whose projection stands still ends with the store at once, whatever keeps its
// lease.
func TestAPausedProjectionEndsWithTheStore(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]func(*eventstream.DB) *projection.Options{
		"leases in the store": func(*eventstream.DB) *projection.Options { return nil },
		"leases in memory": func(db *eventstream.DB) *projection.Options {
			return &projection.Options{Locker: projection.NewMemoryLocker(db.Now)}
		},
		"leases that end soon": func(*eventstream.DB) *projection.Options {
			return &projection.Options{LeaseTTL: 300 * time.Millisecond}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db := estest.Open(t)
			enter(t, db.DB, rand.New(rand.NewPCG(7, 0)))
			e := projection.New(db.DB, options(db.DB))
			register(t, e, projection.Definition{Name: "balances", Apply: balance})
			still := make(chan struct{}, 1)
			projection.At(e, func(point string) {
				if point == "while it stands still" {
					select {
					case still <- struct{}{}:
					default:
					}
				}
			})
			if err := e.Pause("balances"); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- e.Run(context.Background()) }()
			<-still
			began := time.Now()
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if err := <-done; !errors.Is(err, eventstream.ErrClosed) {
				t.Errorf("got %v, want ErrClosed", err)
			}
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("it ended %v after Close", took)
			}
		})
	}
}
