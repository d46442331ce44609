package eventstream_test

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cursor"
)

// wallClock is a clock that others set.
type wallClock struct{ now atomic.Pointer[time.Time] }

func (c *wallClock) set(t time.Time) { c.now.Store(&t) }

func (c *wallClock) read() time.Time { return *c.now.Load() }

// Whatever the clock of the machine does, between two appends or while the store is
// closed: positions and the order of events are as they are committed, recorded-at never
// goes back, reads by time find what a look at each event finds, and a page token that is
// not old leads to its page.
func TestTheClockDoesWhatItLikes(t *testing.T) {
	t.Parallel()
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		berlin = time.FixedZone("CEST", 2*3600)
	}
	noon := time.Date(2026, 3, 29, 0, 59, 59, 900_000_000, time.UTC) // just before summer time begins
	for _, tt := range []struct {
		name  string
		to    time.Time // what the clock shows afterwards
		fresh bool      // recorded-at follows the clock
	}{
		{"an hour back", noon.Add(-time.Hour), false},
		{"ten years back", noon.AddDate(-10, 0, 0), false},
		{"a nanosecond back", noon.Add(-1), false},
		{"it stands still", noon, true},
		{"a leap second: the same second again", noon.Add(-900 * time.Millisecond), false},
		{"summer time begins", noon.Add(200 * time.Millisecond).In(berlin), true},
		{"another zone", noon.In(time.FixedZone("west", -11*3600)), true},
		{"a year ahead", noon.AddDate(1, 0, 0), true},
		{"the battery is empty: 1970", time.Unix(0, 0), false},
		{"before 1970", time.Unix(-1<<32, 0), false},
		{"no time at all", time.Time{}, false},
		{"beyond what fits in nanoseconds", time.Date(2600, 1, 1, 0, 0, 0, 0, time.UTC), false},
		{"long before what fits in nanoseconds", time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			clock := &wallClock{}
			opts := scriptOptions(vfs.NewMem())
			opts.Clock = clock.read
			open := func() *eventstream.DB {
				db, err := eventstream.Open("store", opts)
				if err != nil {
					t.Fatal(err)
				}
				return db
			}
			clock.set(noon.Add(-time.Minute))
			db := open()
			var recorded []time.Time
			add := func() {
				res := mustAppend(t, db, "s", eventstream.Exact(eventstream.Version(len(recorded))), event("X"))
				equal(t, "position", res.LastPosition, eventstream.Position(len(recorded)+1))
				recorded = append(recorded, res.RecordedAt)
			}
			add()
			clock.set(noon)
			add()
			add()
			token := firstPage(t, defaultTenant(db), eventstream.Query{}).Next
			next := func(what string) {
				page, err := db.QueryPage(ctx, eventstream.Query{}, eventstream.PageOptions{Cursor: token})
				if err != nil || len(page.Events) != 1 || page.Events[0].Version != 3 {
					t.Errorf("%s: the page behind the token: %d events, %v", what, len(page.Events), err)
				}
			}
			clock.set(tt.to)
			if tt.fresh && tt.to.After(noon.AddDate(0, 0, 8)) {
				_, err := db.QueryPage(ctx, eventstream.Query{}, eventstream.PageOptions{Cursor: token})
				wantReason(t, "a token of last year", err, cursor.Expired)
			} else {
				next("at once")
			}
			for range 4 {
				add()
			}
			mustClose(t, db)
			db = open()
			for range 4 {
				add()
			}
			clock.set(noon.Add(time.Second)) // it is set right
			add()
			if !tt.to.After(noon.AddDate(0, 0, 8)) || !tt.fresh {
				next("when the clock is right again")
			}

			want := noon
			if tt.fresh {
				want = tt.to
			}
			equal(t, "recorded at after the change", recorded[3], want.UTC())
			if !slices.IsSortedFunc(recorded, time.Time.Compare) {
				t.Errorf("recorded-at goes back: %v", recorded)
			}
			for name, all := range map[string][]eventstream.Event{
				"stream": mustCollect(t, db.ReadStream(ctx, "s")), "log": mustCollect(t, db.ReadAll(ctx)), "query": mustCollect(t, db.Query(ctx, eventstream.Query{})),
			} {
				equal(t, name+": events", len(all), len(recorded))
				for i := range all {
					equal(t, name+": version", all[i].Version, eventstream.Version(i+1))
					equal(t, name+": recorded at", all[i].RecordedAt, recorded[i])
					equal(t, name+": occurred at", all[i].OccurredAt, recorded[i])
				}
			}
			for _, at := range append(recorded, tt.to) {
				until, since := 0, 0
				for _, r := range recorded {
					if !r.After(at) {
						until++
					}
					if !r.Before(at) {
						since++
					}
				}
				equal(t, "read until "+at.String(), len(mustCollect(t, db.ReadStream(ctx, "s", eventstream.RecordedUntil(at)))), until)
				equal(t, "read since "+at.String(), len(mustCollect(t, db.ReadStream(ctx, "s", eventstream.RecordedSince(at)))), since)
				equal(t, "query until "+at.String(), len(mustCollect(t, db.Query(ctx, eventstream.Query{}.RecordedUntil(at)))), until)
				equal(t, "query since "+at.String(), len(mustCollect(t, db.Query(ctx, eventstream.Query{}.RecordedSince(at)))), since)
			}
			wantSound(t, db)
			mustClose(t, db)
		})
	}
}

// A store that is made while the clock is wrong is a store like any other.
func TestAStoreIsMadeWithAWrongClock(t *testing.T) {
	t.Parallel()
	for _, made := range []time.Time{
		{}, time.Unix(0, 0), time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2600, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	} {
		clock := &wallClock{}
		clock.set(made)
		opts := scriptOptions(vfs.NewMem())
		opts.Clock = clock.read
		for session := range 3 {
			db, err := eventstream.Open("store", opts)
			if err != nil {
				t.Fatalf("made at %v, session %d: %v", made, session, err)
			}
			mustAppend(t, db, "s", eventstream.Exact(eventstream.Version(session)), event("X"))
			all := mustCollect(t, db.ReadAll(ctx))
			equal(t, "events", len(all), session+1)
			if !slices.IsSortedFunc(all, func(a, b eventstream.Event) int { return a.RecordedAt.Compare(b.RecordedAt) }) {
				t.Errorf("made at %v: recorded-at goes back", made)
			}
			wantSound(t, db)
			mustClose(t, db)
			clock.set(scriptTime)
		}
	}
}
