package projection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nexus-erp/eventstream"
)

// takeOver brings w to where the live view is, and makes it the live one.
func (j *job) takeOver(w *writer, told func()) error {
	for {
		if err := j.approach(w, told); err != nil {
			return err
		}
		err := j.takeOverNow(w)
		var failure *Error
		if !errors.As(err, &failure) {
			return err
		}
		// An event failed that the live view passed meanwhile: it is treated by policy, while
		// the live view goes on.
	}
}

// takeOverNow does it while the live view stands still.
func (j *job) takeOverNow(w *writer) error {
	r := j.r
	r.commit.Lock()
	defer r.commit.Unlock()
	if err := j.reach(w); err != nil {
		return err
	}
	old, generation := r.place().generation, w.view.Generation
	retired, err := r.storedRetired()
	if err != nil {
		return err
	}
	var drop []eventstream.ViewID
	if retired != 0 && retired != generation {
		drop = []eventstream.ViewID{r.viewOf(retired)}
	}
	next, err := r.commitSettings(eventstream.Derivation{View: w.view, Guard: j.lease.Check, Clear: drop}, func(s *settings) error {
		s.Live, s.Retired, s.Halted = generation, old, ""
		return nil
	}, func(tx *eventstream.Tx, _ settings) error {
		if drop != nil {
			if err := r.dropStates(tx, retired); err != nil {
				return err
			}
		}
		return j.endRebuild(tx, generation)
	})
	if err != nil {
		return err
	}
	r.moved(next, w.progress)
	r.e.log.Info("another generation is live", slog.String("projection", r.def.Name), slog.Uint64("generation", generation), slog.Uint64("checkpoint", w.progress.Checkpoint))
	return nil
}

// storedRetired returns the generation that was live before. Whoever holds the lease is
// the only one to change it.
func (r *runner) storedRetired() (uint64, error) {
	_, s, err := r.storedSettings()
	return s.Retired, err
}

// endRebuild removes the record of the rebuild that made a generation.
func (j *job) endRebuild(tx *eventstream.Tx, generation uint64) error {
	var record rebuild
	name := rebuildName(j.r.def.Name)
	left, err := stored(j.r.e.tenant.DerivedState).read(name, &record)
	if err != nil || !left || record.Generation != generation {
		return err
	}
	return tx.SetState(name, nil)
}

// moved shows another live view, and ends the runner's wait for events behind the old
// one.
func (r *runner) moved(set settings, live progress) {
	r.show(func() {
		r.set, r.live, r.attempts, r.failing = set, live, 0, tries{}
		if r.interrupt != nil {
			r.interrupt()
		}
	})
}

// SwitchBack puts the view that was live before the last switch back in its place: it
// catches up from its own checkpoint, and one durable commit makes it the live one. The
// other is kept, so that a second call undoes the first. What [Engine.Rebuild] says of
// events that fail, of readers and of errors holds here too.
//
// It fails with [ErrNoRetired] if there is none, and with [ErrOutdated] if it was built
// by another version of the definition than the one that is registered.
func (e *Engine) SwitchBack(ctx context.Context, name string) error {
	return e.withJob(ctx, name, (*job).switchBack)
}

func (j *job) switchBack() error {
	generation, err := j.r.storedRetired()
	if err != nil {
		return err
	}
	if generation == 0 {
		return fmt.Errorf("%w: projection %q", ErrNoRetired, j.r.def.Name)
	}
	w, err := j.writer(generation)
	if err != nil {
		return err
	}
	if !w.progress.builtBy(&j.r.def) {
		return w.progress.outdated(&j.r.def)
	}
	return j.takeOver(w, func() {})
}

// Drop removes a generation that is not live: the one that [Engine.SwitchBack] would go
// back to, or that of an unfinished rebuild. [Engine.Status] names both. It fails with an
// [*eventstream.ArgumentError] for another, and with a [*LockedError] as
// [Engine.Rebuild] does.
func (e *Engine) Drop(ctx context.Context, name string, generation uint64) error {
	return e.withJob(ctx, name, func(j *job) error { return j.drop(generation) })
}

func (j *job) drop(generation uint64) error {
	r := j.r
	var record rebuild
	if _, err := stored(r.e.tenant.DerivedState).read(rebuildName(r.def.Name), &record); err != nil {
		return err
	}
	set, err := r.commitSettings(eventstream.Derivation{View: r.viewOf(1), Guard: j.lease.Check, Clear: []eventstream.ViewID{r.viewOf(max(generation, 1))}}, func(s *settings) error {
		switch {
		case generation != 0 && generation == s.Retired:
			s.Retired = 0
			return nil
		case generation != 0 && generation == record.Generation:
			return nil
		case generation == s.Live:
			return argument("generation", "%d is the live one of projection %q: Reset drops it", generation, r.def.Name)
		default:
			return argument("generation", "projection %q has no generation %d that can be dropped", r.def.Name, generation)
		}
	}, func(tx *eventstream.Tx, _ settings) error {
		return errors.Join(r.dropStates(tx, generation), j.endRebuild(tx, generation))
	})
	if err != nil {
		return err
	}
	r.show(func() { r.set = set })
	return nil
}

// Reset drops all generations of a projection, with the events parked in them, and
// begins an empty one, which readers see at once and which catches up as a new
// projection does. A halt ends with it, a pause stays, and so do the audit records. It
// fails with a [*LockedError] as [Engine.Rebuild] does, which is to be preferred: it
// leaves readers with a view.
func (e *Engine) Reset(ctx context.Context, name string) error {
	return e.withJob(ctx, name, (*job).reset)
}

func (j *job) reset() error {
	r := j.r
	r.commit.Lock()
	defer r.commit.Unlock()
	_, old, err := r.storedSettings()
	if err != nil {
		return err
	}
	var record rebuild
	if _, err := stored(r.e.tenant.DerivedState).read(rebuildName(r.def.Name), &record); err != nil {
		return err
	}
	d := eventstream.Derivation{View: r.viewOf(1), Guard: j.lease.Check}
	var dropped []uint64
	for _, generation := range []uint64{old.Live, old.Retired, record.Generation} {
		if generation != 0 {
			dropped = append(dropped, generation)
			d.Clear = append(d.Clear, r.viewOf(generation))
		}
	}
	var live progress
	live.begin(&r.def)
	set, err := r.commitSettings(d, func(s *settings) error {
		s.Newest++
		s.Live, s.Retired, s.Halted = s.Newest, 0, ""
		return nil
	}, func(tx *eventstream.Tx, s settings) error {
		for _, generation := range dropped {
			if err := errors.Join(r.dropStates(tx, generation), j.endRebuild(tx, generation)); err != nil {
				return err
			}
		}
		return setState(tx, progressName(r.def.Name, s.Live), &live)
	})
	if err != nil {
		return err
	}
	r.moved(set, live)
	return nil
}
