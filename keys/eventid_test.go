package keys_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/oklog/ulid/v2"
	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream/keys"
)

// clock returns a settable time.
type clock struct{ ms int64 }

func (c *clock) now() time.Time { return time.UnixMilli(c.ms) }

func next(t testing.TB, g *keys.IDGenerator) keys.EventID {
	t.Helper()
	var ids [1]keys.EventID
	if err := g.Next(ids[:]); err != nil {
		t.Fatalf("Next: %v", err)
	}
	return ids[0]
}

func less(x, y keys.EventID) bool { return bytes.Compare(x[:], y[:]) < 0 }

func TestIDsAscendWhateverTheClockDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := &clock{}
		g := keys.NewIDGenerator(c.now, rand.Reader)
		var last keys.EventID
		for range rapid.IntRange(1, 50).Draw(t, "calls") {
			c.ms = rapid.Int64Range(-2, 10).Draw(t, "ms")
			ids := make([]keys.EventID, rapid.IntRange(0, 4).Draw(t, "ids"))
			if err := g.Next(ids); err != nil {
				t.Fatal(err)
			}
			for _, id := range ids {
				if !less(last, id) {
					t.Fatalf("id %s after %s at %d ms, want ascending", id, last, c.ms)
				}
				last = id
			}
		}
	})
}

func TestIDsOfOneMillisecondCountUpwards(t *testing.T) {
	t.Parallel()
	c := &clock{ms: 1_000}
	g := keys.NewIDGenerator(c.now, bytes.NewReader([]byte("\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff")))
	first, second := next(t, g), next(t, g)
	want := first
	want[14], want[15] = 1, 0
	if second != want || first.Time() != time.UnixMilli(1_000).UTC() {
		t.Errorf("ids %x, %x, want the second one above the first, both of second 1", first, second)
	}
	c.ms = 500 // a clock that goes back is not followed, and needs no entropy
	if third := next(t, g); third.Time() != first.Time() || !less(second, third) {
		t.Errorf("id %x after %x with the clock set back, want one above", third, second)
	}
}

func TestOverflowOfTheRandomPartBorrowsAMillisecond(t *testing.T) {
	t.Parallel()
	c := &clock{ms: 1_000}
	entropy := strings.Repeat("\xff", 10) + strings.Repeat("\x07", 10) + strings.Repeat("\x09", 10)
	g := keys.NewIDGenerator(c.now, strings.NewReader(entropy))
	first, second, third := next(t, g), next(t, g), next(t, g)
	if got := second.Time(); got != time.UnixMilli(1_001).UTC() || !less(first, second) {
		t.Errorf("id %x of %s after %x, want one of the next millisecond", second, got, first)
	}
	if third.Time() != second.Time() || !less(second, third) {
		t.Errorf("id %x after %x, want one above in the borrowed millisecond", third, second)
	}
	c.ms = 1_002
	if fourth := next(t, g); fourth.Time() != time.UnixMilli(1_002).UTC() {
		t.Errorf("id of %s once the clock went on, want its time", fourth.Time())
	}
}

func TestTheCarryReachesTheUpperBytes(t *testing.T) {
	t.Parallel()
	g := keys.NewIDGenerator((&clock{ms: 1}).now, strings.NewReader("\x00\x01"+strings.Repeat("\xff", 8)))
	next(t, g)
	want := keys.EventID{5: 1, 7: 2}
	if got := next(t, g); got != want {
		t.Errorf("id %x, want %x", got, want)
	}
}

func TestIDsAreDistinctAcrossGoroutines(t *testing.T) {
	t.Parallel()
	g := keys.NewIDGenerator(time.Now, rand.Reader)
	const workers, each = 8, 500
	out := make([][]keys.EventID, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			ids := make([]keys.EventID, each)
			for i := 0; i < each; i += 5 {
				if err := g.Next(ids[i : i+5]); err != nil {
					t.Errorf("Next: %v", err)
				}
			}
			out[w] = ids
		})
	}
	wg.Wait()
	seen := map[keys.EventID]bool{}
	for _, ids := range out {
		for i, id := range ids {
			if seen[id] {
				t.Fatalf("id %s was made twice", id)
			}
			seen[id] = true
			if i > 0 && !less(ids[i-1], id) {
				t.Fatalf("one goroutine got %s after %s, want ascending", id, ids[i-1])
			}
		}
	}
}

func TestNoIDIsMadeWithoutEntropy(t *testing.T) {
	t.Parallel()
	broken := errors.New("no entropy")
	for _, tt := range []struct {
		name    string
		entropy io.Reader
		want    error
	}{
		{"a source that fails", iotest.ErrReader(broken), broken},
		{"a source that ends", strings.NewReader("short"), io.ErrUnexpectedEOF},
	} {
		g := keys.NewIDGenerator((&clock{ms: 1}).now, tt.entropy)
		if err := g.Next(make([]keys.EventID, 1)); !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
		}
	}
}

func TestAFailedSourceIsAskedAgain(t *testing.T) {
	t.Parallel()
	g := keys.NewIDGenerator((&clock{ms: 1}).now, io.MultiReader(strings.NewReader(strings.Repeat("\xff", 10)+"short"), strings.NewReader(strings.Repeat("\x01", 5))))
	first := next(t, g)
	if second := next(t, g); !less(first, second) {
		t.Errorf("id %x after %x, want one above", second, first)
	}
}

func TestIDsEndWithTheirMilliseconds(t *testing.T) {
	t.Parallel()
	c := &clock{ms: int64(ulid.MaxTime())}
	g := keys.NewIDGenerator(c.now, bytes.NewReader(bytes.Repeat([]byte{0xff}, 30)))
	if got := next(t, g).String(); got != "7ZZZZZZZZZZZZZZZZZZZZZZZZZ" {
		t.Errorf("last id %s, want 7ZZZZZZZZZZZZZZZZZZZZZZZZZ", got)
	}
	for _, ms := range []int64{c.ms, c.ms + 1} {
		c.ms = ms
		if err := g.Next(make([]keys.EventID, 1)); !errors.Is(err, ulid.ErrBigTime) {
			t.Errorf("at %d ms: error %v, want %v", ms, err, ulid.ErrBigTime)
		}
	}
}

func TestTheZeroIDIsNeverMade(t *testing.T) {
	t.Parallel()
	c := &clock{ms: -5}
	g := keys.NewIDGenerator(c.now, bytes.NewReader(make([]byte, 10)))
	first, second := next(t, g), next(t, g)
	if first.IsZero() || !less(first, second) {
		t.Errorf("ids %x, %x, want ascending from above zero", first, second)
	}
	if !(keys.EventID{}).IsZero() {
		t.Errorf("zero id is not zero")
	}
}

func TestEventIDTextForms(t *testing.T) {
	t.Parallel()
	const text = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	want, err := keys.ParseEventID(text)
	if err != nil {
		t.Fatal(err)
	}
	if got := want.String(); got != text {
		t.Errorf("String = %s, want %s", got, text)
	}
	if got := want.Time(); got != time.UnixMilli(1469922850259).UTC() || got.Location() != time.UTC {
		t.Errorf("Time = %s, want that of the id, in UTC", got)
	}
	lower, err := keys.ParseEventID(strings.ToLower(text))
	if err != nil || lower != want {
		t.Errorf("lower case parsed to %s, %v, want %s", lower, err, want)
	}
	data, err := json.Marshal(map[string]keys.EventID{"id": want})
	if err != nil || string(data) != `{"id":"`+text+`"}` {
		t.Errorf("JSON %s, %v, want the text", data, err)
	}
	var back map[string]keys.EventID
	if err := json.Unmarshal(data, &back); err != nil || back["id"] != want {
		t.Errorf("JSON parsed to %v, %v, want %s", back, err, want)
	}
}

func TestOtherTextsAreNoEventIDs(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "x", "01ARZ3NDEKTSV4RRFFQ69G5FA", "01ARZ3NDEKTSV4RRFFQ69G5FAV ", "01ARZ3NDEKTSV4RRFFQ69G5FAVV",
		"01ARZ3NDEKTSV4RRFFQ69G5FAI", "01ARZ3NDEKTSV4RRFFQ69G5FAL", "01ARZ3NDEKTSV4RRFFQ69G5FAO", "01ARZ3NDEKTSV4RRFFQ69G5FAU",
		"8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "01ARZ3NDEKTSV4RRFFQ69G5FA\n", "01ARZ3NDEKTSV4RRFFQ69G5FA\xff",
	} {
		id, err := keys.ParseEventID(text)
		var e *keys.IDError
		if !errors.As(err, &e) || e.Text != text || e.Err == nil || !id.IsZero() {
			t.Errorf("ParseEventID(%q) = %s, %v, want the zero id and an *IDError", text, id, err)
			continue
		}
		if !errors.Is(err, keys.ErrInvalidID) || !errors.Is(err, keys.ErrEventStore) || !errors.Is(err, e.Err) {
			t.Errorf("ParseEventID(%q): error %v, want one that matches ErrInvalidID, ErrEventStore and its cause", text, err)
		}
		if !strings.Contains(err.Error(), "26 characters") {
			t.Errorf("error %q, want it to say what an id looks like", err)
		}
		kept := keys.EventID{1}
		if err := kept.UnmarshalText([]byte(text)); err == nil || kept != (keys.EventID{1}) {
			t.Errorf("UnmarshalText(%q) = %v and id %s, want an error and the id kept", text, err, kept)
		}
	}
}
