package projection_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/projection"
)

// leaseModel is what a lease must be: who holds it, since when, and for how long.
type leaseModel struct {
	held             int // index of the holder in taken, or -1
	acquired, alive  time.Time
	ttl              time.Duration
	token            uint64 // the last that was handed out
	earlierSession   bool
	taken            []takenLease
	expiries, forces int
}

type takenLease struct {
	projection.Lease
	owner string
	token uint64
}

// Whatever two owners and an operator do, in whatever order and however the clock goes: a
// lease has one holder, tokens rise, whoever lost it learns so, and nobody is a zombie
// before the time.
func TestLeasesFollowAModel(t *testing.T) {
	t.Parallel()
	t.Run("in memory", func(t *testing.T) {
		t.Parallel()
		checkLeases(t, func(*rapid.T) (projection.Locker, *estest.Clock, func() projection.Locker) {
			clock := estest.NewClock(booksBegin)
			return projection.NewMemoryLocker(clock.Now), clock, nil
		})
	})
	t.Run("in the store", func(t *testing.T) {
		t.Parallel()
		checkLeases(t, func(*rapid.T) (projection.Locker, *estest.Clock, func() projection.Locker) {
			db := estest.Open(t)
			return projection.NewStoreLocker(db.DB, "default"), db.Clock, func() projection.Locker {
				db = estest.Crash(t, db)
				return projection.NewStoreLocker(db.DB, "default")
			}
		})
	})
}

func checkLeases(t *testing.T, open func(*rapid.T) (l projection.Locker, clock *estest.Clock, crash func() projection.Locker)) {
	expiries, forces := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		l, clock, crash := open(t)
		m := &leaseModel{held: -1}
		zombie := func() bool { return m.earlierSession || clock.Now().Sub(m.alive) > m.ttl }
		some := func(t *rapid.T) int {
			if len(m.taken) == 0 {
				t.Skip("nobody has a lease")
			}
			return rapid.IntRange(0, len(m.taken)-1).Draw(t, "lease")
		}
		lostUnless := func(t *rapid.T, what string, i int, err error) {
			t.Helper()
			if i == m.held && err != nil || i != m.held && !errors.Is(err, projection.ErrLeaseLost) {
				t.Fatalf("%s by %q with token %d: got error %v; %d is the holder of %d", what, m.taken[i].owner, m.taken[i].token, err, m.held, len(m.taken))
			}
		}
		actions := map[string]func(*rapid.T){
			"acquire": func(t *rapid.T) {
				owner := rapid.SampledFrom([]string{"ada", "bob"}).Draw(t, "owner")
				ttl := time.Duration(rapid.IntRange(1, 5).Draw(t, "ttl")) * time.Second
				lease, err := l.Acquire(context.Background(), "sums", owner, ttl)
				if m.held >= 0 && !zombie() {
					locked, ok := errors.AsType[*projection.LockedError](err)
					if !ok || locked.Owner != m.taken[m.held].owner || locked.Age != clock.Now().Sub(m.acquired) || locked.Idle != clock.Now().Sub(m.alive) {
						t.Fatalf("got %v, want that %q holds it since %v", err, m.taken[m.held].owner, m.acquired)
					}
					return
				}
				if err != nil {
					t.Fatalf("nobody holds it: %v", err)
				}
				if m.held >= 0 {
					m.expiries++
				}
				if lease.Token() <= m.token {
					t.Fatalf("token %d after %d", lease.Token(), m.token)
				}
				m.taken = append(m.taken, takenLease{lease, owner, lease.Token()})
				m.held, m.acquired, m.alive, m.ttl, m.token, m.earlierSession = len(m.taken)-1, clock.Now(), clock.Now(), ttl, lease.Token(), false
			},
			"renew": func(t *rapid.T) {
				i := some(t)
				lostUnless(t, "renew", i, m.taken[i].Renew())
				if i == m.held {
					m.alive = clock.Now()
				}
			},
			"release": func(t *rapid.T) {
				i := some(t)
				if err := m.taken[i].Release(); err != nil {
					t.Fatalf("release: %v", err)
				}
				if i == m.held {
					m.held = -1
				}
			},
			"force": func(t *rapid.T) {
				if rapid.IntRange(0, 5).Draw(t, "seldom") > 0 {
					t.Skip("let it expire")
				}
				if err := l.ForceRelease("sums", "eve", "it hangs"); err != nil {
					t.Fatal(err)
				}
				if m.held >= 0 {
					m.forces++
				}
				m.held = -1
			},
			"the clock goes": func(t *rapid.T) {
				clock.Advance(time.Duration(rapid.IntRange(-3, 60).Draw(t, "seconds")) * time.Second)
			},
			"": func(t *rapid.T) {
				for i := range m.taken {
					lostUnless(t, "check", i, m.taken[i].Check())
				}
				h, ok, err := l.Holder("sums")
				if err != nil || ok != (m.held >= 0) {
					t.Fatalf("the holder is %+v, %v, %v; %d is it of %d", h, ok, err, m.held, len(m.taken))
				}
				if ok && (h.Owner != m.taken[m.held].owner || h.Token != m.token || h.TTL != m.ttl || !h.AcquiredAt.Equal(m.acquired) || !h.RenewedAt.Equal(m.alive) || h.Zombie != zombie()) {
					t.Fatalf("the holder is %+v, want %q with token %d, acquired %v, alive %v, zombie %v", h, m.taken[m.held].owner, m.token, m.acquired, m.alive, zombie())
				}
			},
		}
		if crash != nil {
			actions["crash"] = func(t *rapid.T) {
				if rapid.IntRange(0, 3).Draw(t, "seldom") > 0 {
					t.Skip("not now")
				}
				l = crash()
				if m.held >= 0 { // whoever held it is gone with the process, and is not asked any more
					last := m.taken[m.held]
					m.taken, m.held, m.earlierSession = []takenLease{last}, 0, true
				} else {
					m.taken = nil
				}
			}
			plain := actions[""]
			actions[""] = func(t *rapid.T) {
				if m.earlierSession { // its lease is of a store that is closed
					h, ok, err := l.Holder("sums")
					if err != nil || !ok || !h.Zombie || h.Owner != m.taken[m.held].owner || h.Token != m.token {
						t.Fatalf("the holder is %+v, %v, %v, want a zombie", h, ok, err)
					}
					return
				}
				plain(t)
			}
			for _, name := range []string{"renew", "release"} {
				do := actions[name]
				actions[name] = func(t *rapid.T) {
					if m.earlierSession {
						t.Skip("it is gone")
					}
					do(t)
				}
			}
			acquire := actions["acquire"]
			actions["acquire"] = func(t *rapid.T) {
				gone := m.earlierSession
				acquire(t)
				if gone {
					m.taken, m.held = m.taken[1:], 0
				}
			}
			force := actions["force"]
			actions["force"] = func(t *rapid.T) {
				force(t)
				if m.earlierSession {
					m.taken, m.earlierSession = nil, false
				}
			}
		}
		t.Repeat(actions)
		expiries, forces = expiries+m.expiries, forces+m.forces
	})
	if !testing.Short() && (expiries < 10 || forces < 10) { // short, rapid tries a fifth
		t.Errorf("%d leases were taken over, %d released by force: the test shows little", expiries, forces)
	}
}
