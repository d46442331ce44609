package projection

import (
	"context"
	"time"

	"github.com/nexus-erp/eventstream"
)

// What a projection is doing.
const (
	StatusIdle     = "idle"     // the engine does not run
	StatusWaiting  = "waiting"  // somebody else holds the lease
	StatusRunning  = "running"  // it is at the head, or on its way
	StatusRetrying = "retrying" // it stands at an event that it cannot apply
	StatusPaused   = "paused"
	StatusHalted   = "halted"
	StatusOutdated = "outdated" // the view was built by another version: rebuild it
)

// Status is how a projection stands.
type Status struct {
	Name       string
	Status     string // one of the Status constants
	Generation uint64 // the one that readers see
	Version    uint64 // of the definition that built it
	Retired    uint64 // the generation that SwitchBack goes back to; 0 if there is none
	Checkpoint eventstream.Position
	Head       eventstream.Position
	// LagEvents is how many positions the view is behind the head, those of events that
	// it does not take included. 0 when it has caught up.
	LagEvents uint64
	// LagSeconds is the age of the oldest event that the view does not show yet, since it
	// was recorded. 0 when it has caught up.
	LagSeconds float64
	Processed  uint64
	Failures   uint64
	LastError  string
	Parked     int
	Lock       Holder         // who holds the lease; zero if nobody does
	UpdatedAt  time.Time      // of the last commit; zero if there was none
	Rebuild    *RebuildStatus // the rebuild that is not finished; nil if there is none
}

// RebuildStatus is how a rebuild stands that is not finished.
type RebuildStatus struct {
	Generation uint64
	// Running says that it is under way in this engine. Otherwise it was interrupted, and
	// goes on when Rebuild is called again.
	Running    bool
	Checkpoint eventstream.Position
	Processed  uint64
	Rate       float64 // events a second since Rebuild was called; 0 if it is not running
	Failures   uint64
	LastError  string
	Parked     int
	StartedAt  time.Time
}

// Status returns how a projection stands. It needs no running engine.
func (e *Engine) Status(ctx context.Context, name string) (Status, error) {
	r, err := e.runner(name)
	if err != nil {
		return Status{}, err
	}
	s := Status{Name: name, Head: e.db.Head()}
	err = e.tenant.ReadDerived(func(d *eventstream.DerivedReader) error { return r.describe(&s, d) })
	if err != nil {
		return Status{}, err
	}
	if s.Head > s.Checkpoint && !e.empty(s.Head) {
		s.LagEvents = uint64(s.Head - s.Checkpoint)
		for ev, err := range e.tenant.ReadAll(ctx, eventstream.After(s.Checkpoint), eventstream.Limit(1)) {
			if err != nil {
				return Status{}, err
			}
			s.LagSeconds = max(e.db.Now().Sub(ev.RecordedAt).Seconds(), 0)
		}
	}
	s.Lock, _, err = e.locker.Holder(name)
	return s, err
}

// describe fills in what is stored, and what the runner does.
func (r *runner) describe(s *Status, d *eventstream.DerivedReader) error {
	set, err := stored(d.State).settings(s.Name)
	if err != nil {
		return err
	}
	p, err := stored(d.State).progress(s.Name, set.Live)
	if err != nil {
		return err
	}
	p.begin(&r.def)
	s.Generation, s.Retired, s.Version = set.Live, set.Retired, p.Version
	s.Checkpoint, s.Processed, s.Failures, s.LastError, s.UpdatedAt = eventstream.Position(p.Checkpoint), p.Processed, p.Failures, p.LastError, p.updated()
	if s.Parked, err = countStates(d, parkedPrefix(s.Name, set.Live)); err != nil {
		return err
	}
	r.mu.Lock()
	s.Status = r.state
	r.mu.Unlock()
	switch {
	case set.Halted != "":
		s.Status = StatusHalted
	case set.Paused:
		s.Status = StatusPaused
	case !p.builtBy(&r.def):
		s.Status = StatusOutdated
	}
	return r.describeRebuild(s, d)
}

func (r *runner) describeRebuild(s *Status, d *eventstream.DerivedReader) error {
	var record rebuild
	left, err := stored(d.State).read(rebuildName(s.Name), &record)
	if err != nil || !left {
		return err
	}
	p, err := stored(d.State).progress(s.Name, record.Generation)
	if err != nil {
		return err
	}
	if record.Parts > 1 {
		states, err := d.States(partPrefix(s.Name, record.Generation))
		if err != nil {
			return err
		}
		parts := make([]progress, len(states))
		for i, state := range states {
			if err := unpack(state.Name, state.State, &parts[i]); err != nil {
				return err
			}
		}
		p = joined(parts)
	}
	b := &RebuildStatus{
		Generation: record.Generation, Checkpoint: eventstream.Position(p.Checkpoint), Processed: p.Processed,
		Failures: p.Failures, LastError: p.LastError, StartedAt: time.Unix(0, record.StartedAt).UTC(),
	}
	if b.Parked, err = countStates(d, parkedPrefix(s.Name, record.Generation)); err != nil {
		return err
	}
	r.mu.Lock()
	if j := r.job; j != nil && j.generation == record.Generation {
		b.Running, b.Rate = true, j.rateLocked()
	}
	r.mu.Unlock()
	s.Rebuild = b
	return nil
}

func countStates(d *eventstream.DerivedReader, prefix string) (int, error) {
	states, err := d.States(prefix)
	return len(states), err
}

// Names returns the names of all registered projections, sorted.
func (e *Engine) Names() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var names []string
	for _, r := range e.sortedLocked() {
		names = append(names, r.def.Name)
	}
	return names
}

// Pause makes a projection stand still until it is resumed, also after a restart.
func (e *Engine) Pause(name string) error {
	r, err := e.runner(name)
	if err != nil {
		return err
	}
	return r.changeSettings(func(s *settings) { s.Paused = true })
}

// Resume lets a projection go on that was paused or halted.
func (e *Engine) Resume(name string) error {
	r, err := e.runner(name)
	if err != nil {
		return err
	}
	return r.changeSettings(func(s *settings) { s.Paused, s.Halted = false, "" })
}
