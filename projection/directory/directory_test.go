package directory_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/projection"
	"github.com/nexus-erp/eventstream/projection/directory"
)

// The directory says what the store says of each stream, and what its events say.
func TestADirectorySaysWhatTheStoreSays(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	rng := rand.New(rand.NewPCG(5, 0))
	for range 200 {
		db.Clock.Advance(time.Duration(rng.IntN(1000)) * time.Millisecond)
		stream := []eventstream.StreamID{"a-b-1", "a-b-10", "a-c-1", "plain"}[rng.IntN(4)]
		_, err := db.Append(t.Context(), stream, eventstream.Any, eventstream.NewEvent{
			Type: fmt.Sprint("T", rng.IntN(3)), OccurredAt: time.Date(2000+rng.IntN(20), 1, 1, 0, 0, 0, rng.IntN(1e9), time.UTC),
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	e := projection.New(db.DB, nil)
	narrow := directory.Definition("narrow")
	narrow.Types = []string{"T1"}
	if err := errors.Join(e.Register(directory.Definition("directory")), e.Register(narrow)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	for _, name := range e.Names() {
		if err := e.WaitFor(ctx, name, db.Head()); err != nil {
			t.Fatal(err)
		}
	}

	want, ones := map[eventstream.StreamID]directory.Entry{}, map[eventstream.StreamID]uint64{}
	for info, err := range db.Streams(ctx, "") {
		if err != nil {
			t.Fatal(err)
		}
		entry := directory.Entry{
			FirstPosition: info.FirstPosition, LastPosition: info.LastPosition, Version: info.Version, Events: uint64(info.Version),
			LastRecordedAt: projection.TimeOf(info.LastRecordedAt),
		}
		if parts := strings.Split(string(info.Stream), "-"); len(parts) == 3 {
			entry.Category = parts[0] + "-" + parts[1]
		}
		var times []projection.Time
		for ev, err := range db.ReadStream(ctx, info.Stream) {
			if err != nil {
				t.Fatal(err)
			}
			times, entry.LastType = append(times, projection.TimeOf(ev.OccurredAt)), ev.Type
			if ev.Type == "T1" {
				ones[info.Stream]++
			}
		}
		entry.FirstOccurredAt, entry.LastOccurredAt = slices.Min(times), slices.Max(times)
		want[info.Stream] = entry
	}
	read := func(name, prefix string) map[eventstream.StreamID]directory.Entry {
		got := map[eventstream.StreamID]directory.Entry{}
		err := e.Read(name, func(r *eventstream.ViewReader) error {
			for record, err := range directory.Entries(r, prefix) {
				if err != nil {
					return err
				}
				got[record.Key] = record.Value
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if diff := cmp.Diff(want, read("directory", "")); diff != "" {
		t.Errorf("the directory (-want +got):\n%s", diff)
	}
	if got := read("directory", "a-b-1"); len(got) != 2 || got["a-b-10"].Events == 0 {
		t.Errorf("by prefix: got %v", got)
	}
	for stream, entry := range read("narrow", "") {
		if entry.Events != ones[stream] || entry.LastType != "T1" || entry.Version < eventstream.Version(entry.Events) {
			t.Errorf("of one type: got %+v of %s, want %d events", entry, stream, ones[stream])
		}
	}
}

// The stored form is on disk.
func TestRecordsArePinned(t *testing.T) {
	t.Parallel()
	key, err := directory.Records().EncodeKey("a-b-1")
	if want := "a-b-1\x00\x01"; err != nil || string(key) != want {
		t.Errorf("got key %q, %v, want %q", key, err, want)
	}
	value, err := directory.Records().EncodeValue(directory.Entry{
		Category: "a-b", FirstPosition: 1, LastPosition: 2, Version: 3, Events: 4, LastType: "T", FirstOccurredAt: 5, LastOccurredAt: 6, LastRecordedAt: 7,
	})
	want := "\x89\xa8category\xa3a-b\xaefirst_position\x01\xadlast_position\x02\xa7version\x03\xa6events\x04" +
		"\xa9last_type\xa1T\xb1first_occurred_at\x05\xb0last_occurred_at\x06\xb0last_recorded_at\x07"
	if err != nil || string(value) != want {
		t.Errorf("got value %q, %v, want %q", value, err, want)
	}
}
