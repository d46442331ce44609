package projection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nexus-erp/eventstream"
)

// writer applies events to one generation of a view, and stores how far it got in each
// commit. It is not safe for concurrent use.
type writer struct {
	def    *Definition
	tenant *eventstream.Tenant // whose view it is
	now    func() time.Time
	at     func(point string) // told of each commit, by tests
	view   eventstream.ViewID
	state  string       // under which progress is stored
	guard  func() error // of each commit
	owners *owners      // of a view that is written in parts; else nil

	progress progress // as of the last commit
}

func (w *writer) checkpoint() eventstream.Position {
	return eventstream.Position(w.progress.Checkpoint)
}

// change is one commit of a view.
type change struct {
	events []eventstream.Event
	until  eventstream.Position                 // the checkpoint
	park   map[eventstream.Position]ParkedEvent // of events, those that are put aside
}

// commit applies a change. It returns an [*Error] for an event that Apply cannot take,
// and nothing is written then.
func (w *writer) commit(ctx context.Context, c change) error {
	next := w.progress
	next.Checkpoint = uint64(c.until)
	next.Processed += uint64(len(c.events) - len(c.park))
	next.UpdatedAt = w.now().UnixNano()
	w.at("before a commit")
	err := w.tenant.Derive(eventstream.Derivation{View: w.view, Durable: len(c.park) > 0, Guard: w.guard}, func(tx *eventstream.Tx) error {
		for i := range c.events {
			parked, ok := c.park[c.events[i].Position]
			if !ok {
				if err := w.applyOne(ctx, tx, &c.events[i]); err != nil {
					return err
				}
				continue
			}
			if err := setState(tx, parkedName(w.def.Name, w.view.Generation, parked.Position), parked); err != nil {
				return err
			}
		}
		if w.owners != nil {
			if err := w.owners.note(tx); err != nil {
				return err
			}
		}
		return setState(tx, w.state, &next)
	})
	if w.owners != nil {
		w.owners.settle(err == nil)
	}
	if err != nil {
		return err
	}
	w.progress = next
	w.at("after a commit")
	return nil
}

// applyOne calls Apply. Its errors and panics become an [*Error]; the end of ctx does
// not, and neither does a failure of the store: it is not the event that is to be put
// aside then.
func (w *writer) applyOne(ctx context.Context, tx *eventstream.Tx, ev *eventstream.Event) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := w.callApply(ctx, tx, ev)
	if err == nil {
		err = tx.Err() // Apply did not look at it
	}
	failed := tx.ReadErr()
	if unread, ok := errors.AsType[*unreadError](err); ok && failed == nil {
		failed = unread.err
	}
	switch {
	case ctx.Err() != nil && err != nil:
		return ctx.Err()
	case failed != nil:
		return fmt.Errorf("projection %q: the store could not be read for the event at position %d: %w", w.def.Name, ev.Position, failed)
	case err != nil:
		return newError(w.def.Name, ev, err)
	default:
		return nil
	}
}

// callApply calls Apply and catches its panics.
func (w *writer) callApply(ctx context.Context, tx *eventstream.Tx, ev *eventstream.Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return w.def.Apply(ctx, tx, *ev)
}

// unreadError is an event that Apply needed from the log and did not get: not the fault
// of the one that it was to apply.
type unreadError struct{ err error }

func (e *unreadError) Error() string { return e.err.Error() }

func (e *unreadError) Unwrap() error { return e.err }

// note stores that applying failed.
func (w *writer) note(failure error) error {
	next := w.progress
	next.Failures++
	next.LastError, next.LastErrorAt = failure.Error(), w.now().UnixNano()
	err := w.tenant.Derive(eventstream.Derivation{View: w.view, Guard: w.guard}, func(tx *eventstream.Tx) error {
		return setState(tx, w.state, &next)
	})
	w.progress = next // also if it was not stored: the next commit does
	return err
}

// setState stores v as MessagePack.
func setState(tx *eventstream.Tx, name string, v any) error {
	state, err := pack(v)
	if err != nil {
		return err
	}
	return tx.SetState(name, state)
}

// batchBytes bounds the payloads of a batch, about.
const batchBytes = 4 << 20

// readBatches reads what a projection takes of the log, behind after up to head, and has
// it applied in batches that end with a commit of the log, of about most events, fewer if
// they are large. The events are valid until apply returns.
func (d *Definition) readBatches(ctx context.Context, tenant *eventstream.Tenant, after, head eventstream.Position, most int, apply func(events []eventstream.Event, until eventstream.Position) error) error {
	var (
		events []eventstream.Event
		bytes  int
	)
	opts := append(d.reads(), eventstream.After(after), eventstream.Until(head))
	for ev, err := range tenant.ReadAll(ctx, opts...) {
		if err != nil {
			return err
		}
		if n := len(events); (n >= most || bytes >= batchBytes) && events[n-1].CommitPosition() != ev.CommitPosition() {
			after = endOfCommit(&events[n-1])
			if err := apply(events, after); err != nil {
				return err
			}
			events, bytes = events[:0], 0
		}
		events = append(events, ev)
		bytes += len(ev.Data)
	}
	if after >= head && len(events) == 0 {
		return nil
	}
	return apply(events, head)
}

// endOfCommit returns the last position of the append that wrote ev.
func endOfCommit(ev *eventstream.Event) eventstream.Position {
	return ev.CommitPosition() + eventstream.Position(ev.CommitSize) - 1
}

// applyBatch commits events and the checkpoint until. If one fails, everything before its
// commit of the log is committed without it.
func applyBatch(events []eventstream.Event, until eventstream.Position, commit func(change) error) error {
	err := commit(change{events: events, until: until})
	var failed *Error
	if !errors.As(err, &failed) {
		return err
	}
	if sound := before(events, failed.commit); len(sound) > 0 {
		if err := applyBatch(sound, failed.commit-1, commit); err != nil {
			return err // it did not fail the first time
		}
	}
	return err
}

// before returns the events before position.
func before(events []eventstream.Event, position eventstream.Position) []eventstream.Event {
	n := 0
	for n < len(events) && events[n].Position < position {
		n++
	}
	return events[:n]
}

// parkCommit commits the commit of the log in which an event fails, without that event.
// Others of it that fail as well are parked with it, since nobody would come back to
// them.
func parkCommit(events []eventstream.Event, failure *Error, attempts int, now time.Time, commit func(change) error) error {
	end := failure.commit + eventstream.Position(failure.size) - 1
	parked := map[eventstream.Position]ParkedEvent{}
	for {
		parked[failure.Position] = ParkedEvent{
			Position: failure.Position, EventID: failure.EventID, Stream: failure.Stream, Version: failure.Version, Type: failure.Type,
			Error: failure.Err.Error(), Attempts: attempts, ParkedAt: now.UTC(),
		}
		err := commit(change{events: events, until: end, park: parked})
		if !errors.As(err, &failure) {
			return err
		}
		attempts = 1
	}
}
