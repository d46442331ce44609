package estest

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/projection"
)

// balances sums cash up by stream. Old payloads are decoded like new ones.
func balances(events *codec.Registry) projection.Definition {
	return projection.Definition{
		Name: "balances", Types: events.StoredTypes("CashIn"),
		Apply: func(_ context.Context, tx *eventstream.Tx, e eventstream.Event) error {
			values, err := events.Decode(nil, e.Payload())
			if err != nil {
				return err
			}
			key := []byte(e.Stream)
			for _, v := range values {
				old, _, err := tx.Get(key)
				if err != nil {
					return err
				}
				sum, _ := strconv.ParseInt(string(old), 10, 64)
				if v.(cashIn).Cents < 0 {
					return errors.New("no cash")
				}
				if err := tx.Put(key, strconv.AppendInt(nil, sum+v.(cashIn).Cents, 10)); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func TestAScenarioOfAProjection(t *testing.T) {
	t.Parallel()
	events := tillEvents(t)
	s := Projection(t, events, balances(events))
	s.Then(nil)
	s.Given("shop-till-1", cashIn{500}, counted{nil}, cashIn{20}).
		Given("shop-till-2", codec.Payload{Type: "CashIn", Schema: 1, Codec: codec.JSON, Data: []byte("7")}).
		Then(map[string]string{"shop-till-1": "520", "shop-till-2": "700"})
	s.Given("shop-till-1", eventstream.NewEvent{Data: cashIn{1}, OccurredAt: start.Add(-time.Hour), UserID: "ada"}).
		Then(map[string]string{"shop-till-1": "521", "shop-till-2": "700"})
}

func TestWhatAScenarioOfAProjectionFinds(t *testing.T) {
	t.Parallel()
	calls := 0
	for _, tt := range []struct {
		name  string
		story func(s *ProjectionScenario)
		want  string
	}{
		{"another value", func(s *ProjectionScenario) { s.Given("a", cashIn{1}).Then(map[string]string{"a": "2"}) }, `"a": got "1", want "2"`},
		{"a record more", func(s *ProjectionScenario) { s.Given("a", cashIn{1}).Then(nil) }, `"a": got "1", want nothing`},
		{"a record less", func(s *ProjectionScenario) { s.Then(map[string]string{"a": ""}) }, `"a": got nothing, want ""`},
		{"an event that is refused", func(s *ProjectionScenario) { s.Given("a", cashIn{-1}).Then(nil) }, "no cash"},
		{"an event that is not registered", func(s *ProjectionScenario) { s.Given("a", 5) }, "Given: event 0: codec: Go type int"},
		{"a stream that cannot be", func(s *ProjectionScenario) { s.Given("", cashIn{1}) }, "stream"},
		{"a definition that is not whole", func(s *ProjectionScenario) { s.def.Apply = nil; s.Given("a", cashIn{1}).Then(nil) }, "Definition.Apply"},
		{"a view of more than the events", func(s *ProjectionScenario) {
			s.def.Apply = func(_ context.Context, tx *eventstream.Tx, _ eventstream.Event) error {
				calls++
				return tx.Put([]byte("calls"), strconv.AppendInt(nil, int64(calls), 10))
			}
			s.Given("a", cashIn{1}).Then(map[string]string{"calls": "1"})
		}, `depends on more than the events: another view of the same events:` + "\n" + `  "calls": got "2", want "1"`},
	} {
		fake := &fakeTest{TB: t}
		got := fake.run(func() {
			events := tillEvents(t)
			tt.story(Projection(fake, events, balances(events)))
		})
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %q, want %q in it", tt.name, got, tt.want)
		}
	}
}
