package codec

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/nexus-erp/eventstream/keys"
)

// registryBuilder gathers registrations and their faults.
type registryBuilder struct {
	r      *Registry
	faults []error
}

func (b *registryBuilder) fault(eventType string, schema keys.SchemaVersion, format string, args ...any) {
	b.faults = append(b.faults, &RegistryError{Type: eventType, Schema: schema, Reason: fmt.Sprintf(format, args...)})
}

// entry returns what is known of an event type so far, and nil if no event can have it.
func (b *registryBuilder) entry(name string) *eventType {
	et := b.r.types[name]
	if et != nil {
		return et
	}
	if err := keys.ValidateName("event type", name); err != nil {
		b.fault(name, 0, "%v", err)
		return nil
	}
	et = &eventType{name: name, steps: make(map[keys.SchemaVersion]*step)}
	b.r.types[name] = et
	return et
}

func (b *registryBuilder) addType(name string, schema keys.SchemaVersion, id ID, t reflect.Type, encode func(any) ([]byte, error), decode func(Payload) (any, error)) {
	et := b.entry(name)
	switch {
	case et == nil:
		return
	case et.goType != nil:
		b.fault(name, schema, "%s and %s are registered for it: one Go type stands for an event type", et.goType, t)
		return
	}
	if other := b.r.goType[t]; other != nil {
		b.fault(name, schema, "Go type %s is registered for %q already: give each event type a type of its own", t, other.name)
		return
	}
	et.goType, et.schema, et.codec, et.encode, et.decode = t, schema, id, encode, decode
	b.r.goType[t] = et
	b.checkVersion(name, schema)
	b.checkGoType(et)
}

// checkGoType makes sure that values survive encoding.
func (b *registryBuilder) checkGoType(et *eventType) {
	t := et.goType
	switch {
	case !et.codec.Valid():
		b.fault(et.name, et.schema, "unknown codec %d: use Msgpack, JSON or Raw", et.codec)
	case t.Kind() == reflect.Pointer:
		b.fault(et.name, et.schema, "%s is a pointer: register %s", t, t.Elem())
	case t.Kind() == reflect.Interface:
		b.fault(et.name, et.schema, "%s is an interface: register a type", t)
	case et.codec == Raw && !rawType(t):
		b.fault(et.name, et.schema, "%s is neither a slice of bytes nor a string, which is what the raw codec takes", t)
	case et.codec != Raw:
		if faults := shapeOf(t, et.codec).check(et.codec, false); len(faults) > 0 {
			b.fault(et.name, et.schema, "values of %s do not survive encoding: %s", t, strings.Join(faults, "; "))
		}
	}
}

func (b *registryBuilder) since(name string, first keys.SchemaVersion) {
	et := b.entry(name)
	switch {
	case et == nil:
	case !b.checkVersion(name, first):
	case et.since:
		b.fault(name, first, "its first version is given twice")
	default:
		et.first, et.since = first, true
	}
}

func (b *registryBuilder) addStep(s Step, run func(Payload) ([]Payload, error)) {
	et := b.entry(s.Type)
	switch {
	case et == nil:
		return
	case !b.checkVersion(s.Type, s.From):
		return
	case et.steps[s.From] != nil:
		b.fault(s.Type, s.From, "two steps lead on from it")
		return
	}
	for _, target := range s.Into {
		switch {
		case target.Type == s.Type && target.Schema <= s.From:
			b.fault(s.Type, s.From, "the step does not advance: it leads to version %d", target.Schema)
			return
		case !b.checkVersion(target.Type, target.Schema):
			return
		}
	}
	et.steps[s.From] = &step{Step: s, run: run}
}

// maxSchema is the greatest schema version, which leaves room to count beyond it.
const maxSchema = math.MaxInt32

func (b *registryBuilder) checkVersion(name string, schema keys.SchemaVersion) bool {
	if schema == 0 || schema > maxSchema {
		b.fault(name, schema, "schema versions go from 1 to %d", maxSchema)
		return false
	}
	return true
}

// check looks at what only the whole registry shows. Names are walked in order, so that
// the faults are too.
func (b *registryBuilder) check() {
	names := slices.Sorted(maps.Keys(b.r.types))
	for _, name := range names {
		b.r.types[name].settle()
	}
	for _, name := range names {
		b.checkChain(b.r.types[name])
	}
	if len(b.faults) == 0 { // else a circle may be a fault that was told already
		b.checkCircles(names)
	}
}

// settle fills in the versions that an event of the type may have.
func (et *eventType) settle() {
	et.first = max(et.first, 1)
	et.known = et.schema
	for from, s := range et.steps {
		et.known = max(et.known, from)
		for _, target := range s.Into {
			if target.Type == et.name {
				et.known = max(et.known, target.Schema)
			}
		}
	}
}

// checkChain makes sure that a way leads on from every version of et.
func (b *registryBuilder) checkChain(et *eventType) {
	if et.goType == nil && len(et.steps) == 0 {
		if !et.since {
			return // what was to be registered has a fault that was told
		}
		b.fault(et.name, et.first, "a first version is given, and nothing is registered for it")
		return
	}
	if et.goType != nil && et.first > et.schema {
		b.fault(et.name, et.first, "its first version lies above its present one, %d", et.schema)
	}
	for _, from := range slices.Sorted(maps.Keys(et.steps)) {
		switch {
		case from < et.first:
			b.fault(et.name, from, "a step leads on from it, and the first version is %d", et.first)
		case et.goType != nil && from >= et.schema:
			b.fault(et.name, from, "a step leads on from it, and the present version is %d", et.schema)
		}
		for _, target := range et.steps[from].Into {
			b.checkTarget(et.steps[from], target)
		}
	}
	b.checkGaps(et)
}

// checkGaps makes sure that from each version a step leads on, unless a step leads past
// it.
func (b *registryBuilder) checkGaps(et *eventType) {
	last := et.known
	if et.goType != nil {
		last = et.schema - 1
	}
	reached := et.first // everything below it has a way on
	for _, from := range slices.Sorted(maps.Keys(et.steps)) {
		if from > last {
			break
		}
		b.gap(et, reached, from)
		reached = max(reached, from+1)
		for _, target := range et.steps[from].Into {
			if target.Type == et.name {
				reached = max(reached, target.Schema)
			}
		}
	}
	b.gap(et, reached, last+1)
}

// gap reports that no step leads on from the versions from first up to, not including,
// next.
func (b *registryBuilder) gap(et *eventType, first, next keys.SchemaVersion) {
	switch {
	case first >= next:
	case et.goType == nil && next > et.known:
		b.fault(et.name, first, "version gap: no step leads on from it, and no Go type is registered for it")
	default:
		b.fault(et.name, first, "version gap: no step leads on from it; if no event has it, say so with Since")
	}
}

// checkTarget makes sure that a way leads on from where a step ends.
func (b *registryBuilder) checkTarget(s *step, target Target) {
	et := b.r.types[target.Type]
	switch {
	case et == nil:
		b.fault(s.Type, s.From, "the step leads to %q, which is not registered", target.Type)
	case et.goType != nil && target.Schema > et.schema:
		b.fault(s.Type, s.From, "the step leads to %q schema version %d, and the present version is %d", target.Type, target.Schema, et.schema)
	case et.current(target.Schema) || et.steps[target.Schema] != nil:
	case target.Type != s.Type:
		b.fault(s.Type, s.From, "the step leads to %q schema version %d, which is not registered", target.Type, target.Schema)
	case et.jumpedOver(target.Schema): // else checkGaps tells it
		b.fault(s.Type, s.From, "the step leads to version %d, from which no step leads on, since another leads past it", target.Schema)
	}
}

// jumpedOver reports whether a step of et leads past a version.
func (et *eventType) jumpedOver(schema keys.SchemaVersion) bool {
	for from, s := range et.steps {
		past := func(target Target) bool { return target.Type == et.name && target.Schema > schema }
		if from < schema && slices.ContainsFunc(s.Into, past) {
			return true
		}
	}
	return false
}

// checkCircles looks for steps that lead back to where they began, over several types.
func (b *registryBuilder) checkCircles(names []string) {
	const (
		entered = 1
		left    = 2
	)
	state := make(map[Target]int)
	var visit func(t Target) bool
	visit = func(t Target) bool {
		switch state[t] {
		case entered:
			return false
		case left:
			return true
		}
		state[t] = entered
		if s := b.r.types[t.Type].steps[t.Schema]; s != nil {
			for _, target := range s.Into {
				if !visit(target) {
					return false
				}
			}
		}
		state[t] = left
		return true
	}
	for _, name := range names {
		for _, from := range slices.Sorted(maps.Keys(b.r.types[name].steps)) {
			if !visit(Target{name, from}) {
				b.fault(name, from, "its steps lead back to it in a circle")
				return
			}
		}
	}
}
