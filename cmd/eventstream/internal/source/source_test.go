package source

import (
	"strings"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
)

func TestEventID(t *testing.T) {
	t.Parallel()
	at := time.Date(2018, 1, 4, 10, 35, 0, 0, time.UTC)
	id := EventID("digest", "a-b-1", 1, at)
	// Ids are on disks: a file imported long ago must give the same ones.
	if got, want := id.String(), "01C30BT010FX1SKR6G3NZX5HC3"; got != want {
		t.Errorf("got id %s, want %s", got, want)
	}
	if !id.Time().Equal(at) {
		t.Errorf("got time %s, want %s", id.Time(), at)
	}
	if got := EventID("digest", "a-b-1", 1, at); got != id {
		t.Errorf("the same event: got %s, want %s again", got, id)
	}
	for name, other := range map[string]eventstream.EventID{
		"another file":    EventID("digest2", "a-b-1", 1, at),
		"another stream":  EventID("digest", "a-b-2", 1, at),
		"another ordinal": EventID("digest", "a-b-1", 2, at),
		"shifted parts":   EventID("digesta", "-b-1", 1, at),
	} {
		if other == id {
			t.Errorf("%s has the same id %s", name, id)
		}
	}
	before := EventID("digest", "a-b-1", 1, time.Date(1948, 1, 26, 0, 0, 0, 0, time.UTC))
	if got := before.Time().UnixMilli(); got != 0 {
		t.Errorf("before 1970: got %d ms, want 0", got)
	}
	if EventID("d", "s", 1, time.Time{}).IsZero() {
		t.Error("an event without a time has the zero id")
	}
}

func TestCategory(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, category, id, want string }{
		{"two parts are used as they are", "sales-invoice", "536365", "sales-invoice-536365"},
		{"a single word gets a second part", "sales", "1", "sales-case-1"},
		{"letters are folded", "Sales-Invoice", "1", "sales-invoice-1"},
		{"hyphens in an id are kept", "a-b", "x-y", "a-b-x-y"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, err := ParseCategory(tc.category)
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Stream(tc.id)
			if err != nil || string(got) != tc.want {
				t.Errorf("got %s, %v, want %s", got, err, tc.want)
			}
		})
	}
	for _, refused := range []string{"", "-", "a-", "-b", "a-b-c", "a b", strings.Repeat("x", 300)} {
		if _, err := ParseCategory(refused); err == nil {
			t.Errorf("category %q is accepted", refused)
		}
	}
}

func TestStockCodesThatDifferInCaseStayApart(t *testing.T) {
	t.Parallel()
	c, err := ParseCategory("stock-item")
	if err != nil {
		t.Fatal(err)
	}
	upper, err1 := c.Stream("79323P")
	lower, err2 := c.Stream("79323p")
	if err1 != nil || err2 != nil || upper == lower {
		t.Errorf("got %q, %v and %q, %v, want two streams", upper, err1, lower, err2)
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	fields := Fields{Stream: "s", Type: "t", OccurredAt: "o", Data: "d", Metadata: "m"}
	at := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name   string
		record Record
		want   string // the field at fault
	}{
		{"a plain event is good", Record{Stream: "s", Event: eventstream.NewEvent{Type: "T", OccurredAt: at}}, ""},
		{"no stream", Record{Event: eventstream.NewEvent{Type: "T"}}, "s"},
		{"no type", Record{Stream: "s"}, "t"},
		{"a control character in a user id", Record{Stream: "s", Event: eventstream.NewEvent{Type: "T", UserID: "\n"}}, "user_id"},
		{"too early", Record{Stream: "s", Event: eventstream.NewEvent{Type: "T", OccurredAt: earliest.Add(-1)}}, "o"},
		{"early enough", Record{Stream: "s", Event: eventstream.NewEvent{Type: "T", OccurredAt: earliest}}, ""},
		{"too late", Record{Stream: "s", Event: eventstream.NewEvent{Type: "T", OccurredAt: latest}}, "o"},
		{"a payload of the greatest size", Record{Stream: "s", Event: eventstream.NewEvent{Type: "T", Data: codec.Encoded(make([]byte, 1<<20))}}, ""},
		{"a payload beyond it", Record{Stream: "s", Event: eventstream.NewEvent{Type: "T", Data: codec.Encoded(make([]byte, 1<<20+1))}}, "d"},
		{"too much metadata", Record{Stream: "s", Event: eventstream.NewEvent{Type: "T", Metadata: map[string]string{"k": strings.Repeat("x", 65<<10)}}}, "m"},
		{"metadata that is no text", Record{Stream: "s", Event: eventstream.NewEvent{Type: "T", Metadata: map[string]string{"k": "\xff"}}}, "m"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := ""
			if bad := Check(&tc.record, fields); bad != nil {
				got = bad.Field
			}
			if got != tc.want {
				t.Errorf("got field %q, want %q", got, tc.want)
			}
		})
	}
}
