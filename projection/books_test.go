package projection_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/projection"
)

// entry is an event that both projections of the books take. A bad one is parked.
type entry struct {
	Cents int64 `msgpack:"cents"`
	Move  move  `msgpack:"move"`
	Bad   bool  `msgpack:"bad"`
}

// books are two projections of one log, of which every kind of work is done while the
// disk fails: "sums" adds up, so that an event that took effect twice shows, and "kept"
// keeps the history of records whose fold depends on the order of events.
type books struct {
	// mended is the position of a bad event that can be applied by now.
	mended atomic.Uint64
	// settled says what was done about parked events, by view and generation: "dropped" or
	// "applied". Nil: as the audit records say, which tell no generations apart.
	settled map[eventstream.ViewID]map[eventstream.Position]string
}

var errBad = errors.New("a bad entry")

// entryOf decodes an event, unless it is a bad one.
func (b *books) entryOf(e eventstream.Event) (entry, error) {
	var n entry
	err := e.Decode(&n)
	if err == nil && n.Bad && uint64(e.Position) != b.mended.Load() {
		err = errBad
	}
	return n, err
}

// definitions park at the first attempt: whatever fails but for a bad entry must not be
// taken for one.
func (b *books) definitions() []projection.Definition {
	return []projection.Definition{
		{
			Name: "sums", OnFailure: projection.Park, Attempts: 1, Backoff: time.Millisecond, BatchEvents: 16, PartitionedByStream: true,
			Apply: func(_ context.Context, tx *eventstream.Tx, e eventstream.Event) error {
				n, err := b.entryOf(e)
				if err != nil {
					return err
				}
				return add(tx, []byte(e.Stream), n.Cents)
			},
		},
		{
			Name: "kept", OnFailure: projection.Park, Attempts: 1, Backoff: time.Millisecond, BatchEvents: 16,
			Keyed: &projection.Keyed{
				AsOf: true,
				Keys: func(e eventstream.Event) (keys [][]byte, err error) {
					n, err := b.entryOf(e)
					for _, key := range n.Move.Keys {
						keys = append(keys, []byte(key))
					}
					return keys, err
				},
				Fold: func(key, value []byte, e eventstream.Event) ([]byte, error) {
					var n entry
					if err := e.Decode(&n); err != nil {
						return nil, err
					}
					return chainOn(key, value, n.Move.Factor), nil
				},
			},
		},
	}
}

// engine returns an engine that gives up waiting for a lease soon.
func (b *books) engine(t testing.TB, db *eventstream.DB, owner string) *projection.Engine {
	t.Helper()
	e := projection.New(db, &projection.Options{Owner: owner, LeaseTTL: 100 * time.Millisecond})
	register(t, e, b.definitions()...)
	return e
}

// enterInto appends n commits of one to three entries, some of them back-dated. The third
// commit has a bad one.
func enterInto(db *eventstream.DB, clock *estest.Clock, rng *rand.Rand, n int) error {
	for i := range n {
		clock.Advance(time.Duration(rng.IntN(3)) * time.Second)
		var commit []eventstream.StreamAppend
		for stream := range 1 + rng.IntN(3) {
			n := entry{Cents: rng.Int64N(1000), Move: randomMove(rng), Bad: i == 2 && stream == 0}
			if n.Bad {
				n.Move.Keys = []string{"key-1", "key-2", "key-3"} // others bear on them too
			}
			e := eventstream.NewEvent{Type: "Entered", Data: n}
			if rng.IntN(3) == 0 {
				e.OccurredAt = clock.Now().Add(-time.Duration(rng.IntN(60)) * time.Second)
			}
			id := eventstream.StreamID(fmt.Sprintf("finance-account-%d", (i+stream)%7))
			commit = append(commit, eventstream.StreamAppend{Stream: id, Expect: eventstream.Any, Events: []eventstream.NewEvent{e}})
		}
		if _, err := db.AppendAll(context.Background(), commit); err != nil {
			return err
		}
	}
	return nil
}

// until runs an engine until both views are at the head, whatever fails on the way.
func (b *books) until(ctx context.Context, db *eventstream.DB, e *projection.Engine) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	running, stop := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- e.Run(running) }()
	var err error
	for _, name := range e.Names() {
		for err = e.WaitFor(ctx, name, db.Head()); err != nil && ctx.Err() == nil && !errors.Is(err, eventstream.ErrClosed); {
			err = e.WaitFor(ctx, name, db.Head()) // it could not look
		}
	}
	stop()
	if end := <-ran; !errors.Is(end, context.Canceled) {
		err = errors.Join(err, end)
	}
	return err
}

// check compares both views with the fold of the log up to their checkpoints: no event
// is in them twice, or not at all unless it is a bad one that is put aside and says so.
func (b *books) check(db *eventstream.DB, e *projection.Engine) error {
	return errors.Join(b.checkOne(db, e, "sums"), b.checkOne(db, e, "kept"))
}

func (b *books) checkOne(db *eventstream.DB, e *projection.Engine, name string) error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%s: %s", name, fmt.Sprintf(format, args...))
	}
	s, err := e.Status(context.Background(), name)
	if err != nil {
		return wrong("status: %v", err)
	}
	parked, err := e.Parked(name)
	if err != nil {
		return wrong("parked: %v", err)
	}
	audit, err := e.Audit(name)
	if err != nil {
		return wrong("audit: %v", err)
	}
	if s.Checkpoint > db.Head() || s.Parked != len(parked) {
		return wrong("%d are parked, head %d, status %+v", len(parked), db.Head(), s)
	}
	if err := wholeGenerations(db, s); err != nil {
		return wrong("%v", err)
	}
	var out, settled []eventstream.Position // of the view; whatever was done about them
	for _, p := range parked {
		if p.Error != errBad.Error() {
			return wrong("parked is %+v, want %q", p, errBad)
		}
		out, settled = append(out, p.Position), append(settled, p.Position)
	}
	done := b.settled[eventstream.ViewID{Projection: name, Generation: s.Generation}]
	if b.settled == nil {
		done = map[eventstream.Position]string{}
		for _, a := range audit {
			done[a.Position] = a.Action
		}
	}
	for position, action := range done {
		if settled = append(settled, position); action == "dropped" {
			out = append(out, position)
		}
	}
	var log []eventstream.Event
	processed := 0
	for ev, err := range db.ReadAll(context.Background(), eventstream.Until(s.Checkpoint)) {
		if err != nil {
			return wrong("read: %v", err)
		}
		var n entry
		if err := ev.Decode(&n); err != nil {
			return wrong("decode: %v", err)
		}
		if isOut := slices.Contains(settled, ev.Position); isOut && !n.Bad || n.Bad && !isOut {
			return wrong("the event at position %d, bad: %v, of the checkpoint %d is put aside: %v; parked are %+v", ev.Position, n.Bad, s.Checkpoint, isOut, parked)
		}
		if !n.Bad {
			processed++
		}
		if !slices.Contains(out, ev.Position) {
			log = append(log, ev)
		}
	}
	if s.Processed != uint64(processed) {
		return wrong("%d events took effect up to position %d, want %d", s.Processed, s.Checkpoint, processed)
	}
	if name == "sums" {
		return b.checkSums(e, log)
	}
	return b.checkKept(e, log)
}

// wholeGenerations reports what is left of generations that nobody can go to any more,
// and a rebuild of one that is no longer under construction.
func wholeGenerations(db *eventstream.DB, s projection.Status) error {
	known := []uint64{s.Generation, s.Retired}
	if r := s.Rebuild; r != nil {
		if slices.Contains(known, r.Generation) {
			return fmt.Errorf("generation %d is being rebuilt, and %v are live and retired", r.Generation, known)
		}
		known = append(known, r.Generation)
	}
	tenant := db.Tenant(eventstream.DefaultTenant)
	for generation := uint64(1); generation <= s.Generation+2; generation++ {
		if slices.Contains(known, generation) {
			continue
		}
		for _, kind := range []string{"progress", "parked"} {
			for state, err := range tenant.DerivedStates(fmt.Sprintf("%s/%s/%020d", s.Name, kind, generation)) {
				return fmt.Errorf("%s is left of a generation beside %v (%v)", state.Name, known, err)
			}
		}
		err := tenant.ReadView(eventstream.ViewID{Projection: s.Name, Generation: generation}, func(r *eventstream.ViewReader) error {
			for _, reader := range []*eventstream.ViewReader{r, r.Beside("history"), r.Beside("owners")} {
				for record, err := range reader.Scan(nil, nil) {
					return fmt.Errorf("record %q is left of generation %d beside %v (%v)", record.Key, generation, known, err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *books) checkSums(e *projection.Engine, log []eventstream.Event) error {
	want := map[string]int64{}
	for _, ev := range log {
		var n entry
		if err := ev.Decode(&n); err != nil {
			return err
		}
		want[string(ev.Stream)] += n.Cents
	}
	got := map[string]int64{}
	err := e.Read("sums", func(r *eventstream.ViewReader) error {
		for record, err := range r.Scan(nil, nil) {
			if err != nil {
				return err
			}
			got[string(record.Key)] = number(record.Value)
		}
		return nil
	})
	if err == nil && !maps.Equal(got, want) {
		err = fmt.Errorf("sums: got %v, want %v", got, want)
	}
	return err
}

func (b *books) checkKept(e *projection.Engine, log []eventstream.Event) error {
	bounds := []projection.AsOf{{}}
	if n := len(log); n > 0 {
		bounds = append(bounds, projection.AsOf{Position: log[n/2].Position}, projection.AsOf{Occurred: log[n/2].OccurredAt}, projection.AsOf{Occurred: log[n/3].OccurredAt, Recorded: log[2*n/3].RecordedAt})
	}
	for i, at := range bounds {
		want := map[string][]byte{}
		for _, ev := range log {
			if at.Position != 0 && ev.Position > at.Position || !at.Occurred.IsZero() && ev.OccurredAt.After(at.Occurred) || !at.Recorded.IsZero() && ev.RecordedAt.After(at.Recorded) {
				continue
			}
			var n entry
			if err := ev.Decode(&n); err != nil {
				return err
			}
			n.Move.fold(want)
		}
		got, err := keptAsOf(e, at)
		if errors.Is(err, projection.ErrBehind) && !at.Recorded.IsZero() {
			continue // what was recorded by then is not all in the view yet
		}
		if err != nil {
			return fmt.Errorf("kept as of %+v: %w", at, err)
		}
		if !maps.EqualFunc(got, want, slices.Equal) {
			return fmt.Errorf("kept as of %+v: got %q, want %q", at, got, want)
		}
		if i > 0 {
			continue
		}
		live := map[string][]byte{}
		err = e.Read("kept", func(r *eventstream.ViewReader) error {
			for record, err := range r.Scan(nil, nil) {
				if err != nil {
					return err
				}
				live[string(record.Key)] = slices.Clone(record.Value)
			}
			return nil
		})
		if err != nil || !maps.EqualFunc(live, want, slices.Equal) {
			return fmt.Errorf("kept: got %q, %w, want %q", live, err, want)
		}
	}
	return nil
}

// keptAsOf reads the whole view as of a time.
func keptAsOf(e *projection.Engine, at projection.AsOf) (map[string][]byte, error) {
	got := map[string][]byte{}
	err := e.ReadAsOf(context.Background(), "kept", at, func(r *projection.AsOfReader) error {
		for record, err := range r.Scan(nil, nil) {
			if err != nil {
				return err
			}
			got[string(record.Key)] = slices.Clone(record.Value)
		}
		return nil
	})
	return got, err
}
