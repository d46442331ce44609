package projection_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/projection"
)

// place is a key of several parts.
type place struct {
	Account string
	Day     time.Time
	Shift   int8
	Number  uint64
}

var placeKey = projection.StructKey(
	projection.Part(func(p *place) *string { return &p.Account }, projection.TextKey[string]()),
	projection.Part(func(p *place) *time.Time { return &p.Day }, projection.TimeKey()),
	projection.Part(func(p *place) *int8 { return &p.Shift }, projection.IntKey[int8]()),
	projection.Part(func(p *place) *uint64 { return &p.Number }, projection.UintKey[uint64]()),
)

// compare is the order that the encoded keys must have.
func (p place) compare(q place) int {
	return cmp.Or(strings.Compare(p.Account, q.Account), p.Day.Compare(q.Day), cmp.Compare(p.Shift, q.Shift), cmp.Compare(p.Number, q.Number))
}

func drawPlace(t *rapid.T, label string) place {
	return place{
		Account: rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"", "a", "a\x00", "a\x00\x01", "ab", "\xff"})).Draw(t, label+" account"),
		Day:     time.Unix(0, rapid.OneOf(rapid.Int64(), rapid.SampledFrom([]int64{math.MinInt64, -1, 0, 1, math.MaxInt64})).Draw(t, label+" day")).UTC(),
		Shift:   rapid.Int8().Draw(t, label+" shift"),
		Number:  rapid.OneOf(rapid.Uint64(), rapid.SampledFrom([]uint64{0, math.MaxUint64})).Draw(t, label+" number"),
	}
}

func TestKeysSortAndComeBack(t *testing.T) {
	t.Parallel()
	view := projection.NewRecords[place, string]("places", placeKey)
	rapid.Check(t, func(t *rapid.T) {
		p, q := drawPlace(t, "p"), drawPlace(t, "q")
		if rapid.Bool().Draw(t, "share") {
			q.Account, q.Day = p.Account, p.Day
		}
		a, err := view.EncodeKey(p)
		if err != nil {
			t.Fatal(err)
		}
		b, err := view.EncodeKey(q)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := bytes.Compare(a, b), p.compare(q); got != want {
			t.Fatalf("keys of %+v and %+v compare as %d, want %d", p, q, got, want)
		}
		value, err := view.EncodeValue("v")
		if err != nil {
			t.Fatal(err)
		}
		back, err := view.Decode(a, value)
		if err != nil || back.Key != p || back.Value != "v" {
			t.Fatalf("%+v came back as %+v, %v", p, back, err)
		}
	})
}

// total is a value with names of its own.
type total struct {
	Cents int64    `msgpack:"cents"`
	Notes []string `msgpack:"notes"`
}

// within runs fn on an empty view of a store.
func within(t *testing.T, fn func(tx *eventstream.Tx) error) {
	t.Helper()
	db := estest.Open(t)
	if _, err := db.Append(t.Context(), "a-b-1", eventstream.Any, posted(1)); err != nil {
		t.Fatal(err)
	}
	if err := db.Derive(eventstream.Derivation{View: eventstream.ViewID{Projection: "p", Generation: 1}}, fn); err != nil {
		t.Fatal(err)
	}
}

func accounts[V any](t *testing.T, records func(yield func(projection.Record[place, V], error) bool)) string {
	t.Helper()
	var all []string
	for r, err := range records {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, fmt.Sprintf("%s/%d", r.Key.Account, r.Key.Shift))
	}
	return strings.Join(all, " ")
}

func TestRecordsAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	view := projection.NewRecords[place, total]("totals", placeKey)
	names := projection.NewRecords[string, string]("names", projection.TextKey[string]())
	within(t, func(tx *eventstream.Tx) error {
		at := func(account string, shift int8) place {
			return place{Account: account, Day: time.Unix(0, 0), Shift: shift}
		}
		for _, p := range []place{at("b", 1), at("a", 2), at("a", -1), at("ab", 0), at("c", 0)} {
			if err := view.Put(tx, p, total{Cents: int64(p.Shift) * 100, Notes: []string{p.Account}}); err != nil {
				return err
			}
		}
		for _, name := range []string{"", "x"} { // other records, in the same view
			if err := names.Put(tx, name, "the "+name); err != nil {
				return err
			}
		}
		if err := view.Delete(tx, at("c", 0)); err != nil {
			return err
		}
		if v, ok, err := view.Get(tx, at("a", 2)); err != nil || !ok || v.Cents != 200 || v.Notes[0] != "a" {
			t.Errorf("got %+v, %v, %v", v, ok, err)
		}
		if v, ok, err := view.Get(&tx.ViewReader, at("c", 0)); err != nil || ok || v.Cents != 0 {
			t.Errorf("a record that is gone: got %+v, %v, %v", v, ok, err)
		}
		for _, tc := range []struct{ what, got, want string }{
			{"all", accounts(t, view.All(tx)), "a/-1 a/2 ab/0 b/1"},
			{"those of an account", accounts(t, view.Under(tx, at("a", 0), 1)), "a/-1 a/2"},
			{"of one that has none", accounts(t, view.Under(tx, at("z", 0), 1)), ""},
			{"of one key", accounts(t, view.Under(tx, at("a", 2), 4)), "a/2"},
			{"those whose account begins with a text", accounts(t, view.UnderText(tx, place{}, 0, "a")), "a/-1 a/2 ab/0"},
			{"with any text", accounts(t, view.UnderText(tx, place{}, 0, "")), "a/-1 a/2 ab/0 b/1"},
			{"with one that none has", accounts(t, view.UnderText(tx, place{}, 0, "aa")), ""},
			{"a range", accounts(t, view.Scan(tx, at("a", 0), at("b", 1))), "a/2 ab/0"},
			{"an empty range", accounts(t, view.Scan(tx, at("b", 0), at("a", 0))), ""},
		} {
			if tc.got != tc.want {
				t.Errorf("%s: got %q, want %q", tc.what, tc.got, tc.want)
			}
		}
		for r, err := range names.All(tx) {
			if err != nil || r.Value != "the "+r.Key {
				t.Errorf("got %+v, %v", r, err)
			}
		}
		for range view.All(tx) {
			break // leaves the scan well
		}
		return nil
	})
}

func TestRecordsThatDoNotFitAreErrors(t *testing.T) {
	t.Parallel()
	view := projection.NewRecords[place, total]("totals", placeKey)
	small := projection.NewRecords[int8, total]("", projection.IntKey[int8]())
	large := projection.NewRecords[int, total]("", projection.IntKey[int]())
	texts := projection.NewRecords[int, string]("", projection.IntKey[int]())
	bytesOnly := projection.NewRecords[uint8, total]("", projection.UintKey[uint8]())
	at := func(ns int64) place { return place{Day: time.Unix(0, ns)} }
	within(t, func(tx *eventstream.Tx) error {
		if err := errors.Join(large.Put(tx, 128, total{}), large.Put(tx, 1, total{Cents: 1})); err != nil {
			return err
		}
		_, _, getErr := texts.Get(tx, 1)
		far := place{Day: time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)}
		_, err128 := small.Decode(mustKey(t, large, 128), nil)
		_, err1 := bytesOnly.Decode(mustKey(t, large, 1), nil) // its first bit is the sign's
		_, cut := large.Decode([]byte{1}, nil)
		_, longer := large.Decode(append(mustKey(t, large, 1), 0), nil)
		_, other := view.Decode(mustKey(t, large, 1), nil)
		for what, err := range map[string]error{
			"a value of another type":    getErr,
			"a key out of range":         view.Put(tx, far, total{}),
			"a bound out of range":       first(view.Scan(tx, at(0), far)),
			"a time that is not set":     view.Put(tx, place{}, total{}),
			"a prefix out of range":      first(view.Under(tx, far, 2)),
			"a key too great":            err128,
			"an unsigned key too great":  err1,
			"a key that is cut":          cut,
			"a key with more behind it":  longer,
			"a record of another name":   other,
			"a scan over such records":   first(small.Scan(tx, 1, 127)),
			"a scan of all":              first(texts.All(tx)),
			"a value that has no form":   projection.NewRecords[int, func()]("", projection.IntKey[int]()).Put(tx, 1, func() {}),
			"a float that is not finite": projection.NewRecords[int, float64]("", projection.IntKey[int]()).Put(tx, 1, math.NaN()),
		} {
			var record *projection.RecordError
			if what == "a scan over such records" {
				if err != nil { // record 128 lies beyond, and 1 fits
					t.Errorf("%s: %v", what, err)
				}
				continue
			}
			if !errors.As(err, &record) || !errors.Is(err, projection.ErrRecord) || record.Op == "" || record.Err == nil {
				t.Errorf("%s: got %v, want a RecordError", what, err)
			}
		}
		var arg *eventstream.ArgumentError
		if err := first(view.Under(tx, place{}, 5)); !errors.As(err, &arg) || arg.Field != "n" {
			t.Errorf("more parts than a key has: %v", err)
		}
		if err := first(view.UnderText(tx, at(0), 1, "x")); !errors.As(err, &arg) || arg.Field != "n" {
			t.Errorf("a text where a time stands: %v", err)
		}
		if tx.Err() != nil {
			t.Errorf("what is refused before it is written spoils nothing: %v", tx.Err())
		}
		return nil
	})
}

func mustKey[K, V any](t *testing.T, v projection.Records[K, V], k K) []byte {
	t.Helper()
	key, err := v.EncodeKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// first returns the first error of a scan.
func first[K, V any](records func(yield func(projection.Record[K, V], error) bool)) error {
	for _, err := range records {
		if err != nil {
			return err
		}
	}
	return nil
}

// A keyed projection of typed functions leaves what one that works on bytes does, for
// records that are changed, kept empty and deleted.
func TestATypedFoldForEachKey(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	view := projection.NewRecords[eventstream.StreamID, total]("", projection.TextKey[eventstream.StreamID]())
	refusal := errors.New("no such amount")
	keyed := view.Keyed(
		func(e eventstream.Event) ([]eventstream.StreamID, error) {
			return []eventstream.StreamID{e.Stream, "all"}, nil
		},
		func(k eventstream.StreamID, value *total, e eventstream.Event) (*total, error) {
			var p posting
			if err := e.Decode(&p); err != nil {
				return nil, err
			}
			if p.Cents == 13 {
				return nil, refusal
			}
			sum := total{}
			if value != nil {
				sum = *value
			}
			if sum.Cents += p.Cents; sum.Cents == 0 && k != "all" {
				return nil, nil // an account without a balance has no record
			}
			return &sum, nil
		},
	)
	e := projection.New(db.DB, nil)
	register(t, e, projection.Definition{Name: "totals", Keyed: keyed, OnFailure: projection.Park, Attempts: 1})
	start(t, e)
	var last eventstream.Position
	for _, step := range []struct {
		stream eventstream.StreamID
		cents  int64
	}{{"a-b-1", 5}, {"a-b-2", 7}, {"a-b-1", -5}, {"a-b-2", 13}, {"a-b-3", 1}} {
		res, err := db.Append(context.Background(), step.stream, eventstream.Any, posted(step.cents))
		if err != nil {
			t.Fatal(err)
		}
		last = res.LastPosition
	}
	waitFor(t, e, "totals", last)
	got := map[eventstream.StreamID]int64{}
	err := e.Read("totals", func(r *eventstream.ViewReader) error {
		for record, err := range view.All(r) {
			if err != nil {
				return err
			}
			got[record.Key] = record.Value.Cents
		}
		return nil
	})
	if err != nil || len(got) != 3 || got["all"] != 8 || got["a-b-2"] != 7 || got["a-b-3"] != 1 {
		t.Errorf("got %v, %v; want all 8, a-b-2 7, a-b-3 1", got, err)
	}
	parked, err := e.Parked("totals")
	if err != nil || len(parked) != 1 || !strings.Contains(parked[0].Error, refusal.Error()) {
		t.Errorf("parked: %+v, %v", parked, err)
	}
}

// The fields of values are known by their names, on disk too.
func TestValuesKeepTheirNames(t *testing.T) {
	t.Parallel()
	view := projection.NewRecords[int, total]("", projection.IntKey[int]())
	stored, err := codec.Encode(nil, codec.Msgpack, map[string]any{"cents": 7, "another": true})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := view.Decode(mustKey(t, view, 1), stored); err != nil || r.Value.Cents != 7 || r.Value.Notes != nil {
		t.Errorf("got %+v, %v", r, err)
	}
	again, err := view.EncodeValue(total{Cents: 7})
	if want := "\x82\xa5cents\x07\xa5notes\xc0"; err != nil || string(again) != want {
		t.Errorf("got %q, %v, want %q", again, err, want)
	}
}

// The bytes of keys are on disk.
func TestKeysArePinned(t *testing.T) {
	t.Parallel()
	key := mustKey(t, projection.NewRecords[place, total]("n", placeKey), place{Account: "a\x00b", Day: time.Unix(0, -1), Shift: -2, Number: 3})
	const want = "n\x00\x01" + "a\x00\xffb\x00\x01" + "\x7f\xff\xff\xff\xff\xff\xff\xff" + "\x7f\xff\xff\xff\xff\xff\xff\xfe" + "\x00\x00\x00\x00\x00\x00\x00\x03"
	if string(key) != want {
		t.Errorf("got %q, want %q", key, want)
	}
}

// FuzzDecode checks that no stored bytes break the reader, and that a key which is read
// is written as it was.
func FuzzDecode(f *testing.F) {
	records := projection.NewRecords[place, total]("n", placeKey)
	key, err := records.EncodeKey(place{Account: "a\x00b", Day: time.Unix(0, -1), Shift: -2, Number: 3})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(key, []byte("\x82\xa5cents\x07\xa5notes\xc0"))
	f.Add([]byte("n\x00\x01a\x00\x02"), []byte{0xc1})
	f.Add([]byte("n"), []byte{})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		r, err := records.Decode(key, value)
		if err != nil {
			if !errors.Is(err, projection.ErrRecord) {
				t.Fatalf("got %v, want a RecordError", err)
			}
			return
		}
		if again, err := records.EncodeKey(r.Key); err != nil || !bytes.Equal(again, key) {
			t.Fatalf("%q is read as %+v, which is written as %q, %v", key, r.Key, again, err)
		}
	})
}
