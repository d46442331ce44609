package projection_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/projection"
)

// posting is one line of a journal entry.
type posting struct {
	Cents int64 `msgpack:"cents"`
}

func posted(cents int64) eventstream.NewEvent {
	return eventstream.NewEvent{Type: "Posted", Data: posting{cents}}
}

// enter appends a journal entry over two or three accounts, which sums to zero.
func enter(t testing.TB, db *eventstream.DB, rng *rand.Rand) eventstream.Position {
	t.Helper()
	account := func(n int) eventstream.StreamID { return eventstream.StreamID(fmt.Sprintf("finance-account-%d", n)) }
	cents, first := rng.Int64N(100_000), rng.IntN(5)
	entry := []eventstream.StreamAppend{
		{Stream: account(first), Expect: eventstream.Any, Events: []eventstream.NewEvent{posted(cents)}},
		{Stream: account(first + 1), Expect: eventstream.Any, Events: []eventstream.NewEvent{posted(-cents + 7)}},
		{Stream: account(first + 2), Expect: eventstream.Any, Events: []eventstream.NewEvent{posted(-7)}},
	}
	res, err := db.AppendAll(context.Background(), entry)
	if err != nil {
		t.Fatal(err)
	}
	return res.LastPosition
}

// balance adds a posting to its account's record.
func balance(_ context.Context, tx *eventstream.Tx, e eventstream.Event) error {
	var p posting
	if err := e.Decode(&p); err != nil {
		return err
	}
	return add(tx, []byte(e.Stream), p.Cents)
}

func add(tx *eventstream.Tx, key []byte, n int64) error {
	value, ok, err := tx.Get(key)
	if err != nil {
		return err
	}
	if ok {
		n += number(value)
	}
	return tx.Put(key, binary.BigEndian.AppendUint64(nil, uint64(n)))
}

// number reads what add wrote.
func number(value []byte) int64 { return int64(binary.BigEndian.Uint64(value)) }

// sums returns what a view holds.
func sums(t testing.TB, e *projection.Engine, name string) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	err := e.Read(name, func(r *eventstream.ViewReader) error {
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

// fold computes what balance leaves, from the log up to a position.
func fold(t testing.TB, db *eventstream.DB, until eventstream.Position, skip ...eventstream.Position) map[string]int64 {
	t.Helper()
	all := map[string]int64{}
	for e, err := range db.ReadAll(context.Background(), eventstream.Until(until)) {
		if err != nil {
			t.Fatal(err)
		}
		var p posting
		if err := e.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(skip, e.Position) {
			all[string(e.Stream)] += p.Cents
		}
	}
	return all
}

func sameSums(t testing.TB, what string, got, want map[string]int64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("%s: %s is %d, want %d", what, k, got[k], v)
		}
	}
}

func register(t testing.TB, e *projection.Engine, defs ...projection.Definition) {
	t.Helper()
	for _, d := range defs {
		if err := e.Register(d); err != nil {
			t.Fatal(err)
		}
	}
}

// start runs an engine until stop is called or the test ends.
func start(t testing.TB, e *projection.Engine) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func waitFor(t testing.TB, e *projection.Engine, name string, position eventstream.Position) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := e.WaitFor(ctx, name, position); err != nil {
		t.Fatalf("%s at position %d: %v", name, position, err)
	}
}

func status(t testing.TB, e *projection.Engine, name string) projection.Status {
	t.Helper()
	s, err := e.Status(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAViewCatchesUpAndThenFollows(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	rng := rand.New(rand.NewPCG(1, 0))
	var last eventstream.Position
	for range 300 {
		last = enter(t, db.DB, rng)
	}
	e := projection.New(db.DB, nil)
	register(t, e, projection.Definition{Name: "balances", Apply: balance, BatchEvents: 100})
	if s := status(t, e, "balances"); s.Status != projection.StatusIdle || s.LagEvents != uint64(last) || s.Checkpoint != 0 {
		t.Errorf("before: %+v", s)
	}
	start(t, e)
	waitFor(t, e, "balances", last)
	sameSums(t, "caught up", sums(t, e, "balances"), fold(t, db.DB, last))
	for range 50 {
		last = enter(t, db.DB, rng)
		waitFor(t, e, "balances", last)
		sameSums(t, "live", sums(t, e, "balances"), fold(t, db.DB, last))
	}
	s := status(t, e, "balances")
	if s.Status != projection.StatusRunning || s.LagEvents != 0 || s.LagSeconds != 0 || s.Processed != uint64(last) || s.Failures != 0 || s.Generation != 1 {
		t.Errorf("afterwards: %+v", s)
	}
}

// Nobody who reads the view ever sees half a journal entry.
func TestNobodySeesHalfACommit(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	e := projection.New(db.DB, nil)
	register(t, e, projection.Definition{Name: "balances", Apply: balance, BatchEvents: 2}) // less than a commit
	start(t, e)
	done := make(chan eventstream.Position, 1)
	go func() {
		rng := rand.New(rand.NewPCG(2, 0))
		var last eventstream.Position
		for range 400 {
			last = enter(t, db.DB, rng)
		}
		done <- last
	}()
	reads := 0
	for {
		total := int64(0)
		for _, n := range sums(t, e, "balances") {
			total += n
		}
		if total != 0 {
			t.Fatalf("read %d: the view sums up to %d", reads, total)
		}
		reads++
		select {
		case last := <-done:
			waitFor(t, e, "balances", last)
			sameSums(t, "at the end", sums(t, e, "balances"), fold(t, db.DB, last))
			return
		default:
		}
	}
}

// Whenever a view is read, while events are written, it is the fold of what its checkpoint
// says: one commit brings both.
func TestAViewIsAlwaysTheFoldUpToItsCheckpoint(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	e := projection.New(db.DB, nil)
	register(t, e, projection.Definition{Name: "balances", Apply: balance, BatchEvents: 6})
	last := enterMany(t, db.DB, rand.New(rand.NewPCG(21, 0)), 300)
	var reads atomic.Int64
	var done atomic.Bool
	defer done.Store(true)
	projection.At(e, func(point string) {
		if point != "after a commit" {
			return
		}
		for n := reads.Load(); reads.Load() == n && !done.Load(); { // so that no commit goes unseen
			runtime.Gosched()
		}
	})
	start(t, e)
	want, folded, moments := map[string]int64{}, eventstream.Position(0), 0
	for folded < last && !t.Failed() {
		got, at := map[string]int64{}, eventstream.Position(0)
		err := e.ReadView("balances", func(v projection.View) error {
			at = v.Checkpoint
			for record, err := range v.Scan(nil, nil) {
				if err != nil {
					return err
				}
				got[string(record.Key)] = number(record.Value)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for ev, err := range db.ReadAll(context.Background(), eventstream.After(folded), eventstream.Until(at)) {
			var p posting
			if err := errors.Join(err, ev.Decode(&p)); err != nil {
				t.Fatal(err)
			}
			want[string(ev.Stream)] += p.Cents
		}
		if at > folded {
			moments++
		}
		folded = max(folded, at)
		reads.Add(1)
		sameSums(t, fmt.Sprintf("at position %d", at), got, want)
	}
	if moments < 50 {
		t.Errorf("the view was seen at %d checkpoints: the test shows little", moments)
	}
}

// Wherever the power fails, the view is the fold of the log up to its checkpoint, and
// goes on from there: each event takes effect once.
func TestACrashNeverAppliesAnEventTwiceOrNever(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	rng := rand.New(rand.NewPCG(3, 0))
	behind := 0
	for round := range 30 {
		e := projection.New(db.DB, nil)
		applied := make(chan struct{}, 1000)
		register(t, e, projection.Definition{Name: "balances", BatchEvents: 7, Apply: func(ctx context.Context, tx *eventstream.Tx, ev eventstream.Event) error {
			select {
			case applied <- struct{}{}:
			default:
			}
			return balance(ctx, tx, ev)
		}})
		stop := start(t, e)
		for range rng.IntN(20) {
			enter(t, db.DB, rng)
		}
		for range rng.IntN(20) {
			select {
			case <-applied:
			case <-time.After(10 * time.Millisecond):
			}
		}
		stop()
		db = estest.Crash(t, db)
		again := projection.New(db.DB, nil)
		register(t, again, projection.Definition{Name: "balances", Apply: balance})
		s := status(t, again, "balances")
		if s.Checkpoint > db.Head() {
			t.Fatalf("round %d: the checkpoint %d is beyond the head %d", round, s.Checkpoint, db.Head())
		}
		if s.Checkpoint < db.Head() {
			behind++
		}
		sameSums(t, fmt.Sprintf("round %d, at position %d of %d", round, s.Checkpoint, db.Head()), sums(t, again, "balances"), fold(t, db.DB, s.Checkpoint))
	}
	if behind == 0 {
		t.Error("the view was never behind after a crash: the test shows little")
	}
}

func TestAProjectionTakesItsTypesAndCategory(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	ctx := context.Background()
	var last eventstream.Position
	for i := range 20 {
		for _, stream := range []eventstream.StreamID{"finance-account-1", "stock-item-1"} {
			for _, kind := range []string{"Posted", "Counted"} {
				res, err := db.Append(ctx, stream, eventstream.Any, eventstream.NewEvent{Type: kind, Data: posting{int64(i)}})
				if err != nil {
					t.Fatal(err)
				}
				last = res.LastPosition
			}
		}
	}
	count := func(_ context.Context, tx *eventstream.Tx, e eventstream.Event) error {
		return add(tx, []byte(e.Type+" "+string(e.Stream)), 1)
	}
	e := projection.New(db.DB, nil)
	register(t, e,
		projection.Definition{Name: "all", Apply: count},
		projection.Definition{Name: "posted", Apply: count, Types: []string{"Posted"}},
		projection.Definition{Name: "stock", Apply: count, Category: "stock-item"},
		projection.Definition{Name: "none", Apply: count, Types: []string{"Nothing"}},
	)
	start(t, e)
	for name, want := range map[string]map[string]int64{
		"all":    {"Posted finance-account-1": 20, "Counted finance-account-1": 20, "Posted stock-item-1": 20, "Counted stock-item-1": 20},
		"posted": {"Posted finance-account-1": 20, "Posted stock-item-1": 20},
		"stock":  {"Counted stock-item-1": 20, "Posted stock-item-1": 20},
		"none":   {},
	} {
		waitFor(t, e, name, last)
		sameSums(t, name, sums(t, e, name), want)
	}
	if got, want := fmt.Sprint(e.Names()), "[all none posted stock]"; got != want {
		t.Errorf("got names %s, want %s", got, want)
	}
}

// An event that one projection cannot take delays that one alone, and is applied once
// the handler is mended.
func TestAnEventThatFailsDelaysItsOwnProjection(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	rng := rand.New(rand.NewPCG(4, 0))
	var last eventstream.Position
	for range 3334 { // 10,002 events
		last = enter(t, db.DB, rng)
	}
	const poison = 5002 // in the middle, the first of its commit; 5001 ends the one before
	var mended atomic.Bool
	e := projection.New(db.DB, nil)
	register(t, e,
		projection.Definition{Name: "fails", Backoff: time.Millisecond, Apply: func(ctx context.Context, tx *eventstream.Tx, ev eventstream.Event) error {
			if err := balance(ctx, tx, ev); err != nil {
				return err
			}
			if ev.Position == poison+1 && !mended.Load() {
				return errors.New("no such account")
			}
			return nil
		}},
		projection.Definition{Name: "panics", Backoff: time.Millisecond, Apply: func(ctx context.Context, tx *eventstream.Tx, ev eventstream.Event) error {
			if ev.Position == poison+1 && !mended.Load() {
				panic("out of range")
			}
			return balance(ctx, tx, ev)
		}},
		projection.Definition{Name: "spoils", Backoff: time.Millisecond, Apply: func(ctx context.Context, tx *eventstream.Tx, ev eventstream.Event) error {
			if ev.Position == poison+1 && !mended.Load() {
				_ = tx.Put(nil, nil) // and nobody looks
			}
			return balance(ctx, tx, ev)
		}},
		projection.Definition{Name: "works", Apply: balance},
	)
	start(t, e)
	waitFor(t, e, "works", last)
	for _, name := range []string{"fails", "panics", "spoils"} {
		waitFor(t, e, name, poison-1)
		sameSums(t, name+" before the event", sums(t, e, name), fold(t, db.DB, poison-1))
		s := status(t, e, name)
		for s.Failures < 3 {
			s = status(t, e, name)
		}
		if s.Checkpoint != poison-1 || s.LastError == "" || s.Status != projection.StatusRetrying && s.Status != projection.StatusRunning {
			t.Errorf("%s: %+v", name, s)
		}
	}
	mended.Store(true)
	for _, name := range []string{"fails", "panics", "spoils"} {
		waitFor(t, e, name, last)
		sameSums(t, name+" mended", sums(t, e, name), fold(t, db.DB, last))
		if s := status(t, e, name); s.Processed != uint64(last) {
			t.Errorf("%s: %d events processed, want %d", name, s.Processed, last)
		}
	}
}

func TestParkedEventsAreAppliedOrDroppedByHand(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	rng := rand.New(rand.NewPCG(5, 0))
	var last eventstream.Position
	for range 60 {
		last = enter(t, db.DB, rng)
	}
	bad := []eventstream.Position{50, 51, 100} // 49 to 51 is one commit
	var mended atomic.Bool
	define := func(e *projection.Engine) {
		register(t, e, projection.Definition{
			Name: "balances", OnFailure: projection.Park, Attempts: 2, Backoff: time.Millisecond,
			Apply: func(ctx context.Context, tx *eventstream.Tx, ev eventstream.Event) error {
				if err := balance(ctx, tx, ev); err != nil {
					return err
				}
				if slices.Contains(bad, ev.Position) && !mended.Load() {
					return fmt.Errorf("event %d is bad", ev.Position)
				}
				return nil
			},
		})
	}
	e := projection.New(db.DB, nil)
	define(e)
	stop := start(t, e)
	waitFor(t, e, "balances", last)
	sameSums(t, "without what is parked", sums(t, e, "balances"), fold(t, db.DB, last, bad...))
	stop()
	db = estest.Crash(t, db)
	e = projection.New(db.DB, nil)
	define(e)
	start(t, e)
	waitFor(t, e, "balances", last) // what was not synced is applied again
	parked, err := e.Parked("balances")
	if err != nil || len(parked) != 3 {
		t.Fatalf("got %d parked events, %v", len(parked), err)
	}
	if p := parked[1]; p.Position != 51 || p.Type != "Posted" || p.Error != "event 51 is bad" || p.Stream == "" || p.ParkedAt.IsZero() {
		t.Errorf("got %+v", p)
	}
	if s := status(t, e, "balances"); s.Parked != 3 || s.Processed != uint64(last)-3 {
		t.Errorf("got %+v", s)
	}
	ctx := context.Background()
	var failed *projection.Error
	if err := e.ApplyParked(ctx, "balances", 51, "ada", "try"); !errors.As(err, &failed) || failed.Position != 51 {
		t.Errorf("applying it again: got %v", err)
	}
	if parked, err = e.Parked("balances"); err != nil || len(parked) != 3 || parked[1].Attempts != 2 {
		t.Errorf("got %+v, %v", parked, err)
	}
	mended.Store(true)
	if err := e.ApplyParked(ctx, "balances", 51, "ada", "handler mended"); err != nil {
		t.Fatal(err)
	}
	if err := e.DropParked("balances", 100, "bob", "a test posting"); err != nil {
		t.Fatal(err)
	}
	if err := e.DropParked("balances", 100, "bob", "again"); !errors.Is(err, projection.ErrNotParked) {
		t.Errorf("dropping it again: got %v", err)
	}
	sameSums(t, "afterwards", sums(t, e, "balances"), fold(t, db.DB, last, 50, 100))
	audit, err := e.Audit("balances")
	if err != nil || len(audit) != 2 || audit[0].Action+audit[1].Action != "applieddropped" && audit[0].Action+audit[1].Action != "droppedapplied" {
		t.Errorf("got %+v, %v", audit, err)
	}
	for _, a := range audit {
		if a.By == "" || a.Reason == "" || a.At.IsZero() || a.Position != 51 && a.Position != 100 {
			t.Errorf("got %+v", a)
		}
	}
}

func TestAHaltedProjectionStandsStillUntilItIsResumed(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	rng := rand.New(rand.NewPCG(6, 0))
	var last eventstream.Position
	for range 20 {
		last = enter(t, db.DB, rng)
	}
	var mended atomic.Bool
	calls := new(atomic.Int64)
	define := func(e *projection.Engine) {
		register(t, e, projection.Definition{
			Name: "balances", OnFailure: projection.Halt, Attempts: 2, Backoff: time.Millisecond,
			Apply: func(ctx context.Context, tx *eventstream.Tx, ev eventstream.Event) error {
				if ev.Position == 31 && !mended.Load() {
					calls.Add(1)
					return errors.New("no")
				}
				return balance(ctx, tx, ev)
			},
		})
	}
	e := projection.New(db.DB, nil)
	define(e)
	stop := start(t, e)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := e.WaitFor(ctx, "balances", last); !errors.Is(err, projection.ErrHalted) {
		t.Fatalf("got %v, want ErrHalted", err)
	}
	if s := status(t, e, "balances"); s.Status != projection.StatusHalted || s.Checkpoint != 30 || calls.Load() != 2 {
		t.Errorf("got %+v after %d attempts", s, calls.Load())
	}
	stop()
	db = estest.Crash(t, db)
	e = projection.New(db.DB, nil)
	define(e)
	start(t, e)
	if s := status(t, e, "balances"); s.Status != projection.StatusHalted {
		t.Errorf("after a restart: %+v", s)
	}
	mended.Store(true)
	if err := e.Resume("balances"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, e, "balances", last)
	sameSums(t, "resumed", sums(t, e, "balances"), fold(t, db.DB, last))

	if err := e.Pause("balances"); err != nil {
		t.Fatal(err)
	}
	if s := status(t, e, "balances"); s.Status != projection.StatusPaused {
		t.Errorf("paused: %+v", s)
	}
	for range 10 {
		last = enter(t, db.DB, rng)
	}
	if err := e.Resume("balances"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, e, "balances", last)
	sameSums(t, "resumed again", sums(t, e, "balances"), fold(t, db.DB, last))
}

// Large events are committed in smaller batches: what is held in memory is bounded.
func TestBatchesOfLargeEventsAreSmaller(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	for range 12 {
		if _, err := db.Append(context.Background(), "files-scan-1", eventstream.Any, eventstream.NewEvent{Type: "Scanned", Data: make([]byte, 1<<20-16)}); err != nil {
			t.Fatal(err)
		}
	}
	e := projection.New(db.DB, nil)
	var commits atomic.Int64
	projection.At(e, func(point string) {
		if point == "before a commit" {
			commits.Add(1)
		}
	})
	register(t, e, projection.Definition{Name: "count", Apply: func(_ context.Context, tx *eventstream.Tx, _ eventstream.Event) error { return add(tx, []byte("n"), 1) }})
	start(t, e)
	waitFor(t, e, "count", 12)
	sameSums(t, "counted", sums(t, e, "count"), map[string]int64{"n": 12})
	if n := commits.Load(); n != 3 {
		t.Errorf("12 MiB of events took %d commits, want 3", n)
	}
}

// A pause takes effect before the next commit, also far behind the head.
func TestAPauseInterruptsALongCatchUp(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	last := enterMany(t, db.DB, rand.New(rand.NewPCG(19, 0)), 50)
	e := projection.New(db.DB, nil)
	register(t, e, projection.Definition{Name: "balances", Apply: balance, BatchEvents: 3})
	var batches atomic.Int64
	then := make(chan string, 1)
	projection.At(e, func(point string) {
		switch {
		case point == "before the live view" && batches.Add(1) == 5:
			if err := e.Pause("balances"); err != nil {
				t.Error(err)
			}
		case batches.Load() == 5: // whatever comes next
			select {
			case then <- point:
			default:
			}
		}
	})
	start(t, e)
	if got := <-then; got != "while it stands still" {
		t.Errorf("after a pause comes %q", got)
	}
	if s := status(t, e, "balances"); s.Status != projection.StatusPaused || s.Checkpoint != 12 {
		t.Errorf("got %+v", s)
	}
	if err := e.Resume("balances"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, e, "balances", last)
	sameSums(t, "resumed", sums(t, e, "balances"), fold(t, db.DB, last))
}

func TestDefinitionsAreChecked(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	e := projection.New(db.DB, nil)
	good := projection.Definition{Name: "good", Apply: balance}
	for name, change := range map[string]func(*projection.Definition){
		"no name":             func(d *projection.Definition) { d.Name = "" },
		"a name with a slash": func(d *projection.Definition) { d.Name = "a/b" },
		"a name in capitals":  func(d *projection.Definition) { d.Name = "Good" },
		"a long name":         func(d *projection.Definition) { d.Name = string(make([]byte, 65)) },
		"no function":         func(d *projection.Definition) { d.Apply = nil },
		"both functions":      func(d *projection.Definition) { d.Keyed = byStream },
		"a fold without keys": func(d *projection.Definition) { d.Apply, d.Keyed = nil, &projection.Keyed{Fold: byStream.Fold} },
		"keys without a fold": func(d *projection.Definition) { d.Apply, d.Keyed = nil, &projection.Keyed{Keys: byStream.Keys} },
		"no such policy":      func(d *projection.Definition) { d.OnFailure = 3 },
		"negative attempts":   func(d *projection.Definition) { d.Attempts = -1 },
		"a batch too great":   func(d *projection.Definition) { d.BatchEvents = 100_001 },
		"a negative back-off": func(d *projection.Definition) { d.Backoff = -1 },
	} {
		d := good
		change(&d)
		if err := e.Register(d); !errors.Is(err, eventstream.ErrInvalidArgument) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	register(t, e, good)
	if err := e.Register(good); !errors.Is(err, eventstream.ErrInvalidArgument) {
		t.Errorf("the same name twice: got %v", err)
	}
	if _, err := e.Status(context.Background(), "other"); !errors.Is(err, projection.ErrUnknown) {
		t.Errorf("a name that was not registered: got %v", err)
	}
}

// The engine ends, with the reason, when the store is closed.
func TestRunEndsWithTheStore(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	e := projection.New(db.DB, nil)
	register(t, e, projection.Definition{Name: "balances", Apply: balance})
	done := make(chan error, 1)
	go func() { done <- e.Run(context.Background()) }()
	last := enter(t, db.DB, rand.New(rand.NewPCG(7, 0)))
	waitFor(t, e, "balances", last)
	if err := e.Run(context.Background()); !errors.Is(err, eventstream.ErrInvalidArgument) {
		t.Errorf("running it twice: got %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, eventstream.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}

func TestTenantsHaveTheirOwnViews(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	ctx := context.Background()
	for i, tenant := range []string{"acme", "zeta"} {
		for range i + 2 {
			if _, err := db.Tenant(tenant).Append(ctx, "finance-account-1", eventstream.Any, posted(5)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, tenant := range []string{"acme", "zeta"} {
		e := projection.New(db.DB, &projection.Options{Tenant: tenant})
		register(t, e, projection.Definition{Name: "balances", Apply: balance})
		start(t, e)
		waitFor(t, e, "balances", db.Head())
		sameSums(t, tenant, sums(t, e, "balances"), map[string]int64{"finance-account-1": int64(5 * (i + 2))})
	}
	e := projection.New(db.DB, &projection.Options{Tenant: "nobody"})
	register(t, e, projection.Definition{Name: "balances", Apply: balance})
	sameSums(t, "a tenant without events", sums(t, e, "balances"), nil)
}

// A tenant without an event has no checkpoint. Its views show all there is, and whoever
// waits for that does not wait for ever; whoever waits for more waits for it.
func TestATenantWithoutEventsIsCaughtUp(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	append := func(tenant string) {
		t.Helper()
		if _, err := db.Tenant(tenant).Append(ctx, "finance-account-1", eventstream.Any, posted(5)); err != nil {
			t.Fatal(err)
		}
	}
	append("acme")
	append("acme")
	e := projection.New(db.DB, &projection.Options{Tenant: "nobody"})
	register(t, e, projection.Definition{Name: "balances", Apply: balance})
	start(t, e)
	if err := e.WaitFor(ctx, "balances", db.Head()); err != nil {
		t.Fatalf("wait for what others wrote: %v", err)
	}
	if s, err := e.Status(ctx, "balances"); err != nil || s.LagEvents != 0 || s.LagSeconds != 0 {
		t.Errorf("got %+v, %v, want no lag", s, err)
	}
	waited := make(chan error, 1)
	go func() { waited <- e.WaitFor(ctx, "balances", 4) }()
	append("acme")
	append("nobody") // which is its first
	if err := <-waited; err != nil {
		t.Fatalf("wait for its first event: %v", err)
	}
	sameSums(t, "with an event", sums(t, e, "balances"), map[string]int64{"finance-account-1": 5})
	waited = make(chan error, 1)
	go func() { waited <- e.WaitFor(ctx, "balances", 5) }()
	append("acme")
	if err := <-waited; err != nil {
		t.Errorf("wait for what others wrote behind it: %v", err)
	}
}
