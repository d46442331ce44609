package model_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/internal/campaign/model"
)

// follower writes down what a follower gets.
type follower struct {
	name  string
	after eventstream.Position
	stop  context.CancelFunc

	mu     sync.Mutex
	cut    bool // the power failed: what comes now does not count
	events []eventstream.Event
	err    error      // why it ended
	news   *sync.Cond // with mu: another event, or its end
}

// follow starts a follower behind each position, which need not be there yet.
func (h *history) follow(t failer, db *eventstream.DB, after ...eventstream.Position) {
	for i, p := range after {
		running, stop := context.WithCancel(ctx)
		f := &follower{name: fmt.Sprint("follower ", i), after: p, stop: stop}
		f.news = sync.NewCond(&f.mu)
		h.followers = append(h.followers, f)
		go func() {
			err := f.run(running, t, db)
			f.note(func() { f.err = err })
		}()
	}
}

func (f *follower) run(running context.Context, t failer, db *eventstream.DB) error {
	next := f.after + 1
	for e, err := range db.Follow(running, eventstream.After(f.after)) {
		if err != nil {
			return err
		}
		if e.Position != next {
			t.Errorf("%s: got position %d, want %d", f.name, e.Position, next)
		}
		next = e.Position + 1
		if durable := db.DurableHead(); e.Position > durable {
			t.Errorf("%s: got position %d, and %d is durable", f.name, e.Position, durable)
		}
		f.note(func() {
			if !f.cut {
				f.events = append(f.events, e)
			}
		})
	}
	return errors.New("it ended by itself")
}

func (f *follower) note(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
	f.news.Broadcast()
}

// await waits until a follower got the event at a position, or ended. It returns why.
func (f *follower) await(last eventstream.Position) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.err == nil && f.after+eventstream.Position(len(f.events)) < last {
		f.news.Wait()
	}
	return f.err
}

// cutDeliveries ends what counts as delivered.
func (h *history) cutDeliveries() {
	for _, f := range h.followers {
		f.note(func() { f.cut = true })
	}
}

// stopFollowing ends all followers, and notes what they got.
func (h *history) stopFollowing() {
	for _, f := range h.followers {
		f.stop()
		_ = f.await(math.MaxUint64) // it was stopped, or the store is closed
		h.oracle.Delivered = append(h.oracle.Delivered, model.Delivery{Follower: f.name, Tenant: eventstream.DefaultTenant, After: f.after, Events: f.events})
	}
	h.followers = nil
}

// While eight clients write, followers from the beginning, from the middle and from the
// newest event on get every event once, in the one order, when it is durable; and
// whoever reads the log finds its beginning. Followers that fall behind the tail in
// memory go on from the disk.
func TestFollowersAndReadersSeeOneOrder(t *testing.T) {
	t.Parallel()
	seeds := campaign.Seeds(t, campaign.Scale(t, campaign.Cases{Short: 1, PullRequest: 10, Nightly: 300}))
	for _, seed := range seeds {
		rng := campaign.Rand(t, seed)
		db, err := eventstream.Open("store", historyOptions(vfs.NewMem()))
		if err != nil {
			t.Fatal(err)
		}
		h := newHistory()
		h.follow(t, db, 0, 0)
		h.run(t, db, rng, 100)
		h.follow(t, db, 0, 7, eventstream.Position(rng.Uint64N(uint64(db.Head())+1)), db.Head()/2, db.Head())
		h.run(t, db, rng, 50)
		for _, f := range h.followers {
			if err := f.await(db.Head()); err != nil {
				t.Errorf("seed %d: %s ended: %v", seed, f.name, err)
			}
		}
		h.stopFollowing()
		h.oracle.Calls = nil // they are checked elsewhere, and are too many here
		verify(t, fmt.Sprint("seed ", seed), db, h.oracle)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A follower of a store whose log fails gets what is durable, and then the failure.
func TestAFollowerGetsNothingThatALogLost(t *testing.T) {
	t.Parallel()
	m := newMachine(t, new(atomic.Int64))
	defer m.close()
	h := &history{oracle: m.oracle}
	h.follow(t, m.db, 0)
	f := h.followers[0]
	ids := 0
	appended := func() error {
		ids++
		a := model.Append{Tenant: eventstream.DefaultTenant, Entries: []eventstream.StreamAppend{{Stream: "s", Expect: eventstream.Any, Events: []eventstream.NewEvent{{ID: eventstream.EventID{0: 1, 15: byte(ids)}, Type: "X"}}}}}
		res, err := appendTo(m.db, a)
		if err == nil {
			m.oracle.Acknowledge(a, res)
		} else {
			m.oracle.Doubt(a)
		}
		return err
	}
	for range 20 {
		if err := appended(); err != nil {
			t.Fatal(err)
		}
	}
	m.logFail.Store(true)
	if err := appended(); !errors.Is(err, eventstream.ErrCommitUnknown) {
		t.Fatalf("append to a log that fails: got error %v, want ErrCommitUnknown", err)
	}
	if err := f.await(math.MaxUint64); !errors.Is(err, eventstream.ErrPoisoned) {
		t.Errorf("follower: got error %v, want ErrPoisoned", err)
	}
	if len(f.events) != 20 {
		t.Errorf("follower: got %d events, want the 20 that were acknowledged", len(f.events))
	}
	m.oracle.Delivered = []model.Delivery{{Follower: f.name, Tenant: eventstream.DefaultTenant, Events: f.events}}
	f.stop()
	m.logFail.Store(false)
	m.crashTo(t, m.mem.CrashClone(vfs.CrashCloneCfg{}))
}
