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
// When the test ends, each store is checked whole and closed, and what the test left
// open inside it fails the test.
package estest
