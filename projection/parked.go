package projection

import (
	"context"
	"errors"
	"fmt"

	"github.com/nexus-erp/eventstream"
)

// Parked returns the events that are put aside in a projection's live view, by position.
func (e *Engine) Parked(name string) (parked []ParkedEvent, err error) {
	if _, err := e.runner(name); err != nil {
		return nil, err
	}
	err = e.tenant.ReadDerived(func(d *eventstream.DerivedReader) error {
		set, err := stored(d.State).settings(name)
		if err != nil {
			return err
		}
		states, err := d.States(parkedPrefix(name, set.Live))
		if err != nil {
			return err
		}
		for _, state := range states {
			var p ParkedEvent
			if err := unpack(state.Name, state.State, &p); err != nil {
				return err
			}
			parked = append(parked, p)
		}
		return nil
	})
	return parked, err
}

// ApplyParked applies an event that is parked in the live view, and takes it off the
// list: behind those that were applied meanwhile, or, if the history of records is kept
// ([Keyed.AsOf]), in its own place before them. If it fails again it stays, with the new
// error. by and reason go to the audit records.
func (e *Engine) ApplyParked(ctx context.Context, name string, position eventstream.Position, by, reason string) error {
	r, err := e.runner(name)
	if err != nil {
		return err
	}
	event, err := e.tenant.EventAt(ctx, position)
	if err != nil {
		return err
	}
	var generation uint64
	err = r.settle(position, AuditRecord{Action: "applied", By: by, Reason: reason}, func(w *writer, tx *eventstream.Tx) error {
		generation = w.view.Generation
		if !w.progress.builtBy(&r.def) {
			return w.progress.outdated(&r.def)
		}
		return w.applyOne(ctx, tx, &event)
	})
	var failed *Error
	if errors.As(err, &failed) {
		return errors.Join(err, r.noteParked(generation, position, failed))
	}
	return err
}

// DropParked takes a parked event off the list: the view never shows it. by and reason
// go to the audit records.
func (e *Engine) DropParked(name string, position eventstream.Position, by, reason string) error {
	r, err := e.runner(name)
	if err != nil {
		return err
	}
	return r.settle(position, AuditRecord{Action: "dropped", By: by, Reason: reason}, func(*writer, *eventstream.Tx) error { return nil })
}

// Audit returns what was done about parked events, oldest first.
func (e *Engine) Audit(name string) ([]AuditRecord, error) {
	if _, err := e.runner(name); err != nil {
		return nil, err
	}
	var records []AuditRecord
	for state, err := range e.tenant.DerivedStates(auditPrefix(name)) {
		if err != nil {
			return nil, err
		}
		var record AuditRecord
		if err := unpack(state.Name, state.State, &record); err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	return records, nil
}

// settle takes an event that is parked in the live view off the list and writes the audit
// record, with what apply does, in one durable commit.
func (r *runner) settle(position eventstream.Position, record AuditRecord, apply func(*writer, *eventstream.Tx) error) error {
	lease, err := r.takeLease(context.Background())
	if err != nil {
		return err
	}
	defer r.dropLease(lease)
	r.commit.Lock()
	defer r.commit.Unlock()
	r.mu.Lock()
	w := r.writer(r.set.Live, r.live, r.checkLease)
	r.mu.Unlock()
	name := parkedName(r.def.Name, w.view.Generation, position)
	state, err := r.e.tenant.DerivedState(name)
	if err != nil {
		return err
	}
	if state == nil {
		return fmt.Errorf("%w: projection %q, position %d", ErrNotParked, r.def.Name, position)
	}
	record.At, record.Position = r.e.db.Now().UTC(), position
	return r.e.tenant.Derive(eventstream.Derivation{View: w.view, Durable: true, Guard: w.guard}, func(tx *eventstream.Tx) error {
		if err := apply(w, tx); err != nil {
			return err
		}
		if err := tx.SetState(name, nil); err != nil {
			return err
		}
		return setState(tx, fmt.Sprintf("%s%020d-%020d", auditPrefix(r.def.Name), record.At.UnixNano(), uint64(position)), record)
	})
}

// noteParked notes that another attempt at a parked event failed.
func (r *runner) noteParked(generation uint64, position eventstream.Position, failure *Error) error {
	name := parkedName(r.def.Name, generation, position)
	old, err := r.e.tenant.DerivedState(name)
	if err != nil || old == nil {
		return err
	}
	var p ParkedEvent
	if err := unpack(name, old, &p); err != nil {
		return err
	}
	p.Attempts++
	p.Error = failure.Err.Error()
	state, err := pack(p)
	if err != nil {
		return err
	}
	_, err = r.e.tenant.SwapState(name, old, state)
	return err
}
