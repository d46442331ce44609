package eventstream

import (
	"errors"
	"strings"
	"time"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/engine"
)

// eventDecoder turns envelopes into events that have nothing of the envelopes'
// memory. What it copies for many events shares a few arrays, which are never used
// again: what was handed out stays valid.
//
// Payloads and texts lie apart, since texts are strings: no caller can write into
// them, also not through Data.
type eventDecoder struct {
	eventType string   // of the event before, which most neighbours share
	stream    StreamID // likewise, if it came as bytes
	texts     texts
	payloads  arena
}

// decode fills all of e from an envelope that was parsed.
func (d *eventDecoder) decode(e *Event, tenant string, stream StreamID, version Version, env *codec.Envelope) error {
	metadata, err := codec.ParseMetadata(env.Metadata)
	if err != nil {
		return damagedEvent(stream, version, env.Position, err)
	}
	d.texts.reserve(len(env.Type) + len(env.Correlation) + len(env.Causation) + len(env.User))
	if d.eventType != string(env.Type) {
		d.eventType = d.texts.add(env.Type)
	}
	// Field by field: a composite literal would be built elsewhere and copied.
	e.Tenant = tenant
	e.Stream = stream
	e.Version = version
	e.Position = env.Position
	e.ID = env.EventID
	e.Type = d.eventType
	e.SchemaVersion = env.Schema
	e.OccurredAt = time.Unix(0, env.OccurredAt).UTC()
	e.RecordedAt = time.Unix(0, env.RecordedAt).UTC()
	e.CorrelationID = d.texts.add(env.Correlation)
	e.CausationID = d.texts.add(env.Causation)
	e.UserID = d.texts.add(env.User)
	e.Metadata = metadata
	e.Codec = env.Codec
	e.Data = d.payloads.copy(env.Payload)
	e.CommitIndex = int(env.Index)
	e.CommitSize = int(env.Count)
	e.occurredGiven = env.Flags&codec.FlagOccurredGiven != 0
	return nil
}

// streamName returns name as a string.
func (d *eventDecoder) streamName(name []byte) StreamID {
	if string(d.stream) != string(name) {
		d.texts.reserve(len(name))
		d.stream = StreamID(d.texts.add(name))
	}
	return d.stream
}

func damagedEvent(stream StreamID, version Version, position Position, err error) error {
	return &CorruptionError{What: "event", Stream: stream, Version: version, Position: position, Err: err}
}

// arena hands out copies of bytes. Its first array fits the first copy, for those
// who want one event.
type arena struct {
	free []byte
	next int // size of the next array
}

const (
	arenaSmallest = 3 << 10
	arenaLargest  = 32 << 10
)

func (a *arena) copy(b []byte) []byte {
	if len(b) > cap(a.free)-len(a.free) {
		a.free = make([]byte, 0, max(a.next, len(b)))
		a.next = min(max(2*a.next, arenaSmallest), arenaLargest)
	}
	start := len(a.free)
	a.free = append(a.free, b...)
	return a.free[start:len(a.free):len(a.free)]
}

// texts hands out strings, as arena does bytes. Its arrays are smaller: whoever
// keeps one user's name keeps the array.
type texts struct {
	b    strings.Builder
	next int // size of the next array
}

const (
	textsSmallest = 512
	textsLargest  = 8 << 10
)

// reserve makes room for n bytes, in one array.
func (t *texts) reserve(n int) {
	if n > t.b.Cap()-t.b.Len() {
		t.b.Reset()
		t.b.Grow(max(t.next, n))
		t.next = min(max(2*t.next, textsSmallest), textsLargest)
	}
}

// add returns b as a string.
//
// REQUIRES: room was reserved.
func (t *texts) add(b []byte) string {
	start := t.b.Len()
	t.b.Write(b)
	return t.b.String()[start:]
}

// readError classifies an error of the engine: damage that Pebble found becomes a
// [*CorruptionError].
func readError(what string, err error) error {
	var known *CorruptionError
	if err == nil || errors.As(err, &known) || !engine.IsCorruption(err) {
		return err
	}
	return &CorruptionError{What: what, Err: err}
}
