package eventstream

import (
	"errors"
	"time"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/engine"
)

// eventDecoder turns envelopes into events. It remembers the last type and user
// that it saw, which most neighbours share, so that their texts are not made anew.
type eventDecoder struct {
	eventType, user string
}

// event makes an event of an envelope that was parsed. The event shares env's
// memory.
func (d *eventDecoder) event(tenant string, stream StreamID, version Version, env *codec.Envelope) (Event, error) {
	if d.eventType != string(env.Type) {
		d.eventType = string(env.Type)
	}
	if d.user != string(env.User) {
		d.user = string(env.User)
	}
	metadata, err := codec.ParseMetadata(env.Metadata)
	if err != nil {
		return Event{}, damagedEvent(stream, version, env.Position, err)
	}
	return Event{
		Tenant:        tenant,
		Stream:        stream,
		Version:       version,
		Position:      env.Position,
		ID:            env.EventID,
		Type:          d.eventType,
		SchemaVersion: env.Schema,
		OccurredAt:    time.Unix(0, env.OccurredAt).UTC(),
		RecordedAt:    time.Unix(0, env.RecordedAt).UTC(),
		CorrelationID: string(env.Correlation),
		CausationID:   string(env.Causation),
		UserID:        d.user,
		Metadata:      metadata,
		Codec:         env.Codec,
		Data:          env.Payload,
		CommitIndex:   int(env.Index),
		CommitSize:    int(env.Count),
		occurredGiven: env.Flags&codec.FlagOccurredGiven != 0,
	}, nil
}

func damagedEvent(stream StreamID, version Version, position Position, err error) error {
	return &CorruptionError{What: "event", Stream: stream, Version: version, Position: position, Err: err}
}

// arena hands out copies that share a few arrays. The arrays are never used again,
// so what was handed out stays valid.
type arena struct {
	free []byte
	next int // size of the next array
}

const (
	arenaSmallest = 4 << 10
	arenaLargest  = 64 << 10
)

func (a *arena) copy(b []byte) []byte {
	if len(b) > cap(a.free)-len(a.free) {
		a.next = min(max(2*a.next, arenaSmallest), arenaLargest)
		a.free = make([]byte, 0, max(a.next, len(b)))
	}
	start := len(a.free)
	a.free = append(a.free, b...)
	return a.free[start:len(a.free):len(a.free)]
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
