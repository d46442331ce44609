package eventstream_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/estest"
)

// fill appends n events to each of the streams, in turns.
func fill(t testing.TB, db *estest.DB, n int, streams ...eventstream.StreamID) {
	t.Helper()
	for i := range n {
		for _, s := range streams {
			mustAppend(t, db, s, eventstream.Exact(eventstream.Version(i)), event(fmt.Sprintf("T%d", i%3)))
		}
	}
}

func versions(events []eventstream.Event) []int {
	var v []int
	for _, e := range events {
		v = append(v, int(e.Version))
	}
	return v
}

func TestReadStreamByVersionRange(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	fill(t, db, 5, "a-b-1", "a-b-2")
	for _, tt := range []struct {
		name string
		opts []eventstream.ReadOption
		want []int
	}{
		{"all of it", nil, []int{1, 2, 3, 4, 5}},
		{"from a version, inclusive", []eventstream.ReadOption{eventstream.From(3)}, []int{3, 4, 5}},
		{"to a version, inclusive", []eventstream.ReadOption{eventstream.To(2)}, []int{1, 2}},
		{"a range of one", []eventstream.ReadOption{eventstream.From(4), eventstream.To(4)}, []int{4}},
		{"from beyond the end", []eventstream.ReadOption{eventstream.From(6)}, nil},
		{"an empty range", []eventstream.ReadOption{eventstream.From(4), eventstream.To(3)}, nil},
		{"from zero is from the start", []eventstream.ReadOption{eventstream.From(0)}, []int{1, 2, 3, 4, 5}},
		{"backward", []eventstream.ReadOption{eventstream.Backward()}, []int{5, 4, 3, 2, 1}},
		{"backward in a range", []eventstream.ReadOption{eventstream.Backward(), eventstream.From(2), eventstream.To(4)}, []int{4, 3, 2}},
		{"limited", []eventstream.ReadOption{eventstream.Limit(2)}, []int{1, 2}},
		{"the newest two", []eventstream.ReadOption{eventstream.Backward(), eventstream.Limit(2)}, []int{5, 4}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			equalSlices(t, "versions", versions(mustCollect(t, db.ReadStream(ctx, "a-b-1", tt.opts...))), tt.want)
		})
	}
	equal(t, "events of a stream that does not exist", len(mustCollect(t, db.ReadStream(ctx, "a-b"))), 0)
}

func TestReadStreamInBothTimes(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	day := func(d int) time.Time { return time.Date(2025, 12, d, 12, 0, 0, 0, time.UTC) }
	// Recorded on days 1, 2, 3 of January; the third is back-dated before the second.
	recorded := make([]time.Time, 3)
	for i, occurred := range []time.Time{day(1), day(20), day(10)} {
		e := event("X")
		e.OccurredAt = occurred
		recorded[i] = mustAppend(t, db, "s", eventstream.Any, e).RecordedAt
		db.Clock.Advance(24 * time.Hour)
	}
	for _, tt := range []struct {
		name string
		opts []eventstream.ReadOption
		want []int
	}{
		{"occurred until, inclusive", []eventstream.ReadOption{eventstream.OccurredUntil(day(10))}, []int{1, 3}},
		{"occurred until just before", []eventstream.ReadOption{eventstream.OccurredUntil(day(10).Add(-1))}, []int{1}},
		{"occurred since, inclusive", []eventstream.ReadOption{eventstream.OccurredSince(day(10))}, []int{2, 3}},
		{"recorded until, inclusive", []eventstream.ReadOption{eventstream.RecordedUntil(recorded[1])}, []int{1, 2}},
		{"recorded since, inclusive", []eventstream.ReadOption{eventstream.RecordedSince(recorded[1])}, []int{2, 3}},
		{"as of a day, as known then", []eventstream.ReadOption{eventstream.OccurredUntil(day(15)), eventstream.RecordedUntil(recorded[1])}, []int{1}},
		{"as of a day, as known now", []eventstream.ReadOption{eventstream.OccurredUntil(day(15))}, []int{1, 3}},
		{"backward with a limit counts what passes", []eventstream.ReadOption{eventstream.Backward(), eventstream.OccurredUntil(day(15)), eventstream.Limit(2)}, []int{3, 1}},
		{"all of time", []eventstream.ReadOption{eventstream.OccurredSince(time.Time{}), eventstream.RecordedUntil(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))}, []int{1, 2, 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			equalSlices(t, "versions", versions(mustCollect(t, db.ReadStream(ctx, "s", tt.opts...))), tt.want)
		})
	}
}

func TestReadAllInTheTotalOrder(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	fill(t, db, 3, "a-b-1", "a-c-1") // positions 1..6 in turns
	for _, tt := range []struct {
		name string
		opts []eventstream.ReadOption
		want []string
	}{
		{"all of it", nil, []string{"a-b-1@1:1", "a-c-1@1:2", "a-b-1@2:3", "a-c-1@2:4", "a-b-1@3:5", "a-c-1@3:6"}},
		{"after a position, exclusive", []eventstream.ReadOption{eventstream.After(4)}, []string{"a-b-1@3:5", "a-c-1@3:6"}},
		{"until a position, inclusive", []eventstream.ReadOption{eventstream.Until(2)}, []string{"a-b-1@1:1", "a-c-1@1:2"}},
		{"after the head", []eventstream.ReadOption{eventstream.After(6)}, nil},
		{"after the greatest position", []eventstream.ReadOption{eventstream.After(1<<64 - 1)}, nil},
		{"backward", []eventstream.ReadOption{eventstream.Backward(), eventstream.After(3)}, []string{"a-c-1@3:6", "a-b-1@3:5", "a-c-1@2:4"}},
		{"limited", []eventstream.ReadOption{eventstream.Limit(1), eventstream.After(1)}, []string{"a-c-1@1:2"}},
		{"by type", []eventstream.ReadOption{eventstream.Types("T1")}, []string{"a-b-1@2:3", "a-c-1@2:4"}},
		{"by types", []eventstream.ReadOption{eventstream.Types("T0", "T2"), eventstream.Until(5)}, []string{"a-b-1@1:1", "a-c-1@1:2", "a-b-1@3:5"}},
		{"by category", []eventstream.ReadOption{eventstream.Category("a-c")}, []string{"a-c-1@1:2", "a-c-1@2:4", "a-c-1@3:6"}},
		{"by category and limit", []eventstream.ReadOption{eventstream.Category("a-c"), eventstream.Limit(2)}, []string{"a-c-1@1:2", "a-c-1@2:4"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			equalSlices(t, "events", places(mustCollect(t, db.ReadAll(ctx, tt.opts...))), tt.want)
		})
	}
	// Without the tail, from the log alone.
	db = estest.Crash(t, db)
	equalSlices(t, "events after a crash", places(mustCollect(t, db.ReadAll(ctx, eventstream.Limit(3)))), []string{"a-b-1@1:1", "a-c-1@1:2", "a-b-1@2:3"})
}

// Many pages, from the log and from the tail, forward and backward, with several
// tenants in between, all give the same events.
func TestLongReadsAreWhole(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	const commits, size = 130, 100
	tenants := []string{"default", "acme", "zeta"}
	for i := range commits {
		var events []eventstream.NewEvent
		for range size {
			events = append(events, eventstream.NewEvent{Type: "X", Codec: codec.Raw, Data: make([]byte, 40)})
		}
		mustAppend(t, db.Tenant(tenants[i%len(tenants)]), eventstream.StreamID(fmt.Sprintf("s-s-%d", i%7)), eventstream.Any, events...)
	}
	check := func(db *estest.DB, when string) {
		total := 0
		for _, name := range tenants {
			tenant := db.Tenant(name)
			forward := places(mustCollect(t, tenant.ReadAll(ctx)))
			backward := places(mustCollect(t, tenant.ReadAll(ctx, eventstream.Backward())))
			total += len(forward)
			for i := range forward {
				if forward[i] != backward[len(backward)-1-i] {
					t.Fatalf("%s: tenant %s: forward %s, backward %s", when, name, forward[i], backward[len(backward)-1-i])
				}
			}
			byStream := 0
			for info, err := range tenant.Streams(ctx, "") {
				if err != nil {
					t.Fatal(err)
				}
				events := mustCollect(t, tenant.ReadStream(ctx, info.Stream))
				back := mustCollect(t, tenant.ReadStream(ctx, info.Stream, eventstream.Backward()))
				equal(t, when+": events of "+string(info.Stream), len(events), int(info.Version))
				equal(t, when+": events backward of "+string(info.Stream), len(back), int(info.Version))
				byStream += len(events)
			}
			equal(t, when+": events by stream and by position of "+name, byStream, len(forward))
		}
		equal(t, when+": events of all tenants", total, commits*size)
	}
	check(db, "with the tail")
	db = estest.Crash(t, db)
	check(db, "from the log")
}

// A page of large payloads is cut before it takes more memory than it should.
func TestLargePayloadsComeInSmallPages(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	small := eventstream.NewEvent{Type: "small", Codec: codec.Raw, Data: []byte("x")}
	large := eventstream.NewEvent{Type: "large", Codec: codec.Raw, Data: make([]byte, 1<<20)}
	for range 3 {
		for range 100 {
			mustAppend(t, db, "s", eventstream.Any, small)
		}
		for range 12 {
			mustAppend(t, db, "s", eventstream.Any, large)
		}
	}
	db = estest.Crash(t, db)
	for name, seq := range map[string][]eventstream.Event{
		"global order": mustCollect(t, db.ReadAll(ctx)),
		"backward":     mustCollect(t, db.ReadAll(ctx, eventstream.Backward())),
		"stream":       mustCollect(t, db.ReadStream(ctx, "s")),
	} {
		equal(t, name+": events", len(seq), 336)
	}
}

func TestReadOptionsAreCheckedAgainstTheRead(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	for name, read := range map[string]func() error{
		"ReadStream takes no After":  func() error { _, err := collect(db.ReadStream(ctx, "s", eventstream.After(1))); return err },
		"ReadAll takes no From":      func() error { _, err := collect(db.ReadAll(ctx, eventstream.From(1))); return err },
		"Follow takes no Backward":   func() error { _, err := collect(db.Follow(ctx, eventstream.Backward())); return err },
		"Follow takes no Until":      func() error { _, err := collect(db.Follow(ctx, eventstream.Until(1))); return err },
		"Limit is at least 1":        func() error { _, err := collect(db.ReadAll(ctx, eventstream.Limit(0))); return err },
		"a stream name is required":  func() error { _, err := collect(db.ReadStream(ctx, "")); return err },
		"a prefix is valid UTF-8":    func() error { _, err := collect(db.Streams(ctx, "\xff")); return err },
		"Stream needs a stream name": func() error { _, err := db.Stream(ctx, ""); return err },
	} {
		t.Run(name, func(t *testing.T) { wantErr(t, read(), eventstream.ErrInvalidArgument) })
	}
}

func TestReadsHonourTheirContext(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	fill(t, db, 1, "s")
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	for name, read := range map[string]func() error{
		"ReadStream": func() error { _, err := collect(db.ReadStream(cancelled, "s")); return err },
		"ReadAll":    func() error { _, err := collect(db.ReadAll(cancelled)); return err },
		"Follow":     func() error { _, err := collect(db.Follow(cancelled)); return err },
		"Streams":    func() error { _, err := collect(db.Streams(cancelled, "")); return err },
		"Event":      func() error { _, err := db.Event(cancelled, id(1)); return err },
		"EventAt":    func() error { _, err := db.EventAt(cancelled, 1); return err },
		"Stream":     func() error { _, err := db.Stream(cancelled, "s"); return err },
		"Read":       func() error { return db.Read(cancelled, func(*eventstream.Reader) error { return nil }) },
		"Check":      func() error { _, err := db.Check(cancelled); return err },
	} {
		if err := read(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want context.Canceled", name, err)
		}
	}
}

func TestEventByIDAndPosition(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	mustAppend(t, db, "s", eventstream.NoStream, withID(id(1), "X"), withID(id(2), "Y"))
	mustAppend(t, db.Tenant("acme"), "s", eventstream.NoStream, withID(id(3), "Z"))
	byID, err := db.Event(ctx, id(2))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "type by id", byID.Type, "Y")
	at, err := db.EventAt(ctx, 1)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "type at position", at.Type, "X")
	for name, read := range map[string]func() (eventstream.Event, error){
		"unknown id":                     func() (eventstream.Event, error) { return db.Event(ctx, id(9)) },
		"id of another tenant":           func() (eventstream.Event, error) { return db.Event(ctx, id(3)) },
		"position of another tenant":     func() (eventstream.Event, error) { return db.EventAt(ctx, 3) },
		"position zero":                  func() (eventstream.Event, error) { return db.EventAt(ctx, 0) },
		"position beyond the head":       func() (eventstream.Event, error) { return db.EventAt(ctx, 4) },
		"id in a tenant without events":  func() (eventstream.Event, error) { return db.Tenant("new").Event(ctx, id(1)) },
		"position for an unknown tenant": func() (eventstream.Event, error) { return db.Tenant("new").EventAt(ctx, 1) },
	} {
		_, err := read()
		if !errors.Is(err, eventstream.ErrEventNotFound) {
			t.Errorf("%s: got %v, want ErrEventNotFound", name, err)
		}
	}
}

func TestStreamsByPrefix(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	for _, s := range []eventstream.StreamID{"a", "a/b", "a-b-1", "b", "aa", "é"} {
		mustAppend(t, db, s, eventstream.NoStream, event("X"), event("Y"))
	}
	names := func(prefix string) (names []string) {
		for _, info := range mustCollect(t, db.Streams(ctx, prefix)) {
			equal(t, "version of "+string(info.Stream), info.Version, 2)
			names = append(names, string(info.Stream))
		}
		return names
	}
	equalSlices(t, "all", names(""), []string{"a", "a-b-1", "a/b", "aa", "b", "é"})
	equalSlices(t, "prefix a", names("a"), []string{"a", "a-b-1", "a/b", "aa"})
	equalSlices(t, "prefix a/", names("a/"), []string{"a/b"})
	equalSlices(t, "prefix c", names("c"), nil)
	equal(t, "events of a do not hold those of a/b", len(mustCollect(t, db.ReadStream(ctx, "a"))), 2)

	info := mustStream(t, db, "a/b")
	equal(t, "first position", info.FirstPosition, 3)
	equal(t, "last position", info.LastPosition, 4)
	equal(t, "last recorded at", info.LastRecordedAt, db.Clock.Now())
	_, err := db.Stream(ctx, "nowhere")
	wantErr(t, err, eventstream.ErrStreamNotFound)
}

func TestStreamsListsMoreThanAPage(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	for i := range 700 {
		mustAppend(t, db, eventstream.StreamID(fmt.Sprintf("s-s-%04d", i)), eventstream.NoStream, event("X"))
	}
	equal(t, "streams", len(mustCollect(t, db.Streams(ctx, ""))), 700)
}

func TestReadSeesOneHead(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	fill(t, db, 2, "a-b-1")
	var kept *eventstream.Reader
	err := db.Read(ctx, func(r *eventstream.Reader) error {
		kept = r
		fill2 := mustAppend(t, db, "a-b-1", eventstream.Exact(2), event("Later"))
		mustAppend(t, db, "a-b-2", eventstream.NoStream, event("Later"))
		equal(t, "head", r.Head(), 2)
		equal(t, "stream", len(mustCollect(t, r.ReadStream(ctx, "a-b-1"))), 2)
		equal(t, "stream backward", len(mustCollect(t, r.ReadStream(ctx, "a-b-1", eventstream.Backward()))), 2)
		equal(t, "all", len(mustCollect(t, r.ReadAll(ctx))), 2)
		equal(t, "streams", len(mustCollect(t, r.Streams(ctx, ""))), 1)
		info, err := r.Stream(ctx, "a-b-1")
		if err != nil {
			return err
		}
		equal(t, "version", info.Version, 2)
		if _, err := r.Stream(ctx, "a-b-2"); !errors.Is(err, eventstream.ErrStreamNotFound) {
			t.Errorf("stream made later: got %v", err)
		}
		if _, err := r.EventAt(ctx, 3); !errors.Is(err, eventstream.ErrEventNotFound) {
			t.Errorf("position made later: got %v", err)
		}
		if _, err := r.Event(ctx, fill2.EventIDs[0]); !errors.Is(err, eventstream.ErrEventNotFound) {
			t.Errorf("id made later: got %v", err)
		}
		return errStop
	})
	if !errors.Is(err, errStop) {
		t.Fatalf("got %v, want what the function returned", err)
	}
	equal(t, "head of a reader that was kept", len(mustCollect(t, kept.ReadAll(ctx))), 2)
}

var errStop = errors.New("stop")

func TestAReadIsFixedAtTheCall(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	fill(t, db, 2, "s")
	all, stream := db.ReadAll(ctx), db.ReadStream(ctx, "s")
	mustAppend(t, db, "s", eventstream.Exact(2), event("Later"))
	equal(t, "all", len(mustCollect(t, all)), 2)
	equal(t, "stream", len(mustCollect(t, stream)), 2)
	equal(t, "all, ranged over again", len(mustCollect(t, all)), 2)
}

func TestLeavingALoopReleasesEverything(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	fill(t, db, 200, "s")
	for range db.ReadAll(ctx) {
		break
	}
	for range db.ReadStream(ctx, "s") {
		break
	}
	for range db.Streams(ctx, "") {
		break
	}
	for range db.Follow(ctx) {
		break
	}
	if err := db.Close(); err != nil {
		t.Fatalf("something was left open: %v", err)
	}
}
