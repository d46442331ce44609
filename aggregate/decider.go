package aggregate

import (
	"github.com/nexus-erp/eventstream"
)

// Event is an event as an aggregate meets it: how it was recorded, and the Go value of
// its payload at the present schema version. An event that is split into several values
// is met once for each, at the same version.
type Event struct {
	eventstream.Event
	Value any
}

// Decider says how an aggregate with the state S answers commands of type C. Its
// functions are called by many goroutines, and must not keep what they are given.
type Decider[S, C any] struct {
	// Initial returns the state of a stream without events, new with each call.
	// Default: the zero S.
	Initial func() S
	// Evolve returns the state after e. It depends on nothing but its arguments, so that
	// the same events always come to the same state; it may change and return the state
	// that it is given. It cannot refuse: what happened has happened. Required.
	Evolve func(state S, e Event) S
	// Decide returns the events that follow from a command, in order, or why it is
	// refused; no events if nothing follows. It must not change the state, and is called
	// again with a newer one after a conflict. An event is a value of a Go type that is
	// registered, or an [eventstream.NewEvent] with such a value in Data and without Type,
	// SchemaVersion and Codec. It is required to execute commands.
	Decide func(state S, command C) (events []any, err error)
}

// Command is what a struct is asked to do: it returns the events that follow, or why it
// refuses, and leaves the struct as it is. A method value is one:
//
//	repo.Execute(ctx, stream, func(a *Account) ([]any, error) { return a.Withdraw(500) })
type Command[A any] = func(a *A) ([]any, error)

// Struct returns the decider of a plain struct whose pointer has the method Apply, which
// changes the struct by the value of an event:
//
//	repo, err := aggregate.New(db, events, aggregate.Struct[Account](), nil)
func Struct[A any, P interface {
	*A
	Apply(event any)
}]() Decider[*A, Command[A]] {
	return Decider[*A, Command[A]]{
		Initial: func() *A { return new(A) },
		Evolve: func(a *A, e Event) *A {
			P(a).Apply(e.Value)
			return a
		},
		Decide: func(a *A, command Command[A]) ([]any, error) { return command(a) },
	}
}
