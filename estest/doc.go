// Package estest opens stores for tests: in memory, with a clock that stands still
// and event ids that repeat, so that two runs of a test do the same; and it crashes
// them on purpose.
//
//	func TestTransfer(t *testing.T) {
//		db := estest.Open(t)
//		… db.Append(ctx, …)
//		db = estest.Crash(t, db) // the power fails
//		… what was acknowledged is still there
//	}
//
// Aggregates are tested without a store, by what they decide on:
//
//	account := estest.Aggregate(t, events, aggregate.Struct[Account]())
//	account.Given(Opened{"Ada"}, Posted{100}).When(withdraw(30)).Then(Posted{-30})
//
// Projections likewise, see Projection, on a store in memory.
//
// CheckUpcasts and CheckUpcastFiles run the steps between schema versions against what
// was stored once; Fork makes a store that goes another way from a position on.
//
// When the test ends, each store is checked whole and closed, and what the test left
// open inside it fails the test.
package estest
