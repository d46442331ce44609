package aggregate_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/aggregate"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/snapshot"
)

// unsynced opens a store that loses nothing by it, since nobody cuts the power.
func unsynced(o *eventstream.Options) { o.Durability = eventstream.None }

// Whatever the history, the policy, how many snapshots are kept and how they are stored:
// a load is what reading all events comes to.
func TestALoadIsTheFoldOfAllEvents(t *testing.T) {
	t.Parallel()
	db := estest.Open(t, estest.Options(unsynced))
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		policies := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) snapshot.Policy {
			n := rapid.Uint64Range(1, 30).Draw(t, "n")
			return rapid.SampledFrom([]snapshot.Policy{
				snapshot.EveryN(n), snapshot.ByBytes(int64(10 * n)), snapshot.ByAge(time.Duration(n) * time.Minute),
				snapshot.AfterTypes("Opened", "Closed"), snapshot.Never(),
			}).Draw(t, "policy")
		}), 1, 3).Draw(rt, "policies")
		policy := rapid.SampledFrom([]snapshot.Policy{policies[0], snapshot.All(policies...), snapshot.Any(policies...)}).Draw(rt, "policy")
		r, err := aggregate.New(db.DB, accountEvents(t), aggregate.Struct[account](), &aggregate.Options{
			Policy: policy, Keep: rapid.IntRange(1, 4).Draw(rt, "keep"),
			StateCodec:   rapid.SampledFrom([]codec.ID{codec.Msgpack, codec.JSON}).Draw(rt, "codec"),
			Algorithm:    rapid.SampledFrom([]snapshot.Algorithm{snapshot.XXHash64, snapshot.SHA256}).Draw(rt, "algorithm"),
			Uncompressed: rapid.Bool().Draw(rt, "uncompressed"),
		})
		if err != nil {
			rt.Fatal(err)
		}
		defer r.Close()
		stream := eventstream.StreamID(fmt.Sprintf("finance-account-%d", round))
		for n := range rapid.IntRange(1, 15).Draw(rt, "commands") {
			db.Clock.Advance(time.Minute)
			values := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) any {
				switch rapid.IntRange(0, 9).Draw(t, "kind") {
				case 0:
					return opened{rapid.StringN(0, 5, 20).Draw(t, "owner")}
				case 1:
					return closed{}
				default:
					return posted{rapid.Int64().Draw(t, "cents"), rapid.SampledFrom([]string{"", "a", "b", "ü"}).Draw(t, "text")}
				}
			}), 1, 12).Draw(rt, "events")
			res, err := r.Execute(ctx, stream, func(*account) ([]any, error) { return values, nil })
			if err != nil {
				rt.Fatal(err)
			}
			if n%2 == 0 {
				mustWait(t, r)
			}
			sameState(t, fmt.Sprintf("round %d, result %d", round, n), res.Loaded, replayed(t, db, stream))
			sameState(t, fmt.Sprintf("round %d, load %d", round, n), mustLoad(t, r, stream), replayed(t, db, stream))
		}
	})
}

// history is a state in which every event counts, and its order too.
type history struct {
	Seen []string
}

func histories(t testing.TB, db *estest.DB, opts *aggregate.Options) *aggregate.Repository[history, int] {
	t.Helper()
	r, err := aggregate.New(db.DB, accountEvents(t), aggregate.Decider[history, int]{
		Evolve: func(h history, e aggregate.Event) history {
			return history{append(slices.Clone(h.Seen), fmt.Sprintf("%d %s", e.Version, e.OccurredAt.Format("01-02 15")))}
		},
	}, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// bruteForce folds the events that are asked for, one by one.
func bruteForce(events []eventstream.Event, to eventstream.Version, occurred, recorded time.Time) (seen []string, last eventstream.Version) {
	for _, e := range events {
		if e.Version <= to && !e.OccurredAt.After(occurred) && !e.RecordedAt.After(recorded) {
			seen = append(seen, fmt.Sprintf("%d %s", e.Version, e.OccurredAt.Format("01-02 15")))
			last = e.Version
		}
	}
	return seen, last
}

// StateAt is exact for every version, time of occurrence and time of recording, and for
// all of them together: with back-dated and post-dated events, with snapshots taken at
// any moment, and with none. A snapshot that holds an event from beyond is not used.
func TestStateAtIsExact(t *testing.T) {
	t.Parallel()
	streams, questions := 50, 20 // 1,000 in all, each with and without snapshots
	if testing.Short() {
		streams = 10
	}
	rng := rand.New(rand.NewPCG(11, 0))
	db := estest.Open(t, estest.Options(unsynced))
	r := histories(t, db, &aggregate.Options{Policy: snapshot.Never(), Keep: 20})
	without := histories(t, db, &aggregate.Options{NoSnapshots: true})
	begin := db.Clock.Now()
	rested, passed := 0, 0
	for n := range streams {
		stream := eventstream.StreamID(fmt.Sprintf("finance-account-%d", n))
		first := db.Clock.Now()
		var events []eventstream.Event
		for range 1 + rng.IntN(40) {
			db.Clock.Advance(time.Duration(rng.IntN(3)) * time.Hour) // equal times too
			e := eventstream.NewEvent{Type: "Posted", Data: posted{1, "x"}}
			switch rng.IntN(4) {
			case 0: // back-dated
				e.OccurredAt = db.Clock.Now().Add(-time.Duration(rng.IntN(60)) * time.Hour)
			case 1: // post-dated
				e.OccurredAt = db.Clock.Now().Add(time.Duration(rng.IntN(20)) * time.Hour)
			}
			mustAppend(t, db, stream, e)
			if rng.IntN(5) == 0 {
				if _, err := r.Snapshot(ctx, stream); err != nil {
					t.Fatal(err)
				}
			}
		}
		for e, err := range db.ReadStream(ctx, stream) {
			if err != nil {
				t.Fatal(err)
			}
			events = append(events, e)
		}
		span := int(db.Clock.Now().Sub(first)/time.Hour) + 1
		for range questions {
			var opts []eventstream.ReadOption
			to, occurred, recorded := eventstream.Version(1<<40), begin.AddDate(9, 0, 0), begin.AddDate(9, 0, 0)
			which := 1 + rng.IntN(7)
			if which&1 != 0 {
				to = eventstream.Version(rng.IntN(len(events) + 2))
				opts = append(opts, eventstream.To(to))
			}
			if which&2 != 0 {
				occurred = first.Add(time.Duration(rng.IntN(span+20)-5) * time.Hour)
				opts = append(opts, eventstream.OccurredUntil(occurred))
			}
			if which&4 != 0 {
				recorded = first.Add(time.Duration(rng.IntN(span+2)-1) * time.Hour)
				opts = append(opts, eventstream.RecordedUntil(recorded))
			}
			want, version := bruteForce(events, to, occurred, recorded)
			for _, repo := range []*aggregate.Repository[history, int]{r, without} {
				got, err := repo.StateAt(ctx, stream, opts...)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got.State.Seen); diff != "" || got.Version != version {
					t.Fatalf("stream %d up to version %d, occurred until %v, recorded until %v: version %d, want %d (-want +got):\n%s",
						n, to, occurred, recorded, got.Version, version, diff)
				}
				if got.Snapshot > 0 {
					rested++
				} else {
					passed++
				}
			}
		}
	}
	if rested < 2*streams || passed < streams*questions {
		t.Errorf("%d answers rested on a snapshot, %d on none: the test proves little", rested, passed)
	}
}

// A back-dated event that was recorded after a snapshot was taken counts at its own time.
func TestABackDatedEventIsNotMissed(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	r := newAccounts(t, db, nil)
	begin := db.Clock.Now()
	hour := func(n int) time.Time { return begin.Add(time.Duration(n) * time.Hour) }
	for n := 1; n <= 4; n++ {
		db.Clock.Advance(time.Hour)
		mustAppend(t, db, stream, eventstream.NewEvent{Type: "Posted", Data: posted{100, "till"}})
	}
	if _, err := r.Snapshot(ctx, stream); err != nil {
		t.Fatal(err)
	}
	db.Clock.Advance(time.Hour) // at the fifth hour: the second was wrong
	mustAppend(t, db, stream, eventstream.NewEvent{Type: "Posted", Data: posted{-30, "correction"}, OccurredAt: hour(2)})
	for _, tt := range []struct {
		name string
		at   []eventstream.ReadOption
		want int64
		rest eventstream.Version
	}{
		{"now", nil, 370, 4},
		{"the fourth hour, as known now", []eventstream.ReadOption{eventstream.OccurredUntil(hour(4))}, 370, 4},
		{"the third hour, as known now", []eventstream.ReadOption{eventstream.OccurredUntil(hour(3))}, 270, 0},
		{"the third hour, as known then", []eventstream.ReadOption{eventstream.OccurredUntil(hour(3)), eventstream.RecordedUntil(hour(3))}, 300, 0},
		{"as known at the fourth hour", []eventstream.ReadOption{eventstream.RecordedUntil(hour(4))}, 400, 4},
		{"up to version 4", []eventstream.ReadOption{eventstream.To(4)}, 400, 4},
		{"up to version 3", []eventstream.ReadOption{eventstream.To(3)}, 300, 0},
		{"before it began", []eventstream.ReadOption{eventstream.OccurredUntil(begin)}, 0, 0},
	} {
		got, err := r.StateAt(ctx, stream, tt.at...)
		if err != nil || got.State.Balance != tt.want || got.Snapshot != tt.rest {
			t.Errorf("%s: got %d from a snapshot at %d, %v, want %d from %d", tt.name, got.State.Balance, got.Snapshot, err, tt.want, tt.rest)
		}
	}
}

func TestStateAtRefusesOtherOptions(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	mustAppend(t, db, stream, eventstream.NewEvent{Type: "Closed", Data: closed{}})
	for _, opts := range []*aggregate.Options{nil, {NoSnapshots: true}} {
		r := newAccounts(t, db, opts)
		for _, opt := range []eventstream.ReadOption{
			eventstream.From(1), eventstream.Backward(), eventstream.Limit(1), eventstream.OccurredSince(db.Clock.Now()),
			eventstream.RecordedSince(db.Clock.Now()), eventstream.After(0), eventstream.Types("Closed"),
		} {
			_, err := r.StateAt(ctx, stream, opt)
			if e := errAs[*eventstream.ArgumentError](t, err); !strings.Contains(e.Reason, "To OccurredUntil RecordedUntil") {
				t.Errorf("got %v", err)
			}
		}
		got, err := r.StateAt(ctx, stream, eventstream.To(0))
		if err != nil || got.Version != 0 {
			t.Errorf("up to version 0: got %+v, %v", got, err)
		}
	}
}
