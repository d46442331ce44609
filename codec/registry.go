package codec

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/nexus-erp/eventstream/keys"
)

// Payload is an event's payload with what tells its form.
type Payload struct {
	EventID keys.EventID // of the event, for errors; zero if there is none yet
	Type    string       // what happened
	Schema  keys.SchemaVersion
	Codec   ID
	Data    []byte // as encoded
}

// Registry knows which Go type stands for which event type at which schema version, and
// how payloads of earlier versions become the present one:
//
//	stored        AccountCredited 1 ─rename→ AccountPosted 1 ─upcast→ 2 ─upcast→ 3
//	decoded                                                                      Posted
//
// Steps are applied when a payload is decoded; what is stored is never touched. A
// Registry does not change once it was built, and is safe for concurrent use. There is
// no global one: whoever decodes is given his.
type Registry struct {
	types  map[string]*eventType
	goType map[reflect.Type]*eventType
}

// Registration is one thing that a registry knows. [Type], [TypeIn], [Since], [Upcast],
// [Rename], [Split] and [Drop] make them.
type Registration struct {
	add func(*registryBuilder)
}

// eventType is what a registry knows of one event type.
type eventType struct {
	name  string
	first keys.SchemaVersion // events have this version or a later one
	since bool               // first was given
	known keys.SchemaVersion // the greatest version that can be decoded
	steps map[keys.SchemaVersion]*step

	// Of a type that a Go type stands for; otherwise every version of it becomes
	// something else.
	goType reflect.Type
	schema keys.SchemaVersion
	codec  ID
	encode func(v any) ([]byte, error)
	decode func(p Payload) (any, error)
}

// NewRegistry builds a registry and checks all of it at once: every Go type and event
// type is registered once; values of every Go type survive encoding; from each version
// of an event type since its first, steps lead to a registered type at its present
// version, without a gap, without standing still and without a circle.
//
// All faults are joined in the error, each a [*RegistryError].
func NewRegistry(registrations ...Registration) (*Registry, error) {
	b := &registryBuilder{r: &Registry{types: make(map[string]*eventType), goType: make(map[reflect.Type]*eventType)}}
	for _, reg := range registrations {
		if reg.add == nil {
			b.fault("", 0, "a zero Registration: make it with Type, Upcast, Rename, Split, Drop or Since")
			continue
		}
		reg.add(b)
	}
	b.check()
	if len(b.faults) > 0 {
		return nil, errors.Join(b.faults...)
	}
	return b.r, nil
}

// Type registers T for the event type called eventType, whose payloads are encoded with
// [Msgpack] and have the schema version schema today. Payloads of earlier versions, and
// in other codecs, are decoded too; see [Upcast].
//
// T is no pointer. Its fields are exported, or tagged `msgpack:"-"` if they may be lost.
// Their names are stored: once events exist, a field keeps its name, by a tag if need
// be, or the schema version rises.
func Type[T any](eventType string, schema keys.SchemaVersion) Registration {
	return TypeIn[T](Msgpack, eventType, schema)
}

// TypeIn is [Type] with another codec for what is encoded from now on. With [JSON], tags
// are those of encoding/json. With [Raw], T is a slice of bytes or a string, under
// whatever name.
func TypeIn[T any](id ID, eventType string, schema keys.SchemaVersion) Registration {
	return Registration{func(b *registryBuilder) {
		encode := func(v any) ([]byte, error) {
			if p, ok := v.(*T); ok {
				return EncodeAs(id, p)
			}
			t := v.(T)
			return EncodeAs(id, &t)
		}
		decode := func(p Payload) (any, error) {
			v, err := DecodeAs[T](p)
			if err != nil {
				return nil, err
			}
			return v, nil
		}
		b.addType(eventType, schema, id, reflect.TypeFor[T](), encode, decode)
	}}
}

// Since says that no event of the type has a schema version below first, so that no
// steps are needed from there. Without it, the first version is 1.
func Since(eventType string, first keys.SchemaVersion) Registration {
	return Registration{func(b *registryBuilder) { b.since(eventType, first) }}
}

// EncodeAs encodes *v with codec id. It is [Encode] for those who decode with [DecodeAs]:
// with [Raw], T may be bytes or a text under any name.
func EncodeAs[T any](id ID, v *T) ([]byte, error) {
	switch t := reflect.TypeFor[T](); {
	case t == encodedType:
		return Encode(nil, id, *v)
	case id == Raw && rawType(t):
		return append([]byte{}, reflect.ValueOf(v).Elem().Convert(bytesType).Bytes()...), nil
	default:
		return Encode(nil, id, v) // through the pointer, whose methods may be needed
	}
}

var bytesType = reflect.TypeFor[[]byte]()

// DecodeAs decodes a payload into a T, without a step between schema versions. Unlike
// [Decode], it wants a value: an empty payload is that of a type without fields, and null
// that of a type that has it. The error is an [*Error].
func DecodeAs[T any](p Payload) (v T, err error) {
	t := reflect.TypeFor[T]()
	switch {
	case t == encodedType:
		return any(append(Encoded{}, p.Data...)).(T), nil
	case p.Codec == Raw && rawType(t):
		reflect.ValueOf(&v).Elem().Set(reflect.ValueOf(append([]byte{}, p.Data...)).Convert(t))
		return v, nil
	case len(p.Data) == 0 && t.Kind() == reflect.Struct && len(shapeOf(t, Msgpack).fields) == 0:
		return v, nil
	case len(p.Data) == 0:
		err = fmt.Errorf("the payload is empty, and a %s was expected", t)
	case isNull(&p) && !nilable(t, p.Codec):
		err = fmt.Errorf("the payload is null, and a %s was expected", t)
	}
	if err != nil {
		return v, &Error{Type: p.Type, Schema: p.Schema, Codec: p.Codec, Op: opDecode, Err: err}
	}
	if err := Decode(p.Codec, p.Type, p.Schema, p.Data, &v); err != nil {
		var zero T
		return zero, err
	}
	return v, nil
}

var encodedType = reflect.TypeFor[Encoded]()

// isNull reports whether a payload is the null of its codec.
func isNull(p *Payload) bool {
	switch p.Codec {
	case Msgpack:
		return len(p.Data) == 1 && p.Data[0] == 0xc0
	case JSON:
		return string(bytes.TrimSpace(p.Data)) == "null"
	default:
		return false
	}
}

// nilable reports whether null is a value of type t. A map is wanted as one, and types
// that decode themselves know it themselves.
func nilable(t reflect.Type, id ID) bool {
	switch t.Kind() {
	case reflect.Interface, reflect.Pointer, reflect.Slice:
		return true
	default:
		return shapeOf(t, id).form == formOpaque
	}
}

// Encode encodes v, a value of a registered Go type or a pointer to one, as that type
// says. It fails with a [*GoTypeError] for any other, and with an [*Error].
func (r *Registry) Encode(v any) (Payload, error) {
	t := reflect.TypeOf(v)
	if t == nil {
		return Payload{}, &GoTypeError{}
	}
	et := r.goType[t]
	if et == nil && t.Kind() == reflect.Pointer {
		if et = r.goType[t.Elem()]; et != nil && reflect.ValueOf(v).IsNil() {
			return Payload{}, &GoTypeError{GoType: t.String(), Nil: true}
		}
	}
	if et == nil {
		return Payload{}, &GoTypeError{GoType: t.String()}
	}
	data, err := et.encode(v)
	if err != nil {
		if e, ok := errors.AsType[*Error](err); ok {
			e.Type, e.Schema = et.name, et.schema
		}
		return Payload{}, err
	}
	return Payload{Type: et.name, Schema: et.schema, Codec: et.codec, Data: data}, nil
}

// Decode appends to dst the Go values that a stored payload stands for: one as a rule,
// several if a step splits it, none if a step drops it. They are of the types that were
// registered, not pointers, and share no memory with p.
//
// Errors, with dst as it was: [*UnknownTypeError]; [*NewerSchemaError]; [*UpcastError]; an
// [*Error] for a payload that does not decode, as one with bytes behind its end.
func (r *Registry) Decode(dst []any, p Payload) ([]any, error) {
	if et := r.types[p.Type]; et.current(p.Schema) {
		v, err := et.decode(p)
		if err != nil {
			return dst, err
		}
		return append(dst, v), nil
	}
	var buf [4]Payload
	payloads, err := r.Upcast(buf[:0], p)
	if err != nil {
		return dst, err
	}
	out := dst
	for i := range payloads {
		et := r.types[payloads[i].Type]
		if et == nil {
			return dst, &UnknownTypeError{EventID: p.EventID, Type: p.Type}
		}
		v, err := et.decode(payloads[i])
		if err != nil {
			return dst, r.upcastError(&p, ReasonResult, err)
		}
		out = append(out, v)
	}
	return out, nil
}

// current reports whether a payload of the given version needs no step.
func (et *eventType) current(schema keys.SchemaVersion) bool {
	return et != nil && et.goType != nil && schema == et.schema
}

// Latest returns the present schema version of an event type that a Go type is
// registered for. ok is false for all others.
func (r *Registry) Latest(eventType string) (schema keys.SchemaVersion, ok bool) {
	et := r.types[eventType]
	if et == nil || et.goType == nil {
		return 0, false
	}
	return et.schema, true
}

// StoredTypes returns the event types whose payloads may become one of the given, these
// included, sorted. Whoever reads events by their type reads these.
func (r *Registry) StoredTypes(eventTypes ...string) []string {
	wanted := make(map[string]bool)
	for _, name := range eventTypes {
		wanted[name] = true
	}
	for changed := true; changed; {
		changed = false
		for name, et := range r.types {
			if !wanted[name] && et.leadsTo(wanted) {
				wanted[name], changed = true, true
			}
		}
	}
	names := make([]string, 0, len(wanted))
	for name := range wanted {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (et *eventType) leadsTo(wanted map[string]bool) bool {
	for _, s := range et.steps {
		for _, target := range s.Into {
			if wanted[target.Type] {
				return true
			}
		}
	}
	return false
}
