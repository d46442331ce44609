package projection_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/projection"
)

// doubled is balance with a fault: every posting counts twice.
func doubled(ctx context.Context, tx *eventstream.Tx, e eventstream.Event) error {
	return errors.Join(balance(ctx, tx, e), balance(ctx, tx, e))
}

func twice(all map[string]int64) map[string]int64 {
	doubled := map[string]int64{}
	for k, v := range all {
		doubled[k] = 2 * v
	}
	return doubled
}

// A view that another version built is read, but not written, until it is rebuilt; the
// old one can be switched back to by the version that built it, without a gap.
func TestAnotherVersionDoesNotWriteIntoAView(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(40, 0))
	last := enterMany(t, db.DB, rng, 30)
	v1 := projection.Definition{Name: "balances", Version: 1, Apply: doubled}
	v2 := projection.Definition{Name: "balances", Version: 2, Apply: balance}
	open := func(d projection.Definition) (*projection.Engine, func()) {
		e := projection.New(db.DB, nil)
		register(t, e, d)
		return e, start(t, e)
	}
	e, stop := open(v1)
	waitFor(t, e, "balances", last)
	stop()
	built := last

	e, stop = open(v2)
	last = enterMany(t, db.DB, rng, 30)
	if err := e.WaitFor(ctx, "balances", last); !errors.Is(err, projection.ErrOutdated) {
		t.Errorf("waiting for a view of another version: got %v", err)
	}
	if s := status(t, e, "balances"); s.Status != projection.StatusOutdated || s.Version != 1 || s.Checkpoint != built {
		t.Errorf("a view of another version: %+v", s)
	}
	sameSums(t, "a view of another version", sums(t, e, "balances"), twice(fold(t, db.DB, built)))
	rebuild(t, e, "balances", projection.RebuildOptions{})
	last = enterMany(t, db.DB, rng, 30)
	waitFor(t, e, "balances", last)
	sameSums(t, "rebuilt", sums(t, e, "balances"), fold(t, db.DB, last))
	if s := status(t, e, "balances"); s.Status != projection.StatusRunning || s.Version != 2 || s.Retired != 1 {
		t.Errorf("rebuilt: %+v", s)
	}
	if err := e.SwitchBack(ctx, "balances"); !errors.Is(err, projection.ErrOutdated) {
		t.Errorf("switching back to a view of another version: got %v", err)
	}
	stop()

	e, stop = open(v1)
	if err := e.SwitchBack(ctx, "balances"); err != nil {
		t.Fatal(err)
	}
	sameSums(t, "switched back", sums(t, e, "balances"), twice(fold(t, db.DB, last)))
	last = enterMany(t, db.DB, rng, 30)
	waitFor(t, e, "balances", last)
	sameSums(t, "switched back, followed", sums(t, e, "balances"), twice(fold(t, db.DB, last)))
	stop()
	db = estest.Crash(t, db)
	e, _ = open(v1)
	waitFor(t, e, "balances", db.Head())
	sameSums(t, "after a crash", sums(t, e, "balances"), twice(fold(t, db.DB, db.Head())))
}

// An unfinished rebuild is not gone on with by other code.
func TestAnotherVersionStartsARebuildOver(t *testing.T) {
	t.Parallel()
	for _, workers := range []int{1, 2} {
		db := estest.Open(t)
		enterMany(t, db.DB, rand.New(rand.NewPCG(41, 0)), 50)
		interrupt := func(d projection.Definition) projection.Status {
			e := projection.New(db.DB, nil)
			register(t, e, d)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			err := e.Rebuild(ctx, "balances", projection.RebuildOptions{Workers: workers, Progress: func(p projection.RebuildProgress) {
				if p.Events > 40 {
					cancel()
				}
			}})
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			return status(t, e, "balances")
		}
		d := projection.Definition{Name: "balances", Version: 1, Apply: doubled, BatchEvents: 7, PartitionedByStream: true}
		if s := interrupt(d); s.Rebuild == nil || s.Rebuild.Generation != 2 || s.Rebuild.Processed == 0 {
			t.Fatalf("interrupted: %+v", s)
		}
		d.Version, d.Apply = 2, balance
		e := projection.New(db.DB, nil)
		register(t, e, d)
		first := true
		rebuild(t, e, "balances", projection.RebuildOptions{Workers: workers, Progress: func(p projection.RebuildProgress) {
			if first && p.Events > 28 {
				t.Errorf("the first commit is told with %d events", p.Events)
			}
			first = false
		}})
		sameSums(t, "rebuilt", sums(t, e, "balances"), fold(t, db.DB, db.Head()))
		if s := status(t, e, "balances"); s.Generation != 3 || s.Retired != 1 {
			t.Errorf("rebuilt: %+v", s)
		}
		noLeftovers(t, db, "balances")

		// The same version goes on, unless it is told to start over.
		if s := interrupt(d); s.Rebuild == nil || s.Rebuild.Generation != 4 {
			t.Fatalf("interrupted: %+v", s)
		}
		rebuild(t, e, "balances", projection.RebuildOptions{StartOver: true})
		if s := status(t, e, "balances"); s.Generation != 5 {
			t.Errorf("started over: %+v", s)
		}
		noLeftovers(t, db, "balances")
	}
}

// A view that does not pass is kept from readers; both views are seen at one checkpoint.
func TestARebuildIsVerifiedBeforeItIsSeen(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(42, 0))
	enterMany(t, db.DB, rng, 200)
	var faulty atomic.Bool
	e := projection.New(db.DB, nil)
	register(t, e, projection.Definition{Name: "balances", BatchEvents: 20, Apply: func(ctx context.Context, tx *eventstream.Tx, ev eventstream.Event) error {
		if faulty.Load() && ev.Position == 100 {
			return nil
		}
		return balance(ctx, tx, ev)
	}})
	start(t, e)
	waitFor(t, e, "balances", db.Head())
	stopWriting := writeSteadily(t, db.DB, 2000)
	differ := errors.New("they differ")
	asked := 0
	opts := projection.RebuildOptions{Verify: func(_ context.Context, old, rebuilt projection.View) error {
		asked++
		if old.Checkpoint != rebuilt.Checkpoint || old.Generation == rebuilt.Generation {
			t.Errorf("generation %d at %d is compared with generation %d at %d", old.Generation, old.Checkpoint, rebuilt.Generation, rebuilt.Checkpoint)
		}
		for record, err := range old.Scan(nil, nil) {
			if err != nil {
				return err
			}
			if value, _, err := rebuilt.Get(record.Key); err != nil || !bytes.Equal(value, record.Value) {
				return errors.Join(differ, err)
			}
		}
		return nil
	}}
	faulty.Store(true)
	if err := e.Rebuild(ctx, "balances", opts); !errors.Is(err, projection.ErrNotVerified) || !errors.Is(err, differ) {
		t.Errorf("got %v", err)
	}
	if s := status(t, e, "balances"); s.Generation != 1 || s.Rebuild == nil || s.Rebuild.Generation != 2 || s.Rebuild.Running {
		t.Errorf("a view that did not pass: %+v", s)
	}
	// It is kept: calling it again asks again.
	if err := e.Rebuild(ctx, "balances", opts); !errors.Is(err, projection.ErrNotVerified) {
		t.Errorf("got %v", err)
	}
	if err := e.Drop(ctx, "balances", 2); err != nil {
		t.Fatal(err)
	}
	if s := status(t, e, "balances"); s.Rebuild != nil {
		t.Errorf("dropped: %+v", s.Rebuild)
	}
	noLeftovers(t, db, "balances")
	faulty.Store(false)
	rebuild(t, e, "balances", opts)
	if s := status(t, e, "balances"); s.Generation != 3 || asked != 3 {
		t.Errorf("after %d questions: %+v", asked, s)
	}
	last := stopWriting()
	waitFor(t, e, "balances", last)
	sameSums(t, "at the end", sums(t, e, "balances"), fold(t, db.DB, last))
}

// A projection that was halted is mended by a rebuild; one that is paused stays so.
func TestARebuildMendsWhatWasHalted(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	rng := rand.New(rand.NewPCG(43, 0))
	last := enterMany(t, db.DB, rng, 30)
	var mended atomic.Bool
	apply := func(ctx context.Context, tx *eventstream.Tx, ev eventstream.Event) error {
		if ev.Position == 31 && !mended.Load() {
			return errors.New("no")
		}
		return balance(ctx, tx, ev)
	}
	e := projection.New(db.DB, nil)
	register(t, e,
		projection.Definition{Name: "halts", OnFailure: projection.Halt, Attempts: 1, Apply: apply},
		projection.Definition{Name: "retries", Backoff: time.Hour, Apply: apply}, // stands still for an hour
		projection.Definition{Name: "paused", Apply: balance})
	if err := e.Pause("paused"); err != nil {
		t.Fatal(err)
	}
	start(t, e)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := e.WaitFor(ctx, "halts", last); !errors.Is(err, projection.ErrHalted) {
		t.Fatal(err)
	}
	waitFor(t, e, "retries", 30)
	mended.Store(true)
	for _, name := range e.Names() {
		asked := false
		rebuild(t, e, name, projection.RebuildOptions{Verify: func(_ context.Context, old, rebuilt projection.View) error {
			asked = true
			if rebuilt.Checkpoint != last || old.Checkpoint >= last {
				t.Errorf("%s: the old one is at %d, the new one at %d", name, old.Checkpoint, rebuilt.Checkpoint)
			}
			return nil
		}})
		if !asked {
			t.Errorf("%s: nobody was asked", name)
		}
		sameSums(t, name, sums(t, e, name), fold(t, db.DB, last))
	}
	next := enter(t, db.DB, rng)
	waitFor(t, e, "halts", next)
	sameSums(t, "followed", sums(t, e, "halts"), fold(t, db.DB, next))
	if s := status(t, e, "paused"); s.Status != projection.StatusPaused || s.Checkpoint != last {
		t.Errorf("paused: %+v", s)
	}
	if err := e.Resume("paused"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, e, "paused", next)
}

// Switching back and forth, dropping and resetting, while the projection runs.
func TestGenerationsAreSwitchedBackDroppedAndReset(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(44, 0))
	enterMany(t, db.DB, rng, 30)
	e := projection.New(db.DB, nil)
	register(t, e, projection.Definition{Name: "balances", Apply: balance, BatchEvents: 5})
	if err := e.SwitchBack(ctx, "balances"); !errors.Is(err, projection.ErrNoRetired) {
		t.Errorf("switching back to nothing: got %v", err)
	}
	rebuild(t, e, "balances", projection.RebuildOptions{}) // also while nothing runs
	if s := status(t, e, "balances"); s.Generation != 2 || s.Retired != 1 || s.Status != projection.StatusIdle {
		t.Errorf("rebuilt: %+v", s)
	}
	start(t, e)
	check := func(what string, live, retired uint64) {
		t.Helper()
		last := enterMany(t, db.DB, rng, 3)
		waitFor(t, e, "balances", last)
		sameSums(t, what, sums(t, e, "balances"), fold(t, db.DB, last))
		if s := status(t, e, "balances"); s.Generation != live || s.Retired != retired || s.Processed != uint64(last) {
			t.Errorf("%s: %+v", what, s)
		}
		noLeftovers(t, db, "balances")
	}
	check("rebuilt", 2, 1)
	rebuild(t, e, "balances", projection.RebuildOptions{})
	check("rebuilt twice", 3, 2)
	for range 2 {
		if err := e.SwitchBack(ctx, "balances"); err != nil {
			t.Fatal(err)
		}
		check("switched back", 2, 3)
		if err := e.SwitchBack(ctx, "balances"); err != nil {
			t.Fatal(err)
		}
		check("and forth", 3, 2)
	}
	for _, generation := range []uint64{0, 1, 3, 4, 1 << 63} {
		if err := e.Drop(ctx, "balances", generation); !errors.Is(err, eventstream.ErrInvalidArgument) {
			t.Errorf("dropping generation %d: got %v", generation, err)
		}
	}
	if err := e.Drop(ctx, "balances", 2); err != nil {
		t.Fatal(err)
	}
	check("dropped", 3, 0)
	if err := e.SwitchBack(ctx, "balances"); !errors.Is(err, projection.ErrNoRetired) {
		t.Errorf("switching back to what was dropped: got %v", err)
	}
	rebuild(t, e, "balances", projection.RebuildOptions{})
	check("rebuilt again", 4, 3)
	if err := e.Reset(ctx, "balances"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, e, "balances", db.Head()) // without another event
	check("reset", 5, 0)
	for what, err := range map[string]error{"switch back": e.SwitchBack(ctx, "other"), "drop": e.Drop(ctx, "other", 1), "reset": e.Reset(ctx, "other")} {
		if !errors.Is(err, projection.ErrUnknown) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

// A reset that nothing follows leaves an empty view, with nothing parked.
func TestAResetViewIsEmpty(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	last := enterMany(t, db.DB, rand.New(rand.NewPCG(45, 0)), 10)
	e := projection.New(db.DB, nil)
	register(t, e, projection.Definition{Name: "balances", OnFailure: projection.Park, Attempts: 1, Apply: func(ctx context.Context, tx *eventstream.Tx, ev eventstream.Event) error {
		if ev.Position%4 == 0 {
			return fmt.Errorf("event %d", ev.Position)
		}
		return balance(ctx, tx, ev)
	}})
	stop := start(t, e)
	waitFor(t, e, "balances", last)
	stop()
	if s := status(t, e, "balances"); s.Parked != 7 {
		t.Fatalf("got %+v", s)
	}
	if err := e.Reset(context.Background(), "balances"); err != nil {
		t.Fatal(err)
	}
	db = estest.Crash(t, db)
	e = projection.New(db.DB, nil)
	register(t, e, projection.Definition{Name: "balances", Apply: balance})
	if s := status(t, e, "balances"); s.Parked != 0 || s.Checkpoint != 0 || s.Processed != 0 || s.Failures != 0 || s.LagEvents != uint64(last) || s.Generation != 2 {
		t.Errorf("got %+v", s)
	}
	sameSums(t, "reset", sums(t, e, "balances"), nil)
}

// The pace of a rebuild is that of positions: a projection that takes every third event
// is not told three times the time.
func TestARebuildTellsItsPace(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	for i := range 300 {
		kind := "Noted"
		if i%3 == 0 {
			kind = "Posted"
		}
		if _, err := db.Append(context.Background(), "finance-account-1", eventstream.Any, eventstream.NewEvent{Type: kind, Data: posting{1}}); err != nil {
			t.Fatal(err)
		}
	}
	e := projection.New(db.DB, nil)
	projection.At(e, func(point string) {
		if point == "before a commit" {
			db.Clock.Advance(time.Second)
		}
	})
	register(t, e, projection.Definition{Name: "balances", Apply: balance, Types: []string{"Posted"}, BatchEvents: 10})
	var told []projection.RebuildProgress
	rebuild(t, e, "balances", projection.RebuildOptions{Progress: func(p projection.RebuildProgress) {
		told = append(told, p)
		if s := status(t, e, "balances"); s.Rebuild.Rate != p.Rate {
			t.Errorf("told a rate of %v, the status has %v", p.Rate, s.Rebuild.Rate)
		}
	}})
	if len(told) != 10 {
		t.Fatalf("told %d times", len(told))
	}
	for i, p := range told {
		left := 9*time.Second - time.Duration(i)*time.Second
		if p.Rate != 10 || p.ETA < left-time.Second || p.ETA > left+time.Second || p.Events != uint64(10*(i+1)) {
			t.Errorf("after %d s: %+v, want %v left", i+1, p, left)
		}
	}
}

// A callback that panics is the caller's fault; whoever recovers finds the projection
// usable.
func TestAVerifyThatPanicsLeavesTheProjectionUsable(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	rng := rand.New(rand.NewPCG(49, 0))
	enterMany(t, db.DB, rng, 5)
	e := projection.New(db.DB, nil)
	register(t, e, projection.Definition{Name: "balances", Apply: balance})
	start(t, e)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		rebuild(t, e, "balances", projection.RebuildOptions{Verify: func(context.Context, projection.View, projection.View) error { panic("oh") }})
	}()
	last := enter(t, db.DB, rng)
	waitFor(t, e, "balances", last)
	rebuild(t, e, "balances", projection.RebuildOptions{})
	sameSums(t, "afterwards", sums(t, e, "balances"), fold(t, db.DB, last))
}

// What is dropped is removed by ranges, which reach tables when the store is closed. It
// opens again, and is whole.
func TestAStoreWithDroppedGenerationsOpens(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	fs := vfs.NewMem()
	rng := rand.New(rand.NewPCG(48, 0))
	for round := range 4 {
		db, err := eventstream.Open("store", &eventstream.Options{FS: fs, MemTableBytes: 256 << 10, CacheBytes: 1 << 20})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		report, err := db.Check(ctx, eventstream.Deep())
		if err != nil || !report.OK() {
			t.Fatalf("round %d: %+v, %v", round, report.Problems, err)
		}
		e := projection.New(db, nil)
		register(t, e, projection.Definition{Name: "balances", Keyed: byStream, PartitionedByStream: true, BatchEvents: 20})
		stop := start(t, e)
		if round == 0 { // afterwards nothing is written but what is dropped and made anew
			enterMany(t, db, rng, 1000)
		}
		waitFor(t, e, "balances", db.Head())
		rebuild(t, e, "balances", projection.RebuildOptions{Workers: 1 + round%3})
		switch round % 3 {
		case 1:
			err = e.Drop(ctx, "balances", status(t, e, "balances").Retired)
		case 2:
			err = e.Reset(ctx, "balances")
		}
		if err != nil {
			t.Fatal(err)
		}
		waitFor(t, e, "balances", db.Head())
		sameSums(t, fmt.Sprintf("round %d", round), sums(t, e, "balances"), fold(t, db, db.Head()))
		stop()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// An engine that does not hold the lease sees what the one that does brings about.
func TestAnEngineThatWaitsFollowsTheOther(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	rng := rand.New(rand.NewPCG(46, 0))
	last := enterMany(t, db.DB, rng, 10)
	newEngine := func(owner string) *projection.Engine {
		e := projection.New(db.DB, &projection.Options{Owner: owner})
		register(t, e, projection.Definition{Name: "balances", Apply: balance})
		return e
	}
	first, second := newEngine("first"), newEngine("second")
	start(t, first)
	waitFor(t, second, "balances", last)
	waitFor(t, first, "balances", last)
	start(t, second)
	for range 3 {
		rebuild(t, first, "balances", projection.RebuildOptions{})
		last = enter(t, db.DB, rng)
		waitFor(t, second, "balances", last)
		sameSums(t, "seen by the other", sums(t, second, "balances"), fold(t, db.DB, last))
		if a, b := status(t, first, "balances"), status(t, second, "balances"); a.Generation != b.Generation || b.Checkpoint != last {
			t.Errorf("%+v, seen by the other as %+v", a, b)
		}
	}
}

// An Apply that fails at random loses nothing: what comes before the failure is not
// skipped when it fails there the next time.
func TestAnUnsteadyApplyLosesNothing(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	rng := rand.New(rand.NewPCG(47, 0))
	last := enterMany(t, db.DB, rng, 100)
	var calls atomic.Uint64
	e := projection.New(db.DB, nil)
	register(t, e, projection.Definition{
		Name: "balances", OnFailure: projection.Park, Attempts: 1, Backoff: time.Microsecond, BatchEvents: 30, PartitionedByStream: true,
		Apply: func(ctx context.Context, tx *eventstream.Tx, ev eventstream.Event) error {
			if n := calls.Add(1); n*2654435761%29 == 0 {
				return fmt.Errorf("call %d", n)
			}
			return balance(ctx, tx, ev)
		},
	})
	check := func(what string) {
		t.Helper()
		parked, err := e.Parked("balances")
		if err != nil || len(parked) == 0 {
			t.Fatalf("%s: nothing was parked: %v", what, err)
		}
		var skip []eventstream.Position
		for _, p := range parked {
			skip = append(skip, p.Position)
		}
		sameSums(t, what, sums(t, e, "balances"), fold(t, db.DB, last, skip...))
		if s := status(t, e, "balances"); s.Processed != uint64(last)-uint64(len(parked)) {
			t.Errorf("%s: %d processed, %d parked, of %d", what, s.Processed, len(parked), last)
		}
	}
	stop := start(t, e)
	waitFor(t, e, "balances", last)
	stop()
	check("live")
	for workers := range 3 {
		rebuild(t, e, "balances", projection.RebuildOptions{Workers: workers + 1})
		check(fmt.Sprintf("rebuilt by %d", workers+1))
	}
}
