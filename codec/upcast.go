package codec

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/nexus-erp/eventstream/keys"
)

// Target is a schema version of an event type that a step leads to.
type Target struct {
	Type   string
	Schema keys.SchemaVersion
}

// Step is one step of a registry: payloads of Type at schema version From become
// payloads of the targets Into. A step that drops them has no target.
type Step struct {
	Type string
	From keys.SchemaVersion
	Into []Target
}

// step is a Step with what it does.
type step struct {
	Step
	run func(p Payload) ([]Payload, error)
}

// maxUpcast bounds how many payloads steps make of one.
const maxUpcast = 1000

// Upcast registers a step: a payload of eventType at schema version from is decoded into
// an Old, and what fn makes of it is encoded again, in the payload's own codec, and has
// version to, which is from + 1 or later. fn gets memory of its own. An error of fn, as
// [MissingField], or a panic, becomes an [*UpcastError].
//
// Old and New may be structs, maps, or [Encoded] for the bytes as they are.
func Upcast[Old, New any](eventType string, from, to keys.SchemaVersion, fn func(Old) (New, error)) Registration {
	return Registration{func(b *registryBuilder) {
		if fn == nil {
			b.fault(eventType, from, "the step has no function")
			return
		}
		b.addStep(Step{Type: eventType, From: from, Into: []Target{{eventType, to}}}, func(p Payload) ([]Payload, error) {
			old, err := DecodeAs[Old](p)
			if err != nil {
				return nil, err
			}
			v, err := fn(old)
			if err != nil {
				return nil, err
			}
			p.Data, err = Encode(nil, p.Codec, v)
			p.Schema = to
			return []Payload{p}, err
		})
	}}
}

// Rename registers a step that gives payloads of eventType at schema version from
// another type, and leaves them as they are.
func Rename(eventType string, from keys.SchemaVersion, into Target) Registration {
	return Registration{func(b *registryBuilder) {
		if into.Type == eventType {
			b.fault(eventType, from, "it is renamed to itself: use Upcast")
			return
		}
		b.addStep(Step{Type: eventType, From: from, Into: []Target{into}}, func(p Payload) ([]Payload, error) {
			p.Type, p.Schema = into.Type, into.Schema
			return []Payload{p}, nil
		})
	}}
}

// Split registers a step that makes any number of payloads of one, of the types and
// versions in into. It is also the way to work on bytes, or to change the codec: of what
// fn returns, Type and Schema must be one of into, and a Codec of 0 is that of p. fn
// must not change p.Data, which others may read.
//
// All that one event is split into has that event's place in the stream: its version
// does not change.
func Split(eventType string, from keys.SchemaVersion, into []Target, fn func(p Payload) ([]Payload, error)) Registration {
	return Registration{func(b *registryBuilder) {
		switch {
		case fn == nil:
			b.fault(eventType, from, "the step has no function")
		case len(into) == 0:
			b.fault(eventType, from, "it is split into nothing: use Drop")
		default:
			b.addStep(Step{Type: eventType, From: from, Into: slices.Clone(into)}, fn)
		}
	}}
}

// Drop registers a step that leaves payloads of eventType at schema version from out of
// what is decoded: of an event that nobody needs any more. The event stays in the log,
// and its version counts: an aggregate at version 7 has read it.
func Drop(eventType string, from keys.SchemaVersion) Registration {
	return Registration{func(b *registryBuilder) {
		b.addStep(Step{Type: eventType, From: from}, func(Payload) ([]Payload, error) { return nil, nil })
	}}
}

// Steps returns the steps of an event type in the order of their versions, or those of
// all types, by name, if eventType is "".
func (r *Registry) Steps(eventType string) []Step {
	var steps []Step
	for name, et := range r.types {
		if eventType != "" && eventType != name {
			continue
		}
		for _, s := range et.steps {
			steps = append(steps, Step{Type: s.Type, From: s.From, Into: slices.Clone(s.Into)})
		}
	}
	slices.SortFunc(steps, func(a, b Step) int {
		return cmp.Or(cmp.Compare(a.Type, b.Type), cmp.Compare(a.From, b.From))
	})
	return steps
}

// Upcast appends to dst the payloads that p becomes: p itself if it is of the present
// version, or of a type that is not registered. They may share p's memory. Errors, with
// dst as it was: [*NewerSchemaError], [*UpcastError].
func (r *Registry) Upcast(dst []Payload, p Payload) ([]Payload, error) {
	out, err := r.upcast(dst, p, len(dst)+maxUpcast)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// upcast ends: every step leads to a type and version from which no way leads back.
func (r *Registry) upcast(dst []Payload, p Payload, limit int) ([]Payload, error) {
	next, stepped, err := r.UpcastOnce(p)
	if err != nil {
		return nil, err
	}
	if !stepped {
		if len(dst) == limit {
			return nil, r.upcastError(&p, ReasonTooMany, nil)
		}
		return append(dst, p), nil
	}
	for _, n := range next {
		if dst, err = r.upcast(dst, n, limit); err != nil {
			return nil, err
		}
	}
	return dst, nil
}

// UpcastOnce applies the one step that p needs. stepped is false if it needs none; next
// is then nil. It is for those who test steps. The errors are those of Upcast.
func (r *Registry) UpcastOnce(p Payload) (next []Payload, stepped bool, err error) {
	et := r.types[p.Type]
	if et == nil || et.current(p.Schema) {
		return nil, false, nil
	}
	if p.Schema > et.known {
		return nil, false, &NewerSchemaError{EventID: p.EventID, Type: p.Type, Schema: p.Schema, Known: et.known}
	}
	s := et.steps[p.Schema]
	if s == nil {
		return nil, false, r.upcastError(&p, ReasonGap, nil)
	}
	if next, err = s.apply(p); err != nil {
		var missing *MissingFieldError
		switch {
		case errors.As(err, &missing):
			return nil, false, r.upcastError(&p, ReasonMissingField, err)
		case errors.Is(err, errUndeclared), errors.Is(err, errTooBig):
			return nil, false, r.upcastError(&p, ReasonResult, err)
		}
		return nil, false, r.upcastError(&p, ReasonFailed, err)
	}
	return next, true, nil
}

var errUndeclared = errors.New("the step does not lead there: declare it in into")

// apply runs the step and holds its results to what it declares.
func (s *step) apply(p Payload) (next []Payload, err error) {
	defer caught(&err)
	given := p
	given.Data = p.Data[:len(p.Data):len(p.Data)] // what is appended to it goes elsewhere
	next, err = s.run(given)
	if err != nil {
		return nil, err
	}
	if len(next) > maxUpcast {
		return nil, fmt.Errorf("%w: %d payloads of one", errTooBig, len(next))
	}
	for i := range next {
		n := &next[i]
		n.EventID = p.EventID
		if n.Codec == 0 {
			n.Codec = p.Codec
		}
		if !slices.Contains(s.Into, Target{n.Type, n.Schema}) {
			return nil, fmt.Errorf("%w: %q schema version %d", errUndeclared, n.Type, n.Schema)
		}
		if len(n.Data) > maxBytes {
			return nil, errTooBig
		}
	}
	return next, nil
}

// upcastError describes what happened to p on the way on from it.
func (r *Registry) upcastError(p *Payload, reason string, err error) error {
	e := &UpcastError{EventID: p.EventID, Type: p.Type, From: p.Schema, To: p.Schema + 1, Reason: reason, Err: err}
	et := r.types[p.Type]
	switch s := et.steps[p.Schema]; {
	case s != nil && len(s.Into) > 0:
		e.To = s.Into[0].Schema
	case et.goType != nil:
		e.To = et.schema
	}
	return e
}
