package projection

import (
	"context"
	"errors"
	"iter"
	"math"
	"slices"
	"time"

	"github.com/nexus-erp/eventstream"
)

// AsOf says as of when a view is read: what follows from the events that keep all three
// bounds, in the order of the log. Each is inclusive, and its zero value leaves it open.
type AsOf struct {
	// Position leaves out what was recorded behind it. It may lie inside a commit.
	Position eventstream.Position
	// Recorded leaves out what was recorded after it: the view is shown as it was known
	// then.
	Recorded time.Time
	// Occurred leaves out what happened after it, whenever it was recorded.
	Occurred time.Time
}

// AsOfReader reads a view as of a time. It is not safe for concurrent use.
type AsOfReader struct {
	Generation uint64
	Checkpoint eventstream.Position // of the view
	Until      eventstream.Position // the last position that is in, by Position and Recorded

	ctx      context.Context // of ReadAsOf
	r        *runner
	records  *eventstream.ViewReader
	history  *eventstream.ViewReader
	occurred int64
}

// ReadAsOf calls fn with a reader of a projection's live view as of a time, exactly: each
// record is the fold of the events that bear on its key and keep the bounds, also if they
// happened in another order than they were recorded in. The reader is valid until fn
// returns. It needs [Keyed.AsOf].
//
// With all bounds open it is the view as it is. A time that has not come yet is as good
// as now: later answers may differ. An event that is parked is no part of it, until it is
// applied: then it is in its place.
//
// Errors: [*BehindError] if an event that keeps Position and Recorded is behind the
// view's checkpoint; [ErrOutdated] if the view was built by another version, or without
// AsOf; [*eventstream.ArgumentError] for a projection that does not declare it.
func (e *Engine) ReadAsOf(ctx context.Context, name string, at AsOf, fn func(*AsOfReader) error) error {
	r, err := e.runner(name)
	if err != nil {
		return err
	}
	if !r.def.asOf() {
		return argument("name", "projection %q keeps no history: set Keyed.AsOf and rebuild it", name)
	}
	return e.tenant.ReadDerived(func(d *eventstream.DerivedReader) error {
		view, err := liveView(d, name)
		if err != nil {
			return err
		}
		p, err := stored(d.State).progress(name, view.Generation)
		if err != nil {
			return err
		}
		p.begin(&r.def)
		if !p.builtBy(&r.def) {
			return p.outdated(&r.def)
		}
		until, err := r.lastOf(ctx, at, view.Checkpoint)
		if err != nil {
			return err
		}
		return fn(&AsOfReader{
			Generation: view.Generation, Checkpoint: view.Checkpoint, Until: until,
			ctx: ctx, r: r, records: view.ViewReader, history: view.Beside(besideHistory), occurred: latest(at.Occurred),
		})
	})
}

// latest is the last moment, in ns, that an event may have to keep the bound t.
func latest(t time.Time) int64 {
	switch {
	case t.IsZero() || t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	default:
		return t.UnixNano()
	}
}

// lastOf returns the last position up to checkpoint that keeps Position and Recorded:
// recorded-at never goes back.
func (r *runner) lastOf(ctx context.Context, at AsOf, checkpoint eventstream.Position) (eventstream.Position, error) {
	last := checkpoint
	switch {
	case at.Position > checkpoint:
		return 0, &BehindError{Projection: r.def.Name, Checkpoint: checkpoint, Position: at.Position}
	case at.Position > 0:
		last = at.Position
	}
	if at.Recorded.IsZero() {
		return last, nil
	}
	recorded := latest(at.Recorded)
	if at.Position == 0 {
		opts := append(r.def.reads(), eventstream.After(checkpoint), eventstream.Limit(1))
		for ev, err := range r.e.tenant.ReadAll(ctx, opts...) {
			if err != nil {
				return 0, err
			}
			if ev.RecordedAt.UnixNano() <= recorded {
				return 0, &BehindError{Projection: r.def.Name, Checkpoint: checkpoint, Position: ev.Position}
			}
		}
	}
	// Below known, everything keeps the bound; behind last, nothing does, or it is out.
	for known := eventstream.Position(0); known < last; {
		middle := known + (last-known+1)/2
		ev, ok, err := r.eventFrom(ctx, middle, last)
		switch {
		case err != nil:
			return 0, err
		case !ok || ev.RecordedAt.UnixNano() > recorded:
			last = middle - 1
		default:
			known = ev.Position
		}
	}
	return last, nil
}

// eventFrom returns the tenant's first event from position to last.
func (r *runner) eventFrom(ctx context.Context, position, last eventstream.Position) (ev eventstream.Event, ok bool, err error) {
	ev, err = r.e.tenant.EventAt(ctx, position)
	if !errors.Is(err, eventstream.ErrEventNotFound) {
		return ev, err == nil, err
	}
	for ev, err := range r.e.tenant.ReadAll(ctx, eventstream.After(position), eventstream.Until(last), eventstream.Limit(1)) {
		return ev, err == nil, err
	}
	return eventstream.Event{}, false, nil
}

// Get returns a copy of the value of key. ok is false if there was no record.
func (r *AsOfReader) Get(key []byte) (value []byte, ok bool, err error) {
	stored, ok, err := r.history.Get(headKey(key))
	if err != nil || !ok {
		return nil, false, err
	}
	at, err := parseHead(stored)
	if err != nil {
		return nil, false, err
	}
	if at.last <= r.Until && at.occurred <= r.occurred {
		return r.records.Get(key) // every event of it is in
	}
	value, err = r.fold(key)
	return value, value != nil, err
}

// fold returns the record of key, or nil. It begins with the record after the longest
// stretch of events from the first that all happened in time, and folds those of the rest
// that did.
func (r *AsOfReader) fold(key []byte) ([]byte, error) {
	var (
		value []byte
		more  []eventstream.Position
	)
	err := entriesBackward(r.history, key, r.Until, func(e entry) bool {
		switch {
		case e.greatest <= r.occurred:
			value = e.record
			return false
		case e.occurred <= r.occurred:
			more = append(more, e.position)
		}
		return r.ctx.Err() == nil
	})
	if err := errors.Join(err, r.ctx.Err()); err != nil {
		return nil, err
	}
	for _, position := range slices.Backward(more) {
		ev, err := r.r.e.tenant.EventAt(r.ctx, position)
		if err != nil {
			return nil, err
		}
		if value, err = r.foldOne(key, value, &ev); err != nil {
			return nil, err
		}
	}
	return value, nil
}

// foldOne calls Fold. Its errors and panics become an [*Error].
func (r *AsOfReader) foldOne(key, value []byte, ev *eventstream.Event) (after []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = newPanic(r.r.def.Name, ev, p)
		}
	}()
	after, err = r.r.def.Keyed.Fold(key, value, *ev)
	if err != nil {
		return nil, newError(r.r.def.Name, ev, err)
	}
	return after, nil
}

// Scan returns the records from the key from up to, not including, the key to, in the
// order of their keys; a nil to is the end. What it yields is valid until the next step.
// An error is the last item. It takes time for every key that ever had a record.
func (r *AsOfReader) Scan(from, to []byte) iter.Seq2[eventstream.ViewRecord, error] {
	return func(yield func(eventstream.ViewRecord, error) bool) {
		end := []byte{historyHead + 1}
		if to != nil {
			end = headKey(to)
		}
		for stored, err := range r.history.Scan(headKey(from), end) {
			var (
				key   []byte
				value []byte
				ok    bool
			)
			if err == nil {
				key = stored.Key[1:]
				value, ok, err = r.Get(key)
			}
			if err != nil {
				yield(eventstream.ViewRecord{}, err)
				return
			}
			if ok && !yield(eventstream.ViewRecord{Key: key, Value: value}, nil) {
				return
			}
		}
	}
}
