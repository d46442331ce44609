package estest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/projection"
)

// ProjectionScenario tests what a projection makes of events, on a store in memory:
//
//	balances := estest.Projection(t, events, definition)
//	balances.Given("finance-account-1", Posted{100}, Posted{-30}).
//		Then(map[string]string{"finance-account-1": "70"})
type ProjectionScenario struct {
	t      testing.TB
	events *codec.Registry
	def    projection.Definition
	db     *DB
	runs   int
}

// Projection returns a scenario of the projection that d defines, without any event. An
// event that Apply refuses fails the test, whatever d's policy is.
func Projection(t testing.TB, events *codec.Registry, d projection.Definition) *ProjectionScenario {
	t.Helper()
	d.OnFailure, d.Attempts = projection.Halt, 1
	return &ProjectionScenario{t: t, events: events, def: d, db: Open(t)}
}

// Given appends events to a stream, in one commit: values of registered Go types, or what
// else [Scenario.Given] takes. What was given before stays.
func (s *ProjectionScenario) Given(stream eventstream.StreamID, history ...any) *ProjectionScenario {
	s.t.Helper()
	events := make([]eventstream.NewEvent, len(history))
	for i, event := range history {
		e, _ := event.(eventstream.NewEvent)
		p, at, err := payloadOf(s.events, event)
		if err != nil {
			s.t.Fatalf("estest: Given: event %d: %v", i, err)
		}
		e.Type, e.SchemaVersion, e.Codec, e.Data, e.OccurredAt = p.Type, p.Schema, p.Codec, codec.Encoded(p.Data), at
		events[i] = e
	}
	if _, err := s.db.Append(context.Background(), stream, eventstream.Any, events...); err != nil {
		s.t.Fatalf("estest: Given: %v", err)
	}
	return s
}

// Then asserts that the view holds exactly these records. The view goes on from where it
// was at the last Then; another one is made of all events at once, as a rebuild does, and
// must be the same.
func (s *ProjectionScenario) Then(want map[string]string) *ProjectionScenario {
	s.t.Helper()
	got := s.project(s.def.Name)
	if diff := differingRecords(got, want); diff != "" {
		s.t.Errorf("Then: the view of %q:\n%s", s.def.Name, diff)
	}
	s.runs++
	if diff := differingRecords(s.project(fmt.Sprintf("again-%d", s.runs)), got); diff != "" {
		s.t.Errorf("Then: %q depends on more than the events: another view of the same events:\n%s", s.def.Name, diff)
	}
	return s
}

// project brings a view up to the head and returns its records.
func (s *ProjectionScenario) project(name string) map[string]string {
	s.t.Helper()
	d := s.def
	d.Name = name
	engine := projection.New(s.db.DB, nil)
	if err := engine.Register(d); err != nil {
		s.t.Fatalf("estest: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- engine.Run(ctx) }()
	err := engine.WaitFor(ctx, name, s.db.Head())
	cancel()
	if ended := <-done; err == nil && !errors.Is(ended, context.Canceled) {
		err = ended
	}
	if err != nil {
		s.t.Fatalf("estest: project %q: %v", s.def.Name, err)
	}
	records := make(map[string]string)
	err = engine.Read(name, func(r *eventstream.ViewReader) error {
		for record, err := range r.Scan(nil, nil) {
			if err != nil {
				return err
			}
			records[string(record.Key)] = string(record.Value)
		}
		return nil
	})
	if err != nil {
		s.t.Fatalf("estest: read the view of %q: %v", s.def.Name, err)
	}
	return records
}

// differingRecords prints the records that differ, a line for each.
func differingRecords(got, want map[string]string) string {
	keys := slices.Collect(maps.Keys(got))
	for key := range want {
		if _, ok := got[key]; !ok {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	var lines []string
	for _, key := range keys {
		g, isThere := got[key]
		w, wanted := want[key]
		if isThere != wanted || g != w {
			lines = append(lines, fmt.Sprintf("  %q: got %s, want %s", key, quotedOrNothing(g, isThere), quotedOrNothing(w, wanted)))
		}
	}
	return strings.Join(lines, "\n")
}

func quotedOrNothing(value string, ok bool) string {
	if !ok {
		return "nothing"
	}
	return fmt.Sprintf("%q", value)
}
