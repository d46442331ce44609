package model_test

import (
	"fmt"
	"strconv"
	"time"

	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/campaign/model"
)

// Few names, of which some begin as others do, so that they meet often.
var (
	tenantNames = []string{eventstream.DefaultTenant, "acme", "acme2"}
	streamNames = []eventstream.StreamID{"a-a-1", "a-a-10", "a-b-1", "b-b-1", "plain"}
	typeNames   = []string{"Opened", "Posted", "Post"}
	texts       = []string{"", "x", "y", "x1"}
	timeOrigin  = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)
)

// source draws what a machine does.
type source struct {
	*rapid.T
	ids *int // how many ids were made
}

func pick[E any](s source, what string, of []E) E { return rapid.SampledFrom(of).Draw(s.T, what) }

func (s source) upTo(what string, n int) int { return rapid.IntRange(0, n).Draw(s.T, what) }

func (s source) oneIn(what string, n int) bool { return s.upTo(what, n-1) == n-1 }

// freshID returns an id that was not used yet.
func (s source) freshID() eventstream.EventID {
	*s.ids++
	n := *s.ids
	return eventstream.EventID{0: 1, 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}
}

func (s source) event(withID bool) eventstream.NewEvent {
	e := eventstream.NewEvent{
		Type: pick(s, "type", typeNames), CorrelationID: pick(s, "correlation", texts), UserID: pick(s, "user", texts),
	}
	if withID {
		e.ID = s.freshID()
	}
	switch s.upTo("payload", 3) {
	case 0: // none
	case 1:
		e.Codec, e.Data = codec.Raw, codec.Encoded(fmt.Sprintf("text %d", s.upTo("text", 99)))
	case 2:
		e.Codec, e.Data = codec.JSON, codec.Encoded(`{"n":`+strconv.Itoa(s.upTo("number", 99))+`}`)
	default:
		e.Data = codec.Encoded{byte(s.upTo("small number", 127))} // MessagePack
		e.SchemaVersion = eventstream.SchemaVersion(1 + s.upTo("schema", 2))
	}
	if s.oneIn("occurred", 3) {
		e.OccurredAt = timeOrigin.Add(time.Duration(s.upTo("minutes", 100)-50) * time.Minute)
	}
	if s.oneIn("metadata", 3) {
		e.Metadata = map[string]string{"till": pick(s, "till", texts), "by": "ada"}
		e.CausationID = pick(s, "causation", texts)
	}
	return e
}

// large is an event that a table in memory has room for a few times.
func (s source) large() eventstream.NewEvent {
	data := make(codec.Encoded, 32<<10)
	for i := range data {
		data[i] = byte(i * (*s.ids + 1))
	}
	return eventstream.NewEvent{ID: s.freshID(), Type: "Scanned", Codec: codec.Raw, Data: data}
}

// expect draws what an append expects of a stream: as a rule what is so.
func (s source) expect(version eventstream.Version) eventstream.Expected {
	switch s.upTo("expect", 7) {
	case 0:
		return eventstream.NoStream
	case 1:
		return eventstream.StreamExists
	case 2:
		return eventstream.Exact(version + 1)
	case 3, 4:
		return eventstream.Any
	default:
		return eventstream.Exact(version)
	}
}

// append draws an append to one or several streams, now and then one that is only
// checked. Its events have ids or, some of them, not.
func (s source) append(oracle *model.Store, entries int, ids bool) model.Append {
	a := model.Append{Tenant: pick(s, "tenant", tenantNames)}
	first := s.upTo("first stream", len(streamNames)-1)
	for i := range entries {
		stream := streamNames[(first+i)%len(streamNames)]
		entry := eventstream.StreamAppend{Stream: stream, Expect: s.expect(eventstream.Version(len(oracle.Stream(a.Tenant, stream))))}
		if entries == 1 || !s.oneIn("checked only", 4) {
			for range 1 + s.upTo("more events", 2) {
				entry.Events = append(entry.Events, s.event(ids || s.oneIn("with id", 2)))
			}
		}
		a.Entries = append(a.Entries, entry)
	}
	return a
}

// altered draws something that is almost an append that was made before.
func (s source) altered(a model.Append) model.Append {
	a.Unless, a.Records = nil, nil
	a.Entries = append([]eventstream.StreamAppend(nil), a.Entries...)
	entry := &a.Entries[s.upTo("entry", len(a.Entries)-1)]
	entry.Events = append([]eventstream.NewEvent(nil), entry.Events...)
	entry.Expect = s.expect(1)
	switch s.upTo("alteration", 7) {
	case 0:
		a.Tenant = pick(s, "other tenant", tenantNames)
	case 1:
		if len(entry.Events) > 0 {
			entry.Events[0].Codec, entry.Events[0].Data = codec.Raw, codec.Encoded("other")
		}
	case 2:
		entry.Events = append(entry.Events, s.event(s.oneIn("new with id", 2)))
	case 3:
		if len(entry.Events) > 1 {
			entry.Events = entry.Events[1:]
		}
	case 4:
		if len(entry.Events) > 1 {
			entry.Events[0], entry.Events[1] = entry.Events[1], entry.Events[0]
		}
	case 5:
		if len(entry.Events) > 0 { // the id twice
			entry.Events = append(entry.Events, entry.Events[0])
		}
	default: // as it was, but for what it expects
	}
	return a
}

// query draws a question.
func (s source) query(head eventstream.Position) model.Query {
	var q model.Query
	maybe := func(what string) bool { return s.oneIn(what, 5) }
	if maybe("by type") {
		q.Types = []string{pick(s, "type", typeNames), pick(s, "or type", typeNames)}
	}
	if maybe("by category") {
		q.Categories = []string{pick(s, "category", []string{"a-a", "a-b", "b-b"})}
	}
	if maybe("by stream") {
		q.Streams = []eventstream.StreamID{pick(s, "stream", streamNames), pick(s, "or stream", streamNames)}
	}
	if maybe("by correlation") {
		q.Correlations = []string{pick(s, "correlation", texts[1:])}
	}
	if maybe("by user") {
		q.Users = []string{pick(s, "user", texts[1:])}
	}
	if s.oneIn("by causation", 10) {
		q.Causations = []string{pick(s, "causation", texts[1:])}
	}
	if s.oneIn("by tag", 10) {
		q.Tags = map[string]string{"till": pick(s, "till", texts)}
	}
	if maybe("after") {
		q.After = eventstream.Position(s.upTo("after", int(head)))
	}
	if maybe("until") {
		q.Until = eventstream.Position(1 + s.upTo("until", int(head)))
	}
	if maybe("occurred") {
		q.OccurredSince = timeOrigin.Add(time.Duration(s.upTo("minutes", 100)-50) * time.Minute)
	}
	if maybe("recorded") {
		q.RecordedUntil = timeOrigin.Add(time.Duration(s.upTo("minutes", 100)) * time.Minute)
	}
	q.Backward = maybe("backward")
	return q
}
