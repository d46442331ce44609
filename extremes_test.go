package eventstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/keys"
	"github.com/nexus-erp/eventstream/snapshot"
)

// judgement is what must come of an input.
type judgement string

const (
	accepted judgement = "taken"
	denied   judgement = "refused" // an ArgumentError
	oversize judgement = "too large"
)

func judgementOf(err error) judgement {
	switch {
	case err == nil:
		return accepted
	case errors.Is(err, eventstream.ErrTooLarge):
		return oversize
	case errors.Is(err, eventstream.ErrInvalidArgument):
		return denied
	default:
		return judgement(err.Error())
	}
}

// extremeNames are texts at and beyond every rule for names.
var extremeNames = []struct {
	what, name string
	want       judgement
}{
	{"empty", "", denied},
	{"one byte", "a", accepted},
	{"a blank", " ", accepted},
	{"the longest", strings.Repeat("n", keys.MaxNameBytes), accepted},
	{"a byte more", strings.Repeat("n", keys.MaxNameBytes+1), denied},
	{"the longest of two-byte characters", strings.Repeat("ü", 127) + "n", accepted},
	{"a byte more of two-byte characters", strings.Repeat("ü", 128), denied},
	{"a cut character", "ü"[:1], denied},
	{"half of a surrogate pair", "\xed\xa0\x80", denied},
	{"longer than needed", "\xc0\xaf", denied},
	{"beyond Unicode", "\xf4\x90\x80\x80", denied},
	{"the greatest character", "\U0010ffff", accepted},
	{"the replacement character itself", "\ufffd", accepted},
	{"a byte order mark", "\ufeff", accepted},
	{"the other direction", "\u202e", accepted},
	{"NUL", "a\x00b", denied},
	{"NUL at the end", "a\x00", denied},
	{"a tab", "\t", denied},
	{"the last control character", "\x1f", denied},
	{"delete", "\x7f", denied},
	{"the last of the second control characters", "\u009f", denied},
	{"what follows it", "\u00a0", accepted},
	{"all ones", "\xff\xff", denied},
	{"a path upwards", "../../etc/passwd", accepted},
	{"a separator", "-", accepted},
	{"wildcards", "%*?_", accepted},
}

// Every argument that is a name takes the names that the rules allow, and no other.
func TestNamesAtTheirLimits(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	mustAppend(t, db, "s", eventstream.NoStream, event("X"))
	mustAppend(t, db.Tenant("other"), "s", eventstream.NoStream, event("X")) // its namespaces are projections'
	with := func(change func(*eventstream.NewEvent)) error {
		e := event("X")
		change(&e)
		_, err := db.Append(ctx, "s", eventstream.Any, e)
		return err
	}
	count := func(q eventstream.Query) error { _, err := db.Count(ctx, q); return err }
	arguments := map[string]struct {
		give  func(name string) error
		empty bool // it may be left out
	}{
		"tenant": {give: func(n string) error { _, err := db.Tenant(n).Append(ctx, "s", eventstream.Any, event("X")); return err }},
		"stream": {give: func(n string) error {
			_, err := db.Append(ctx, eventstream.StreamID(n), eventstream.Any, event("X"))
			return err
		}},
		"stream read": {give: func(n string) error { return ranged(db.ReadStream(ctx, eventstream.StreamID(n))) }},
		"type":        {give: func(n string) error { return with(func(e *eventstream.NewEvent) { e.Type = n }) }},
		"correlation": {empty: true, give: func(n string) error { return with(func(e *eventstream.NewEvent) { e.CorrelationID = n }) }},
		"causation":   {empty: true, give: func(n string) error { return with(func(e *eventstream.NewEvent) { e.CausationID = n }) }},
		"user":        {empty: true, give: func(n string) error { return with(func(e *eventstream.NewEvent) { e.UserID = n }) }},
		"metadata": {give: func(n string) error {
			return with(func(e *eventstream.NewEvent) { e.Metadata = map[string]string{n: ""} })
		}},
		"state":      {give: func(n string) error { _, err := defaultTenant(db.DB).SwapState(n, nil, nil); return err }},
		"state read": {give: func(n string) error { _, err := db.DerivedState(n); return err }},
		"projection": {give: func(n string) error {
			v := eventstream.ViewID{Projection: n, Generation: 1}
			return db.Tenant("other").Derive(eventstream.Derivation{View: v}, func(*eventstream.Tx) error { return nil })
		}},
		"namespace": {give: func(n string) error {
			_, err := db.Update(ctx, func(tx *eventstream.UpdateTx) error { _, _, err := tx.Records(n).Get([]byte("k")); return err })
			return err
		}},
		"query's stream": {give: func(n string) error { return count(eventstream.Query{}.Streams(eventstream.StreamID(n))) }},
		"query's type":   {give: func(n string) error { return count(eventstream.Query{}.Types(n)) }},
		"query's tag":    {give: func(n string) error { return count(eventstream.Query{}.Tag(n, "v")) }},
		"node": {empty: true, give: func(n string) error {
			db, err := eventstream.Open("node", &eventstream.Options{FS: vfs.NewMem(), Node: n, MemTableBytes: 256 << 10})
			if err == nil {
				err = db.Close()
			}
			return err
		}},
	}
	for what, argument := range arguments {
		for _, tt := range extremeNames {
			want := tt.want
			if tt.name == "" && argument.empty {
				want = accepted
			}
			if got := judgementOf(argument.give(tt.name)); got != want {
				t.Errorf("%s, %s: %s, want %s", what, tt.what, got, want)
			}
		}
	}
	// What was taken is found under exactly its name.
	for _, tt := range extremeNames {
		if tt.want != accepted {
			continue
		}
		info, err := db.Stream(ctx, eventstream.StreamID(tt.name))
		if err != nil || string(info.Stream) != tt.name {
			t.Errorf("%s: got %q, %v", tt.what, info.Stream, err)
		}
	}
}

// Everything that has a size or a number takes it up to its limit, and nothing beyond.
func TestSizesAndNumbersAtTheirLimits(t *testing.T) {
	if testing.Short() {
		t.Skip("it writes hundreds of megabytes")
	}
	t.Parallel()
	db := estest.Open(t)
	mustAppend(t, db, "s", eventstream.NoStream, event("X"))
	append1 := func(change func(*eventstream.NewEvent)) error {
		e := event("X")
		change(&e)
		_, err := db.Append(ctx, "s", eventstream.Any, e)
		return err
	}
	occurred := func(at time.Time) error {
		return append1(func(e *eventstream.NewEvent) { e.OccurredAt = at })
	}
	schema := func(v eventstream.SchemaVersion) error {
		return append1(func(e *eventstream.NewEvent) { e.SchemaVersion = v })
	}
	entries := func(n int) error {
		all := []eventstream.StreamAppend{{Stream: "s", Expect: eventstream.StreamExists, Events: []eventstream.NewEvent{event("X")}}}
		for i := 1; i < n; i++ {
			all = append(all, eventstream.StreamAppend{Stream: eventstream.StreamID(fmt.Sprintf("none-%d", i)), Expect: eventstream.NoStream})
		}
		_, err := db.AppendAll(ctx, all)
		return err
	}
	tx := func(do func(*eventstream.Tx) error) error {
		return db.Derive(eventstream.Derivation{View: eventstream.ViewID{Projection: "p", Generation: 1}}, do)
	}
	put := func(key, value int) error {
		return tx(func(tx *eventstream.Tx) error { return tx.Put(make([]byte, key), make([]byte, value)) })
	}
	beside := func(key, value int) error {
		return tx(func(tx *eventstream.Tx) error { return tx.Beside("b").Put(make([]byte, key), make([]byte, value)) })
	}
	record := func(key, value int) error {
		_, err := db.Update(ctx, func(tx *eventstream.UpdateTx) error {
			return errors.Join(tx.Records("r").Put(make([]byte, key), make([]byte, value)), tx.Append("s", eventstream.StreamExists, event("X")))
		})
		return err
	}
	generation := func(n uint64) error {
		return db.ReadView(eventstream.ViewID{Projection: "p", Generation: n}, func(*eventstream.ViewReader) error { return nil })
	}
	page := func(size, offset int) error {
		_, err := db.QueryPage(ctx, eventstream.Query{}, eventstream.PageOptions{Size: size, Offset: offset})
		return err
	}
	query := func(q eventstream.Query) error { _, err := db.Count(ctx, q); return err }
	state := func(size int) error {
		s := snapshotAt("s", 1, endOfTime)
		s.Codec, s.State = codec.Raw, make([]byte, size)
		return db.SaveSnapshot(ctx, s, 1)
	}
	keep := func(n int) error { return db.SaveSnapshot(ctx, snapshotAt("s", 1, endOfTime), n) }
	first, last := time.Unix(0, math.MinInt64), time.Unix(0, math.MaxInt64)
	for _, tt := range []struct {
		what string
		err  error
		want judgement
	}{
		{"the first time", occurred(first), accepted},
		{"before the first time", occurred(first.Add(-1)), denied},
		{"the last time", occurred(last), accepted},
		{"after the last time", occurred(last.Add(1)), denied},
		{"schema version 0", schema(0), accepted},
		{"the greatest schema version", schema(math.MaxUint32), accepted},
		{"1,000 streams", entries(1000), accepted},
		{"1,001 streams", entries(1001), oversize},
		{"a record without a key", put(0, 1), denied},
		{"a record without a value", put(1, 0), accepted},
		{"the longest key", put(64<<10, 1), accepted},
		{"a key of a byte more", put(64<<10+1, 1), oversize},
		{"the longest value", put(1, 16<<20), accepted},
		{"a value of a byte more", put(1, 16<<20+1), oversize},
		{"the longest key beside", beside(128<<10+64, 1), accepted},
		{"a key beside of a byte more", beside(128<<10+65, 1), oversize},
		{"the longest value beside", beside(1, 16<<20+64), accepted},
		{"a value beside of a byte more", beside(1, 16<<20+65), oversize},
		{"an update's record without a key", record(0, 1), denied},
		{"an update's longest key", record(64<<10, 1), accepted},
		{"an update's key of a byte more", record(64<<10+1, 1), oversize},
		{"an update of all that an append may hold", record(1, 8<<20-1000), accepted},
		{"an update of more", record(1, 8<<20), oversize},
		{"generation 0", generation(0), denied},
		{"the greatest generation", generation(math.MaxInt64), accepted},
		{"a greater generation", generation(math.MaxInt64 + 1), denied},
		{"no page size", page(0, 0), accepted},
		{"a negative page size", page(-1, 0), oversize},
		{"the greatest page", page(10_000, 10_000), accepted},
		{"a greater page", page(10_001, 0), oversize},
		{"a greater offset", page(1, 10_001), oversize},
		{"a negative offset", page(1, -1), oversize},
		{"a budget of 0", query(eventstream.Query{}.Budget(0)), denied},
		{"a budget of 1", query(eventstream.Query{}.Budget(1)), accepted},
		{"up to position 0", query(eventstream.Query{}.Until(0)), denied},
		{"an empty snapshot", state(0), accepted},
		{"the largest snapshot", state(snapshot.MaxStateBytes), accepted},
		{"a larger snapshot", state(snapshot.MaxStateBytes + 1), oversize},
		{"0 snapshots are kept", keep(0), denied},
		{"all snapshots are kept", keep(math.MaxInt), accepted},
		{"a read of 0 events", ranged(db.ReadAll(ctx, eventstream.Limit(0))), denied},
		{"a read of as many as there are", ranged(db.ReadAll(ctx, eventstream.Limit(math.MaxInt))), accepted},
	} {
		if got := judgementOf(tt.err); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.what, got, tt.want)
		}
	}
	events := mustCollect(t, db.ReadStream(ctx, "s"))
	equal(t, "the greatest schema version, read", events[4].SchemaVersion, math.MaxUint32)
	equal(t, "the last time, read", events[2].OccurredAt, last.UTC())
	mustSave(t, db, snapshotAt("s", 1, endOfTime), 1) // one that Check decodes
}

// No position, version or time is so great that what is read with it wraps around.
func TestReadsBeyondTheEnd(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	fill(t, db, 3, "a-b-1")
	const (
		position = eventstream.Position(math.MaxUint64)
		version  = eventstream.Version(math.MaxUint64)
	)
	query := eventstream.Query{}
	for what, tt := range map[string]struct {
		read func() ([]eventstream.Event, error)
		want int
	}{
		"all after the last position": {func() ([]eventstream.Event, error) { return collect(db.ReadAll(ctx, eventstream.After(position))) }, 0},
		"all after half of them":      {func() ([]eventstream.Event, error) { return collect(db.ReadAll(ctx, eventstream.After(position/2))) }, 0},
		"all until the last position": {func() ([]eventstream.Event, error) { return collect(db.ReadAll(ctx, eventstream.Until(position))) }, 3},
		"all until position 0":        {func() ([]eventstream.Event, error) { return collect(db.ReadAll(ctx, eventstream.Until(0))) }, 0},
		"backward from the last position": {func() ([]eventstream.Event, error) {
			return collect(db.ReadAll(ctx, eventstream.Backward(), eventstream.Until(position)))
		}, 3},
		"backward down to the last": {func() ([]eventstream.Event, error) {
			return collect(db.ReadAll(ctx, eventstream.Backward(), eventstream.After(position)))
		}, 0},
		"a stream from the last version": {func() ([]eventstream.Event, error) {
			return collect(db.ReadStream(ctx, "a-b-1", eventstream.From(version)))
		}, 0},
		"a stream from version 0": {func() ([]eventstream.Event, error) { return collect(db.ReadStream(ctx, "a-b-1", eventstream.From(0))) }, 3},
		"a stream to the last version": {func() ([]eventstream.Event, error) {
			return collect(db.ReadStream(ctx, "a-b-1", eventstream.To(version)))
		}, 3},
		"a stream to version 0": {func() ([]eventstream.Event, error) { return collect(db.ReadStream(ctx, "a-b-1", eventstream.To(0))) }, 0},
		"a stream from its end to its start": {func() ([]eventstream.Event, error) {
			return collect(db.ReadStream(ctx, "a-b-1", eventstream.From(3), eventstream.To(1)))
		}, 0},
		"a stream backward from the last": {func() ([]eventstream.Event, error) {
			return collect(db.ReadStream(ctx, "a-b-1", eventstream.Backward(), eventstream.To(version)))
		}, 3},
		"since a time beyond": {func() ([]eventstream.Event, error) {
			return collect(db.ReadStream(ctx, "a-b-1", eventstream.RecordedSince(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))))
		}, 0},
		"until a time beyond": {func() ([]eventstream.Event, error) {
			return collect(db.ReadStream(ctx, "a-b-1", eventstream.RecordedUntil(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))))
		}, 3},
		"since no time": {func() ([]eventstream.Event, error) {
			return collect(db.ReadStream(ctx, "a-b-1", eventstream.OccurredSince(time.Time{})))
		}, 3},
		"a query after the last":       {func() ([]eventstream.Event, error) { return collect(db.Query(ctx, query.After(position))) }, 0},
		"a query until the last":       {func() ([]eventstream.Event, error) { return collect(db.Query(ctx, query.Until(position))) }, 3},
		"a query of the last versions": {func() ([]eventstream.Event, error) { return collect(db.Query(ctx, query.Versions(version, version))) }, 0},
		"a query of all versions":      {func() ([]eventstream.Event, error) { return collect(db.Query(ctx, query.Versions(0, version))) }, 3},
		"one stream's all versions": {func() ([]eventstream.Event, error) {
			return collect(db.Query(ctx, query.Streams("a-b-1").Versions(1, version)))
		}, 3},
		"a query in no stretch of time": {func() ([]eventstream.Event, error) {
			return collect(db.Query(ctx, query.RecordedSince(endOfTime).RecordedUntil(time.Time{})))
		}, 0},
		"the event at position 0":        {func() ([]eventstream.Event, error) { return one(db.EventAt(ctx, 0)) }, 0},
		"the event at the last position": {func() ([]eventstream.Event, error) { return one(db.EventAt(ctx, position)) }, 0},
		"the event without an id":        {func() ([]eventstream.Event, error) { return one(db.Event(ctx, eventstream.EventID{})) }, 0},
		"the event of the greatest id": {func() ([]eventstream.Event, error) {
			return one(db.Event(ctx, eventstream.EventID(bytes.Repeat([]byte{0xff}, 16))))
		}, 0},
	} {
		got, err := tt.read()
		if err != nil || len(got) != tt.want {
			t.Errorf("%s: got %d events and %v, want %d", what, len(got), err, tt.want)
		}
	}
	// Nobody waits for what can never come but as long as it likes, and a follower that
	// claims to have seen it is told.
	short, cancel := contextFor(time.Millisecond)
	defer cancel()
	if _, err := db.AwaitAbove(short, position); !errors.Is(err, short.Err()) {
		t.Errorf("AwaitAbove of the last position: got %v", err)
	}
	wantErr(t, ranged(db.Follow(short, eventstream.After(position))), eventstream.ErrAhead)
}

func contextFor(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, d)
}

// one returns the event, or none if it was not found.
func one(e eventstream.Event, err error) ([]eventstream.Event, error) {
	if errors.Is(err, eventstream.ErrEventNotFound) {
		return nil, nil
	}
	return []eventstream.Event{e}, err
}

// An append is accepted up to its limit, to the byte, and refused from there on.
func TestAppendsAtTheirLimitToTheByte(t *testing.T) {
	t.Parallel()
	const limit = 4096
	db := estest.Open(t, estest.Options(func(o *eventstream.Options) { o.MaxAppendBytes = limit }))
	for size := limit - 300; ; size++ {
		_, err := db.Append(ctx, "s", eventstream.Any, eventstream.NewEvent{Type: "X", Codec: codec.Raw, Data: make([]byte, size)})
		if err == nil && size < limit {
			continue
		}
		wantErr(t, err, eventstream.ErrTooLarge)
		refused := errAs[*eventstream.LimitError](t, err)
		equal(t, "the first size that is refused", refused.Size, limit+1)
		equal(t, "the limit", refused.Limit, limit)
		if size == limit-300 {
			t.Error("nothing was accepted")
		}
		break
	}
	if len(mustCollect(t, db.ReadAll(ctx))) != int(db.Head()) {
		t.Error("not all that was accepted is read")
	}
}
