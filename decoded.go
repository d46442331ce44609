package eventstream

import (
	"fmt"
	"iter"

	"github.com/nexus-erp/eventstream/codec"
)

// Payload returns the payload with what tells its form, as a [codec.Registry] takes it.
// It shares e's memory.
func (e *Event) Payload() codec.Payload {
	return codec.Payload{EventID: e.ID, Type: e.Type, Schema: e.SchemaVersion, Codec: e.Codec, Data: e.Data}
}

// Decoded is an event with the Go values that a registry makes of its payload.
type Decoded struct {
	Event  Event
	Values []any // one as a rule; several of an event that is split, none of one that is dropped
	Err    error // why the payload does not decode; of reads with [SkipOnError] alone
}

// DecodeOption directs [DecodeEvents].
type DecodeOption func(*decodeOptions)

type decodeOptions struct{ skip bool }

// SkipOnError hands back events that do not decode as they are, with Decoded.Err, and
// goes on. It is for those who show or repair events. Whoever computes something from
// them, as a projection or an aggregate, must stop instead: what was skipped would be
// missing for good.
func SkipOnError() DecodeOption { return func(o *decodeOptions) { o.skip = true } }

// DecodeEvents decodes what a read or a follower yields, of whatever kind, with r. Steps
// to the present schema version are applied here; what is stored stays as it is. An
// event that does not decode ends the iteration with an error that names it and matches
// [ErrCodec], unless SkipOnError is given.
//
// To read all events of a Go type, read the types that [codec.Registry.StoredTypes]
// names.
func DecodeEvents(events iter.Seq2[Event, error], r *codec.Registry, opts ...DecodeOption) iter.Seq2[Decoded, error] {
	var o decodeOptions
	for _, opt := range opts {
		opt(&o)
	}
	return func(yield func(Decoded, error) bool) {
		for ev, err := range events {
			if err != nil {
				yield(Decoded{}, err)
				return
			}
			d := Decoded{Event: ev}
			if d.Values, err = r.Decode(nil, ev.Payload()); err != nil {
				err = fmt.Errorf("event at position %d (%s version %d): %w", ev.Position, ev.Stream, ev.Version, err)
				if !o.skip {
					yield(Decoded{}, err)
					return
				}
				d.Err = err
			}
			if !yield(d, nil) {
				return
			}
		}
	}
}
