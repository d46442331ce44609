package projection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nexus-erp/eventstream"
)

// runner runs one projection.
type runner struct {
	e   *Engine
	def Definition

	// commit is held by whoever writes the live view, or puts another in its place: the
	// runner itself, a job, somebody who applies a parked event.
	commit sync.Mutex

	leasing sync.Mutex // held while the lease is acquired or released

	mu       sync.Mutex
	loaded   bool
	set      settings
	live     progress
	state    string        // what Status shows while it runs
	changed  chan struct{} // closed when any of it changes
	attempts int           // that failed one after the other, whatever it was that failed
	failing  tries         // at an event
	lease    Lease         // nil: not held
	users    int           // of the lease
	renewed  time.Time     // when the lease was acquired or renewed
	job      *job          // that makes or replaces generations; nil: none

	interrupt context.CancelFunc // ends the runner's wait for events; nil: it does not wait
}

func newRunner(e *Engine, d Definition) *runner {
	if d.asOf() {
		d.Apply = (&historian{keyed: d.Keyed, eventAt: e.tenant.EventAt}).apply
	}
	return &runner{e: e, def: d, state: StatusIdle, changed: make(chan struct{})}
}

// load reads what is stored, once.
func (r *runner) load() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.loaded {
		return nil
	}
	from := stored(r.e.tenant.DerivedState)
	set, err := from.settings(r.def.Name)
	if err != nil {
		return err
	}
	live, err := from.progress(r.def.Name, set.Live)
	if err != nil {
		return err
	}
	live.begin(&r.def)
	r.set, r.live, r.loaded = set, live, true
	return nil
}

// show replaces what others see of the runner.
func (r *runner) show(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
	close(r.changed)
	r.changed = make(chan struct{})
}

// setState shows what the runner does.
func (r *runner) setState(state string) {
	r.mu.Lock()
	same := r.state == state
	r.mu.Unlock()
	if !same {
		r.show(func() { r.state = state })
	}
}

// run brings the view up to the head and keeps it there, until ctx ends or the store
// fails.
func (r *runner) run(ctx context.Context) error {
	defer r.show(func() { r.state = StatusIdle })
	for {
		lease, err := r.holdLease(ctx)
		if err != nil {
			return err
		}
		err = r.runHolding(ctx)
		r.dropLease(lease)
		if err != nil {
			return err
		}
	}
}

// runHolding runs as long as the lease is held. It returns nil when it was lost.
func (r *runner) runHolding(ctx context.Context) error {
	for r.holds() {
		if err := r.awaitAllowed(ctx); err != nil {
			return err
		}
		r.setState(StatusRunning)
		at := r.place()
		head, err := r.awaitEvents(ctx, at)
		if err != nil {
			return err
		}
		if head == 0 {
			continue // the lease was lost, or the view is another one
		}
		if err := r.catchUp(ctx, &at, head); err != nil {
			if err := r.failed(ctx, at, err); err != nil {
				return err
			}
		}
	}
	return nil
}

// ends reports whether err ends the engine: the store does not go on, or nobody wants
// it to.
func ends(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, eventstream.ErrClosed) || errors.Is(err, eventstream.ErrPoisoned)
}

// stoppedLocked reports why the projection is to stand still, or "".
//
// REQUIRES: r.mu is held.
func (r *runner) stoppedLocked() string {
	switch {
	case r.set.Halted != "":
		return StatusHalted
	case r.set.Paused:
		return StatusPaused
	case !r.live.builtBy(&r.def):
		return StatusOutdated
	default:
		return ""
	}
}

// awaitAllowed waits while the projection is paused, halted or outdated.
func (r *runner) awaitAllowed(ctx context.Context) error {
	for {
		r.mu.Lock()
		stopped, changed := r.stoppedLocked() != "", r.changed
		r.mu.Unlock()
		if !stopped || !r.holds() {
			return nil
		}
		r.e.at("while it stands still")
		if err := r.waitHolding(ctx, changed); err != nil {
			return err
		}
	}
}

// place is where the live view stands.
type place struct {
	generation uint64
	checkpoint eventstream.Position
}

func (r *runner) place() place {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.placeLocked()
}

func (r *runner) placeLocked() place {
	return place{r.set.Live, eventstream.Position(r.live.Checkpoint)}
}

// errMoved is work on a live view that stands elsewhere by now: another generation took
// its place, or it is to stand still. What was read for it is read again.
var errMoved = errors.New("projection: the live view was changed meanwhile")

// writer returns a writer of a generation.
func (r *runner) writer(generation uint64, p progress, guard func() error) *writer {
	return &writer{
		def: &r.def, tenant: r.e.tenant, now: r.e.db.Now, at: r.e.at, view: r.viewOf(generation), state: progressName(r.def.Name, generation),
		guard: guard, progress: p,
	}
}

// writeLive has write work on the live view, which stands at at, and shows the progress
// that it makes.
func (r *runner) writeLive(at *place, write func(*writer) error) error {
	r.e.at("before the live view")
	r.commit.Lock()
	defer r.commit.Unlock()
	r.mu.Lock()
	moved := r.placeLocked() != *at || r.stoppedLocked() != ""
	w := r.writer(r.set.Live, r.live, r.checkLease)
	r.mu.Unlock()
	if moved {
		return errMoved
	}
	err := write(w)
	r.show(func() {
		r.live = w.progress
		if w.checkpoint() != at.checkpoint {
			r.attempts, r.failing = 0, tries{}
		}
	})
	at.checkpoint = w.checkpoint()
	return err
}

// commitLive commits a change of the live view.
func (r *runner) commitLive(ctx context.Context, at *place, c change) error {
	if err := r.writeLive(at, func(w *writer) error { return w.commit(ctx, c) }); err != nil {
		return err
	}
	return r.renew(ctx)
}

// catchUp applies the events behind at up to head, in batches of whole commits. It
// returns an [*Error] for an event that Apply cannot take; what comes before its commit
// is applied.
func (r *runner) catchUp(ctx context.Context, at *place, head eventstream.Position) error {
	commit := func(c change) error { return r.commitLive(ctx, at, c) }
	return r.def.readBatches(ctx, r.e.tenant, at.checkpoint, head, r.def.BatchEvents, func(events []eventstream.Event, until eventstream.Position) error {
		return applyBatch(events, until, commit)
	})
}

// failed notes the failure, and waits, parks or halts. It returns an error that ends the
// engine.
func (r *runner) failed(ctx context.Context, at place, err error) error {
	switch {
	case ends(ctx, err):
		return err
	case errors.Is(err, errMoved):
		return nil
	case errors.Is(err, ErrLeaseLost):
		r.lostLease(err)
		return nil
	}
	var failure *Error
	isEvent := errors.As(err, &failure) // else the store itself failed: reading it, or writing the view
	r.mu.Lock()
	r.attempts++
	attempts, tried := r.attempts, 0
	if isEvent {
		tried = r.failing.count(failure.Position)
	}
	r.mu.Unlock()
	r.e.log.Warn("a projection failed", slog.String("projection", r.def.Name), slog.Int("attempt", attempts), slog.Any("error", err))
	noted := r.writeLive(&at, func(w *writer) error {
		r.setState(StatusRetrying)
		return w.note(err)
	})
	switch {
	case errors.Is(noted, errMoved):
		return nil
	case noted != nil && ends(ctx, noted):
		return noted
	}
	if isEvent && r.def.OnFailure != Retry && tried >= r.def.Attempts {
		settled := r.settleFailure(ctx, at, failure, tried)
		if settled == nil || errors.Is(settled, errMoved) {
			return nil
		}
		if ends(ctx, settled) {
			return settled
		}
	}
	return r.pause(ctx, attempts)
}

// tries counts the attempts at the event that fails. Others do not count: neither those
// at an event of the same commit nor those that the store itself failed.
type tries struct {
	at   eventstream.Position
	made int
}

// count counts one more at the event at position at.
func (t *tries) count(at eventstream.Position) int {
	if t.at != at {
		*t = tries{at: at}
	}
	t.made++
	return t.made
}

// settleFailure parks the event or halts the projection.
func (r *runner) settleFailure(ctx context.Context, at place, failure *Error, attempts int) error {
	if r.def.OnFailure == Park {
		return r.park(ctx, at, failure, attempts)
	}
	return r.writeLive(&at, func(*writer) error { // no other generation takes its place meanwhile
		return r.changeSettings(func(s *settings) { s.Halted = failure.Error() })
	})
}

// pause waits before the next attempt: twice as long after each.
func (r *runner) pause(ctx context.Context, attempts int) error {
	pause := r.def.Backoff
	for range attempts - 1 {
		if pause *= 2; pause >= mostBackoff {
			pause = mostBackoff
			break
		}
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// park applies the commit of the event that fails without it.
func (r *runner) park(ctx context.Context, at place, failure *Error, attempts int) error {
	var events []eventstream.Event
	opts := append(r.def.reads(), eventstream.After(failure.commit-1), eventstream.Until(failure.commit+eventstream.Position(failure.size)-1))
	for ev, err := range r.e.tenant.ReadAll(ctx, opts...) {
		if err != nil {
			return err
		}
		events = append(events, ev)
	}
	return parkCommit(events, failure, attempts, r.e.db.Now(), func(c change) error { return r.commitLive(ctx, &at, c) })
}

// lookAgain is how often somebody who waits for a projection looks whether another
// engine has brought it on.
const lookAgain = 20 * time.Millisecond

// waitFor waits until the checkpoint reaches position.
func (r *runner) waitFor(ctx context.Context, position eventstream.Position) error {
	for {
		if err := r.look(); err != nil {
			return err
		}
		r.mu.Lock()
		reached, err := r.placeLocked().checkpoint >= position, r.whyStoppedLocked()
		changed, told := r.changed, r.lease != nil
		r.mu.Unlock()
		if reached || r.e.empty(position) {
			return nil
		}
		if err != nil {
			return err
		}
		if r.e.empty(0) {
			told = false // nothing is written that would tell
		}
		if err := await(ctx, changed, told); err != nil {
			return err
		}
	}
}

// await waits until changed is closed; if that is not told here, no longer than until it
// is time to look again.
func await(ctx context.Context, changed <-chan struct{}, told bool) error {
	var again <-chan time.Time
	if !told {
		timer := time.NewTimer(lookAgain)
		defer timer.Stop()
		again = timer.C
	}
	select {
	case <-changed:
	case <-again:
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// look reads what is stored again, unless whoever writes it tells.
func (r *runner) look() error {
	r.leasing.Lock() // whoever acquires the lease reads it as well
	defer r.leasing.Unlock()
	if !r.holds() {
		r.mu.Lock()
		r.loaded = false
		r.mu.Unlock()
	}
	return r.load()
}

// whyStoppedLocked returns why the live view will not come on without somebody's help,
// or nil.
//
// REQUIRES: r.mu is held.
func (r *runner) whyStoppedLocked() error {
	if r.job != nil { // another generation may take its place
		return nil
	}
	switch r.stoppedLocked() {
	case StatusHalted:
		return fmt.Errorf("%w: %s", ErrHalted, r.set.Halted)
	case StatusOutdated:
		return r.live.outdated(&r.def)
	default:
		return nil
	}
}
