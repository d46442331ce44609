package projection

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nexus-erp/eventstream"
)

// job makes, replaces or drops generations of a projection: a rebuild, a switch back, a
// reset. There is one at a time, under the projection's lease, beside the runner that
// keeps the live view at the head.
type job struct {
	r      *runner
	lease  Lease           // checked in each commit: the runner may hold another one by now
	ctx    context.Context // ends with the caller's, or when the lease is lost
	cancel context.CancelCauseFunc
	beats  sync.WaitGroup // the goroutine that renews the lease
	began  time.Time

	// What Status shows; r.mu guards it.
	beat       time.Time // of the last commit
	generation uint64    // that a rebuild works on; 0 if it does not yet, or this is none
	done       uint64    // events that took effect since it began
}

// withJob lets do change the generations of the projection named name.
func (e *Engine) withJob(ctx context.Context, name string, do func(*job) error) (err error) {
	r, err := e.runner(name)
	if err != nil {
		return err
	}
	j, err := r.beginJob(ctx)
	if err != nil {
		return err
	}
	defer j.end(&err)
	return do(j)
}

// beginJob acquires the right to change the projection's generations. It fails with a
// [*LockedError] if another engine holds the projection's lease, or a job is under way.
func (r *runner) beginJob(ctx context.Context) (*job, error) {
	lease, err := r.takeLease(ctx)
	if err != nil {
		return nil, err
	}
	now := r.e.db.Now()
	j := &job{r: r, lease: lease, began: now, beat: now}
	r.mu.Lock()
	other := r.job
	if other != nil {
		err = &LockedError{Name: r.def.Name, Owner: r.e.owner, Age: now.Sub(other.began), Idle: now.Sub(other.beat)}
	} else {
		r.job = j
	}
	r.mu.Unlock()
	if err != nil {
		r.dropLease(lease)
		return nil, err
	}
	j.ctx, j.cancel = context.WithCancelCause(ctx)
	j.beats.Go(j.keepLease)
	return j, nil
}

// end gives the right up. An error of the job's own ctx becomes why that ended.
func (j *job) end(err *error) {
	if cause := context.Cause(j.ctx); cause != nil && errors.Is(*err, j.ctx.Err()) {
		*err = cause
	}
	j.cancel(nil)
	j.beats.Wait()
	j.r.show(func() { j.r.job = nil })
	j.r.dropLease(j.lease)
}

// keepLease renews the lease while something takes long that commits nothing, and ends
// the job if it is lost.
func (j *job) keepLease() {
	ticker := time.NewTicker(j.r.heartbeat())
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-j.ctx.Done():
			return
		}
		err := j.r.renew(j.ctx)
		if err == nil {
			err = j.lease.Check()
		}
		if errors.Is(err, ErrLeaseLost) {
			j.cancel(err)
			return
		}
	}
}

// writer returns a writer of a generation as it is stored.
func (j *job) writer(generation uint64) (*writer, error) {
	p, err := stored(j.r.e.tenant.DerivedState).progress(j.r.def.Name, generation)
	p.begin(&j.r.def)
	return j.r.writer(generation, p, j.lease.Check), err
}

// catchUp applies to w what the projection reads up to head. An event that fails is
// tried again, parked, or ends the job, by the projection's policy.
func (j *job) catchUp(w *writer, head eventstream.Position, told func()) error {
	return j.r.def.readBatches(j.ctx, j.r.e.tenant, w.checkpoint(), head, j.r.def.BatchEvents, func(events []eventstream.Event, until eventstream.Position) error {
		return j.apply(j.ctx, w, events, until, told)
	})
}

// apply commits events and the checkpoint until to w, and calls told after each commit.
func (j *job) apply(ctx context.Context, w *writer, events []eventstream.Event, until eventstream.Position, told func()) error {
	commit := func(c change) error {
		processed := w.progress.Processed
		if err := w.commit(ctx, c); err != nil {
			return err
		}
		j.r.show(func() {
			j.beat = j.r.e.db.Now()
			j.done += w.progress.Processed - processed
		})
		told()
		return nil
	}
	var failing tries
	for len(events) > 0 || w.checkpoint() < until {
		err := applyBatch(events, until, commit)
		var failure *Error
		if !errors.As(err, &failure) {
			return err
		}
		events = events[len(before(events, failure.commit)):]
		attempts := failing.count(failure.Position)
		if err := w.note(err); err != nil {
			return err
		}
		told()
		if err := w.owners.check(w); err != nil { // what it fails on may be what another part wrote
			return err
		}
		switch {
		case j.r.def.OnFailure == Retry || attempts < j.r.def.Attempts:
			err = j.r.pause(ctx, attempts)
		case j.r.def.OnFailure == Halt:
			return fmt.Errorf("generation %d stands still: %w", w.view.Generation, err)
		default:
			whole := before(events, endOfCommit(&events[0])+1)
			err = parkCommit(whole, failure, attempts, j.r.e.db.Now(), commit)
			events = events[len(whole):]
		}
		if err != nil {
			return err
		}
	}
	return nil
}
