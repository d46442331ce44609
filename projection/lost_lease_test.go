package projection_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/projection"
)

// tardyLocker tells of each lease that is acquired. Those who renew learn that the lease
// was lost once it was taken away by force, and a job only when it is told.
type tardyLocker struct {
	projection.Locker
	acquired      chan struct{}
	entered       chan struct{} // a job renews
	forced, tell  chan struct{} // closed when those who renew go on, and when the job does
	firstIsLeased bool
}

func (l *tardyLocker) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (projection.Lease, error) {
	lease, err := l.Locker.Acquire(ctx, name, owner, ttl)
	if err != nil {
		return nil, err
	}
	l.acquired <- struct{}{}
	if l.firstIsLeased {
		return lease, nil
	}
	l.firstIsLeased = true
	return &tardyLease{lease, l}, nil
}

type tardyLease struct {
	projection.Lease
	l *tardyLocker
}

func (t *tardyLease) Renew() error {
	stack := make([]byte, 1<<14)
	if bytes.Contains(stack[:runtime.Stack(stack, false)], []byte("keepLease")) {
		t.l.entered <- struct{}{}
		<-t.l.tell
	}
	<-t.l.forced
	return t.Lease.Renew()
}

// A job learns that its lease was lost when the runner has acquired another one: that one
// is not lost, and the projection goes on.
func TestALeaseThatWasLostTakesNoOtherWithIt(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	rng := rand.New(rand.NewPCG(81, 0))
	memory := projection.NewMemoryLocker(db.Clock.Now)
	l := &tardyLocker{
		Locker: memory, acquired: make(chan struct{}, 9), entered: make(chan struct{}, 9), forced: make(chan struct{}), tell: make(chan struct{}),
	}
	e := projection.New(db.DB, &projection.Options{Locker: l, LeaseTTL: 150 * time.Millisecond})
	register(t, e, projection.Definition{Name: "balances", Apply: balance})
	start(t, e)
	waitFor(t, e, "balances", enterMany(t, db.DB, rng, 3))
	<-l.acquired
	rebuilt, asked := make(chan error, 1), make(chan struct{})
	go func() {
		rebuilt <- e.Rebuild(context.Background(), "balances", projection.RebuildOptions{Verify: func(ctx context.Context, _, _ projection.View) error {
			close(asked)
			<-ctx.Done()
			return context.Cause(ctx)
		}})
	}()
	<-asked
	db.Clock.Advance(time.Minute) // to renew is due
	<-l.entered
	if err := memory.ForceRelease("balances", "ada", "it hangs"); err != nil {
		t.Fatal(err)
	}
	close(l.forced)
	<-l.acquired // by the runner
	close(l.tell)
	if err := <-rebuilt; !errors.Is(err, projection.ErrLeaseLost) {
		t.Errorf("the rebuild ended with %v, want that its lease was lost", err)
	}
	last := enterMany(t, db.DB, rng, 3)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := e.WaitFor(ctx, "balances", last); err != nil {
		t.Fatalf("the projection does not go on: %v", err)
	}
	sameSums(t, "at the end", sums(t, e, "balances"), fold(t, db.DB, last))
	if h, ok, err := memory.Holder("balances"); err != nil || !ok || h.Token != 2 {
		t.Errorf("the holder is %+v, %v, %v, want that of the second lease", h, ok, err)
	}
}
