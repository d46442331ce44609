package estest

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/aggregate"
	"github.com/nexus-erp/eventstream/codec"
)

// Scenario tests how an aggregate answers a command, without a store:
//
//	account := estest.Aggregate(t, events, aggregate.Struct[Account]())
//	account.Given(Opened{"Ada"}, Posted{100}).
//		When(func(a *Account) ([]any, error) { return a.Withdraw(30) }).
//		Then(Posted{-30})
//
// All events pass through the registry, as if they were stored and read again. One
// scenario serves any number of stories: each Given begins anew. Assertions before When
// end the test, and a When that nothing is asserted about fails it.
type Scenario[S, C any] struct {
	t       testing.TB
	events  *codec.Registry
	decider aggregate.Decider[S, C]

	history []codec.Payload
	times   []time.Time // when each of them occurred
	state   S           // after the history, and after When
	given   bool

	decided  bool // by When, since the last Given
	asserted bool
	got      []codec.Payload
	err      error
}

// Aggregate returns a scenario of the aggregates that d describes.
func Aggregate[S, C any](t testing.TB, events *codec.Registry, d aggregate.Decider[S, C]) *Scenario[S, C] {
	t.Helper()
	if events == nil || d.Evolve == nil {
		t.Fatal("estest: Aggregate needs a registry and a decider with Evolve")
	}
	if d.Initial == nil {
		d.Initial = func() (zero S) { return zero }
	}
	s := &Scenario[S, C]{t: t, events: events, decider: d}
	t.Cleanup(func() {
		t.Helper()
		s.mustAssert()
	})
	return s
}

// mustAssert reports a When that nothing was asserted about.
func (s *Scenario[S, C]) mustAssert() {
	s.t.Helper()
	if s.decided && !s.asserted {
		s.asserted = true
		s.t.Error("estest: nothing was asserted after When: call Then, ThenNothing, ThenError or ThenState")
	}
}

// Given begins a story with what happened before: values of registered Go types;
// [eventstream.NewEvent] with such a value in Data, for the time at which it occurred;
// or [codec.Payload] as it was stored, for events of an earlier schema version.
func (s *Scenario[S, C]) Given(history ...any) *Scenario[S, C] {
	s.t.Helper()
	s.mustAssert()
	s.history, s.times, s.got, s.err = nil, nil, nil, nil
	s.given, s.decided, s.asserted = true, false, false
	for i, event := range history {
		p, at, err := payloadOf(s.events, event)
		if err != nil {
			s.t.Fatalf("estest: Given: event %d: %v", i, err)
		}
		s.history, s.times = append(s.history, p), append(s.times, at)
	}
	s.state = s.fold()
	return s
}

// payloadOf encodes an event, and returns when it occurred.
func payloadOf(events *codec.Registry, event any) (codec.Payload, time.Time, error) {
	at := start
	switch e := event.(type) {
	case codec.Payload:
		return e, at, nil
	case eventstream.NewEvent:
		if event = e.Data; !e.OccurredAt.IsZero() {
			at = e.OccurredAt.UTC()
		}
	}
	p, err := events.Encode(event)
	return p, at, err
}

// fold returns the state that the history comes to, made anew.
func (s *Scenario[S, C]) fold() S {
	s.t.Helper()
	state := s.decider.Initial()
	for i, p := range s.history {
		state = s.evolve(state, p, i)
	}
	return state
}

// evolve takes an event, which is the i-th of the stream, into a state.
func (s *Scenario[S, C]) evolve(state S, p codec.Payload, i int) (after S) {
	s.t.Helper()
	values, err := s.events.Decode(nil, p)
	if err != nil {
		s.t.Fatalf("estest: event %d, %s: %v", i, p.Type, err)
	}
	defer func() {
		if r := recover(); r != nil {
			s.t.Fatalf("estest: event %d, %s: Evolve panicked: %v", i, p.Type, r)
		}
	}()
	at := start
	if i < len(s.times) {
		at = s.times[i]
	}
	for _, value := range values {
		state = s.decider.Evolve(state, aggregate.Event{Value: value, Event: eventstream.Event{
			Tenant: eventstream.DefaultTenant, Stream: "test-aggregate-1", Version: eventstream.Version(i + 1), Position: eventstream.Position(i + 1),
			Type: p.Type, SchemaVersion: p.Schema, Codec: p.Codec, Data: p.Data, OccurredAt: at, RecordedAt: start, CommitSize: 1,
		}})
	}
	return state
}

// When lets the aggregate decide on a command. Without a Given of its own, nothing has
// happened yet. That Decide leaves the state as it is is checked.
func (s *Scenario[S, C]) When(command C) *Scenario[S, C] {
	s.t.Helper()
	if s.decider.Decide == nil {
		s.t.Fatal("estest: When needs a decider with Decide")
	}
	if !s.given || s.decided {
		s.Given()
	}
	s.decided = true
	values, err := s.decider.Decide(s.state, command)
	s.err = err
	if !reflect.DeepEqual(s.state, s.fold()) {
		s.t.Errorf("estest: Decide changed the state: after a conflict it would decide on what never happened")
		s.state = s.fold()
	}
	if err != nil {
		return s
	}
	for i, value := range values {
		p, at, err := payloadOf(s.events, value)
		if err != nil {
			s.asserted = true
			s.t.Fatalf("estest: the decided event %d: %v", i, err)
		}
		s.got, s.times = append(s.got, p), append(s.times, at)
		s.state = s.evolve(s.state, p, len(s.history)+i)
	}
	return s
}

// assert is how every assertion begins. It reports whether Decide accepted the command,
// and says so if it should have.
func (s *Scenario[S, C]) assert(name string, accepted bool) bool {
	s.t.Helper()
	if !s.decided {
		s.t.Fatalf("estest: %s was called before When", name)
	}
	s.asserted = true
	if accepted && s.err != nil {
		s.t.Errorf("%s: the command was refused: %v", name, s.err)
		return false
	}
	return true
}

// Then asserts that the command led to exactly these events, in this order. Types are
// compared first, then payloads, as they are stored; ids, times and metadata are not.
func (s *Scenario[S, C]) Then(want ...any) *Scenario[S, C] {
	s.t.Helper()
	if !s.assert("Then", true) {
		return s
	}
	var expected []codec.Payload
	for i, event := range want {
		p, _, err := payloadOf(s.events, event)
		if err != nil {
			s.t.Fatalf("estest: Then: event %d: %v", i, err)
		}
		expected = append(expected, p)
	}
	if len(s.got) != len(expected) {
		s.t.Errorf("Then: got %d events, want %d\n got %s\nwant %s", len(s.got), len(expected), describe(s.got), describe(expected))
		return s
	}
	for i := range expected {
		s.compare(i, s.got[i], expected[i])
	}
	return s
}

// compare compares the i-th event.
func (s *Scenario[S, C]) compare(i int, got, want codec.Payload) {
	s.t.Helper()
	if got.Type != want.Type {
		s.t.Errorf("Then: event %d: got %s, want %s", i, describe([]codec.Payload{got}), describe([]codec.Payload{want}))
		return
	}
	g, err := s.events.Decode(nil, got)
	if err != nil {
		s.t.Fatalf("estest: Then: event %d: %v", i, err)
	}
	w, err := s.events.Decode(nil, want)
	if err != nil {
		s.t.Fatalf("estest: Then: event %d: %v", i, err)
	}
	if !reflect.DeepEqual(g, w) {
		s.t.Errorf("Then: event %d, %s:\n%s", i, got.Type, difference(jsonOf(got), jsonOf(want)))
	}
}

// ThenNothing asserts that the command was accepted and led to no event.
func (s *Scenario[S, C]) ThenNothing() *Scenario[S, C] {
	s.t.Helper()
	if s.assert("ThenNothing", true) && len(s.got) > 0 {
		s.t.Errorf("ThenNothing: got %d events: %s", len(s.got), describe(s.got))
	}
	return s
}

// ThenError asserts that the command was refused with an error that matches target: an
// error, by errors.Is, or a pointer to a variable of an error type, by errors.As, which
// is then set.
func (s *Scenario[S, C]) ThenError(target any) *Scenario[S, C] {
	s.t.Helper()
	s.assert("ThenError", false)
	if s.err == nil {
		s.t.Errorf("ThenError: the command was accepted and led to %d events %s, want an error: %v", len(s.got), describe(s.got), target)
		return s
	}
	matches := false
	if want, ok := target.(error); ok {
		matches = errors.Is(s.err, want)
	} else if t := reflect.TypeOf(target); t == nil || t.Kind() != reflect.Pointer || !t.Elem().Implements(reflect.TypeFor[error]()) && t.Elem().Kind() != reflect.Interface {
		s.t.Fatalf("estest: ThenError takes an error, or a pointer to a variable of an error type, not a %T", target)
	} else {
		matches = errors.As(s.err, target)
	}
	if !matches {
		s.t.Errorf("ThenError: got %v (%T), want one that matches %v (%T)", s.err, s.err, target, target)
	}
	return s
}

// ThenState asserts what the state is after the command, and after what it led to; after
// a refusal, what it was before. Pointers are compared by what they point to.
func (s *Scenario[S, C]) ThenState(want S) *Scenario[S, C] {
	s.t.Helper()
	s.assert("ThenState", false)
	if !reflect.DeepEqual(s.state, want) {
		s.t.Errorf("ThenState:\n got %s\nwant %s", shownState(s.state), shownState(want))
	}
	return s
}

// shownState prints what a pointer points to, too.
func shownState(v any) string {
	if r := reflect.ValueOf(v); r.Kind() == reflect.Pointer && !r.IsNil() {
		return fmt.Sprintf("&%+v", r.Elem().Interface())
	}
	return fmt.Sprintf("%+v", v)
}

// describe prints payloads with their types.
func describe(payloads []codec.Payload) string {
	var all []string
	for _, p := range payloads {
		all = append(all, p.Type+" "+string(jsonOf(p)))
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// jsonOf returns a payload as JSON.
func jsonOf(p codec.Payload) []byte {
	if p.Codec == codec.Raw {
		text, err := json.Marshal(p.Data) // base64
		if err == nil {
			return text
		}
	}
	text, _, err := codec.ToJSON(p.Codec, p.Data)
	if err != nil {
		return fmt.Appendf(nil, "%q", err)
	}
	return text
}

// difference prints what differs between two payloads, a line for each place.
func difference(got, want []byte) string {
	changes, err := aggregate.DiffJSON(want, got)
	if err != nil || len(changes) == 0 {
		return fmt.Sprintf(" got %s\nwant %s", got, want)
	}
	var lines []string
	for _, c := range changes {
		lines = append(lines, fmt.Sprintf("  %s: got %s, want %s", c.Path, orNothing(c.After), orNothing(c.Before)))
	}
	return strings.Join(lines, "\n")
}

func orNothing(text json.RawMessage) string {
	if text == nil {
		return "nothing"
	}
	return string(text)
}
