package estest

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/aggregate"
	"github.com/nexus-erp/eventstream/codec"
)

// till is an aggregate, written by somebody who has read the documentation once.
type till struct {
	Cents int64
	Last  time.Time
}

type (
	cashIn  struct{ Cents int64 }
	cashOut struct {
		Cents int64
		Notes []string
	}
	counted struct{ Coins map[string]int }
)

type shortError struct{ Missing int64 }

func (e *shortError) Error() string { return fmt.Sprintf("%d cents are missing", e.Missing) }

var errShort = errors.New("short")

// pay is the command; 0 is nothing to pay.
type pay struct{ cents int64 }

func tillEvents(t testing.TB) *codec.Registry {
	t.Helper()
	r, err := codec.NewRegistry(
		codec.Type[cashIn]("CashIn", 2), codec.Type[cashOut]("CashOut", 1), codec.TypeIn[counted](codec.JSON, "Counted", 1),
		codec.Upcast("CashIn", 1, 2, func(euros int64) (cashIn, error) { return cashIn{100 * euros}, nil }),
	)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func tillDecider() aggregate.Decider[till, pay] {
	return aggregate.Decider[till, pay]{
		Decide: func(s till, c pay) ([]any, error) {
			switch {
			case c.cents == 0:
				return nil, nil
			case s.Cents < c.cents:
				return nil, fmt.Errorf("%w: %w", errShort, &shortError{c.cents - s.Cents})
			default:
				return []any{cashOut{c.cents, []string{"till"}}, counted{map[string]int{"2": 1}}}, nil
			}
		},
		Evolve: func(s till, e aggregate.Event) till {
			switch v := e.Value.(type) {
			case cashIn:
				s.Cents += v.Cents
			case cashOut:
				s.Cents -= v.Cents
			}
			s.Last = e.OccurredAt
			return s
		},
	}
}

// The whole of a test of an aggregate: it serves any number of stories.
func TestAScenarioTellsStories(t *testing.T) {
	t.Parallel()
	s := Aggregate(t, tillEvents(t), tillDecider())
	yesterday := start.Add(-24 * time.Hour)

	s.Given(cashIn{500}, &cashIn{200}).When(pay{600}).
		Then(cashOut{600, []string{"till"}}, counted{map[string]int{"2": 1}}).
		ThenState(till{100, start})

	s.Given(cashIn{500}).When(pay{600}).ThenError(errShort).ThenState(till{500, start})
	short := new(shortError)
	s.Given().When(pay{1}).ThenError(&short)
	if short.Missing != 1 {
		t.Errorf("got %+v, want the error that was returned", short)
	}

	s.When(pay{0}).ThenNothing() // after the end of a story
	s.Given(eventstream.NewEvent{Data: cashIn{5}, OccurredAt: yesterday}).When(pay{0}).ThenNothing().ThenState(till{5, yesterday})
	s.Given(codec.Payload{Type: "CashIn", Schema: 1, Codec: codec.JSON, Data: []byte("7")}).When(pay{700}).
		Then(cashOut{700, []string{"till"}}, counted{map[string]int{"2": 1}})
}

// A plain struct with methods is tested alike.
type box struct{ Pieces int }

func (b *box) Apply(event any) { b.Pieces += int(event.(cashIn).Cents) }

func TestAScenarioOfAStruct(t *testing.T) {
	t.Parallel()
	s := Aggregate(t, tillEvents(t), aggregate.Struct[box]())
	take := func(b *box) ([]any, error) {
		if b.Pieces == 0 {
			return nil, io.EOF
		}
		return []any{cashIn{-1}}, nil
	}
	s.Given(cashIn{2}).When(take).Then(cashIn{-1}).ThenState(&box{1})
	s.Given(cashIn{1}, cashIn{-1}).When(take).ThenError(io.EOF)
}

func TestWhatAScenarioFinds(t *testing.T) {
	t.Parallel()
	type story = func(s *Scenario[till, pay])
	paid := cashOut{5, []string{"till"}}
	two := counted{map[string]int{"2": 1}}
	for _, tt := range []struct {
		name  string
		story story
		want  string
	}{
		{"fewer events", func(s *Scenario[till, pay]) { s.Given(cashIn{9}).When(pay{5}).Then(paid) }, "got 2 events, want 1"},
		{"more events", func(s *Scenario[till, pay]) { s.Given(cashIn{9}).When(pay{5}).Then(paid, two, two) }, "got 2 events, want 3"},
		{"no events", func(s *Scenario[till, pay]) { s.Given(cashIn{9}).When(pay{5}).ThenNothing() }, `ThenNothing: got 2 events: [CashOut {"Cents":5,"Notes":["till"]}, Counted {"Coins":{"2":1}}]`},
		{"another type", func(s *Scenario[till, pay]) { s.Given(cashIn{9}).When(pay{5}).Then(cashIn{5}, two) }, `event 0: got [CashOut {"Cents":5,"Notes":["till"]}], want [CashIn {"Cents":5}]`},
		{"another order", func(s *Scenario[till, pay]) { s.Given(cashIn{9}).When(pay{5}).Then(two, paid) }, "event 0: got [CashOut"},
		{"another payload", func(s *Scenario[till, pay]) { s.Given(cashIn{9}).When(pay{5}).Then(cashOut{4, []string{"till"}}, two) }, "event 0, CashOut:\n  /Cents: got 5, want 4"},
		{"another payload further in", func(s *Scenario[till, pay]) {
			s.Given(cashIn{9}).When(pay{5}).Then(cashOut{5, []string{"bill", "x"}}, counted{map[string]int{"1": 1}})
		}, "event 0, CashOut:\n  /Notes/0: got \"till\", want \"bill\"\n  /Notes/1: got nothing, want \"x\""},
		{"and of the second event", func(s *Scenario[till, pay]) {
			s.Given(cashIn{9}).When(pay{5}).Then(paid, counted{map[string]int{"1": 1}})
		}, "event 1, Counted:\n  /Coins/1: got nothing, want 1\n  /Coins/2: got 1, want nothing"},
		{"a refusal", func(s *Scenario[till, pay]) { s.Given().When(pay{5}).Then(paid, two) }, "Then: the command was refused: short: 5 cents are missing"},
		{"a refusal where nothing was to follow", func(s *Scenario[till, pay]) { s.Given().When(pay{5}).ThenNothing() }, "ThenNothing: the command was refused"},
		{"no refusal", func(s *Scenario[till, pay]) { s.Given(cashIn{9}).When(pay{5}).ThenError(errShort) }, "the command was accepted and led to 2 events"},
		{"another refusal", func(s *Scenario[till, pay]) { s.Given().When(pay{5}).ThenError(io.EOF) }, "got short: 5 cents are missing (*fmt.wrapErrors), want one that matches EOF (*errors.errorString)"},
		{"a refusal of another type", func(s *Scenario[till, pay]) {
			s.Given().When(pay{5}).ThenError(new(*eventstream.ConflictError))
		}, "want one that matches"},
		{"another state", func(s *Scenario[till, pay]) { s.Given(cashIn{9}).When(pay{5}).ThenState(till{Cents: 9}) }, "ThenState:\n got {Cents:4"},
		{"Then before When", func(s *Scenario[till, pay]) { s.Given(cashIn{9}).Then() }, "estest: Then was called before When"},
		{"ThenError before When", func(s *Scenario[till, pay]) { s.ThenError(io.EOF) }, "estest: ThenError was called before When"},
		{"When twice", func(s *Scenario[till, pay]) { s.Given().When(pay{0}).When(pay{0}).ThenNothing() }, "nothing was asserted after When"},
		{"nothing asserted", func(s *Scenario[till, pay]) { s.Given().When(pay{0}) }, "nothing was asserted after When"},
		{"nothing asserted before the next story", func(s *Scenario[till, pay]) {
			s.Given().When(pay{0}).Given().When(pay{0}).ThenNothing()
		}, "nothing was asserted after When"},
		{"no error to match", func(s *Scenario[till, pay]) { s.Given().When(pay{5}).ThenError("short") }, "takes an error, or a pointer"},
		{"an unregistered event given", func(s *Scenario[till, pay]) { s.Given(5) }, "Given: event 0: codec: Go type int is not registered"},
		{"an unregistered event wanted", func(s *Scenario[till, pay]) { s.Given(cashIn{9}).When(pay{5}).Then(paid, 5) }, "Then: event 1: codec: Go type int"},
		{"a stored event that does not decode", func(s *Scenario[till, pay]) {
			s.Given(codec.Payload{Type: "CashIn", Schema: 3, Codec: codec.JSON, Data: []byte("7")})
		}, "event 0, CashIn: codec:"},
	} {
		fake := &fakeTest{TB: t}
		got := fake.run(func() { tt.story(Aggregate(fake, tillEvents(t), tillDecider())) })
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %q, want %q in it", tt.name, got, tt.want)
		}
		if strings.Count(got, "nothing was asserted") > 1 {
			t.Errorf("%s: told twice: %q", tt.name, got)
		}
	}
}

func TestAScenarioFindsWhatADeciderMustNotDo(t *testing.T) {
	t.Parallel()
	type decider = aggregate.Decider[*box, pay]
	apply := func(b *box, e aggregate.Event) *box { b.Apply(e.Value); return b }
	newBox := func() *box { return &box{} }
	for _, tt := range []struct {
		name string
		d    decider
		want string
	}{
		{"change the state", decider{Initial: newBox, Evolve: apply, Decide: func(b *box, _ pay) ([]any, error) { b.Pieces--; return nil, nil }}, "Decide changed the state"},
		{"panic", decider{Initial: newBox, Evolve: func(*box, aggregate.Event) *box { panic("oh") }}, "event 0, CashIn: Evolve panicked: oh"},
		{"decide on nothing that is registered", decider{Initial: newBox, Evolve: apply, Decide: func(*box, pay) ([]any, error) { return []any{"x"}, nil }}, "the decided event 0: codec: Go type string"},
		{"not decide", decider{Initial: newBox, Evolve: apply}, "When needs a decider with Decide"},
		{"not evolve", decider{Initial: newBox}, "needs a registry and a decider with Evolve"},
	} {
		fake := &fakeTest{TB: t}
		got := fake.run(func() { Aggregate(fake, tillEvents(t), tt.d).Given(cashIn{1}).When(pay{1}).ThenNothing() })
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %q, want %q in it", tt.name, got, tt.want)
		}
	}
}

func TestAForkGoesItsOwnWay(t *testing.T) {
	t.Parallel()
	db := Open(t)
	for i := range 6 {
		db.Clock.Advance(time.Hour)
		mustAppend(t, db, "a-b-1", eventstream.NewEvent{Type: "X", Data: i, OccurredAt: start.Add(-time.Duration(i) * time.Hour)})
		if _, err := db.Tenant("acme").Append(t.Context(), "a-b-1", eventstream.Any, eventstream.NewEvent{Type: "Y"}, eventstream.NewEvent{Type: "Z"}); err != nil {
			t.Fatal(err)
		}
	}
	fork := Fork(t, db, 9)
	all := events(t, db)
	got := events(t, fork)
	if len(got) != 3 || fork.Head() != 9 || fmt.Sprint(got) != fmt.Sprint(all[:3]) {
		t.Errorf("got %v at head %d, want %v", got, fork.Head(), all[:3])
	}
	if fork.Clock.Now() != db.Clock.Now() {
		t.Errorf("the fork's clock shows %v, want %v", fork.Clock.Now(), db.Clock.Now())
	}
	fork.Clock.Advance(time.Minute)
	mustAppend(t, fork, "a-b-1", eventstream.NewEvent{Type: "Else"})
	mustAppend(t, db, "a-b-1", eventstream.NewEvent{Type: "More"})
	if len(events(t, fork)) != 4 || len(events(t, db)) != 7 || fork.Head() != 10 || db.Head() != 19 {
		t.Errorf("got heads %d and %d", fork.Head(), db.Head())
	}
	if fork.Clock.Now() == db.Clock.Now() {
		t.Error("the two have one clock")
	}
	fork = Crash(t, fork)
	if len(events(t, fork)) != 4 {
		t.Error("the crash of a fork lost what was acknowledged")
	}
	again := Fork(t, fork, 10)
	if len(events(t, again)) != 4 {
		t.Error("a fork of a fork lost an event")
	}
	for position, want := range map[eventstream.Position]string{8: "lies inside a commit that began at 8", 99: "head", 0: "before the first event"} {
		fake := &fakeTest{TB: t}
		got := fake.run(func() { Fork(fake, db, position) })
		if !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("fork at %d: got %q, want %q", position, got, want)
		}
	}
}
