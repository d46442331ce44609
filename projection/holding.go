package projection

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/keys"
)

// takeLease makes the caller one of those who use the runner's lease, and acquires it if
// nobody does. What was known of the view is read again then: somebody else may have
// written it.
func (r *runner) takeLease(ctx context.Context) (Lease, error) {
	r.leasing.Lock()
	defer r.leasing.Unlock()
	r.mu.Lock()
	lease := r.lease
	if lease != nil {
		r.users++
	}
	r.mu.Unlock()
	if lease != nil {
		return lease, nil
	}
	lease, err := r.e.locker.Acquire(ctx, r.def.Name, r.e.owner, r.e.ttl)
	if err != nil {
		return nil, err
	}
	r.show(func() { r.lease, r.users, r.renewed, r.loaded = lease, 1, r.e.db.Now(), false })
	if err := r.load(); err != nil { // what is stored cannot be read
		r.show(func() { r.lease, r.users = nil, 0 })
		return nil, errors.Join(err, lease.Release())
	}
	return lease, nil
}

// dropLease ends the caller's use of a lease. The last one releases it.
func (r *runner) dropLease(lease Lease) {
	r.leasing.Lock()
	defer r.leasing.Unlock()
	r.mu.Lock()
	last := false
	if r.lease == lease { // else it was lost
		r.users--
		last = r.users == 0
	}
	r.mu.Unlock()
	if !last {
		return
	}
	r.show(func() { r.lease = nil }) // from now on, who waits has to look
	if err := lease.Release(); err != nil && !errors.Is(err, eventstream.ErrClosed) {
		r.e.log.Warn("a lease was not released, and ends by itself", slog.String("projection", r.def.Name), slog.Any("error", err))
	}
}

// holdLease waits until the runner has the lease.
func (r *runner) holdLease(ctx context.Context) (Lease, error) {
	for {
		lease, err := r.takeLease(ctx)
		if err == nil || ends(ctx, err) {
			return lease, err
		}
		r.setState(StatusWaiting)
		if !errors.Is(err, ErrLocked) {
			r.e.log.Error("a lease cannot be acquired", slog.String("projection", r.def.Name), slog.Any("error", err))
		}
		timer := time.NewTimer(r.heartbeat())
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
	}
}

// holds reports whether the lease is held.
func (r *runner) holds() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lease != nil
}

// heartbeat is how often a lease is renewed.
func (r *runner) heartbeat() time.Duration { return r.e.ttl / 3 }

// checkLease is asked in the critical section of each commit.
func (r *runner) checkLease() error {
	r.mu.Lock()
	lease := r.lease
	r.mu.Unlock()
	if lease == nil {
		return ErrLeaseLost
	}
	return lease.Check()
}

// loseLease notes that somebody else took a lease. The runner may hold another one by
// now, which stays.
func (r *runner) loseLease(lease Lease, err error) {
	r.e.log.Warn("a lease was lost", slog.String("projection", r.def.Name), slog.Any("error", err))
	r.show(func() {
		if r.lease == lease {
			r.lease, r.users, r.loaded = nil, 0, false
		}
	})
}

// lostLease notes that a commit was refused since the lease was lost, if the runner does
// not hold another one by now.
func (r *runner) lostLease(err error) {
	r.mu.Lock()
	lease := r.lease
	r.mu.Unlock()
	if lease != nil && errors.Is(lease.Check(), ErrLeaseLost) {
		r.loseLease(lease, err)
	}
}

// awaitEvents waits for an event behind the place at which the live view stands, and
// returns the head, and renews the lease meanwhile. It returns 0 if the lease was lost,
// or the view stands elsewhere.
func (r *runner) awaitEvents(ctx context.Context, at place) (head eventstream.Position, err error) {
	for {
		beat, cancel := context.WithTimeout(ctx, r.heartbeat())
		r.mu.Lock()
		moved := r.placeLocked() != at
		r.interrupt = cancel
		r.mu.Unlock()
		if !moved {
			head, err = r.e.db.AwaitAbove(beat, at.checkpoint)
		}
		r.mu.Lock()
		r.interrupt = nil
		r.mu.Unlock()
		waited := beat.Err() != nil // long enough, or it was interrupted
		cancel()
		switch {
		case moved:
			return 0, nil
		case err == nil:
			return head, r.renew(ctx)
		case ctx.Err() != nil || !waited:
			return 0, err
		}
		if err := r.renew(ctx); err != nil {
			return 0, err
		}
		if r.checkLease() != nil {
			return 0, nil
		}
	}
}

// waitHolding waits until changed is closed, and renews the lease meanwhile. Its error ends
// the engine: ctx's, or that the store was closed or poisoned.
func (r *runner) waitHolding(ctx context.Context, changed <-chan struct{}) error {
	beat, cancel := context.WithTimeout(ctx, r.heartbeat())
	defer cancel()
	var err error
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, err = r.e.db.AwaitAbove(beat, keys.MaxPosition) // no event comes: an end does
	}()
	select {
	case <-changed:
		cancel()
		<-over
		return nil
	case <-over:
		if ctx.Err() == nil && beat.Err() != nil {
			return r.renew(ctx)
		}
		return err
	}
}

// renew renews the lease, if a third of its time has passed. It returns an error that
// ends the engine.
func (r *runner) renew(ctx context.Context) error {
	r.mu.Lock()
	lease, due := r.lease, !r.e.db.Now().Before(r.renewed.Add(r.heartbeat()))
	r.mu.Unlock()
	if lease == nil || !due {
		return nil
	}
	err := lease.Renew()
	switch {
	case err == nil:
		r.mu.Lock()
		r.renewed = r.e.db.Now()
		r.mu.Unlock()
	case errors.Is(err, ErrLeaseLost):
		r.loseLease(lease, err)
	case ends(ctx, err):
		return err
	default:
		r.e.log.Error("a lease was not renewed", slog.String("projection", r.def.Name), slog.Any("error", err))
	}
	return nil
}
