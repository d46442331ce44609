package projection_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
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

// logWrites is a trigger that fails the n-th write or sync of the log, and all behind it:
// whatever else fails while the store writes, Pebble tries again or ends the process.
func logWrites(n int) *faultfs.Trigger {
	hit := &faultfs.Trigger{
		At: n, Onward: true, Do: faultfs.Fail(syscall.EIO),
		Match: func(op errorfs.Op) bool {
			return filepath.Ext(op.Path) == ".log" && (op.Kind == errorfs.OpFileWrite || faultfs.Syncs(op))
		},
	}
	hit.Pause()
	return hit
}

// untilPoisoned runs an engine until both views are at the head or it cannot go on.
func (b *books) untilPoisoned(db *eventstream.DB, e *projection.Engine) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ran := make(chan error, 1)
	go func() { ran <- e.Run(ctx) }()
	arrived := make(chan error, 1)
	go func() {
		var err error
		for _, name := range e.Names() {
			err = errors.Join(err, e.WaitFor(ctx, name, db.Head()))
		}
		arrived <- err
	}()
	select {
	case err := <-ran:
		cancel()
		<-arrived
		return err
	case err := <-arrived:
		cancel()
		if end := <-ran; !errors.Is(end, context.Canceled) {
			err = errors.Join(err, end)
		}
		return err
	}
}

// The log fails at any write or sync while something is done with a projection. It is
// done, or the error says that the store is poisoned, and then nothing else is written.
// The views that are read there, and those that a new process or the next start after a
// power failure finds, are the fold of the log up to their checkpoints; no event is put
// aside since the disk could not be written, and what was under way can be finished.
func TestAFailedWriteLeavesViewsTheFoldOfTheLog(t *testing.T) {
	t.Parallel()
	clock := estest.NewClock(booksBegin)
	mem := booksSource(t, clock)
	points, failed := 0, 0
	for _, w := range works() {
		if w.what == "catch up" {
			w.do = func(b *books, db *eventstream.DB, e *projection.Engine) error { return b.untilPoisoned(db, e) }
		}
		for n := 1; ; {
			hit := logWrites(n)
			disk := copyOf(mem)
			db, err := eventstream.Open("store", booksOptions(hit.Wrap(disk), clock))
			if err != nil {
				t.Fatal(err)
			}
			var b books
			e := b.engine(t, db, "engine")
			hit.Resume()
			err = w.do(&b, db, e)
			fired := hit.Fired()
			if !fired {
				hit.Pause() // Close begins another log, which Pebble does not survive if it fails
			}
			what := fmt.Sprintf("%s, write %d of the log fails", w.what, n)
			if err != nil {
				failed++
				if !errors.Is(err, eventstream.ErrPoisoned) || !errors.Is(err, syscall.EIO) {
					t.Errorf("%s: the error does not say that the store is poisoned, and by what: %v", what, err)
				}
				if _, err := db.Append(context.Background(), "s", eventstream.Any, eventstream.NewEvent{Type: "X"}); !errors.Is(err, eventstream.ErrPoisoned) {
					t.Errorf("%s: an append after that: got %v", what, err)
				}
			}
			if err := b.check(db, e); err != nil {
				t.Errorf("%s: %v", what, err)
			}
			cut := disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rand.New(rand.NewPCG(74, uint64(n)))})
			if err := db.Close(); err != nil && !errors.Is(err, syscall.EIO) && !errors.Is(err, eventstream.ErrPoisoned) {
				t.Errorf("%s: close: %v", what, err)
			}
			for how, fs := range map[string]vfs.FS{"a new process": copyOf(disk), "the power failed": cut} {
				if err := finishWork(t, w, fs, clock); err != nil {
					t.Errorf("%s, %s: %v", what, how, err)
				}
			}
			if !fired {
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
	t.Logf("%d points, %d times it was not done", points, failed)
	if points < 60 && !testing.Short() || failed < points/4 {
		t.Errorf("only %d writes failed, %d times it was not done", points, failed)
	}
}

// finishWork opens what is left of a store in which something was under way, and brings
// its views to the head.
func finishWork(t *testing.T, w work, fs vfs.FS, clock *estest.Clock) error {
	db, err := eventstream.Open("store", booksOptions(fs, clock))
	if err != nil {
		return err
	}
	var b books
	e := b.engine(t, db, "another engine")
	for _, name := range e.Names() {
		s, statusErr := e.Status(context.Background(), name)
		if err = errors.Join(err, statusErr); s.Status == projection.StatusPaused {
			err = errors.Join(err, e.Resume(name))
		}
	}
	if err = errors.Join(err, b.check(db, e)); err == nil && strings.HasPrefix(w.what, "re") { // rebuilt and reset once more
		err = errors.Join(w.do(&b, db, e), b.check(db, e))
	}
	if err == nil {
		err = errors.Join(b.until(context.Background(), db, e), b.check(db, e))
	}
	if err == nil {
		report, checkErr := db.Check(context.Background(), eventstream.Deep())
		if err = checkErr; err == nil && !report.OK() {
			err = fmt.Errorf("check: %+v", report.Problems)
		}
	}
	return errors.Join(err, db.Close())
}
