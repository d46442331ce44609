package eventstream_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/keys"
)

func TestAppendAssignsVersionsAndPositions(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	first := mustAppend(t, db, "finance-account-1", eventstream.NoStream, event("Opened"), event("Credited"))
	equal(t, "first version", first.FirstVersion, 1)
	equal(t, "last version", first.LastVersion, 2)
	equal(t, "first position", first.FirstPosition, 1)
	equal(t, "last position", first.LastPosition, 2)
	equal(t, "event ids", len(first.EventIDs), 2)
	equal(t, "recorded at", first.RecordedAt, db.Clock.Now())

	other := mustAppend(t, db, "finance-account-2", eventstream.Any, event("Opened"))
	equal(t, "version in the other stream", other.LastVersion, 1)
	equal(t, "position in the store", other.LastPosition, 3)

	second := mustAppend(t, db, "finance-account-1", eventstream.Exact(2), event("Credited"))
	equal(t, "third version", second.FirstVersion, 3)
	equal(t, "fourth position", second.FirstPosition, 4)
}

func TestAppendKeepsEveryField(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	given := eventstream.NewEvent{
		ID:            id(1),
		Type:          "Posted",
		SchemaVersion: 7,
		Codec:         codec.JSON,
		Data:          map[string]any{"amount": "12.345", "n": 1},
		OccurredAt:    time.Date(1948, 1, 26, 22, 59, 0, 123, time.FixedZone("CET", 3600)),
		CorrelationID: "order-1",
		CausationID:   "01ARZ3NDEKTSV4RRFFQ69G5FAV",
		UserID:        "müller",
		Metadata:      map[string]string{"till": "3", "empty": "", "ключ": "значение"},
	}
	mustAppend(t, db, "finance-account-1", eventstream.NoStream, given)
	for name, got := range map[string]eventstream.Event{
		"by stream":   mustCollect(t, db.ReadStream(ctx, "finance-account-1"))[0],
		"by position": mustCollect(t, db.ReadAll(ctx))[0],
	} {
		equal(t, name+": tenant", got.Tenant, "default")
		equal(t, name+": id", got.ID, given.ID)
		equal(t, name+": type", got.Type, given.Type)
		equal(t, name+": schema version", got.SchemaVersion, given.SchemaVersion)
		equal(t, name+": codec", got.Codec, codec.JSON)
		equal(t, name+": data", string(got.Data), `{"amount":"12.345","n":1}`)
		equal(t, name+": occurred at", got.OccurredAt, given.OccurredAt.UTC())
		equal(t, name+": occurred at was given", got.OccurredGiven(), true)
		equal(t, name+": correlation", got.CorrelationID, given.CorrelationID)
		equal(t, name+": causation", got.CausationID, given.CausationID)
		equal(t, name+": user", got.UserID, given.UserID)
		equal(t, name+": metadata size", len(got.Metadata), 3)
		for k, v := range given.Metadata {
			equal(t, name+": metadata "+k, got.Metadata[k], v)
		}
		clone := got.Clone()
		equal(t, name+": clone's data", string(clone.Data), string(got.Data))
		var decoded struct{ Amount string }
		if err := got.Decode(&decoded); err != nil || decoded.Amount != "12.345" {
			t.Errorf("%s: decoded %+v, error %v", name, decoded, err)
		}
	}
}

func TestAppendDefaults(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	mustAppend(t, db, "a-b-1", eventstream.NoStream, eventstream.NewEvent{Type: "Closed"})
	got := mustCollect(t, db.ReadStream(ctx, "a-b-1"))[0]
	equal(t, "schema version", got.SchemaVersion, 1)
	equal(t, "codec", got.Codec, codec.Msgpack)
	equal(t, "payload length", len(got.Data), 0)
	equal(t, "occurred at", got.OccurredAt, got.RecordedAt)
	equal(t, "occurred at was given", got.OccurredGiven(), false)
	if got.Metadata != nil {
		t.Errorf("metadata: got %v, want nil", got.Metadata)
	}
}

func TestAppendExpectations(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		version int // of the stream before
		expect  eventstream.Expected
		ok      bool
	}{
		{"any accepts no stream", 0, eventstream.Any, true},
		{"any accepts a stream", 2, eventstream.Any, true},
		{"no stream accepts no stream", 0, eventstream.NoStream, true},
		{"no stream refuses a stream", 1, eventstream.NoStream, false},
		{"exact zero is no stream", 0, eventstream.Exact(0), true},
		{"exact zero refuses a stream", 1, eventstream.Exact(0), false},
		{"exists refuses no stream", 0, eventstream.StreamExists, false},
		{"exists accepts a stream", 1, eventstream.StreamExists, true},
		{"exact accepts its version", 2, eventstream.Exact(2), true},
		{"exact refuses a lower version", 1, eventstream.Exact(2), false},
		{"exact refuses a higher version", 3, eventstream.Exact(2), false},
		{"exact refuses no stream", 0, eventstream.Exact(1), false},
		{"exact of the greatest number refuses", 1, eventstream.Exact(math.MaxUint64), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := estest.Open(t)
			for range tt.version {
				mustAppend(t, db, "a-b-1", eventstream.Any, event("X"))
			}
			_, err := db.Append(ctx, "a-b-1", tt.expect, event("Y"))
			if tt.ok {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			wantErr(t, err, eventstream.ErrConflict)
			c := errAs[*eventstream.ConflictError](t, err)
			equal(t, "stream", c.Stream, "a-b-1")
			equal(t, "tenant", c.Tenant, "default")
			equal(t, "expected", c.Expected, tt.expect)
			equal(t, "actual", c.Actual, eventstream.Version(tt.version))
			equal(t, "retryable", c.Retryable(), true)
			equal(t, "head", db.Head(), eventstream.Position(tt.version))
			if tt.expect == eventstream.StreamExists {
				wantErr(t, err, eventstream.ErrStreamNotFound)
			}
		})
	}
}

func TestExpectedTextRoundTrips(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"any", "none", "exists", "1", "4611686018427387903"} {
		e, err := eventstream.ParseExpected(text)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "text", e.String(), text)
	}
	for _, text := range []string{"", "ANY", "-1", "1.5", "18446744073709551616"} {
		_, err := eventstream.ParseExpected(text)
		wantErr(t, err, eventstream.ErrInvalidArgument)
	}
	equal(t, "unset", eventstream.Expected(0).String(), "unset")
}

func TestAppendAllIsOneCommit(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	mustAppend(t, db, "finance-period-2026_01", eventstream.NoStream, event("Opened"))
	res := mustAppendAll(t, db,
		eventstream.StreamAppend{Stream: "finance-account-1", Expect: eventstream.NoStream, Events: []eventstream.NewEvent{event("Debited")}},
		eventstream.StreamAppend{Stream: "finance-period-2026_01", Expect: eventstream.Exact(1)},
		eventstream.StreamAppend{Stream: "finance-account-2", Expect: eventstream.Any, Events: []eventstream.NewEvent{event("Credited"), event("Taxed")}},
	)
	equal(t, "first position", res.FirstPosition, 2)
	equal(t, "last position", res.LastPosition, 4)
	equal(t, "results", len(res.Streams), 3)
	equal(t, "checked stream's version", res.Streams[1].LastVersion, 0)
	equal(t, "third stream's first position", res.Streams[2].FirstPosition, 3)
	equal(t, "third stream's last version", res.Streams[2].LastVersion, 2)
	for i, e := range mustCollect(t, db.ReadAll(ctx, eventstream.After(1))) {
		equal(t, "commit index", e.CommitIndex, i)
		equal(t, "commit size", e.CommitSize, 3)
		equal(t, "commit position", e.CommitPosition(), 2)
	}
	equal(t, "checked stream", mustStream(t, db, "finance-period-2026_01").Version, 1)
}

func mustStream(t testing.TB, db *estest.DB, stream eventstream.StreamID) eventstream.StreamInfo {
	t.Helper()
	info, err := db.Stream(ctx, stream)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func TestAppendAllWritesNothingIfOneStreamConflicts(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	_, err := db.AppendAll(ctx, []eventstream.StreamAppend{
		{Stream: "a-b-1", Expect: eventstream.NoStream, Events: []eventstream.NewEvent{event("X")}},
		{Stream: "a-b-2", Expect: eventstream.StreamExists},
	})
	equal(t, "stream at fault", errAs[*eventstream.ConflictError](t, err).Stream, "a-b-2")
	wantEmpty(t, db)
	equal(t, "tenants", len(db.Tenants()), 0)
}

func TestAppendRefusesBadArguments(t *testing.T) {
	t.Parallel()
	type entries = []eventstream.StreamAppend
	one := []eventstream.NewEvent{event("X")}
	with := func(change func(*eventstream.NewEvent)) entries {
		e := event("X")
		change(&e)
		return entries{{Stream: "a-b-1", Expect: eventstream.Any, Events: []eventstream.NewEvent{event("X"), e}}}
	}
	for _, tt := range []struct {
		name    string
		entries entries
		field   string
	}{
		{"empty stream name", entries{{Stream: "", Expect: eventstream.Any, Events: one}}, "appends[0].Stream"},
		{"stream name too long", entries{{Stream: eventstream.StreamID(strings.Repeat("x", 256)), Expect: eventstream.Any, Events: one}}, "appends[0].Stream"},
		{"stream name with a control character", entries{{Stream: "a\x00b", Expect: eventstream.Any, Events: one}}, "appends[0].Stream"},
		{"stream name that is not UTF-8", entries{{Stream: "a\xff", Expect: eventstream.Any, Events: one}}, "appends[0].Stream"},
		{"no expectation", entries{{Stream: "a-b-1", Events: one}}, "appends[0].Expect"},
		{"unknown expectation", entries{{Stream: "a-b-1", Expect: 4, Events: one}}, "appends[0].Expect"},
		{"no entries", nil, "Events"},
		{"only checks", entries{{Stream: "a-b-1", Expect: eventstream.NoStream}}, "Events"},
		{"check that accepts any", entries{{Stream: "a-b-1", Expect: eventstream.NoStream, Events: one}, {Stream: "a-b-2", Expect: eventstream.Any}}, "appends[1].Events"},
		{"stream named twice", entries{{Stream: "a-b-1", Expect: eventstream.Any, Events: one}, {Stream: "a-b-1", Expect: eventstream.Any, Events: one}}, "appends[1].Stream"},
		{"no type", with(func(e *eventstream.NewEvent) { e.Type = "" }), "appends[0].Events[1].Type"},
		{"type with a newline", with(func(e *eventstream.NewEvent) { e.Type = "A\n" }), "appends[0].Events[1].Type"},
		{"correlation too long", with(func(e *eventstream.NewEvent) { e.CorrelationID = strings.Repeat("c", 256) }), "appends[0].Events[1].CorrelationID"},
		{"causation that is not UTF-8", with(func(e *eventstream.NewEvent) { e.CausationID = "\xff" }), "appends[0].Events[1].CausationID"},
		{"user with NUL", with(func(e *eventstream.NewEvent) { e.UserID = "\x00" }), "appends[0].Events[1].UserID"},
		{"unknown codec", with(func(e *eventstream.NewEvent) { e.Codec = 9 }), "appends[0].Events[1].Data"},
		{"raw payload of another type", with(func(e *eventstream.NewEvent) { e.Codec, e.Data = codec.Raw, 1 }), "appends[0].Events[1].Data"},
		{"payload that does not encode", with(func(e *eventstream.NewEvent) { e.Data = make(chan int) }), "appends[0].Events[1].Data"},
		{"encoded payload that is malformed", with(func(e *eventstream.NewEvent) { e.Data = codec.Encoded{0xdd, 0xff, 0xff, 0xff, 0xff} }), "appends[0].Events[1].Data"},
		{"occurred before 1678", with(func(e *eventstream.NewEvent) { e.OccurredAt = time.Date(1600, 1, 1, 0, 0, 0, 0, time.UTC) }), "appends[0].Events[1].OccurredAt"},
		{"occurred after 2262", with(func(e *eventstream.NewEvent) { e.OccurredAt = time.Date(2263, 1, 1, 0, 0, 0, 0, time.UTC) }), "appends[0].Events[1].OccurredAt"},
		{"metadata with a value that is not UTF-8", with(func(e *eventstream.NewEvent) { e.Metadata = map[string]string{"k": "\xff"} }), "appends[0].Events[1].Metadata"},
		{"metadata with an empty name", with(func(e *eventstream.NewEvent) { e.Metadata = map[string]string{"": "x"} }), "appends[0].Events[1].Metadata"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := estest.Open(t)
			_, err := db.AppendAll(ctx, tt.entries)
			wantErr(t, err, eventstream.ErrInvalidArgument)
			equal(t, "field", errAs[*eventstream.ArgumentError](t, err).Field, tt.field)
			wantEmpty(t, db)
		})
	}
}

func TestAppendNamesFieldsOfOneStream(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	_, err := db.Append(ctx, "a-b-1", eventstream.Any, event("X"), event(""))
	equal(t, "field", errAs[*eventstream.ArgumentError](t, err).Field, "events[1].Type")
	_, err = db.Append(ctx, "", eventstream.Any, event("X"))
	equal(t, "field", errAs[*eventstream.ArgumentError](t, err).Field, "Stream")
	_, err = db.Append(ctx, "a-b-1", eventstream.NoStream)
	equal(t, "field", errAs[*eventstream.ArgumentError](t, err).Field, "Events")
	name := errAs[*eventstream.NameError](t, func() error {
		_, err := db.Append(ctx, "a\tb", eventstream.Any, event("X"))
		return err
	}())
	equal(t, "reason", name.Reason, keys.NameBadCharacter)
}

func TestAppendLimits(t *testing.T) {
	t.Parallel()
	raw := func(size int) eventstream.NewEvent {
		return eventstream.NewEvent{Type: "X", Codec: codec.Raw, Data: make([]byte, size)}
	}
	many := func(n int, e eventstream.NewEvent) []eventstream.NewEvent {
		events := make([]eventstream.NewEvent, n)
		for i := range events {
			events[i] = e
		}
		return events
	}
	metadata := func(size int) eventstream.NewEvent {
		e := event("X")
		e.Metadata = map[string]string{"k": strings.Repeat("v", size-1)}
		return e
	}
	name := func(n int) string { return strings.Repeat("n", n) }
	for _, tt := range []struct {
		name   string
		stream string
		events []eventstream.NewEvent
		field  string // "" where it fits
	}{
		{"1,000 events fit", "s", many(1000, event("X")), ""},
		{"1,001 events do not", "s", many(1001, event("X")), "append"},
		{"a payload of 1 MiB fits", "s", many(1, raw(1<<20)), ""},
		{"a payload of one byte more does not", "s", many(1, raw(1<<20+1)), "events[0].Data"},
		{"an append of less than 8 MiB fits", "s", many(7, raw(1<<20)), ""},
		{"an append of more than 8 MiB does not", "s", many(8, raw(1<<20)), "append"},
		{"metadata of 64 KiB fits", "s", many(1, metadata(64<<10)), ""},
		{"metadata of one byte more does not", "s", many(1, metadata(64<<10+1)), "events[0].Metadata"},
		{"a stream name of 255 bytes fits", name(255), many(1, event("X")), ""},
		{"a type of 255 bytes fits", "s", many(1, event(name(255))), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := estest.Open(t)
			_, err := db.Append(ctx, eventstream.StreamID(tt.stream), eventstream.Any, tt.events...)
			if tt.field == "" {
				if err != nil {
					t.Fatal(err)
				}
				equal(t, "events read back", len(mustCollect(t, db.ReadAll(ctx))), len(tt.events))
				return
			}
			wantErr(t, err, eventstream.ErrTooLarge)
			wantErr(t, err, eventstream.ErrInvalidArgument)
			limit := errAs[*eventstream.LimitError](t, err)
			equal(t, "field", limit.Field, tt.field)
			if limit.Size <= limit.Limit {
				t.Errorf("size %d is within the limit %d", limit.Size, limit.Limit)
			}
			wantEmpty(t, db)
		})
	}
}

func TestAppendLimitsFollowOptions(t *testing.T) {
	t.Parallel()
	db := estest.Open(t, estest.Options(func(o *eventstream.Options) { o.MaxPayloadBytes, o.MaxAppendBytes = 2<<20, 3<<20 }))
	raw := eventstream.NewEvent{Type: "X", Codec: codec.Raw, Data: make([]byte, 2<<20)}
	mustAppend(t, db, "s", eventstream.Any, raw)
	_, err := db.Append(ctx, "s", eventstream.Any, raw, raw)
	wantErr(t, err, eventstream.ErrTooLarge)
	equal(t, "events", len(mustCollect(t, db.ReadAll(ctx))), 1)
}

func TestRecordedAtNeverGoesBack(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	first := mustAppend(t, db, "s", eventstream.Any, event("X")).RecordedAt
	db.Clock.Advance(-2 * time.Hour)
	equal(t, "recorded at with the clock behind", mustAppend(t, db, "s", eventstream.Any, event("X")).RecordedAt, first)
	db = estest.Crash(t, db)
	equal(t, "recorded at after a restart with the clock behind", mustAppend(t, db, "s", eventstream.Any, event("X")).RecordedAt, first)
	db.Clock.Advance(3 * time.Hour)
	equal(t, "recorded at with the clock ahead", mustAppend(t, db, "s", eventstream.Any, event("X")).RecordedAt, first.Add(time.Hour))
}

func TestAppendWithAnEndedContextWritesNothing(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	_, err := db.Append(cancelled, "s", eventstream.Any, event("X"))
	if !errors.Is(err, context.Canceled) || errors.Is(err, eventstream.ErrCommitUnknown) {
		t.Fatalf("got error %v, want the context's alone", err)
	}
	wantEmpty(t, db)
}
