package eventstream

import (
	"strings"
	"time"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/keys"
)

// The value types of package keys, under the names most users need.
type (
	// StreamID names a stream. See [keys.StreamID].
	StreamID = keys.StreamID
	// Version is an event's place in its stream, from 1.
	Version = keys.Version
	// Position is an event's place in the store's one total order, from 1.
	Position = keys.Position
	// EventID is an event's identity within its tenant, a ULID.
	EventID = keys.EventID
	// SchemaVersion numbers the shape of an event type's payload, from 1.
	SchemaVersion = keys.SchemaVersion
	// TenantID is a tenant's interned number.
	TenantID = keys.TenantID
)

// NewEvent is what the caller proposes to append. Only Type must be set.
type NewEvent struct {
	// ID makes the append idempotent: an event with the same ID and the same
	// content is stored once, whoever sends it and however often.
	// Default: the store makes one.
	ID EventID
	// Type names what happened, as "AccountCredited": 1 to 255 bytes of UTF-8.
	Type string
	// SchemaVersion is the version of the payload's shape. Default: 1.
	SchemaVersion SchemaVersion
	// Codec encodes Data. Default: [codec.Msgpack].
	Codec codec.ID
	// Data is the payload: any value that Codec can encode, or the encoded bytes
	// themselves as a [codec.Encoded]. nil is an empty payload. It is read during
	// the call alone.
	Data any
	// OccurredAt is when it happened, between the years 1678 and 2262.
	// Default: when the store records it.
	OccurredAt time.Time
	// CorrelationID groups the events of one business process. At most 255 bytes.
	CorrelationID string
	// CausationID names what caused the event, usually another event's id. At most
	// 255 bytes.
	CausationID string
	// UserID names who did it. At most 255 bytes.
	UserID string
	// Metadata is stored beside the payload, at most 64 KiB in all. It is read
	// during the call alone.
	Metadata map[string]string
}

// Event is an event as the store recorded it. Its memory is never used again by
// the store: it may be kept, and Data written to. It shares that memory with events
// that were read with it, which one text or Data that is kept keeps alive, up to 32
// KiB; [Event.Clone] gives it memory of its own.
type Event struct {
	Tenant        string        // the tenant that the event belongs to
	Stream        StreamID      // the stream that the event belongs to
	Version       Version       // its place in the stream, from 1
	Position      Position      // its place in the store, from 1
	ID            EventID       // its identity
	Type          string        // what happened
	SchemaVersion SchemaVersion // the version of the payload's shape
	OccurredAt    time.Time     // when it happened, in UTC
	RecordedAt    time.Time     // when the store recorded it, in UTC; never decreases with Position
	CorrelationID string
	CausationID   string
	UserID        string
	Metadata      map[string]string // nil if there is none
	Codec         codec.ID          // how Data is encoded
	Data          []byte            // the payload, as encoded
	CommitIndex   int               // its place in the append that wrote it, from 0
	CommitSize    int               // how many events that append wrote

	occurredGiven bool // OccurredAt was given by the caller
}

// CommitPosition returns the position of the first event of the append that wrote
// e. Events with the same one were written by the same append.
func (e *Event) CommitPosition() Position { return e.Position - Position(e.CommitIndex) }

// OccurredGiven reports whether the caller gave OccurredAt, rather than leaving it
// to the store.
func (e *Event) OccurredGiven() bool { return e.occurredGiven }

// Decode decodes the payload into v, a pointer. It fails with a [*codec.Error].
func (e *Event) Decode(v any) error {
	return codec.Decode(e.Codec, e.Type, e.SchemaVersion, e.Data, v)
}

// Clone returns a copy of e that shares no memory with other events.
func (e *Event) Clone() Event {
	c := *e
	c.Stream = StreamID(strings.Clone(string(e.Stream)))
	c.Type = strings.Clone(e.Type)
	c.CorrelationID = strings.Clone(e.CorrelationID)
	c.CausationID = strings.Clone(e.CausationID)
	c.UserID = strings.Clone(e.UserID)
	c.Data = append([]byte(nil), e.Data...)
	if e.Metadata != nil {
		c.Metadata = make(map[string]string, len(e.Metadata))
		for k, v := range e.Metadata {
			c.Metadata[k] = v
		}
	}
	return c
}
