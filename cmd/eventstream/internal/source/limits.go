package source

import (
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/keys"
)

// The store's limits, so that the first pass over a file finds what the second
// would stumble over.
const (
	MaxBlockEvents   = 1000
	MaxBlockBytes    = 8 << 20
	maxPayloadBytes  = 1 << 20
	maxMetadataBytes = 64 << 10
)

// The first and the last moment that an event may have occurred at.
var (
	earliest = time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Size is what r takes of an append's limit, counted generously.
func (r *Record) Size() int {
	size := 256 + len(r.Stream) + len(r.Event.Type)
	size += len(r.Event.CorrelationID) + len(r.Event.CausationID) + len(r.Event.UserID)
	if data, ok := r.Event.Data.(codec.Encoded); ok {
		size += len(data)
	}
	return size + metadataSize(r.Event.Metadata)
}

func metadataSize(metadata map[string]string) int {
	size := 0
	for k, v := range metadata {
		size += len(k) + len(v) + 8
	}
	return size
}

// Check returns a [*BadRecord] if the store would refuse r. fields names the parts
// of a record as its file format does.
func Check(r *Record, fields Fields) *BadRecord {
	bad := func(field, format string, args ...any) *BadRecord {
		return &BadRecord{Line: r.Line, Field: field, Reason: fmt.Sprintf(format, args...), Events: 1}
	}
	if err := r.Stream.Validate(); err != nil {
		return bad(fields.Stream, "%v", err)
	}
	ev := &r.Event
	if err := keys.ValidateName("event type", ev.Type); err != nil {
		return bad(fields.Type, "%v", err)
	}
	for _, id := range []struct{ field, text string }{
		{"correlation_id", ev.CorrelationID}, {"causation_id", ev.CausationID}, {"user_id", ev.UserID},
	} {
		if id.text == "" {
			continue
		}
		if err := keys.ValidateName(id.field, id.text); err != nil {
			return bad(id.field, "%v", err)
		}
	}
	if !ev.OccurredAt.IsZero() && (ev.OccurredAt.Before(earliest) || !ev.OccurredAt.Before(latest)) {
		return bad(fields.OccurredAt, "%s lies outside the years 1678 to 2261", ev.OccurredAt.Format(time.RFC3339))
	}
	if data, ok := ev.Data.(codec.Encoded); ok && len(data) > maxPayloadBytes {
		return bad(fields.Data, "the payload has %d bytes, at most %d are allowed", len(data), maxPayloadBytes)
	}
	if n := metadataSize(ev.Metadata); n > maxMetadataBytes {
		return bad(fields.Metadata, "the metadata has %d bytes, at most %d are allowed", n, maxMetadataBytes)
	}
	for k, v := range ev.Metadata {
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return bad(fields.Metadata, "entry %q is not valid UTF-8", k)
		}
	}
	return nil
}

// Fields are the names under which a file format knows the parts of a record.
type Fields struct {
	Stream, Type, OccurredAt, Data, Metadata string
}
