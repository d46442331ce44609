package projection_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/projection"
)

// historyOf is chain with its history kept. folds counts the calls of Fold.
func historyOf(folds *atomic.Int64) *projection.Keyed {
	return &projection.Keyed{Keys: chain.Keys, AsOf: true, Fold: func(key, value []byte, e eventstream.Event) ([]byte, error) {
		folds.Add(1)
		return chain.Fold(key, value, e)
	}}
}

// moves appends n events that bear on up to four keys each, some of which happened long
// before they are recorded, while the clock goes on or stands still. Events of another
// tenant and of other types come between them.
func moves(t testing.TB, db *estest.DB, rng *rand.Rand, n int) {
	t.Helper()
	ctx := context.Background()
	for range n {
		if rng.IntN(3) == 0 {
			db.Clock.Advance(time.Duration(rng.IntN(1000)) * time.Millisecond)
		}
		if rng.IntN(4) == 0 {
			if _, err := db.Tenant("other").Append(ctx, "stock-move-1", eventstream.Any, eventstream.NewEvent{Type: "Moved", Data: randomMove(rng)}); err != nil {
				t.Fatal(err)
			}
		}
		events := make([]eventstream.NewEvent, 1+rng.IntN(3))
		for i := range events {
			events[i] = eventstream.NewEvent{Type: "Moved", Data: randomMove(rng)}
			if rng.IntN(3) == 0 { // back-dated, or to come
				events[i].OccurredAt = db.Clock.Now().Add(time.Duration(rng.IntN(120)-100) * time.Second)
			}
		}
		if rng.IntN(5) == 0 {
			events = append(events, eventstream.NewEvent{Type: "Noted", Data: randomMove(rng)})
		}
		if _, err := db.Append(ctx, eventstream.StreamID(fmt.Sprintf("stock-move-%d", rng.IntN(4))), eventstream.Any, events...); err != nil {
			t.Fatal(err)
		}
	}
}

// logOf returns the events that the projection takes.
func logOf(t testing.TB, db *eventstream.DB) (all []eventstream.Event) {
	t.Helper()
	for e, err := range db.ReadAll(context.Background(), eventstream.Types("Moved")) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

// foldAsOf computes the view as of a time from the log.
func foldAsOf(t testing.TB, log []eventstream.Event, at projection.AsOf, skip ...eventstream.Position) map[string][]byte {
	t.Helper()
	view := map[string][]byte{}
	for i := range log {
		e := &log[i]
		switch {
		case at.Position != 0 && e.Position > at.Position,
			!at.Recorded.IsZero() && e.RecordedAt.After(at.Recorded),
			!at.Occurred.IsZero() && e.OccurredAt.After(at.Occurred),
			slices.Contains(skip, e.Position):
			continue
		}
		var m move
		if err := e.Decode(&m); err != nil {
			t.Fatal(err)
		}
		m.fold(view)
	}
	return view
}

// randomAsOf leaves each bound open, or takes it from an event, exactly or next to it.
func randomAsOf(rng *rand.Rand, log []eventstream.Event) (at projection.AsOf) {
	near := func(t time.Time) time.Time { return t.Add(time.Duration(rng.IntN(3) - 1)) }
	if rng.IntN(2) == 0 {
		at.Position = log[rng.IntN(len(log))].Position
	}
	if rng.IntN(2) == 0 {
		at.Recorded = near(log[rng.IntN(len(log))].RecordedAt)
	}
	if rng.IntN(4) > 0 {
		at.Occurred = near(log[rng.IntN(len(log))].OccurredAt)
	}
	return at
}

// asOf reads a whole view as of a time, by Scan, and checks that Get and parts of it say
// the same.
func asOf(t testing.TB, e *projection.Engine, name string, at projection.AsOf) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := e.ReadAsOf(context.Background(), name, at, func(r *projection.AsOfReader) error {
		var order []string
		for record, err := range r.Scan(nil, nil) {
			if err != nil {
				return err
			}
			order = append(order, string(record.Key))
			all[string(record.Key)] = append([]byte{}, record.Value...)
		}
		if !slices.IsSorted(order) {
			t.Errorf("%+v: keys come as %q", at, order)
		}
		for i := range 9 {
			key := fmt.Sprintf("key-%d", i)
			value, ok, err := r.Get([]byte(key))
			if want, in := all[key]; err != nil || ok != in || string(value) != string(want) {
				t.Errorf("%+v: Get(%s) is %q, %v, %v, and Scan has %q, %v", at, key, value, ok, err, want, in)
			}
		}
		n := 0
		for _, err := range r.Scan([]byte("key-2"), []byte("key-5")) {
			if err != nil {
				return err
			}
			n++
		}
		want := 0
		for _, key := range order {
			if key >= "key-2" && key < "key-5" {
				want++
			}
		}
		if n != want {
			t.Errorf("%+v: %d records from key-2 to key-5, want %d", at, n, want)
		}
		for range r.Scan(nil, nil) {
			break
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%+v: %v", at, err)
	}
	return all
}

// State at T as known at K is the fold, in the order of the log, of the events that
// occurred by T and were recorded by K: whatever the order in which they happened, with
// records that are deleted and come back, and a fold that does not commute. It stays so
// when the view is rebuilt, switched, and interrupted by a crash.
func TestAViewAsOfATimeIsTheFoldOfWhatQualifies(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	rng := rand.New(rand.NewPCG(60, 0))
	moves(t, db, rng, 150)
	var folds atomic.Int64
	define := func() *projection.Engine {
		e := projection.New(db.DB, nil)
		register(t, e, projection.Definition{Name: "stock", Keyed: historyOf(&folds), Types: []string{"Moved"}, BatchEvents: 20})
		return e
	}
	e := define()
	stop := start(t, e)
	waitFor(t, e, "stock", db.Head())
	cases, refolded, stored, deleted, least := 0, 0, 0, 0, 500
	if testing.Short() {
		least = 50
	}
	check := func(what string, n int) {
		t.Helper()
		if testing.Short() {
			n /= 10
		}
		log := logOf(t, db.DB)
		sameRecords(t, what+", open", asOf(t, e, "stock", projection.AsOf{}), foldAsOf(t, log, projection.AsOf{}))
		sameRecords(t, what+", live", records(t, e, "stock"), foldAsOf(t, log, projection.AsOf{}))
		for range n {
			at := randomAsOf(rng, log)
			before := folds.Load()
			got, want := asOf(t, e, "stock", at), foldAsOf(t, log, at)
			sameRecords(t, fmt.Sprintf("%s, %+v", what, at), got, want)
			cases++
			if folds.Load() > before {
				refolded++
			} else {
				stored++
			}
			deleted += 8 - len(want)
		}
	}
	check("live", 300)
	moves(t, db, rng, 50)
	waitFor(t, e, "stock", db.Head())
	rebuild(t, e, "stock", projection.RebuildOptions{})
	check("rebuilt", 100)
	moves(t, db, rng, 50)
	if err := e.SwitchBack(context.Background(), "stock"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, e, "stock", db.Head())
	check("switched back", 100)
	stop()
	db = estest.Crash(t, db)
	e = define()
	start(t, e)
	waitFor(t, e, "stock", db.Head())
	check("after a crash", 100)
	t.Logf("%d cases, %d folded again, %d as stored, %d records missing", cases, refolded, stored, deleted)
	if cases < least || refolded < cases/5 || stored < cases/5 || deleted < cases {
		t.Errorf("%d cases, %d folded again, %d as stored, %d records missing: the test shows little", cases, refolded, stored, deleted)
	}
}

// An event that is parked is no part of any state; one that is applied later takes its
// own place among the others.
func TestAParkedEventTakesItsPlaceInHistory(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	rng := rand.New(rand.NewPCG(61, 0))
	moves(t, db, rng, 100)
	log := logOf(t, db.DB)
	var bad []eventstream.Position
	for _, i := range []int{0, 7, 30, 31, len(log) / 2, len(log) - 1} {
		bad = append(bad, log[i].Position)
	}
	var mended atomic.Bool
	var folds atomic.Int64
	keyed := historyOf(&folds)
	fold := keyed.Fold
	keyed.Fold = func(key, value []byte, ev eventstream.Event) ([]byte, error) {
		if slices.Contains(bad, ev.Position) && !mended.Load() {
			return nil, errors.New("not now")
		}
		return fold(key, value, ev)
	}
	keyed.Keys = func(ev eventstream.Event) ([][]byte, error) {
		keys, err := chain.Keys(ev)
		return append(keys, []byte("all")), err // so that each of them fails
	}
	e := projection.New(db.DB, nil)
	register(t, e, projection.Definition{Name: "stock", Keyed: keyed, Types: []string{"Moved"}, OnFailure: projection.Park, Attempts: 1})
	start(t, e)
	waitFor(t, e, "stock", db.Head())
	times := 40
	if testing.Short() {
		times = 4
	}
	check := func(parked []eventstream.Position) {
		t.Helper()
		for range times {
			at := randomAsOf(rng, log)
			got := asOf(t, e, "stock", at)
			delete(got, "all")
			sameRecords(t, fmt.Sprintf("%v are parked, %+v", parked, at), got, foldAsOf(t, log, at, parked...))
		}
		got := records(t, e, "stock")
		delete(got, "all")
		sameRecords(t, fmt.Sprintf("%v are parked, live", parked), got, foldAsOf(t, log, projection.AsOf{}, parked...))
	}
	check(bad)
	mended.Store(true)
	order := slices.Clone(bad)
	rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	for i, position := range order {
		if err := e.ApplyParked(context.Background(), "stock", position, "ada", "mended"); err != nil {
			t.Fatal(err)
		}
		check(order[i+1:])
	}
	if s := status(t, e, "stock"); s.Parked != 0 {
		t.Errorf("got %+v", s)
	}
	moves(t, db, rng, 20)
	waitFor(t, e, "stock", db.Head())
	log = logOf(t, db.DB)
	check(nil)
}

// What the view cannot know yet is an error, and so is a history that was not kept.
func TestAsOfIsRefusedWhereItIsNotExact(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	ctx := context.Background()
	rng := rand.New(rand.NewPCG(62, 0))
	moves(t, db, rng, 20)
	var folds atomic.Int64
	with := projection.Definition{Name: "stock", Version: 1, Keyed: historyOf(&folds), Types: []string{"Moved"}}
	without := with
	without.Keyed = chain
	open := func(d projection.Definition) (*projection.Engine, func()) {
		e := projection.New(db.DB, nil)
		register(t, e, d)
		return e, start(t, e)
	}
	read := func(e *projection.Engine, at projection.AsOf) error {
		return e.ReadAsOf(ctx, "stock", at, func(*projection.AsOfReader) error { return nil })
	}
	e, stop := open(without)
	waitFor(t, e, "stock", db.Head())
	if err := read(e, projection.AsOf{}); !errors.Is(err, eventstream.ErrInvalidArgument) {
		t.Errorf("a projection that keeps no history: got %v", err)
	}
	stop()
	e, stop = open(with)
	if err := read(e, projection.AsOf{}); !errors.Is(err, projection.ErrOutdated) {
		t.Errorf("a view that was built without its history: got %v", err)
	}
	if err := e.WaitFor(ctx, "stock", db.Head()+1); !errors.Is(err, projection.ErrOutdated) {
		t.Errorf("waiting for it: got %v", err)
	}
	rebuild(t, e, "stock", projection.RebuildOptions{})
	built := db.Head()
	if err := read(e, projection.AsOf{}); err != nil {
		t.Errorf("rebuilt: %v", err)
	}
	stop()

	db.Clock.Advance(time.Second)
	between := db.Clock.Now()
	db.Clock.Advance(time.Second)
	if _, err := db.Append(ctx, "stock-move-1", eventstream.Any, eventstream.NewEvent{Type: "Noted", Data: move{}}); err != nil {
		t.Fatal(err)
	}
	if err := read(e, projection.AsOf{Recorded: db.Clock.Now()}); err != nil {
		t.Errorf("behind what the projection takes: %v", err)
	}
	res, err := db.Append(ctx, "stock-move-1", eventstream.Any, eventstream.NewEvent{Type: "Moved", Data: move{Keys: []string{"key-1"}, Factor: 3}})
	if err != nil {
		t.Fatal(err)
	}
	for what, tt := range map[string]struct {
		at   projection.AsOf
		want eventstream.Position // that is missing; 0: it is answered
	}{
		"open":                        {projection.AsOf{}, 0},
		"up to the checkpoint":        {projection.AsOf{Position: built}, 0},
		"behind the checkpoint":       {projection.AsOf{Position: built + 1}, built + 1},
		"as known before the missing": {projection.AsOf{Recorded: between}, 0},
		"as known at the missing":     {projection.AsOf{Recorded: db.Clock.Now()}, res.LastPosition},
		"as known later":              {projection.AsOf{Recorded: db.Clock.Now().Add(time.Hour)}, res.LastPosition},
		"a position bounds it":        {projection.AsOf{Position: built, Recorded: db.Clock.Now().Add(time.Hour)}, 0},
		"what happened later":         {projection.AsOf{Occurred: db.Clock.Now().Add(time.Hour)}, 0},
	} {
		err := read(e, tt.at)
		var behind *projection.BehindError
		switch {
		case tt.want == 0 && err != nil:
			t.Errorf("%s: got %v", what, err)
		case tt.want != 0 && (!errors.As(err, &behind) || !errors.Is(err, projection.ErrBehind) || behind.Position != tt.want || behind.Checkpoint != built):
			t.Errorf("%s: got %v (%+v)", what, err, behind)
		}
	}
	changed := with
	changed.Version = 2
	e, stop = open(changed)
	if err := read(e, projection.AsOf{}); !errors.Is(err, projection.ErrOutdated) {
		t.Errorf("another version: got %v", err)
	}
	stop()
	e, _ = open(with)
	waitFor(t, e, "stock", res.LastPosition)
	for what, at := range map[string]time.Time{"before all times": time.Unix(0, math.MinInt64).Add(-1), "the year 1": time.Date(1, 2, 3, 0, 0, 0, 0, time.UTC)} {
		if got := asOf(t, e, "stock", projection.AsOf{Occurred: at}); len(got) != 0 {
			t.Errorf("occurred until %s: got %q", what, got)
		}
		if got := asOf(t, e, "stock", projection.AsOf{Recorded: at}); len(got) != 0 {
			t.Errorf("recorded until %s: got %q", what, got)
		}
	}
	sameRecords(t, "after all times", asOf(t, e, "stock", projection.AsOf{Occurred: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), Recorded: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}), foldAsOf(t, logOf(t, db.DB), projection.AsOf{}))
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	err = e.ReadAsOf(canceled, "stock", projection.AsOf{Recorded: between}, func(*projection.AsOfReader) error { return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("ctx: got %v", err)
	}
}

// A fold that cannot take the events that qualify, without those between them, is an
// error of the read, and no panic.
func TestAFoldThatFailsAsOfATimeIsAnError(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	ctx := context.Background()
	e := projection.New(db.DB, nil)
	register(t, e, projection.Definition{Name: "stock", Keyed: &projection.Keyed{
		AsOf: true,
		Keys: func(ev eventstream.Event) ([][]byte, error) { return [][]byte{[]byte(ev.Stream)}, nil },
		Fold: func(_, value []byte, ev eventstream.Event) ([]byte, error) {
			switch {
			case ev.Type == "Opened":
				return []byte{}, nil
			case value == nil && ev.Stream == "finance-account-1":
				return nil, errors.New("the account is not open")
			case value == nil:
				panic("the account is not open")
			}
			return append(value, 'x'), nil
		},
	}})
	start(t, e)
	past := db.Clock.Now().Add(-time.Hour)
	for _, stream := range []eventstream.StreamID{"finance-account-1", "finance-account-2"} {
		_, err := db.Append(ctx, stream, eventstream.Any, eventstream.NewEvent{Type: "Opened"}, eventstream.NewEvent{Type: "Posted", OccurredAt: past.Add(-time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, e, "stock", db.Head())
	err := e.ReadAsOf(ctx, "stock", projection.AsOf{Occurred: past}, func(r *projection.AsOfReader) error {
		for i := range 2 {
			_, _, err := r.Get([]byte(fmt.Sprintf("finance-account-%d", i+1)))
			var failure *projection.Error
			if !errors.As(err, &failure) || failure.Position != eventstream.Position(2*i+2) {
				t.Errorf("got %v", err)
			}
		}
		for _, err := range r.Scan(nil, nil) {
			return err
		}
		return nil
	})
	if failure := (*projection.Error)(nil); !errors.As(err, &failure) {
		t.Errorf("got %v", err)
	}
}
