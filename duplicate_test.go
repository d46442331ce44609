package eventstream_test

import (
	"sync"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
)

func TestAppendingAgainReturnsTheFirstResult(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	entries := []eventstream.StreamAppend{
		{Stream: "a-b-1", Expect: eventstream.NoStream, Events: []eventstream.NewEvent{withID(id(1), "X"), withID(id(2), "Y")}},
		{Stream: "a-b-2", Expect: eventstream.NoStream, Events: []eventstream.NewEvent{withID(id(3), "Z")}},
	}
	mustAppend(t, db, "a-b-0", eventstream.Any, event("Before"))
	first := mustAppendAll(t, db, entries...)
	mustAppend(t, db, "a-b-1", eventstream.Any, event("After"))
	db.Clock.Advance(time.Hour)

	again := func(db *estest.DB, when string) {
		res := mustAppendAll(t, db, entries...)
		equal(t, when+": deduplicated", res.Deduplicated, true)
		equal(t, when+": first position", res.FirstPosition, first.FirstPosition)
		equal(t, when+": last position", res.LastPosition, first.LastPosition)
		equal(t, when+": recorded at", res.RecordedAt, first.RecordedAt)
		for i, s := range res.Streams {
			want := first.Streams[i]
			equal(t, when+": stream", s.Stream, want.Stream)
			equal(t, when+": first version", s.FirstVersion, want.FirstVersion)
			equal(t, when+": last version", s.LastVersion, want.LastVersion)
			equal(t, when+": first position in stream", s.FirstPosition, want.FirstPosition)
			equalSlices(t, when+": ids", s.EventIDs, want.EventIDs)
		}
		equal(t, when+": head", db.Head(), 5)
	}
	again(db, "at once")
	db = estest.Crash(t, db)
	again(db, "after a crash")
}

func TestAppendingMadeIDsAgainIsDeduplicated(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	first := mustAppend(t, db, "s", eventstream.NoStream, event("X"))
	res := mustAppend(t, db, "s", eventstream.NoStream, withID(first.EventIDs[0], "X"))
	equal(t, "deduplicated", res.Deduplicated, true)
	equal(t, "position", res.LastPosition, 1)
}

func TestPartOfAnAppendAgainIsDeduplicated(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	mustAppend(t, db, "s", eventstream.NoStream, withID(id(1), "X"), withID(id(2), "Y"), withID(id(3), "Z"))
	res := mustAppend(t, db, "s", eventstream.NoStream, withID(id(2), "Y"), withID(id(3), "Z"))
	equal(t, "deduplicated", res.Deduplicated, true)
	equal(t, "first version", res.FirstVersion, 2)
	equal(t, "last position", res.LastPosition, 3)
}

func TestEventsWithoutIDAreMatchedByTheirPlace(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	first := mustAppend(t, db, "s", eventstream.NoStream, event("X"), withID(id(2), "Y"), event("Z"))
	res := mustAppend(t, db, "s", eventstream.NoStream, event("X"), withID(id(2), "Y"), event("Z"))
	equal(t, "deduplicated", res.Deduplicated, true)
	equalSlices(t, "ids", res.EventIDs, first.EventIDs)
	equal(t, "head", db.Head(), 3)
	for name, events := range map[string][]eventstream.NewEvent{
		"other content beside it":    {event("Other"), withID(id(2), "Y"), event("Z")},
		"one event more than it had": {event("X"), withID(id(2), "Y"), event("Z"), event("Z")},
		"one event before the first": {event("X"), event("X"), withID(id(2), "Y")},
	} {
		_, err := db.Append(ctx, "s", eventstream.Any, events...)
		wantErr(t, err, eventstream.ErrDuplicateEvent)
		equal(t, "head after "+name, db.Head(), 3)
	}
}

func TestATakenIDIsRefused(t *testing.T) {
	t.Parallel()
	occurred := withID(id(1), "X")
	occurred.OccurredAt = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	correlated := withID(id(1), "X")
	correlated.CorrelationID = "c"
	annotated := withID(id(1), "X")
	annotated.Metadata = map[string]string{"k": "v"}
	newer := withID(id(1), "X")
	newer.SchemaVersion = 2
	other := withID(id(1), "X")
	other.Data = 5
	for _, tt := range []struct {
		name   string
		stream eventstream.StreamID
		events []eventstream.NewEvent
		id     eventstream.EventID
		at     eventstream.Position
	}{
		{"other payload", "s", []eventstream.NewEvent{other}, id(1), 1},
		{"other type", "s", []eventstream.NewEvent{withID(id(1), "Y")}, id(1), 1},
		{"other stream", "t", []eventstream.NewEvent{withID(id(1), "X")}, id(1), 1},
		{"other schema version", "s", []eventstream.NewEvent{newer}, id(1), 1},
		{"occurred at given now", "s", []eventstream.NewEvent{occurred}, id(1), 1},
		{"other correlation", "s", []eventstream.NewEvent{correlated}, id(1), 1},
		{"other metadata", "s", []eventstream.NewEvent{annotated}, id(1), 1},
		{"a mix of known and new", "s", []eventstream.NewEvent{withID(id(1), "X"), withID(id(9), "X")}, id(1), 1},
		{"a mix of new and known", "s", []eventstream.NewEvent{withID(id(9), "X"), withID(id(2), "X")}, id(2), 2},
		{"ids of two appends", "s", []eventstream.NewEvent{withID(id(1), "X"), withID(id(2), "X")}, id(2), 2},
		{"an id twice", "s", []eventstream.NewEvent{withID(id(8), "X"), withID(id(8), "X")}, id(8), 0},
		{"a known id twice", "s", []eventstream.NewEvent{withID(id(1), "X"), withID(id(1), "X")}, id(1), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := estest.Open(t)
			mustAppend(t, db, "s", eventstream.NoStream, withID(id(1), "X"))
			mustAppend(t, db, "s", eventstream.Exact(1), withID(id(2), "X"))
			_, err := db.Append(ctx, tt.stream, eventstream.Any, tt.events...)
			wantErr(t, err, eventstream.ErrDuplicateEvent)
			d := errAs[*eventstream.DuplicateEventError](t, err)
			equal(t, "id", d.EventID, tt.id)
			equal(t, "position", d.Position, tt.at)
			equal(t, "head", db.Head(), 2)
		})
	}
}

func TestTheSameIDInTwoTenantsIsTwoEvents(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	mustAppend(t, db, "s", eventstream.NoStream, withID(id(1), "X"))
	res := mustAppend(t, db.Tenant("acme"), "s", eventstream.NoStream, withID(id(1), "Y"))
	equal(t, "deduplicated", res.Deduplicated, false)
	equal(t, "position", res.LastPosition, 2)
}

// The same command from 16 goroutines, several times over, is one event.
func TestIdempotentRetryStorm(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	const rounds, senders = 20, 16
	for round := range rounds {
		var wg sync.WaitGroup
		results := make([]eventstream.AppendResult, senders)
		errs := make([]error, senders)
		for i := range senders {
			wg.Go(func() {
				results[i], errs[i] = db.Append(ctx, "s", eventstream.Any, withID(id(2*round+1), "X"), withID(id(2*round+2), "Y"))
			})
		}
		wg.Wait()
		fresh := 0
		for i := range senders {
			if errs[i] != nil {
				t.Fatal(errs[i])
			}
			if !results[i].Deduplicated {
				fresh++
			}
			equal(t, "first version", results[i].FirstVersion, eventstream.Version(2*round+1))
		}
		equal(t, "appends that wrote", fresh, 1)
	}
	equal(t, "head", db.Head(), 2*rounds)
}
