package model

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
)

// Event is an event as the store must show it.
type Event struct {
	eventstream.Event
	Given bool // OccurredAt came from the caller
}

// Append is an append as it was asked for. Payloads are [codec.Encoded], so that what
// must be stored is plain.
type Append struct {
	Tenant  string
	Entries []eventstream.StreamAppend
	// Unless keeps the append from going through if it finds an event behind After.
	Unless *Query
	After  eventstream.Position
	// Records are what an update writes together with its events.
	Records []Record
}

// Record is a record of a namespace as an update leaves it. A nil value: it is deleted.
type Record struct {
	Namespace, Key string
	Value          []byte
}

// Store is what a store must hold, by what was asked of it and what it answered.
type Store struct {
	// Projections are the views to be compared with what they must show.
	Projections []Projection
	// Delivered is what each follower of a tenant got, in order. See I10.
	Delivered []Delivery
	// Calls are what was asked by several goroutines at a time. See I6.
	Calls []Call
	// Damaged says that somebody changed the store's files. See I9.
	Damaged bool
	// Bound is what the process may use at most. See I12. Nil: nobody looks.
	Bound *Usage

	events    []Event // in order of position
	doubts    []Append
	writes    []recordWrites // in order of position
	snapshots []snapshots    // as they were since the last sync; the last one is how they are
	crashed   bool
	broken    []Violation // found when it was told what was answered
}

// recordWrites is what the update that ended at a position wrote.
type recordWrites struct {
	at      eventstream.Position
	tenant  string
	records []Record
}

// New returns a store without events.
func New() *Store { return &Store{snapshots: []snapshots{nil}} }

// Head returns the position of the newest event.
func (s *Store) Head() eventstream.Position {
	if len(s.events) == 0 {
		return 0
	}
	return s.events[len(s.events)-1].Position
}

// Log returns the events of a tenant, in order of position.
func (s *Store) Log(tenant string) []Event {
	return s.find(func(e *Event) bool { return e.Tenant == tenant })
}

// Stream returns the events of a stream, in order of version.
func (s *Store) Stream(tenant string, stream eventstream.StreamID) []Event {
	return s.find(func(e *Event) bool { return e.Tenant == tenant && e.Stream == stream })
}

// Find returns the events of a tenant that q finds, in its order.
func (s *Store) Find(tenant string, q Query) []Event {
	found := s.find(func(e *Event) bool { return e.Tenant == tenant && q.Matches(&e.Event) })
	if q.Backward {
		slices.Reverse(found)
	}
	return found
}

// ByID returns the event of a tenant with an id.
func (s *Store) ByID(tenant string, id eventstream.EventID) (Event, bool) {
	found := s.find(func(e *Event) bool { return e.Tenant == tenant && e.ID == id })
	if len(found) == 0 {
		return Event{}, false
	}
	return found[0], true
}

// At returns the event at a position, of whatever tenant.
func (s *Store) At(p eventstream.Position) (Event, bool) {
	i, ok := slices.BinarySearchFunc(s.events, p, byPosition)
	if !ok {
		return Event{}, false
	}
	return s.events[i], true
}

// Tenants returns the names of those that have events, sorted.
func (s *Store) Tenants() []string {
	names := map[string]bool{}
	for i := range s.events {
		names[s.events[i].Tenant] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// Streams returns where the streams of a tenant stand whose names start with prefix, by
// name.
func (s *Store) Streams(tenant, prefix string) []eventstream.StreamInfo {
	return streamInfos(s.find(func(e *Event) bool { return e.Tenant == tenant && strings.HasPrefix(string(e.Stream), prefix) }))
}

// streamInfos computes where the streams of events stand, by name.
func streamInfos(events []Event) []eventstream.StreamInfo {
	infos := map[eventstream.StreamID]eventstream.StreamInfo{}
	for i := range events {
		e := &events[i]
		info, ok := infos[e.Stream]
		if !ok {
			info = eventstream.StreamInfo{Tenant: e.Tenant, Stream: e.Stream, FirstPosition: e.Position, FirstRecordedAt: e.RecordedAt}
		}
		info.Version, info.LastPosition, info.LastRecordedAt = e.Version, e.Position, e.RecordedAt
		infos[e.Stream] = info
	}
	return slices.SortedFunc(maps.Values(infos), func(a, b eventstream.StreamInfo) int { return cmp.Compare(a.Stream, b.Stream) })
}

// Records returns the records of a namespace, by key.
func (s *Store) Records(tenant, namespace string) map[string]string {
	records := map[string]string{}
	for _, w := range s.writes {
		for _, r := range w.records {
			switch {
			case w.tenant != tenant || r.Namespace != namespace:
			case r.Value == nil:
				delete(records, r.Key)
			default:
				records[r.Key] = string(r.Value)
			}
		}
	}
	return records
}

func (s *Store) find(is func(*Event) bool) (found []Event) {
	for i := range s.events {
		if is(&s.events[i]) {
			found = append(found, s.events[i])
		}
	}
	return found
}

func byPosition(e Event, p eventstream.Position) int { return cmp.Compare(e.Position, p) }

// put adds an event that an answer told of.
func (s *Store) put(e Event) {
	i, ok := slices.BinarySearchFunc(s.events, e.Position, byPosition)
	if !ok {
		s.events = slices.Insert(s.events, i, e)
		return
	}
	if known := s.events[i]; known.ID != e.ID || !sameContent(&known, &e) {
		s.broken = append(s.broken, at("I6", &e.Event, "two appends were told that this place is theirs: event %s and event %s", known.ID, e.ID))
	}
}

// proposed returns what the store must make of an event, but for its place.
func proposed(tenant string, stream eventstream.StreamID, n *eventstream.NewEvent) Event {
	e := Event{Given: !n.OccurredAt.IsZero()}
	e.Tenant, e.Stream, e.ID, e.Type = tenant, stream, n.ID, n.Type
	e.SchemaVersion, e.Codec, e.OccurredAt = max(n.SchemaVersion, 1), n.Codec, n.OccurredAt
	if e.Codec == 0 {
		e.Codec = codec.Msgpack
	}
	e.CorrelationID, e.CausationID, e.UserID = n.CorrelationID, n.CausationID, n.UserID
	if len(n.Metadata) > 0 {
		e.Metadata = maps.Clone(n.Metadata)
	}
	if n.Data != nil {
		e.Data = bytes.Clone(n.Data.(codec.Encoded))
	}
	return e
}

// sameContent reports whether two events say the same, wherever they stand.
func sameContent(a, b *Event) bool {
	return a.Tenant == b.Tenant && a.Stream == b.Stream && a.Type == b.Type && a.SchemaVersion == b.SchemaVersion && a.Codec == b.Codec &&
		a.Given == b.Given && (!a.Given || a.OccurredAt.Equal(b.OccurredAt)) &&
		a.CorrelationID == b.CorrelationID && a.CausationID == b.CausationID && a.UserID == b.UserID &&
		maps.Equal(a.Metadata, b.Metadata) && bytes.Equal(a.Data, b.Data)
}

// same reports whether an event is what it must be, in every byte.
func same(got, want *Event) bool {
	return sameContent(got, want) && got.ID == want.ID && got.Version == want.Version && got.Position == want.Position &&
		got.OccurredAt.Equal(want.OccurredAt) && got.RecordedAt.Equal(want.RecordedAt) && (got.Metadata == nil) == (want.Metadata == nil) &&
		got.CommitIndex == want.CommitIndex && got.CommitSize == want.CommitSize
}

// read is an event as the store showed it.
func read(e eventstream.Event) Event { return Event{Event: e, Given: e.OccurredGiven()} }

// Compare tells how events that were read differ from those that must be, or "".
func Compare(got []eventstream.Event, want []Event) string {
	for i := range min(len(got), len(want)) {
		if g := read(got[i]); !same(&g, &want[i]) {
			return fmt.Sprintf("event %d: got %s, want %s", i, describe(&g), describe(&want[i]))
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("got %d events, want %d", len(got), len(want))
	}
	return ""
}

// describe tells all of an event, and of its payload the beginning.
func describe(e *Event) string {
	return fmt.Sprintf("%s/%s@%d:%d %s %q schema %d, %d of %d, occurred %s (given %v), recorded %s, correlation %q, causation %q, user %q, metadata %q, codec %d, %d bytes %.32q",
		e.Tenant, e.Stream, e.Version, e.Position, e.ID, e.Type, e.SchemaVersion, e.CommitIndex, e.CommitSize,
		e.OccurredAt.Format(time.RFC3339Nano), e.Given, e.RecordedAt.Format(time.RFC3339Nano),
		e.CorrelationID, e.CausationID, e.UserID, e.Metadata, e.Codec, len(e.Data), e.Data)
}
