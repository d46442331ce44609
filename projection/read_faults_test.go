package projection_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/internal/campaign/faultfs"
	"github.com/nexus-erp/eventstream/projection"
)

// booksBegin is when the books are opened.
var booksBegin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// booksOptions let nothing be read from memory that could be read from the disk.
func booksOptions(fs vfs.FS, clock *estest.Clock) *eventstream.Options {
	return &eventstream.Options{
		FS: fs, Clock: clock.Now, MemTableBytes: 256 << 10, CacheBytes: 1, TailBytes: 64 << 10, StreamHeads: 1,
		Unstable: eventstream.Unstable{RunEvents: 32},
	}
}

// booksSource is a store with everything in it that can be worked on: two generations of
// each view, parked events, and a log that goes on behind the views.
func booksSource(t *testing.T, clock *estest.Clock) *vfs.MemFS {
	t.Helper()
	mem := vfs.NewCrashableMem()
	rng := rand.New(rand.NewPCG(71, 0))
	for session := range 3 {
		db, err := eventstream.Open("store", booksOptions(mem, clock))
		if err != nil {
			t.Fatal(err)
		}
		var b books
		e := b.engine(t, db, "engine")
		if err := enterInto(db, clock, rng, 15); err != nil {
			t.Fatal(err)
		}
		if session < 2 {
			if err := b.until(context.Background(), db, e); err != nil {
				t.Fatal(err)
			}
		}
		if session == 1 {
			for _, name := range e.Names() {
				rebuild(t, e, name, projection.RebuildOptions{})
			}
		}
		if err := errors.Join(b.check(db, e), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return mem
}

// copyOf returns a copy of what was written.
func copyOf(mem *vfs.MemFS) *vfs.MemFS {
	return mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(0, 0))})
}

// work is something that is done with projections, and that a fault of the disk must
// leave done, or not done and said so: then it can be done again.
type work struct {
	what string
	do   func(b *books, db *eventstream.DB, e *projection.Engine) error
}

func works() []work {
	ctx := context.Background()
	first := func(e *projection.Engine, name string) (eventstream.Position, error) {
		parked, err := e.Parked(name)
		if err != nil {
			return 0, err
		}
		return parked[0].Position, nil
	}
	all := []work{
		{"catch up", func(b *books, db *eventstream.DB, e *projection.Engine) error { return b.until(ctx, db, e) }},
		{"rebuild by two workers", func(_ *books, _ *eventstream.DB, e *projection.Engine) error {
			return e.Rebuild(ctx, "sums", projection.RebuildOptions{Workers: 2})
		}},
		{"take, renew and release a lease", func(_ *books, db *eventstream.DB, _ *projection.Engine) error {
			l := projection.NewStoreLocker(db, eventstream.DefaultTenant)
			lease, err := l.Acquire(ctx, "sums", "ada", time.Hour)
			if errors.Is(err, projection.ErrLocked) { // that of the first time, which was not released
				if err := l.ForceRelease("sums", "ada", "again"); err != nil {
					return err
				}
				lease, err = l.Acquire(ctx, "sums", "ada", time.Hour)
			}
			if err != nil {
				return err
			}
			if err := errors.Join(lease.Check(), lease.Renew()); err != nil {
				return err
			}
			if h, ok, err := l.Holder("sums"); err != nil || !ok || h.Owner != "ada" || h.Zombie {
				return fmt.Errorf("the holder is %+v, %v: %w", h, ok, err)
			}
			return lease.Release()
		}},
	}
	for _, name := range []string{"sums", "kept"} {
		all = append(all,
			work{"rebuild " + name, func(_ *books, _ *eventstream.DB, e *projection.Engine) error {
				return e.Rebuild(ctx, name, projection.RebuildOptions{})
			}},
			work{"switch back " + name, func(_ *books, _ *eventstream.DB, e *projection.Engine) error { return e.SwitchBack(ctx, name) }},
			work{"reset " + name, func(_ *books, _ *eventstream.DB, e *projection.Engine) error { return e.Reset(ctx, name) }},
			work{"drop the retired generation of " + name, func(_ *books, _ *eventstream.DB, e *projection.Engine) error { return e.Drop(ctx, name, 1) }},
			work{"apply a parked event of " + name, func(b *books, _ *eventstream.DB, e *projection.Engine) error {
				at, err := first(e, name)
				if err != nil {
					return err
				}
				b.mended.Store(uint64(at))
				defer b.mended.Store(0)
				return e.ApplyParked(ctx, name, at, "ada", "mended")
			}},
			work{"drop a parked event of " + name, func(_ *books, _ *eventstream.DB, e *projection.Engine) error {
				at, err := first(e, name)
				if err != nil {
					return err
				}
				return e.DropParked(name, at, "ada", "not needed")
			}},
			work{"pause and resume " + name, func(_ *books, _ *eventstream.DB, e *projection.Engine) error {
				return errors.Join(e.Pause(name), e.Resume(name))
			}},
		)
	}
	return all
}

// reads is a trigger that fails the n-th read of the disk.
func reads(n int) *faultfs.Trigger {
	hit := &faultfs.Trigger{
		At: n, Do: faultfs.Fail(syscall.EIO),
		Match: func(op errorfs.Op) bool { return op.Kind.ReadOrWrite() == errorfs.OpIsRead },
	}
	hit.Pause()
	return hit
}

// A read of the disk fails, whichever it is, whatever is done with a projection. It is
// done, or the error says what failed and it can be done again. The views are the fold of
// the log; no event is put aside since the disk could not be read.
func TestAFailedReadLeavesViewsTheFoldOfTheLog(t *testing.T) {
	t.Parallel()
	clock := estest.NewClock(booksBegin)
	mem := booksSource(t, clock)
	points, failed := 0, 0
	for _, w := range works() {
		for n := 1; ; {
			hit := reads(n)
			db, err := eventstream.Open("store", booksOptions(hit.Wrap(copyOf(mem)), clock))
			if err != nil {
				t.Fatal(err)
			}
			var b books
			e := b.engine(t, db, "engine")
			hit.Resume()
			err = w.do(&b, db, e)
			hit.Pause()
			what := fmt.Sprintf("%s, read %d fails", w.what, n)
			if err != nil {
				failed++
				if !errors.Is(err, syscall.EIO) {
					t.Errorf("%s: the error does not say what failed: %v", what, err)
				}
				if err := b.check(db, e); err != nil {
					t.Errorf("%s, not done: %v", what, err)
				}
				if err := w.do(&b, db, e); err != nil {
					t.Errorf("%s, again: %v", what, err)
				}
			}
			if err := b.check(db, e); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			if err := errors.Join(b.until(context.Background(), db, e), b.check(db, e)); err != nil {
				t.Errorf("%s, at the head: %v", what, err)
			}
			if err := db.Close(); err != nil {
				t.Errorf("%s: close: %v", what, err)
			}
			if !hit.Fired() {
				if n == 1 {
					t.Errorf("%s: nothing was read", w.what)
				}
				break
			}
			points++
			if testing.Short() {
				n *= 8
				continue
			}
			n += max(1, n/campaign.Scale(t, campaign.Cases{PullRequest: 4, Nightly: 1 << 20}))
		}
	}
	campaign.Count(t, campaign.FaultPoints, points)
	t.Logf("%d times it was not done", failed)
	if points < 100 && !testing.Short() || failed < points/4 {
		t.Errorf("only %d reads failed, %d times it was not done", points, failed)
	}
}

// inquiry is something that views can be asked, and what they answer, a line each.
type inquiry struct {
	what string
	ask  func(e *projection.Engine, db *eventstream.DB) ([]string, error)
}

func inquiries(db *eventstream.DB) ([]inquiry, error) {
	ctx := context.Background()
	var log []eventstream.Event
	for ev, err := range db.ReadAll(ctx) {
		if err != nil {
			return nil, err
		}
		log = append(log, ev)
	}
	all := []inquiry{
		{"scan", func(e *projection.Engine, _ *eventstream.DB) (lines []string, err error) {
			return lines, e.Read("sums", func(r *eventstream.ViewReader) error {
				for record, err := range r.Scan(nil, nil) {
					if err != nil {
						return err
					}
					lines = append(lines, fmt.Sprintf("%s: %x", record.Key, record.Value))
				}
				return nil
			})
		}},
		{"scan backward", func(e *projection.Engine, _ *eventstream.DB) (lines []string, err error) {
			return lines, e.Read("kept", func(r *eventstream.ViewReader) error {
				for record, err := range r.ScanBackward([]byte("key-1"), []byte("key-6")) {
					if err != nil {
						return err
					}
					lines = append(lines, fmt.Sprintf("%s: %x", record.Key, record.Value))
				}
				return nil
			})
		}},
		{"get", func(e *projection.Engine, _ *eventstream.DB) (lines []string, err error) {
			return lines, e.ReadView("sums", func(v projection.View) error {
				value, ok, err := v.Get([]byte("finance-account-3"))
				lines = append(lines, fmt.Sprintf("%d: %x %v", v.Checkpoint, value, ok))
				return err
			})
		}},
		{"parked", func(e *projection.Engine, _ *eventstream.DB) ([]string, error) {
			parked, err := e.Parked("kept")
			return sprint(parked), err
		}},
		{"audit", func(e *projection.Engine, _ *eventstream.DB) ([]string, error) {
			audit, err := e.Audit("kept")
			return sprint(audit), err
		}},
		{"status", func(e *projection.Engine, _ *eventstream.DB) ([]string, error) {
			s, err := e.Status(ctx, "kept")
			return []string{fmt.Sprintf("%+v", s)}, err
		}},
		{"names", func(_ *projection.Engine, db *eventstream.DB) ([]string, error) {
			return projection.StoredNames(db.Tenant(eventstream.DefaultTenant))
		}},
		{"a dry run", func(e *projection.Engine, _ *eventstream.DB) ([]string, error) {
			report, err := e.DryRun(ctx, new(books).definitions()[0], projection.DryRunOptions{})
			return []string{fmt.Sprintf("%+v", report)}, err
		}},
	}
	for i := range 4 {
		ev := log[len(log)/8*(i+1)]
		for _, at := range []projection.AsOf{{Position: ev.Position}, {Occurred: ev.OccurredAt}, {Recorded: ev.RecordedAt}, {Occurred: ev.OccurredAt, Recorded: ev.RecordedAt}} {
			all = append(all, inquiry{fmt.Sprintf("as of %+v", at), func(e *projection.Engine, _ *eventstream.DB) ([]string, error) {
				got, err := keptAsOf(e, at)
				var lines []string
				for key, value := range got {
					lines = append(lines, fmt.Sprintf("%s: %x", key, value))
				}
				slices.Sort(lines)
				return lines, err
			}})
		}
	}
	return all, nil
}

func sprint[T any](items []T) (lines []string) {
	for _, item := range items {
		lines = append(lines, fmt.Sprintf("%+v", item))
	}
	return lines
}

// A read of the disk fails while a view is asked. The answer is an error that says so,
// or the whole answer, and the next one is whole.
func TestAFailedReadIsNeverAShorterViewOrList(t *testing.T) {
	t.Parallel()
	clock := estest.NewClock(booksBegin)
	mem := booksSource(t, clock)
	open := func(hit *faultfs.Trigger) (*eventstream.DB, *projection.Engine) {
		opts := booksOptions(hit.Wrap(mem), clock)
		opts.ReadOnly = true
		db, err := eventstream.Open("store", opts)
		if err != nil {
			t.Fatal(err)
		}
		return db, new(books).engine(t, db, "engine")
	}
	db, _ := open(reads(1))
	asked, err := inquiries(db)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	points, failed := 0, 0
	for _, q := range asked {
		db, e := open(reads(1))
		want, err := q.ask(e, db)
		if err := errors.Join(err, db.Close()); err != nil {
			t.Fatalf("%s: %v", q.what, err)
		}
		if len(want) == 0 && q.what != "audit" {
			t.Errorf("%s: there is nothing to be asked for", q.what)
		}
		for n := 1; ; {
			hit := reads(n)
			db, e := open(hit)
			hit.Resume()
			got, err := q.ask(e, db)
			hit.Pause()
			what := fmt.Sprintf("%s, read %d fails", q.what, n)
			switch {
			case err == nil && !slices.Equal(got, want):
				t.Errorf("%s: got without an error\n%q, want\n%q", what, got, want)
			case err != nil:
				if failed++; !errors.Is(err, syscall.EIO) {
					t.Errorf("%s: the error does not say what failed: %v", what, err)
				}
			}
			if got, err := q.ask(e, db); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s, asked again: got %q and error %v, want %q", what, got, err, want)
			}
			if err := db.Close(); err != nil {
				t.Errorf("%s: close: %v", what, err)
			}
			if !hit.Fired() {
				break
			}
			points++
			n += max(1, n/campaign.Scale(t, campaign.Cases{Short: 1, PullRequest: 16, Nightly: 1 << 20}))
		}
	}
	campaign.Count(t, campaign.FaultPoints, points)
	t.Logf("%d answers were errors", failed)
	if points < 60 && !testing.Short() || failed < points/2 {
		t.Errorf("only %d reads failed, %d answers were errors", points, failed)
	}
}
