package aggregate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/aggregate"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/estest"
)

func changes(all []aggregate.Change) string {
	var lines []string
	for _, c := range all {
		lines = append(lines, c.String())
	}
	return strings.Join(lines, "\n")
}

func TestDiffJSON(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, before, after, want string }{
		{"nothing", `{"a":[1,{"b":null}]}`, ` { "a" : [ 1, {"b":null} ] } `, ``},
		{"the order of names", `{"a":1,"b":2}`, `{"b":2,"a":1}`, ``},
		{"a number", `{"a":1}`, `{"a":2}`, `/a: 1 -> 2`},
		{"a digit that no float has", `{"a":12345678901234567890.01}`, `{"a":12345678901234567890.02}`, `/a: 12345678901234567890.01 -> 12345678901234567890.02`},
		{"a number and its text", `{"a":1}`, `{"a":"1"}`, `/a: 1 -> "1"`},
		{"numbers are texts", `{"a":1}`, `{"a":1.0}`, `/a: 1 -> 1.0`},
		{"a name more", `{}`, `{"a":{"b":[]}}`, `/a: nothing -> {"b":[]}`},
		{"a name less", `{"a":false}`, `{}`, `/a: false -> nothing`},
		{"null is not nothing", `{"a":null}`, `{}`, `/a: null -> nothing`},
		{"null became a value", `{"a":null}`, `{"a":""}`, `/a: null -> ""`},
		{"a list that grew", `[1,2]`, `[1,3,4]`, "/1: 2 -> 3\n/2: nothing -> 4"},
		{"a list that shrank", `[1,2]`, `[]`, "/0: 1 -> nothing\n/1: 2 -> nothing"},
		{"another form", `{"a":[1]}`, `{"a":{"0":1}}`, `/a: [1] -> {"0":1}`},
		{"as a whole", `1`, `[1]`, `: 1 -> [1]`},
		{"names with signs", `{"a/b":{"~":1,"":2}}`, `{"a/b":{"~":2,"":3}}`, "/a~1b/: 2 -> 3\n/a~1b/~0: 1 -> 2"},
		{"several, by path", `{"b":1,"a":{"y":1,"x":1}}`, `{"b":2,"a":{"y":2,"x":2}}`, "/a/x: 1 -> 2\n/a/y: 1 -> 2\n/b: 1 -> 2"},
		{"signs that HTML has", `{"a":"<&>"}`, `{"a":"é"}`, `/a: "<&>" -> "é"`},
	} {
		got, err := aggregate.DiffJSON([]byte(tt.before), []byte(tt.after))
		if err != nil || changes(got) != tt.want {
			t.Errorf("%s: got %q, %v, want %q", tt.name, changes(got), err, tt.want)
		}
	}
	for _, text := range []string{`{`, `1 2`, `{"a":1,"a":2}`, strings.Repeat("[", 40) + strings.Repeat("]", 40)} {
		if _, err := aggregate.DiffJSON([]byte(`{}`), []byte(text)); !errors.Is(err, codec.ErrCodec) {
			t.Errorf("%s: got %v, want an error of the codec", text, err)
		}
	}
}

func TestDiffOfTwoPoints(t *testing.T) {
	t.Parallel()
	for _, opts := range []*aggregate.Options{nil, {StateCodec: codec.JSON}, {NoSnapshots: true}} {
		db := estest.Open(t)
		r := newAccounts(t, db, opts)
		begin := db.Clock.Now()
		for n := range 4 {
			db.Clock.Advance(time.Hour)
			mustAppend(t, db, stream, eventstream.NewEvent{Type: "Posted", Data: posted{int64(n + 1), fmt.Sprint(n)}})
		}
		got, err := r.Diff(ctx, stream,
			[]eventstream.ReadOption{eventstream.To(2)},
			[]eventstream.ReadOption{eventstream.OccurredUntil(begin.Add(3 * time.Hour))})
		if err != nil {
			t.Fatal(err)
		}
		want := []aggregate.Change{
			{Path: "/balance", Before: json.RawMessage("3"), After: json.RawMessage("6")},
			{Path: "/by_text/2", After: json.RawMessage("3")},
			{Path: "/last/2", After: json.RawMessage(`"2"`)},
			{Path: "/postings", Before: json.RawMessage("2"), After: json.RawMessage("3")},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got, err := r.Diff(ctx, stream, nil, nil); err != nil || len(got) > 0 {
			t.Errorf("now and now: got %v, %v", got, err)
		}
		if _, err := r.Diff(ctx, stream, nil, []eventstream.ReadOption{eventstream.Backward()}); !errors.Is(err, eventstream.ErrInvalidArgument) {
			t.Errorf("got %v, want ErrInvalidArgument", err)
		}
	}
}
