// Package ocel writes events as an object-centric event log, OCEL 2.0 in JSON
// (https://www.ocel-standard.org, specification 2.0, section JSON).
//
// Each stream is an object of its category, and each metadata entry that is asked for as a
// tag an object of the tag's name. An event relates to its stream, as "stream", to the other
// streams of its commit, as "commit", and to its tags, as "tag". The values at the top of
// its payload that are texts, numbers or bools are its attributes, as texts.
package ocel

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
)

// Events reads the events of an export, in order of position, commits whole. It is called
// twice: the types come before the events in the file.
type Events func() iter.Seq2[eventstream.Event, error]

// otherStreams is the object type of streams whose names have no category.
const otherStreams = "stream"

type typeOf struct {
	Name       string      `json:"name"`
	Attributes []attribute `json:"attributes"`
}

type attribute struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

type object struct {
	ID   string `json:"id"`
	Type string `json:"type"`
}

type event struct {
	ID            string         `json:"id"`
	Type          string         `json:"type"`
	Time          string         `json:"time"`
	Attributes    []value        `json:"attributes"`
	Relationships []relationship `json:"relationships"`
}

type value struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type relationship struct {
	Object    string `json:"objectId"`
	Qualifier string `json:"qualifier"`
}

// survey is what the first pass finds.
type survey struct {
	tags    []string
	objects map[object]bool
	types   map[string]map[string]bool // of events, with the names of their attributes
}

// Write writes the log. tags names the metadata entries that are objects. It returns how many
// events there were.
func Write(to io.Writer, events Events, tags []string) (n int, err error) {
	s := survey{tags: tags, objects: make(map[object]bool), types: make(map[string]map[string]bool)}
	for ev, err := range events() {
		if err != nil {
			return 0, err
		}
		s.add(&ev)
	}
	w := bufio.NewWriterSize(to, 256<<10)
	out := json.NewEncoder(w)
	out.SetEscapeHTML(false)
	_, _ = w.WriteString(`{"eventTypes":`)
	if err := out.Encode(s.eventTypes()); err != nil {
		return 0, err
	}
	_, _ = w.WriteString(`,"objectTypes":`)
	if err := out.Encode(s.objectTypes()); err != nil {
		return 0, err
	}
	_, _ = w.WriteString(`,"events":[`)
	if n, err = s.writeEvents(w, out, events); err != nil {
		return n, err
	}
	_, _ = w.WriteString(`],"objects":`)
	if err := out.Encode(s.sortedObjects()); err != nil {
		return n, err
	}
	_, _ = w.WriteString("}\n")
	return n, w.Flush()
}

func (s *survey) add(ev *eventstream.Event) {
	s.objects[streamObject(ev.Stream)] = true
	for _, o := range s.tagObjects(ev) {
		s.objects[o] = true
	}
	names := s.types[ev.Type]
	if names == nil {
		names = make(map[string]bool)
		s.types[ev.Type] = names
	}
	for _, v := range attributesOf(ev) {
		names[v.Name] = true
	}
}

func streamObject(stream eventstream.StreamID) object {
	category := stream.Category()
	if category == "" {
		category = otherStreams
	}
	return object{ID: string(stream), Type: category}
}

func (s *survey) tagObjects(ev *eventstream.Event) (objects []object) {
	for _, name := range s.tags {
		if v, ok := ev.Metadata[name]; ok {
			objects = append(objects, object{ID: name + "=" + v, Type: name})
		}
	}
	return objects
}

func (s *survey) eventTypes() []typeOf {
	types := []typeOf{}
	for _, name := range slices.Sorted(maps.Keys(s.types)) {
		t := typeOf{Name: name, Attributes: []attribute{}}
		for _, a := range slices.Sorted(maps.Keys(s.types[name])) {
			t.Attributes = append(t.Attributes, attribute{a, "string"})
		}
		types = append(types, t)
	}
	return types
}

func (s *survey) objectTypes() []typeOf {
	names := make(map[string]bool)
	for o := range s.objects {
		names[o.Type] = true
	}
	types := []typeOf{}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		types = append(types, typeOf{Name: name, Attributes: []attribute{}})
	}
	return types
}

func (s *survey) sortedObjects() []object {
	objects := slices.AppendSeq([]object{}, maps.Keys(s.objects))
	slices.SortFunc(objects, func(a, b object) int {
		return bytes.Compare([]byte(a.Type+"\x00"+a.ID), []byte(b.Type+"\x00"+b.ID))
	})
	return objects
}

// writeEvents writes the second pass, commit by commit.
func (s *survey) writeEvents(w *bufio.Writer, out *json.Encoder, events Events) (n int, err error) {
	var commit []eventstream.Event
	flush := func() error {
		for i := range commit {
			if n++; n > 1 {
				_ = w.WriteByte(',')
			}
			if err := out.Encode(s.event(commit, i)); err != nil {
				return err
			}
		}
		commit = commit[:0]
		return nil
	}
	for ev, err := range events() {
		if err != nil {
			return n, err
		}
		if len(commit) > 0 && commit[0].CommitPosition() != ev.CommitPosition() {
			if err := flush(); err != nil {
				return n, err
			}
		}
		commit = append(commit, ev)
	}
	return n, flush()
}

// event is the i-th event of a commit.
func (s *survey) event(commit []eventstream.Event, i int) event {
	ev := &commit[i]
	e := event{
		ID: ev.ID.String(), Type: ev.Type, Time: ev.OccurredAt.UTC().Format(time.RFC3339Nano),
		Attributes: attributesOf(ev), Relationships: []relationship{{string(ev.Stream), "stream"}},
	}
	related := map[eventstream.StreamID]bool{ev.Stream: true}
	for j := range commit {
		if stream := commit[j].Stream; !related[stream] {
			related[stream] = true
			e.Relationships = append(e.Relationships, relationship{string(stream), "commit"})
		}
	}
	for _, o := range s.tagObjects(ev) {
		e.Relationships = append(e.Relationships, relationship{o.ID, "tag"})
	}
	return e
}

// attributesOf returns the plain values at the top of a payload, by name.
func attributesOf(ev *eventstream.Event) []value {
	values := []value{}
	text, _, err := codec.ToJSON(ev.Codec, ev.Data)
	var data map[string]json.RawMessage
	if err != nil || text == nil || json.Unmarshal(text, &data) != nil {
		return values
	}
	for _, name := range slices.Sorted(maps.Keys(data)) {
		raw := data[name]
		switch raw[0] {
		case '{', '[', 'n':
			continue
		case '"':
			var s string
			if json.Unmarshal(raw, &s) == nil {
				values = append(values, value{name, s})
			}
		default:
			values = append(values, value{name, string(raw)})
		}
	}
	return values
}
