package projection_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/projection"
)

// enterMany appends n journal entries and returns the last position.
func enterMany(t testing.TB, db *eventstream.DB, rng *rand.Rand, n int) (last eventstream.Position) {
	t.Helper()
	for range n {
		last = enter(t, db, rng)
	}
	return last
}

func rebuild(t testing.TB, e *projection.Engine, name string, opts projection.RebuildOptions) {
	t.Helper()
	if err := e.Rebuild(context.Background(), name, opts); err != nil {
		t.Fatalf("rebuild %s: %v", name, err)
	}
}

// watchView reads a view until stop is called, and returns how often. Each read must be
// whole, and none may be of an older checkpoint than the one before.
func watchView(t testing.TB, e *projection.Engine, name string) (stop func() (reads int, generations map[uint64]bool)) {
	t.Helper()
	done, ended := make(chan struct{}), make(chan struct{})
	reads, generations := 0, map[uint64]bool{}
	go func() {
		defer close(ended)
		last := eventstream.Position(0)
		ticker := time.NewTicker(500 * time.Microsecond)
		defer ticker.Stop()
		for stopped := false; !stopped; {
			select {
			case <-done:
				stopped = true // behind one more read
			case <-ticker.C:
			}
			err := e.ReadView(name, func(v projection.View) error {
				if v.Checkpoint < last {
					t.Errorf("read %d: checkpoint %d after %d", reads, v.Checkpoint, last)
				}
				last = v.Checkpoint
				generations[v.Generation] = true
				if total := totalOf(t, v.ViewReader); total != 0 {
					t.Errorf("read %d: generation %d at %d sums up to %d", reads, v.Generation, v.Checkpoint, total)
				}
				return nil
			})
			if err != nil {
				t.Errorf("read %d: %v", reads, err)
				return
			}
			reads++
		}
	}()
	return func() (int, map[uint64]bool) {
		close(done)
		<-ended
		return reads, generations
	}
}

func totalOf(t testing.TB, r *eventstream.ViewReader) (total int64) {
	t.Helper()
	for record, err := range r.Scan(nil, nil) {
		if err != nil {
			t.Error(err)
			return 0
		}
		total += number(record.Value)
	}
	return total
}

// writeSteadily appends journal entries of three events at a rate until stop is called.
func writeSteadily(t testing.TB, db *eventstream.DB, perSecond int) (stop func() (last eventstream.Position)) {
	t.Helper()
	const tick = 5 * time.Millisecond
	done, ended := make(chan struct{}), make(chan eventstream.Position, 1)
	go func() {
		rng := rand.New(rand.NewPCG(20, 0))
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		began, entries := time.Now(), 0
		last := db.Head()
		for {
			select {
			case <-done:
				ended <- last
				return
			case <-ticker.C:
			}
			due := int(time.Since(began).Seconds() * float64(perSecond) / 3)
			for range min(due-entries, perSecond/100) { // a machine that is slower writes as fast as it can
				last = enter(t, db, rng)
				entries++
			}
		}
	}()
	return func() eventstream.Position {
		close(done)
		return <-ended
	}
}

// A view is rebuilt while 2,000 events a second are written and it is read all the time:
// no read ever sees a part of it, or an older state than before.
func TestAViewIsRebuiltWhileItIsWrittenAndRead(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) {
			t.Parallel()
			db := estest.Open(t)
			entries := 6000
			if testing.Short() {
				entries = 1000
			}
			enterMany(t, db.DB, rand.New(rand.NewPCG(10, 0)), entries)
			e := projection.New(db.DB, nil)
			register(t, e, projection.Definition{Name: "balances", Apply: balance, BatchEvents: 50, PartitionedByStream: true})
			start(t, e)
			waitFor(t, e, "balances", db.Head())
			stopWriting, stopReading := writeSteadily(t, db.DB, 2000), watchView(t, e, "balances")
			var told []projection.RebuildProgress
			for range 3 {
				rebuild(t, e, "balances", projection.RebuildOptions{Workers: workers, Progress: func(p projection.RebuildProgress) { told = append(told, p) }})
			}
			waitFor(t, e, "balances", db.Head())
			last := stopWriting()
			waitFor(t, e, "balances", last)
			reads, generations := stopReading()
			sameSums(t, "afterwards", sums(t, e, "balances"), fold(t, db.DB, last))
			s := status(t, e, "balances")
			if s.Generation != 4 || s.Retired != 3 || s.Rebuild != nil || s.Processed != uint64(last) || s.Failures != 0 {
				t.Errorf("afterwards: %+v", s)
			}
			if reads < 10 || !generations[4] {
				t.Errorf("%d reads of generations %v: the test shows little", reads, generations)
			}
			for i, p := range told {
				if p.Generation < 2 || p.Checkpoint > p.Head || p.Events > uint64(p.Head) || i > 0 && p.Generation == told[i-1].Generation && (p.Checkpoint < told[i-1].Checkpoint || p.Events < told[i-1].Events) {
					t.Errorf("told %+v after %+v", p, told[max(i-1, 0)])
				}
			}
			if len(told) < 3*entries*3/50/2/workers {
				t.Errorf("told %d times", len(told))
			}
		})
	}
}

// stopPoint holds an engine up at the n-th commit after it was armed, until it is
// released.
type stopPoint struct {
	n       int64
	armed   atomic.Bool
	seen    atomic.Int64
	reached chan struct{}
	release chan struct{}
}

func newStopPoint(e *projection.Engine, n int) *stopPoint {
	s := &stopPoint{n: int64(n), reached: make(chan struct{}), release: make(chan struct{})}
	projection.At(e, s.at)
	return s
}

func (s *stopPoint) at(string) {
	if s.armed.Load() && s.seen.Add(1) == s.n {
		close(s.reached)
		<-s.release
	}
}

// The power fails before or after any commit of a rebuild, and before or after its
// switch, while the view is live and events are written. What readers find afterwards is
// the fold up to the view's checkpoint; the rebuild goes on where it was, and ends right.
func TestACrashedRebuildGoesOn(t *testing.T) {
	t.Parallel()
	const entries = 60
	stride := 1
	if testing.Short() {
		stride = 4
	}
	for _, workers := range []int{1, 2} {
		points, resumed, switched := 0, 0, 0
		for n := 1; ; n += stride {
			db := estest.Open(t, estest.Seed(uint64(n)))
			rng := rand.New(rand.NewPCG(uint64(n), 0))
			def := projection.Definition{Name: "balances", Apply: balance, BatchEvents: 9, PartitionedByStream: true}
			e := projection.New(db.DB, nil)
			register(t, e, def)
			stop := newStopPoint(e, n)
			ran := make(chan error, 1)
			go func() { ran <- e.Run(context.Background()) }()
			waitFor(t, e, "balances", enterMany(t, db.DB, rng, entries))
			stop.armed.Store(true)
			rebuilt := make(chan error, 1)
			go func() {
				rebuilt <- e.Rebuild(context.Background(), "balances", projection.RebuildOptions{Workers: workers})
			}()
			crashed := false
			select {
			case <-stop.reached:
				crashed = true
			case err := <-rebuilt:
				if err != nil {
					t.Fatal(err)
				}
			}
			what := fmt.Sprintf("%d workers, point %d", workers, n)
			if n/stride%2 == 0 { // an append syncs what the rebuild wrote before it
				enter(t, db.DB, rng)
			}
			db = estest.Crash(t, db)
			close(stop.release)
			if err := <-ran; !errors.Is(err, eventstream.ErrClosed) {
				t.Fatal(what, err)
			}
			if !crashed {
				break // the rebuild has fewer points
			}
			if err := <-rebuilt; err != nil && !errors.Is(err, eventstream.ErrClosed) {
				t.Fatal(what, err)
			}
			points++

			e = projection.New(db.DB, nil)
			var applied atomic.Int64
			def.Apply = func(ctx context.Context, tx *eventstream.Tx, ev eventstream.Event) error {
				applied.Add(1)
				return balance(ctx, tx, ev)
			}
			register(t, e, def)
			before := status(t, e, "balances")
			sameSums(t, what, sums(t, e, "balances"), fold(t, db.DB, before.Checkpoint))
			left := uint64(0)
			switch {
			case before.Rebuild == nil && before.Generation == 2:
				switched++
			case before.Rebuild != nil:
				left = before.Rebuild.Processed
				if before.Rebuild.Running || before.Generation != 1 {
					t.Errorf("%s: %+v", what, before)
				}
			}
			rebuild(t, e, "balances", projection.RebuildOptions{Workers: workers})
			after := status(t, e, "balances")
			if left > 0 {
				resumed++
				if after.Generation != before.Rebuild.Generation {
					t.Errorf("%s: generation %d was begun, %d is live", what, before.Rebuild.Generation, after.Generation)
				}
			}
			if got := applied.Load(); uint64(got)+left != uint64(after.Checkpoint) {
				t.Errorf("%s: %d events were applied before the crash, and %d after it, of %d", what, left, got, after.Checkpoint)
			}
			if after.Checkpoint != db.Head() || after.Processed != uint64(db.Head()) || after.Rebuild != nil {
				t.Errorf("%s: %+v", what, after)
			}
			sameSums(t, what+", rebuilt", sums(t, e, "balances"), fold(t, db.DB, db.Head()))
			start(t, e)
			last := enterMany(t, db.DB, rng, 2)
			waitFor(t, e, "balances", last)
			sameSums(t, what+", followed", sums(t, e, "balances"), fold(t, db.DB, last))
		}
		t.Logf("%d workers: %d points, %d resumed, %d behind the switch", workers, points, resumed, switched)
		if points < 40/stride || resumed < 15/stride || switched == 0 && stride == 1 {
			t.Errorf("%d workers: %d points, %d resumed, %d behind the switch: the test shows little", workers, points, resumed, switched)
		}
	}
}

// Two rebuilds at once, of one engine or of two: the second is told who is at it, and
// since when.
func TestASecondRebuildIsRefused(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	enterMany(t, db.DB, rand.New(rand.NewPCG(12, 0)), 50)
	newEngine := func(owner string) *projection.Engine {
		e := projection.New(db.DB, &projection.Options{Owner: owner, LeaseTTL: time.Hour})
		register(t, e, projection.Definition{Name: "balances", Apply: balance, BatchEvents: 10})
		return e
	}
	first, second := newEngine("first"), newEngine("second")
	stop := newStopPoint(first, 5)
	stop.armed.Store(true)
	rebuilt := make(chan error, 1)
	go func() { rebuilt <- first.Rebuild(context.Background(), "balances", projection.RebuildOptions{}) }()
	<-stop.reached
	db.Clock.Advance(90 * time.Second)
	for name, e := range map[string]*projection.Engine{"the same engine": first, "another engine": second} {
		for what, call := range map[string]func() error{
			"rebuild":     func() error { return e.Rebuild(context.Background(), "balances", projection.RebuildOptions{}) },
			"switch back": func() error { return e.SwitchBack(context.Background(), "balances") },
			"reset":       func() error { return e.Reset(context.Background(), "balances") },
			"drop":        func() error { return e.Drop(context.Background(), "balances", 2) },
		} {
			err := call()
			var locked *projection.LockedError
			if !errors.As(err, &locked) || locked.Owner != "first" || locked.Age != 90*time.Second || locked.Name != "balances" {
				t.Errorf("%s, %s: got %v", name, what, err)
			}
		}
	}
	s := status(t, first, "balances")
	if b := s.Rebuild; b == nil || !b.Running || b.Generation != 2 || b.Checkpoint == 0 || b.Processed == 0 {
		t.Errorf("meanwhile: %+v", s.Rebuild)
	}
	if s := status(t, second, "balances"); s.Rebuild == nil || s.Rebuild.Running || s.Lock.Owner != "first" {
		t.Errorf("meanwhile, seen by the other: %+v", s)
	}
	close(stop.release)
	if err := <-rebuilt; err != nil {
		t.Fatal(err)
	}
	rebuild(t, second, "balances", projection.RebuildOptions{}) // the lease is free again
	sameSums(t, "rebuilt twice", sums(t, first, "balances"), fold(t, db.DB, db.Head()))
	if s := status(t, first, "balances"); s.Generation != 3 {
		t.Errorf("the first engine sees generation %d", s.Generation)
	}
}

// recordsOfGeneration returns the records of a generation, whoever reads it.
func recordsOfGeneration(t testing.TB, db *eventstream.DB, generation uint64) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	err := db.Tenant(eventstream.DefaultTenant).ReadView(eventstream.ViewID{Projection: "balances", Generation: generation}, func(r *eventstream.ViewReader) error {
		for record, err := range r.Scan(nil, nil) {
			if err != nil {
				return err
			}
			all[string(record.Key)] = number(record.Value)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// A rebuild that loses its lease writes nothing any more.
func TestARebuildWithoutALeaseEnds(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	enterMany(t, db.DB, rand.New(rand.NewPCG(13, 0)), 50)
	locker := projection.NewStoreLocker(db.DB, eventstream.DefaultTenant)
	points := 0
	for n := 1; ; n++ {
		what := fmt.Sprintf("point %d", n)
		e := projection.New(db.DB, nil)
		register(t, e, projection.Definition{Name: "balances", Apply: balance, BatchEvents: 10})
		stop := newStopPoint(e, n)
		stopRunning := start(t, e)
		waitFor(t, e, "balances", db.Head())
		before := status(t, e, "balances")
		rebuilt := make(chan error, 1)
		var built map[string]int64 // when the lease was lost
		stop.armed.Store(true)
		go func() {
			rebuilt <- e.Rebuild(context.Background(), "balances", projection.RebuildOptions{StartOver: true})
		}()
		select {
		case <-stop.reached:
			if err := locker.ForceRelease("balances", "root", "test"); err != nil {
				t.Fatal(err)
			}
			built = recordsOfGeneration(t, db.DB, before.Generation+1)
		case err := <-rebuilt:
			if err != nil || points < 10 {
				t.Fatal(points, err)
			}
			return
		}
		close(stop.release)
		err := <-rebuilt
		if now := recordsOfGeneration(t, db.DB, before.Generation+1); err != nil && !maps.Equal(now, built) {
			t.Fatalf("%s: without its lease the rebuild wrote %d records where there were %d", what, len(now), len(built))
		}
		if after := status(t, e, "balances"); err == nil {
			// It was held up behind its last commit.
			if after.Generation == before.Generation {
				t.Fatalf("%s: the switch is not there", what)
			}
		} else if !errors.Is(err, projection.ErrLeaseLost) || after.Generation != before.Generation {
			t.Fatalf("%s: got %v, generation %d after %d", what, err, after.Generation, before.Generation)
		}
		points++
		last := enter(t, db.DB, rand.New(rand.NewPCG(14, 0)))
		waitFor(t, e, "balances", last) // the runner takes the lease again
		sameSums(t, what, sums(t, e, "balances"), fold(t, db.DB, last))
		stopRunning()
	}
}

// What the runner has read for a view that is replaced before it commits is read again
// for the one that took its place: it is not applied twice, and nothing is left out.
func TestTheRunnerFollowsASwitchInTheMiddleOfABatch(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"rebuild", "switch back", "reset"} {
		db := estest.Open(t)
		ctx := context.Background()
		rng := rand.New(rand.NewPCG(18, 0))
		e := projection.New(db.DB, nil)
		register(t, e, projection.Definition{Name: "balances", Apply: balance})
		reached, release := make(chan struct{}), make(chan struct{})
		var armed atomic.Bool
		projection.At(e, func(point string) {
			if point == "before the live view" && armed.CompareAndSwap(true, false) {
				close(reached)
				<-release
			}
		})
		start(t, e)
		waitFor(t, e, "balances", enterMany(t, db.DB, rng, 5))
		rebuild(t, e, "balances", projection.RebuildOptions{})
		armed.Store(true)
		enterMany(t, db.DB, rng, 5)
		<-reached
		switch what {
		case "rebuild":
			rebuild(t, e, "balances", projection.RebuildOptions{})
		case "switch back":
			if err := e.SwitchBack(ctx, "balances"); err != nil {
				t.Fatal(err)
			}
		case "reset":
			if err := e.Reset(ctx, "balances"); err != nil {
				t.Fatal(err)
			}
		}
		close(release)
		last := enterMany(t, db.DB, rng, 5)
		waitFor(t, e, "balances", last)
		sameSums(t, what, sums(t, e, "balances"), fold(t, db.DB, last))
		if s := status(t, e, "balances"); s.Processed != uint64(last) || s.Failures != 0 {
			t.Errorf("%s: %+v", what, s)
		}
	}
}

// A scan goes on over what it began with, whatever becomes the live view meanwhile.
func TestAScanSurvivesASwitch(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	rng := rand.New(rand.NewPCG(15, 0))
	for i := range 200 {
		if _, err := db.Append(context.Background(), eventstream.StreamID(fmt.Sprintf("finance-account-%03d", i)), eventstream.Any, posted(rng.Int64N(1000))); err != nil {
			t.Fatal(err)
		}
	}
	e := projection.New(db.DB, nil)
	register(t, e, projection.Definition{Name: "balances", Apply: balance})
	start(t, e)
	waitFor(t, e, "balances", db.Head())
	want := fold(t, db.DB, db.Head())
	got := map[string]int64{}
	err := e.ReadView("balances", func(v projection.View) error {
		pages, from := 0, []byte{}
		for { // pages of 30, each by a scan of its own
			n := 0
			for record, err := range v.Scan(from, nil) {
				if err != nil {
					return err
				}
				if n == 30 {
					from = append([]byte{}, record.Key...)
					break
				}
				got[string(record.Key)] = number(record.Value)
				n++
			}
			if n < 30 {
				return nil
			}
			pages++
			if pages < 5 { // the generation that is read is retired, then dropped
				waitFor(t, e, "balances", enter(t, db.DB, rng))
				rebuild(t, e, "balances", projection.RebuildOptions{})
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	sameSums(t, "over four switches", got, want)
	if s := status(t, e, "balances"); s.Generation != 5 {
		t.Errorf("got generation %d", s.Generation)
	}
}

// What a rebuild does with an event that fails follows the policy, and is not seen in
// the live view.
func TestARebuildFollowsThePolicy(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d workers", workers), func(t *testing.T) {
			t.Parallel()
			testRebuildPolicies(t, workers)
		})
	}
}

func testRebuildPolicies(t *testing.T, workers int) {
	db := estest.Open(t)
	last := enterMany(t, db.DB, rand.New(rand.NewPCG(16, 0)), 100)
	bad := map[eventstream.Position]bool{50: true, 51: true, 200: true} // 49 to 51 is one commit
	var failing atomic.Bool
	define := func(name string, p projection.Policy) projection.Definition {
		return projection.Definition{
			Name: name, OnFailure: p, Attempts: 2, Backoff: time.Millisecond, BatchEvents: 10, PartitionedByStream: true,
			Apply: func(ctx context.Context, tx *eventstream.Tx, ev eventstream.Event) error {
				if err := balance(ctx, tx, ev); err != nil {
					return err
				}
				if failing.Load() && bad[ev.Position] {
					return fmt.Errorf("event %d is bad", ev.Position)
				}
				return nil
			},
		}
	}
	e := projection.New(db.DB, nil)
	register(t, e, define("retries", projection.Retry), define("parks", projection.Park), define("halts", projection.Halt))
	start(t, e)
	for _, name := range e.Names() {
		waitFor(t, e, name, last)
	}
	failing.Store(true)
	opts := projection.RebuildOptions{Workers: workers}

	var once sync.Once
	retried := opts
	retried.Progress = func(p projection.RebuildProgress) {
		if p.Failures >= 3 {
			once.Do(func() {
				if s := status(t, e, "retries"); s.Rebuild == nil || s.Rebuild.Failures == 0 || s.Rebuild.LastError == "" || s.Failures != 0 {
					t.Errorf("while it fails: %+v, %+v", s, s.Rebuild)
				}
				failing.Store(false)
			})
		}
	}
	rebuild(t, e, "retries", retried)
	sameSums(t, "retried", sums(t, e, "retries"), fold(t, db.DB, last))

	failing.Store(true)
	var failure *projection.Error
	if err := e.Rebuild(context.Background(), "halts", opts); !errors.As(err, &failure) || !bad[failure.Position] {
		t.Errorf("got %v", err)
	}
	s := status(t, e, "halts")
	if s.Status != projection.StatusRunning || s.Generation != 1 || s.Failures != 0 || s.Rebuild == nil || s.Rebuild.Running || s.Rebuild.LastError == "" {
		t.Errorf("after a rebuild that was halted: %+v, %+v", s, s.Rebuild)
	}
	sameSums(t, "the live view of one that was halted", sums(t, e, "halts"), fold(t, db.DB, last))
	failing.Store(false)
	rebuild(t, e, "halts", opts)
	if s := status(t, e, "halts"); s.Generation != 2 || s.Processed != uint64(last) {
		t.Errorf("mended: %+v", s)
	}
	sameSums(t, "mended", sums(t, e, "halts"), fold(t, db.DB, last))

	failing.Store(true)
	parks := opts
	parks.Verify = func(context.Context, projection.View, projection.View) error {
		if s := status(t, e, "parks"); s.Parked != 0 || s.Rebuild.Parked != 3 {
			t.Errorf("%d events are parked in the live view, %d in the new one", s.Parked, s.Rebuild.Parked)
		}
		return nil
	}
	rebuild(t, e, "parks", parks)
	sameSums(t, "parked", sums(t, e, "parks"), fold(t, db.DB, last, 50, 51, 200))
	parked, err := e.Parked("parks")
	if err != nil || len(parked) != 3 || parked[0].Position != 50 || parked[1].Position != 51 || parked[2].Position != 200 {
		t.Errorf("got %+v, %v", parked, err)
	}
	failing.Store(false)
	if err := e.ApplyParked(context.Background(), "parks", 200, "ada", "mended"); err != nil {
		t.Fatal(err)
	}
	sameSums(t, "one of them applied", sums(t, e, "parks"), fold(t, db.DB, last, 50, 51))
	if err := e.SwitchBack(context.Background(), "parks"); err != nil {
		t.Fatal(err)
	}
	if s := status(t, e, "parks"); s.Parked != 0 || s.Generation != 1 {
		t.Errorf("switched back: %+v", s)
	}
	sameSums(t, "switched back", sums(t, e, "parks"), fold(t, db.DB, last))
	if err := e.SwitchBack(context.Background(), "parks"); err != nil {
		t.Fatal(err)
	}
	if s := status(t, e, "parks"); s.Parked != 2 || s.Generation != 2 {
		t.Errorf("and forth: %+v", s)
	}
}
