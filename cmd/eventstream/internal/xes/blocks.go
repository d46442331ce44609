package xes

import (
	"fmt"
	"io"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
	"github.com/nexus-erp/eventstream/codec"
)

// The attributes that XES gives a meaning.
const (
	nameKey = "concept:name"
	timeKey = "time:timestamp"
)

// fields are the XES names of a record's parts.
var fields = source.Fields{Stream: nameKey, Type: nameKey, OccurredAt: timeKey, Data: "event", Metadata: nameKey}

// maxBlockBytes keeps blocks well below what one append takes.
const maxBlockBytes = source.MaxBlockBytes / 2

// Blocks reads a log as events: one stream per case, one block per case, unless a
// case is larger than one append may be.
//
// concept:name of the event is its type, time:timestamp when it occurred, every
// other attribute a member of the payload. The attributes of the case, but for its
// concept:name, are the member "case" of its first event's payload; if that event
// has an attribute of that name, "case:". concept:name of the case names the
// stream, and stands as "case" in the metadata of each of its events.
//
// A bad event is left out alone; a case without a name or without events is left
// out whole.
type Blocks struct {
	decoder  *Decoder
	category source.Category
	queue    source.Queue
	seen     source.Streams // how many events of each stream were there
}

// NewBlocks returns the blocks of the log that r reads.
func NewBlocks(r io.Reader, category source.Category) *Blocks {
	return &Blocks{decoder: NewDecoder(r), category: category, seen: source.Streams{}}
}

// Next returns the next block. See [source.Decoder].
func (b *Blocks) Next() (source.Block, error) {
	for {
		if block, err, ok := b.queue.Next(); ok {
			return block, err
		}
		trace, err := b.decoder.Next()
		if err != nil {
			return source.Block{}, err
		}
		b.enqueue(trace)
	}
}

func (b *Blocks) enqueue(t *Trace) {
	name, stream, bad := b.caseOf(t)
	if bad != nil {
		b.queue.Fail(bad)
		return
	}
	metadata := map[string]string{"case": name}
	caseAttrs := without(t.Attributes, nameKey)
	if bad := checkAttributes(caseAttrs, t.Line, false); bad != nil {
		bad.Events = len(t.Events)
		b.queue.Fail(bad)
		return
	}
	before := b.seen.Add(stream, len(t.Events)) // two cases may have one name
	var records []source.Record
	size := 0
	for i := range t.Events {
		r, bad := record(&t.Events[i], stream, metadata, caseAttrs)
		if bad != nil {
			b.queue.Fail(bad)
			continue
		}
		r.Ordinal = before + i + 1
		caseAttrs = nil // they go with the first event that loads
		if n := r.Size(); len(records) == source.MaxBlockEvents || size+n > maxBlockBytes {
			b.queue.Add(records)
			records, size = nil, 0
		}
		size += r.Size()
		records = append(records, r)
	}
	if len(records) > 0 {
		b.queue.Add(records)
	}
}

// caseOf names the case and its stream.
func (b *Blocks) caseOf(t *Trace) (string, eventstream.StreamID, *source.BadRecord) {
	bad := func(line int, field, reason string) *source.BadRecord {
		return &source.BadRecord{Line: line, Field: field, Reason: reason, Events: max(len(t.Events), 1)}
	}
	if len(t.Events) == 0 {
		return "", "", bad(t.Line, "trace", "the case has no events")
	}
	name, count := lookup(t.Attributes, nameKey)
	switch {
	case count == 0:
		return "", "", bad(t.Line, nameKey, "the case has no name, which would name its stream")
	case count > 1:
		return "", "", bad(name.Line, nameKey, "the case has two names")
	case name.Value == "":
		return "", "", bad(name.Line, nameKey, "the name of the case is empty")
	}
	stream, err := b.category.Stream(name.Value)
	if err != nil {
		return "", "", bad(name.Line, nameKey, err.Error())
	}
	return name.Value, stream, nil
}

func record(ev *Event, stream eventstream.StreamID, metadata map[string]string, caseAttrs []Attribute) (source.Record, *source.BadRecord) {
	if bad := checkAttributes(ev.Attributes, ev.Line, true); bad != nil {
		return source.Record{}, bad
	}
	name, _ := lookup(ev.Attributes, nameKey)
	stamp, _ := lookup(ev.Attributes, timeKey)
	occurred, err := source.ParseTime(stamp.Value)
	if err != nil {
		return source.Record{}, &source.BadRecord{Line: stamp.Line, Field: timeKey, Reason: fmt.Sprintf("%q %v", stamp.Value, err), Events: 1}
	}
	payload := without(ev.Attributes, nameKey, timeKey)
	data := appendObject(make([]byte, 0, 64), payload)
	if len(caseAttrs) > 0 {
		data = appendCase(data, caseKey(payload), caseAttrs)
	}
	r := source.Record{Line: ev.Line, Stream: stream, Event: eventstream.NewEvent{
		Type: name.Value, Codec: codec.JSON, Data: codec.Encoded(data), OccurredAt: occurred, Metadata: metadata,
	}}
	return r, source.Check(&r, fields)
}

// caseKey returns the member for the case's attributes.
func caseKey(payload []Attribute) string {
	key := "case"
	for {
		if _, n := lookup(payload, key); n == 0 {
			return key
		}
		key += ":"
	}
}

// checkAttributes finds the first attribute that has no name, no name of its own,
// or no value, and, in an event, what every event must have.
func checkAttributes(attrs []Attribute, line int, event bool) *source.BadRecord {
	seen := make(map[string]bool, len(attrs))
	for i := range attrs {
		a := &attrs[i]
		switch {
		case a.Key == "":
			return &source.BadRecord{Line: a.Line, Field: a.Kind, Reason: "the attribute has no key", Events: 1}
		case seen[a.Key]:
			return &source.BadRecord{Line: a.Line, Field: a.Key, Reason: "the attribute comes twice", Events: 1}
		}
		seen[a.Key] = true
		if !a.HasValue && a.Kind != "list" && a.Kind != "container" {
			return &source.BadRecord{Line: a.Line, Field: a.Key, Reason: "the attribute has no value", Events: 1}
		}
		if a.Kind == "list" || a.Kind == "container" {
			for j := range a.Children { // keys may repeat there
				if bad := checkAttributes(a.Children[j:j+1], a.Line, false); bad != nil {
					return bad
				}
			}
		} else if bad := checkAttributes(a.Children, a.Line, false); bad != nil {
			return bad
		}
	}
	for _, key := range []string{nameKey, timeKey} {
		if event && !seen[key] {
			return &source.BadRecord{Line: line, Field: key, Reason: "the event has none", Events: 1}
		}
	}
	return nil
}

// lookup returns the attribute called key and how many there are.
func lookup(attrs []Attribute, key string) (found Attribute, count int) {
	for i := range attrs {
		if attrs[i].Key == key {
			found = attrs[i]
			count++
		}
	}
	return found, count
}

// without returns a copy of attrs without those called as in keys.
func without(attrs []Attribute, keys ...string) []Attribute {
	rest := make([]Attribute, 0, len(attrs))
next:
	for _, a := range attrs {
		for _, key := range keys {
			if a.Key == key {
				continue next
			}
		}
		rest = append(rest, a)
	}
	return rest
}
