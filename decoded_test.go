package eventstream_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/estest"
)

// counted is an event whose payload was once a number, and once had another name.
type counted struct {
	Pieces int `msgpack:"pieces"`
}

func stockRegistry(t testing.TB) *codec.Registry {
	t.Helper()
	r, err := codec.NewRegistry(
		codec.Type[counted]("Counted", 2),
		codec.Upcast("Counted", 1, 2, func(n int) (counted, error) {
			if n < 0 {
				return counted{}, fmt.Errorf("%d pieces", n)
			}
			return counted{n}, nil
		}),
		codec.Rename("Checked", 1, codec.Target{Type: "Counted", Schema: 1}),
		codec.Drop("Looked", 1),
	)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// stock has events of every version, and two that do not decode.
func stock(t testing.TB) *estest.DB {
	t.Helper()
	db := estest.Open(t)
	mustAppend(t, db, "stock-item-1", eventstream.NoStream,
		eventstream.NewEvent{Type: "Checked", Data: 1},
		eventstream.NewEvent{Type: "Looked"},
		eventstream.NewEvent{Type: "Counted", Data: -1},
		eventstream.NewEvent{Type: "Counted", SchemaVersion: 2, Data: counted{3}},
		eventstream.NewEvent{Type: "Counted", SchemaVersion: 9, Data: 4},
		eventstream.NewEvent{Type: "Counted", Data: 5},
	)
	return db
}

func decodedPieces(t testing.TB, d eventstream.Decoded) string {
	t.Helper()
	if d.Err != nil {
		return "error"
	}
	var s []string
	for _, v := range d.Values {
		s = append(s, fmt.Sprint(v.(counted).Pieces))
	}
	return strings.Join(s, "+")
}

func TestDecodingFailsFast(t *testing.T) {
	t.Parallel()
	db := stock(t)
	var got []string
	var failed error
	for d, err := range eventstream.DecodeEvents(db.ReadStream(ctx, "stock-item-1"), stockRegistry(t)) {
		if err != nil {
			failed = err
			continue
		}
		got = append(got, decodedPieces(t, d))
	}
	equalSlices(t, "decoded", got, []string{"1", ""})
	wantErr(t, failed, eventstream.ErrCodec)
	up := errAs[*codec.UpcastError](t, failed)
	event, err := db.EventAt(ctx, 3)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "event", up.EventID, event.ID)
	if !strings.Contains(failed.Error(), "position 3 (stock-item-1 version 3)") {
		t.Errorf("%v does not name the place", failed)
	}
}

// S6: an event that cannot be upcast is skipped only by those who hand it back as it is.
func TestSkippedEventsAreHandedBackAsTheyAre(t *testing.T) {
	t.Parallel()
	db := stock(t)
	events := mustCollect(t, db.ReadAll(ctx))
	var got []string
	for d, err := range eventstream.DecodeEvents(db.ReadAll(ctx), stockRegistry(t), eventstream.SkipOnError()) {
		if err != nil {
			t.Fatal(err)
		}
		if want := events[d.Event.Position-1]; string(d.Event.Data) != string(want.Data) || d.Event.ID != want.ID || d.Event.SchemaVersion != want.SchemaVersion {
			t.Errorf("event %d: got %+v, want it as it was stored", d.Event.Position, d.Event)
		}
		if d.Err != nil && (len(d.Values) > 0 || !errors.Is(d.Err, eventstream.ErrCodec)) {
			t.Errorf("event %d: got values %v and error %v", d.Event.Position, d.Values, d.Err)
		}
		got = append(got, decodedPieces(t, d))
	}
	equalSlices(t, "decoded", got, []string{"1", "", "error", "3", "error", "5"})
}

func TestDecodingEndsWithItsRead(t *testing.T) {
	t.Parallel()
	db := stock(t)
	for range eventstream.DecodeEvents(db.ReadAll(ctx), stockRegistry(t)) {
		break // the store's cleanup would find what is left open
	}
	_, err := collect(eventstream.DecodeEvents(db.ReadAll(ctx, eventstream.From(1)), stockRegistry(t), eventstream.SkipOnError()))
	wantErr(t, err, eventstream.ErrInvalidArgument)
}

// Reading by type finds what had another name when it was stored.
func TestReadingTheStoredTypesFindsRenamedEvents(t *testing.T) {
	t.Parallel()
	db := stock(t)
	r := stockRegistry(t)
	all := mustCollect(t, db.ReadAll(ctx, eventstream.Types(r.StoredTypes("Counted")...)))
	equal(t, "events", len(all), 5)
}
