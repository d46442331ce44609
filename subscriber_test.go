package eventstream_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/internal/campaign"
)

// subscriber takes events and acknowledges each: it keeps its place in the store, durably,
// as a publisher does that sends them elsewhere.
type subscriber struct {
	t     *testing.T
	every int // events are acknowledged together
	took  []eventstream.Position
	acked eventstream.Position
}

const subscription = "subscriber"

func (s *subscriber) place(db *eventstream.DB) (place eventstream.Position, stored []byte) {
	s.t.Helper()
	stored, err := defaultTenant(db).DerivedState(subscription)
	if err != nil {
		s.t.Fatal(err)
	}
	if stored != nil {
		place = eventstream.Position(binary.BigEndian.Uint64(stored))
	}
	return place, stored
}

// errDied ends a subscriber.
var errDied = errors.New("the subscriber died")

// run goes on where the last one was, and dies behind the n-th step from here on: taking an
// event is one, and acknowledging it another. It returns nil if it got to the end.
func (s *subscriber) run(db *eventstream.DB, n, until int) error {
	s.t.Helper()
	place, stored := s.place(db)
	if place < s.acked {
		s.t.Fatalf("the place is %d, and %d was acknowledged", place, s.acked)
	}
	want := place
	step := func() bool { n--; return n == 0 }
	for e, err := range db.Follow(ctx, eventstream.After(place), eventstream.Limit(until-int(place))) {
		if err != nil {
			return err
		}
		if want++; e.Position != want {
			s.t.Fatalf("got position %d, want %d", e.Position, want)
		}
		if db.DurableHead() < e.Position {
			s.t.Fatalf("position %d was delivered before it was durable", e.Position)
		}
		s.took = append(s.took, e.Position)
		if step() {
			return errDied
		}
		if int(e.Position)%s.every != 0 && int(e.Position) != until {
			continue
		}
		next := binary.BigEndian.AppendUint64(nil, uint64(e.Position))
		swapped, err := defaultTenant(db).SwapState(subscription, stored, next)
		if err != nil || !swapped {
			s.t.Fatalf("acknowledge: %v, %v", swapped, err)
		}
		stored, s.acked = next, e.Position
		if step() {
			return errDied
		}
	}
	return nil
}

// A subscriber dies, alone or with the power, at each point between taking an event and
// having acknowledged it. It gets all events in order without a gap, those again that it
// had not acknowledged, and no other.
func TestASubscriberGoesOnExactlyWhereItWas(t *testing.T) {
	t.Parallel()
	const events = 12
	for _, every := range []int{1, 4} {
		for _, power := range []bool{false, true} {
			t.Run(fmt.Sprintf("acknowledges every %d, the power fails %v", every, power), func(t *testing.T) {
				t.Parallel()
				points := 0
				for n := 1; ; n++ {
					db := estest.Open(t, estest.Seed(uint64(n)))
					fill(t, db, events/2, "a-a-1")
					s := &subscriber{t: t, every: every}
					died := s.run(db.DB, n, events/2)
					if power {
						db = estest.Crash(t, db)
					}
					before, acked := len(s.took), s.acked
					for i := events / 2; i < events; i++ {
						mustAppend(t, db, "a-a-1", eventstream.Exact(eventstream.Version(i)), event("X"))
					}
					if err := s.run(db.DB, -1, events); err != nil {
						t.Fatal(err)
					}
					equal(t, "the first event after it died", s.took[before], acked+1)
					equal(t, "the events after it died", len(s.took)-before, events-int(acked))
					place, _ := s.place(db.DB)
					equal(t, "the place in the end", place, events)
					if died == nil {
						break
					}
					points++
				}
				if power {
					campaign.Count(t, campaign.CrashPoints, points)
				}
				if points < events/2 {
					t.Errorf("it died at %d points, want at least one for each event", points)
				}
			})
		}
	}
}

// A subscriber that takes nothing for as long as it likes costs no memory and holds nobody
// up; then it gets everything, in order. It runs alone, since it measures the process.
func TestASlowSubscriberCostsNothing(t *testing.T) {
	db := mustOpen(t, t.TempDir(), &eventstream.Options{
		MemTableBytes: 256 << 10, CacheBytes: 1 << 20, TailBytes: 64 << 10,
		Indexes: []eventstream.Index{}, Unstable: eventstream.Unstable{RunEvents: -1}, // which have buffers of their own
	})
	const size, commit = 8 << 10, 20
	commits := campaign.Scale(t, campaign.Cases{Short: 20, PullRequest: 200, Nightly: 5_000})
	total := commits * commit
	following, cancel := context.WithCancel(ctx)
	defer cancel()
	slow, released, stopped := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var running sync.WaitGroup
	follow := func(first func()) {
		running.Go(func() {
			next := eventstream.Position(1)
			for e, err := range db.Follow(following, eventstream.Limit(total+1)) {
				if err != nil {
					t.Error(err)
					return
				}
				if e.Position != next {
					t.Errorf("got position %d, want %d", e.Position, next)
					return
				}
				if next++; e.Position == 1 {
					first()
				}
			}
			equal(t, "events followed", int(next-1), total+1)
		})
	}
	follow(func() { close(slow); <-released; close(stopped) })
	mustAppend(t, db, "s", eventstream.NoStream, event("X"))
	<-slow
	before := heap()
	var quick sync.WaitGroup
	quick.Go(func() {
		n := 0
		for _, err := range db.Follow(following, eventstream.Limit(total+1)) {
			if err != nil {
				t.Error(err)
			}
			n++
		}
		equal(t, "events of the quick one", n, total+1)
	})
	events := make([]eventstream.NewEvent, commit)
	for i := range events {
		events[i] = eventstream.NewEvent{Type: "X", Codec: codec.Raw, Data: make([]byte, size)}
	}
	for range commits {
		mustAppend(t, db, "s", eventstream.Any, events...)
	}
	quick.Wait() // although the slow one still has the first event
	select {
	case <-stopped:
		t.Error("the slow subscriber was not slow")
	default:
	}
	grown, most := heap()-before, int64(8<<20)
	for again := 0; grown > most && again < 10; again++ { // pools give back what they hold after some collections
		grown = min(grown, heap()-before)
	}
	if grown > most {
		t.Errorf("%d bytes of events made the heap grow by %d, want at most %d", total*size, grown, most)
	} else {
		t.Logf("%d bytes of events made the heap grow by %d", total*size, grown)
	}
	close(released)
	running.Wait()
}

// heap returns the bytes in use once what is garbage is collected.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
