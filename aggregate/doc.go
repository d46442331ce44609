// Package aggregate loads aggregates from their streams and carries out commands on
// them. An aggregate is a state that the events of one stream come to:
//
//	load       newest snapshot that serves, then the events behind it
//	execute    load, decide, append at the version that was loaded;
//	           on a conflict: read the events that were missed, decide again
//	snapshot   behind the caller's back, when the policy asks for one
//
// There are two ways to write one. A plain struct with a method Apply, see [Struct]:
//
//	type Account struct{ Balance int64 }
//
//	func (a *Account) Apply(event any) {
//		switch e := event.(type) {
//		case Posted:
//			a.Balance += e.Cents
//		}
//	}
//
// Or two functions without a side effect, see [Decider]: Decide returns the events that
// follow from a command, Evolve the state that follows from an event. Neither way needs
// a base class, and the domain needs no import of this package for the first.
//
// What a state was at a point of the past, and as it was known at another, is
// [Repository.StateAt]; what changed between two, [Diff].
package aggregate
