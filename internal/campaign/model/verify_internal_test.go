package model

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/projection"
	"github.com/nexus-erp/eventstream/snapshot"
)

var ctx = context.Background()

func numbered(n int) eventstream.EventID { return eventstream.EventID{0: 1, 15: byte(n)} }

func event(n int, eventType string) eventstream.NewEvent {
	return eventstream.NewEvent{
		ID: numbered(n), Type: eventType, Codec: codec.Raw, Data: codec.Encoded(fmt.Sprint("payload ", n)),
		CorrelationID: fmt.Sprint("process ", n%3), UserID: "ada", Metadata: map[string]string{"n": fmt.Sprint(n)},
	}
}

func to(stream eventstream.StreamID, events ...eventstream.NewEvent) eventstream.StreamAppend {
	return eventstream.StreamAppend{Stream: stream, Expect: eventstream.Any, Events: events}
}

// lastOfType keeps the position of the newest event of each type.
var lastOfType = Projection{
	Tenant: eventstream.DefaultTenant,
	Definition: projection.Definition{Name: "last", Apply: func(_ context.Context, tx *eventstream.Tx, e eventstream.Event) error {
		return tx.Put([]byte(e.Type), []byte(fmt.Sprint(e.Position)))
	}},
	Fold: func(view map[string]string, e *eventstream.Event) { view[e.Type] = fmt.Sprint(e.Position) },
}

// sound returns a store with some of everything, and an oracle that knows all of it.
func sound(t *testing.T) (*eventstream.DB, *Store) {
	t.Helper()
	db, err := eventstream.Open("store", &eventstream.Options{FS: vfs.NewMem(), MemTableBytes: 256 << 10, CacheBytes: 1 << 20, Indexes: []eventstream.Index{eventstream.IndexUser, eventstream.IndexTag}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	oracle := New()
	oracle.Projections = []Projection{lastOfType}
	for _, a := range []Append{
		{Tenant: eventstream.DefaultTenant, Entries: []eventstream.StreamAppend{to("a-a-1", event(1, "Opened"), event(2, "Posted")), to("a-a-2", event(3, "Opened"))}},
		{Tenant: "acme", Entries: []eventstream.StreamAppend{to("a-a-1", event(4, "Opened"))}},
		{Tenant: "acme", Entries: []eventstream.StreamAppend{to("a-a-2", event(5, "Opened"))}},
		{Tenant: eventstream.DefaultTenant, Entries: []eventstream.StreamAppend{to("a-a-1", event(6, "Posted"))}},
	} {
		res, err := db.Tenant(a.Tenant).AppendAll(ctx, a.Entries)
		if err != nil {
			t.Fatal(err)
		}
		oracle.Acknowledge(a, res)
	}
	update := Append{Tenant: eventstream.DefaultTenant, Entries: []eventstream.StreamAppend{{Stream: "u-u-1", Expect: eventstream.NoStream, Events: []eventstream.NewEvent{event(7, "Numbered")}}}, Records: []Record{{"numbers", "next", []byte("8")}}}
	res, err := db.Update(ctx, func(tx *eventstream.UpdateTx) error {
		return errors.Join(tx.Records("numbers").Put([]byte("next"), []byte("8")), tx.Append("u-u-1", eventstream.NoStream, event(7, "Numbered")))
	})
	if err != nil {
		t.Fatal(err)
	}
	oracle.Acknowledge(update, res)
	snap := snapshot.Snapshot{Stream: "a-a-1", Version: 2, Codec: codec.Raw, State: []byte("state"), OccurredUntil: time.Now().Add(time.Hour), Algorithm: snapshot.XXHash64}
	if err := db.SaveSnapshot(ctx, snap, 1); err != nil {
		t.Fatal(err)
	}
	oracle.SaveSnapshot(eventstream.DefaultTenant, snap, 1)
	engine := projection.New(db, nil)
	if err := engine.Register(lastOfType.Definition); err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(running) }()
	err = engine.WaitFor(ctx, "last", db.Head())
	stop()
	if <-ended; err != nil {
		t.Fatal(err)
	}
	return db, oracle
}

// wantBroken fails unless exactly these invariants are named.
func wantBroken(t *testing.T, report Report, want ...string) {
	t.Helper()
	if got := report.Broken(); !slices.Equal(got, want) {
		t.Errorf("got %q broken, want %q: %s", got, want, report)
	}
}

func TestASoundStoreBreaksNothing(t *testing.T) {
	t.Parallel()
	db, oracle := sound(t)
	report := Verify(ctx, db, oracle)
	wantBroken(t, report)
	if report.Events != 7 || report.Questions < 10 || db.Head() != 7 {
		t.Errorf("got %d events, %d questions and head %d, want 7 events, some questions, and nothing written", report.Events, report.Questions, db.Head())
	}
}

// The oracle knows something else than the store, or the store does what it must not.
func TestVerifyNamesWhatTheStoreLacks(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(t *testing.T, db *eventstream.DB, s *Store)
		want   []string
	}{
		"an event that is not there": {func(_ *testing.T, _ *eventstream.DB, s *Store) {
			e := s.events[6]
			e.Position, e.Version, e.ID = 8, 2, numbered(8)
			s.put(e)
		}, []string{"I1"}},
		"another byte in a payload":     {func(_ *testing.T, _ *eventstream.DB, s *Store) { s.events[3].Data[0] ^= 1 }, []string{"I1"}},
		"another time":                  {func(_ *testing.T, _ *eventstream.DB, s *Store) { s.events[3].RecordedAt = time.Unix(1, 0).UTC() }, []string{"I1"}},
		"another record of a namespace": {func(_ *testing.T, _ *eventstream.DB, s *Store) { s.writes[0].records[0].Value = []byte("9") }, []string{"I1"}},
		"a snapshot that is not there": {func(_ *testing.T, _ *eventstream.DB, s *Store) {
			s.SaveSnapshot("acme", snapshot.Snapshot{Stream: "a-a-1", Version: 1}, 1)
		}, []string{"I1"}},
		"a store that was damaged and says nothing": {func(_ *testing.T, _ *eventstream.DB, s *Store) {
			s.Damaged = true
			e := s.events[6]
			e.Position, e.Version, e.ID = 8, 2, numbered(8)
			s.put(e)
		}, []string{"I9"}},
		"an event that nobody appended": {func(_ *testing.T, _ *eventstream.DB, s *Store) { s.events = s.events[:6] }, []string{"I4"}},
		"an append of which nobody was told": {func(t *testing.T, db *eventstream.DB, _ *Store) {
			if _, err := db.Append(ctx, "a-a-1", eventstream.Any, event(9, "Posted")); err != nil {
				t.Error(err)
			}
		}, []string{"I4"}},
		"a projection without its checkpoint": {func(t *testing.T, db *eventstream.DB, _ *Store) {
			for state, err := range db.DerivedStates("") {
				if err != nil {
					t.Error(err)
				}
				if _, err := db.SwapState(state.Name, state.State, nil); err != nil {
					t.Error(err)
				}
			}
		}, []string{"I8"}},
		"a projection that folds otherwise": {func(_ *testing.T, _ *eventstream.DB, s *Store) {
			s.Projections[0].Fold = func(map[string]string, *eventstream.Event) {}
		}, []string{"I8"}},
		"two answers for one place": {func(_ *testing.T, _ *eventstream.DB, s *Store) {
			other := Append{Tenant: "acme", Entries: []eventstream.StreamAppend{to("a-a-1", event(99, "Opened"))}}
			s.Acknowledge(other, eventstream.CommitResult{LastPosition: 4, Deduplicated: true, Streams: []eventstream.AppendResult{{FirstVersion: 1, FirstPosition: 4, EventIDs: []eventstream.EventID{numbered(99)}}}})
		}, []string{"I6"}},
		"an answer about another event": {func(_ *testing.T, _ *eventstream.DB, s *Store) {
			a := Append{Tenant: "acme", Entries: []eventstream.StreamAppend{to("a-a-1", event(4, "Opened"))}}
			s.Acknowledge(a, eventstream.CommitResult{Streams: []eventstream.AppendResult{{FirstVersion: 1, FirstPosition: 4, EventIDs: []eventstream.EventID{numbered(5)}}}})
		}, []string{"I6", "I7"}},
		"a version that two won": {func(_ *testing.T, _ *eventstream.DB, s *Store) {
			won := Call{Stream: "s", Append: true, Expect: eventstream.NoStream, IDs: []eventstream.EventID{numbered(1)}, First: 1, Began: 1, Ended: 9}
			s.Calls = []Call{won, won}
		}, []string{"I6"}},
		"a follower with a gap": {func(t *testing.T, db *eventstream.DB, s *Store) {
			got := delivered(t, db)
			s.Delivered = []Delivery{{"f", eventstream.DefaultTenant, 0, append(got[:1:1], got[2:]...)}}
		}, []string{"I10"}},
		"a follower with an event twice": {func(t *testing.T, db *eventstream.DB, s *Store) {
			got := delivered(t, db)
			s.Delivered = []Delivery{{"f", eventstream.DefaultTenant, 1, append(got[1:len(got):len(got)], got[len(got)-1])}}
		}, []string{"I10"}},
		"a process that uses more": {func(_ *testing.T, _ *eventstream.DB, s *Store) { s.Bound = &Usage{Goroutines: 1, Files: 1} }, []string{"I12"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, oracle := sound(t)
			c.change(t, db, oracle)
			wantBroken(t, Verify(ctx, db, oracle), c.want...)
		})
	}
}

// delivered is what a follower of the default tenant gets.
func delivered(t *testing.T, db *eventstream.DB) (events []eventstream.Event) {
	t.Helper()
	for e, err := range db.Follow(ctx, eventstream.Limit(5)) {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
	return events
}

// The store shows something that fits no log: what a look finds is changed.
func TestVerifyNamesWhatAStoreShowsWrongly(t *testing.T) {
	t.Parallel()
	db, oracle := sound(t)
	own := func(s *Seen) *tenantSeen {
		return s.tenants[slices.IndexFunc(s.tenants, func(t *tenantSeen) bool { return t.name == "default" })]
	}
	acme := func(s *Seen) *tenantSeen {
		return s.tenants[slices.IndexFunc(s.tenants, func(t *tenantSeen) bool { return t.name == "acme" })]
	}
	for _, c := range []struct {
		name   string
		change func(*Seen)
		want   string // among what is named: a log that is wrong is also not what was acknowledged
	}{
		{"half a commit", func(s *Seen) { t := own(s); t.log = append(t.log[:1:1], t.log[2:]...) }, "I2"},
		{"a hole in the positions", func(s *Seen) { t := acme(s); t.log = t.log[1:] }, "I3"},
		{"a hole in a stream", func(s *Seen) { own(s).log[3].Version++ }, "I3"},
		{"a head beyond the log", func(s *Seen) { s.head++ }, "I3"},
		{"a time that goes back", func(s *Seen) { own(s).log[3].RecordedAt = time.Unix(1, 0) }, "I3"},
		{"a log out of order", func(s *Seen) { t := acme(s); slices.Reverse(t.log) }, "I3"},
		{"an id twice", func(s *Seen) { t := own(s); t.log[3].ID = t.log[0].ID }, "I7"},
	} {
		seen := Look(ctx, db, oracle)
		c.change(seen)
		if got := oracle.Judge(seen).Broken(); !slices.Contains(got, c.want) {
			t.Errorf("%s: got %q broken, want %s among them", c.name, got, c.want)
		}
	}
	for _, c := range []struct {
		name   string
		change func(*Seen)
		want   string // alone
	}{
		{"the log backward", func(s *Seen) { t := own(s); t.backward = t.backward[1:] }, "I5"},
		{"a stream", func(s *Seen) { own(s).byStream["a-a-1"][0].Type = "Other" }, "I5"},
		{"a list of streams", func(s *Seen) { own(s).streams[0].Version++ }, "I5"},
		{"an answer of an index", func(s *Seen) { a := own(s).answers; a[len(a)-1].found = a[len(a)-1].found[1:] }, "I5"},
		{"a count of an index", func(s *Seen) { own(s).answers[0].count++ }, "I5"},
		{"an id that leads elsewhere", func(s *Seen) { own(s).ids[numbered(1)] = 2 }, "I5"},
		{"a position that leads nowhere", func(s *Seen) { delete(own(s).places, 1) }, "I5"},
		{"a problem that the store found itself", func(s *Seen) { s.check.Problems = []eventstream.Problem{{Kind: eventstream.ProblemIndex}} }, "I5"},
		{"an append that was written again", func(s *Seen) { s.resent[0].res.Deduplicated = false }, "I7"},
		{"an append that was answered with other positions", func(s *Seen) { s.resent[0].res.FirstPosition++ }, "I7"},
		{"an append that was refused when it was sent again", func(s *Seen) { s.resent[1].err = eventstream.ErrDuplicateEvent }, "I7"},
		{"a checkpoint that is not durable", func(s *Seen) { s.durable-- }, "I8"},
		{"a view with half of a batch", func(s *Seen) { s.views[0].checkpoint-- }, "I8"},
		{"a read that failed", func(s *Seen) { s.failed = []failure{{"log", errors.New("interrupted")}} }, "I9"},
		{"a position of another tenant", func(s *Seen) { acme(s).places[1] = true }, "I11"},
		{"an id of another tenant", func(s *Seen) { acme(s).ids[numbered(1)] = 1 }, "I11"},
		{"a tenant that is not listed", func(s *Seen) { s.names = s.names[:1] }, "I11"},
	} {
		seen := Look(ctx, db, oracle)
		c.change(seen)
		if got := oracle.Judge(seen).Broken(); !slices.Equal(got, []string{c.want}) {
			t.Errorf("%s: got %q broken, want %s", c.name, got, c.want)
		}
	}
	seen := Look(ctx, db, oracle)
	acme(seen).log[0].Tenant = "other"
	if got := oracle.Judge(seen).Broken(); !slices.Contains(got, "I11") {
		t.Errorf("an event of another tenant in a log: got %q broken, want I11 among them", got)
	}
}

// A damaged store may fail, if it says that it is damaged.
func TestADamagedStoreMaySaySo(t *testing.T) {
	t.Parallel()
	db, oracle := sound(t)
	oracle.Damaged = true
	seen := Look(ctx, db, oracle)
	seen.failed = []failure{{"log", &eventstream.CorruptionError{What: "event"}}}
	wantBroken(t, oracle.Judge(seen))
	oracle.Damaged = false
	wantBroken(t, oracle.Judge(seen), "I9")
}

// What was in doubt may be there or not, but not in part, and then it counts.
func TestAnAppendInDoubtIsThereWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	doubt := Append{Tenant: eventstream.DefaultTenant, Entries: []eventstream.StreamAppend{to("a-a-1", event(10, "Posted"), event(11, "Posted")), to("c", event(12, "Opened"))}}
	part := doubt
	part.Entries = []eventstream.StreamAppend{to("a-a-1", event(10, "Posted"), event(11, "Posted"))}
	other := doubt
	other.Entries = []eventstream.StreamAppend{to("a-a-1", event(10, "Posted"), event(11, "Other")), to("c", event(12, "Opened"))}
	for name, c := range map[string]struct {
		there  *Append
		broken []string
		head   eventstream.Position
	}{
		"not at all": {nil, nil, 7},
		"whole":      {&doubt, nil, 10},
		"in part":    {&part, []string{"I4"}, 9},
		"otherwise":  {&other, []string{"I2"}, 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, oracle := sound(t)
			oracle.Doubt(doubt)
			if c.there != nil {
				if _, err := db.AppendAll(ctx, c.there.Entries); err != nil {
					t.Fatal(err)
				}
			}
			seen := Look(ctx, db, oracle)
			report := oracle.Judge(seen)
			wantBroken(t, report, c.broken...)
			if len(c.broken) > 0 {
				return
			}
			oracle.Settle(seen)
			wantBroken(t, Verify(ctx, db, oracle))
			if oracle.Head() != c.head {
				t.Errorf("settled: got head %d, want %d", oracle.Head(), c.head)
			}
		})
	}
}

// After a crash, snapshots may be as they were at any moment since the last append, and
// at no other.
func TestACrashTakesSnapshotsFromTheEnd(t *testing.T) {
	t.Parallel()
	db, oracle := sound(t)
	later := snapshot.Snapshot{Stream: "a-a-1", Version: 3, Codec: codec.Raw, State: []byte("later")}
	oracle.SaveSnapshot(eventstream.DefaultTenant, later, 2)
	wantBroken(t, Verify(ctx, db, oracle), "I1")
	oracle.Crash()
	seen := Look(ctx, db, oracle)
	wantBroken(t, oracle.Judge(seen))
	oracle.Settle(seen)
	wantBroken(t, Verify(ctx, db, oracle))

	oracle.SaveSnapshot(eventstream.DefaultTenant, later, 2)
	oracle.snapshots = oracle.snapshots[1:] // an append made it durable
	oracle.Crash()
	wantBroken(t, Verify(ctx, db, oracle), "I1")
}
