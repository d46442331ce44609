package merge

import (
	"testing"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
)

// payload returns an event of type T with a JSON payload.
func payload(text string) eventstream.Event {
	return eventstream.Event{Type: "T", Codec: codec.JSON, Data: []byte(text)}
}

func TestApply(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		events []eventstream.Event
		want   string
	}{
		{"no event", nil, `{}`},
		{"an event without a payload", []eventstream.Event{{Type: "T", Codec: codec.JSON}}, `{}`},
		{"one object", []eventstream.Event{payload(`{"b":1,"a":"x"}`)}, `{"a":"x","b":1}`},
		{"a later one replaces", []eventstream.Event{payload(`{"a":1,"b":1}`), payload(`{"a":2}`)}, `{"a":2,"b":1}`},
		{"objects are merged", []eventstream.Event{payload(`{"a":{"x":1,"y":{"z":1}}}`), payload(`{"a":{"y":{"w":2}}}`)}, `{"a":{"x":1,"y":{"w":2,"z":1}}}`},
		{"lists are replaced", []eventstream.Event{payload(`{"a":[1,2]}`), payload(`{"a":[3]}`)}, `{"a":[3]}`},
		{"null replaces", []eventstream.Event{payload(`{"a":{"x":1}}`), payload(`{"a":null}`)}, `{"a":null}`},
		{"an object replaces what is none", []eventstream.Event{payload(`{"a":1}`), payload(`{"a":{"x":1}}`)}, `{"a":{"x":1}}`},
		{"what is none replaces an object", []eventstream.Event{payload(`{"a":{"x":1}}`), payload(`{"a":1}`)}, `{"a":1}`},
		{"numbers keep their digits", []eventstream.Event{payload(`{"a":1.10,"b":12345678901234567890.5}`)}, `{"a":1.10,"b":12345678901234567890.5}`},
		{"a number is kept under its type", []eventstream.Event{payload(`5`), payload(`6`)}, `{"T":6}`},
		{"bytes are base64", []eventstream.Event{{Type: "Scan", Codec: codec.Raw, Data: []byte{0, 255}}}, `{"Scan":"AP8="}`},
		{"msgpack", []eventstream.Event{{Type: "T", Codec: codec.Msgpack, Data: []byte("\x81\xa1a\xcd\x01\x00")}}, `{"a":256}`},
		{"signs that HTML has", []eventstream.Event{payload(`{"a":"<&>"}`)}, `{"a":"<&>"}`},
	} {
		var s State
		for i := range tc.events {
			if err := s.Apply(&tc.events[i]); err != nil {
				t.Fatalf("%s: %v", tc.name, err)
			}
		}
		got, err := s.JSON()
		if err != nil || string(got) != tc.want {
			t.Errorf("%s: got %s, %v, want %s", tc.name, got, err, tc.want)
		}
	}
	var s State
	if err := s.Apply(&eventstream.Event{Type: "T", Codec: codec.Msgpack, Data: []byte{0xc1}}); err == nil {
		t.Error("a damaged payload: got no error")
	}
}

// A state does not change with an event that was merged into it, and merged again.
func TestAStateIsItsOwn(t *testing.T) {
	t.Parallel()
	var a, b State
	first, second := payload(`{"a":{"x":1}}`), payload(`{"a":{"x":2}}`)
	for _, ev := range []*eventstream.Event{&first, &second} {
		if err := a.Apply(ev); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Apply(&first); err != nil {
		t.Fatal(err)
	}
	if got, err := b.JSON(); err != nil || string(got) != `{"a":{"x":1}}` {
		t.Errorf("got %s, %v", got, err)
	}
}
