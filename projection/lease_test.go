package projection_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/projection"
)

// testLockers holds a driver to the rules of projection.Locker. Every driver must pass.
func testLockers(t *testing.T, open func(t *testing.T) (projection.Locker, *estest.Clock)) {
	const ttl = time.Minute
	ctx := context.Background()
	acquire := func(t *testing.T, l projection.Locker, owner string) projection.Lease {
		t.Helper()
		lease, err := l.Acquire(ctx, "balances", owner, ttl)
		if err != nil {
			t.Fatal(err)
		}
		return lease
	}
	t.Run("one holder at a time, who is named", func(t *testing.T) {
		l, clock := open(t)
		if _, ok, err := l.Holder("balances"); ok || err != nil {
			t.Fatalf("a lease that nobody took is held: %v, %v", ok, err)
		}
		acquire(t, l, "ada")
		clock.Advance(10 * time.Second)
		_, err := l.Acquire(ctx, "balances", "bob", ttl)
		var locked *projection.LockedError
		if !errors.Is(err, projection.ErrLocked) || !errors.As(err, &locked) || locked.Owner != "ada" || locked.Age != 10*time.Second || locked.Idle != 10*time.Second {
			t.Errorf("got %v (%+v)", err, locked)
		}
		h, ok, err := l.Holder("balances")
		if err != nil || !ok || h.Owner != "ada" || h.TTL != ttl || h.Zombie {
			t.Errorf("got %+v, %v, %v", h, ok, err)
		}
		if _, err := l.Acquire(ctx, "stock", "bob", ttl); err != nil {
			t.Errorf("another name: %v", err)
		}
	})
	t.Run("released, it is free, and tokens rise", func(t *testing.T) {
		l, _ := open(t)
		var last uint64
		for range 10 {
			lease := acquire(t, l, "ada")
			if lease.Token() <= last {
				t.Fatalf("token %d after %d", lease.Token(), last)
			}
			last = lease.Token()
			if err := errors.Join(lease.Check(), lease.Renew(), lease.Release(), lease.Release()); err != nil {
				t.Fatal(err)
			}
			if err := lease.Check(); !errors.Is(err, projection.ErrLeaseLost) {
				t.Errorf("a lease that was released: got %v", err)
			}
		}
	})
	t.Run("held to the end of its ttl, taken over behind it", func(t *testing.T) {
		l, clock := open(t)
		old := acquire(t, l, "ada")
		clock.Advance(ttl)
		if _, err := l.Acquire(ctx, "balances", "bob", ttl); !errors.Is(err, projection.ErrLocked) {
			t.Fatalf("at the end of its ttl: got %v", err)
		}
		if err := old.Renew(); err != nil {
			t.Fatal(err)
		}
		clock.Advance(ttl)
		if h, _, _ := l.Holder("balances"); h.Zombie {
			t.Error("a holder who renewed is a zombie")
		}
		clock.Advance(time.Nanosecond)
		if h, ok, _ := l.Holder("balances"); !ok || !h.Zombie {
			t.Error("a holder who does not answer is no zombie")
		}
		lease := acquire(t, l, "bob")
		for what, err := range map[string]error{"Check": old.Check(), "Renew": old.Renew()} {
			if !errors.Is(err, projection.ErrLeaseLost) {
				t.Errorf("the old holder's %s: got %v", what, err)
			}
		}
		if err := errors.Join(old.Release(), lease.Check()); err != nil {
			t.Errorf("the old holder's Release took the new one's lease: %v", err)
		}
	})
	t.Run("a clock that goes back makes nobody a zombie", func(t *testing.T) {
		l, clock := open(t)
		lease := acquire(t, l, "ada")
		clock.Advance(-time.Hour)
		if _, err := l.Acquire(ctx, "balances", "bob", ttl); !errors.Is(err, projection.ErrLocked) {
			t.Errorf("got %v", err)
		}
		if err := lease.Check(); err != nil {
			t.Error(err)
		}
	})
	t.Run("whatever the clock does, one holds it and tokens rise", func(t *testing.T) {
		for _, seed := range campaign.Seeds(t, campaign.Scale(t, campaign.Cases{Short: 5, PullRequest: 20, Nightly: 1_000})) {
			rng := campaign.Rand(t, seed)
			l, clock := open(t)
			jumps := []time.Duration{0, 1, ttl, ttl + 1, -time.Hour, -10 * 365 * 24 * time.Hour, 365 * 24 * time.Hour, -ttl - 1}
			var leases []projection.Lease // in the order in which they were acquired
			taken := 0
			for range 60 {
				clock.Advance(jumps[rng.IntN(len(jumps))])
				if lease, err := l.Acquire(ctx, "balances", "someone", ttl); err == nil {
					if n := len(leases); n > 0 && lease.Token() <= leases[n-1].Token() {
						t.Fatalf("token %d after %d", lease.Token(), leases[n-1].Token())
					}
					leases = append(leases, lease)
					taken++
				} else if !errors.Is(err, projection.ErrLocked) {
					t.Fatal(err)
				}
				for i, lease := range leases {
					newest := i == len(leases)-1
					if err := lease.Check(); (err == nil) != newest || err != nil && !errors.Is(err, projection.ErrLeaseLost) {
						t.Fatalf("holder %d of %d: got %v", i+1, len(leases), err)
					}
				}
				if rng.IntN(2) == 0 {
					if err := leases[len(leases)-1].Renew(); err != nil {
						t.Fatalf("the holder's Renew: %v", err)
					}
				}
			}
			if taken < 2 {
				t.Errorf("the lease was taken over %d times", taken-1)
			}
		}
	})
	t.Run("released by force", func(t *testing.T) {
		l, _ := open(t)
		if err := l.ForceRelease("balances", "root", "nobody holds it"); err != nil {
			t.Fatal(err)
		}
		lease := acquire(t, l, "ada")
		if err := l.ForceRelease("balances", "root", "she left"); err != nil {
			t.Fatal(err)
		}
		if err := lease.Check(); !errors.Is(err, projection.ErrLeaseLost) {
			t.Errorf("got %v", err)
		}
		acquire(t, l, "bob")
	})
	t.Run("many at once: one gets it", func(t *testing.T) {
		l, _ := open(t)
		var (
			wg  sync.WaitGroup
			mu  sync.Mutex
			got int
		)
		for range 16 {
			wg.Go(func() {
				_, err := l.Acquire(ctx, "balances", "someone", ttl)
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					got++
				} else if !errors.Is(err, projection.ErrLocked) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got != 1 {
			t.Errorf("%d got the lease", got)
		}
	})
	t.Run("wrong arguments", func(t *testing.T) {
		l, _ := open(t)
		for what, call := range map[string]func() error{
			"name":  func() error { _, err := l.Acquire(ctx, "A/b", "ada", ttl); return err },
			"owner": func() error { _, err := l.Acquire(ctx, "balances", "", ttl); return err },
			"ttl":   func() error { _, err := l.Acquire(ctx, "balances", "ada", 0); return err },
		} {
			if err := call(); !errors.Is(err, eventstream.ErrInvalidArgument) {
				t.Errorf("%s: got %v", what, err)
			}
		}
		canceled, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := l.Acquire(canceled, "balances", "ada", ttl); !errors.Is(err, context.Canceled) {
			t.Errorf("ctx: got %v", err)
		}
	})
}

func TestTheMemoryLocker(t *testing.T) {
	t.Parallel()
	testLockers(t, func(*testing.T) (projection.Locker, *estest.Clock) {
		clock := estest.NewClock(time.Unix(1000, 0))
		return projection.NewMemoryLocker(clock.Now), clock
	})
}

func TestTheStoreLocker(t *testing.T) {
	t.Parallel()
	testLockers(t, func(t *testing.T) (projection.Locker, *estest.Clock) {
		db := estest.Open(t)
		return projection.NewStoreLocker(db.DB, "acme"), db.Clock
	})
}

// A holder of an earlier session is a zombie at once: a store has one session at a time.
func TestALeaseOfAnEarlierSessionIsTakenOver(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	ctx := context.Background()
	lease, err := projection.NewStoreLocker(db.DB, "acme").Acquire(ctx, "balances", "ada", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	db = estest.Crash(t, db)
	l := projection.NewStoreLocker(db.DB, "acme")
	h, ok, err := l.Holder("balances")
	if err != nil || !ok || !h.Zombie || h.Owner != "ada" || h.Token != lease.Token() {
		t.Fatalf("got %+v, %v, %v", h, ok, err)
	}
	taken, err := l.Acquire(ctx, "balances", "bob", time.Hour)
	if err != nil || taken.Token() <= lease.Token() {
		t.Fatalf("got %v, %v", taken, err)
	}
}

// A driver that fails is told apart from a lease that is held.
func TestALockerThatFailsSaysSo(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	l := projection.NewStoreLocker(db.DB, "acme")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := l.Acquire(context.Background(), "balances", "ada", time.Minute)
	if !errors.Is(err, projection.ErrLockUnavailable) || !errors.Is(err, eventstream.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if _, _, err := l.Holder("balances"); !errors.Is(err, projection.ErrLockUnavailable) {
		t.Errorf("got %v", err)
	}
}

// Two engines over one store: one runs the projection, the other waits, and takes over
// when the first ends. What the first still wrote after it lost the lease is refused.
func TestOneOfTwoEnginesRunsAProjection(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	locker := projection.NewStoreLocker(db.DB, eventstream.DefaultTenant)
	newEngine := func(owner string) *projection.Engine {
		e := projection.New(db.DB, &projection.Options{Owner: owner, LeaseTTL: 300 * time.Millisecond})
		register(t, e, projection.Definition{Name: "balances", Apply: balance})
		return e
	}
	rng := rand.New(rand.NewPCG(8, 0))
	last := enter(t, db.DB, rng)
	first, second := newEngine("first"), newEngine("second")
	stop := start(t, first)
	waitFor(t, first, "balances", last)
	start(t, second)
	for status(t, second, "balances").Status != projection.StatusWaiting {
	}
	if s := status(t, second, "balances"); s.Lock.Owner != "first" {
		t.Errorf("got %+v", s.Lock)
	}
	stop()
	last = enter(t, db.DB, rng)
	waitFor(t, second, "balances", last)
	sameSums(t, "after the other ended", sums(t, second, "balances"), fold(t, db.DB, last))

	// Taken by force, it is acquired again, and nothing is applied twice.
	for range 5 {
		if err := locker.ForceRelease("balances", "root", "test"); err != nil {
			t.Fatal(err)
		}
		last = enter(t, db.DB, rng)
		waitFor(t, second, "balances", last)
		sameSums(t, "after it was taken by force", sums(t, second, "balances"), fold(t, db.DB, last))
	}
}

// A runner whose lease another engine took while it was held up commits nothing of what it
// had read: the other has applied it.
func TestARunnerThatLostItsLeaseWritesNothing(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	locker := projection.NewStoreLocker(db.DB, eventstream.DefaultTenant)
	newEngine := func(owner string) *projection.Engine {
		e := projection.New(db.DB, &projection.Options{Owner: owner, LeaseTTL: time.Hour})
		register(t, e, projection.Definition{Name: "balances", Apply: balance})
		return e
	}
	rng := rand.New(rand.NewPCG(9, 0))
	last := enter(t, db.DB, rng)
	first, second := newEngine("first"), newEngine("second")
	var armed, released, wrote atomic.Bool
	reached, release := make(chan struct{}), make(chan struct{})
	projection.At(first, func(point string) {
		switch {
		case point == "before a commit" && armed.CompareAndSwap(true, false):
			close(reached)
			<-release
			released.Store(true)
		case point == "after a commit" && released.Load():
			wrote.Store(true)
		}
	})
	start(t, first)
	waitFor(t, first, "balances", last)
	armed.Store(true)
	last = enter(t, db.DB, rng)
	<-reached
	if err := locker.ForceRelease("balances", "root", "it does not answer"); err != nil {
		t.Fatal(err)
	}
	start(t, second)
	waitFor(t, second, "balances", last)
	close(release)
	for !wrote.Load() && status(t, first, "balances").Status != projection.StatusWaiting {
	}
	if wrote.Load() {
		t.Error("it has committed")
	}
	sameSums(t, "after the other went on", sums(t, second, "balances"), fold(t, db.DB, last))
}
