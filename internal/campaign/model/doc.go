// Package model is a store that is plain and obviously right, to compare the real one
// with. It keeps everything in slices, computes every answer from the list of events,
// and knows nothing of how the real one works. Only tests import it.
//
// [Store] is used in two ways. A test that makes one call at a time asks
// [Store.Decide] what must come of an append before it makes it. A test with many
// writers only tells what came of each: [Store.Acknowledge] if it was answered,
// [Store.Doubt] if nobody knows, nothing if it was refused. In both, [Verify] then
// looks at the real store and names each invariant that it breaks.
package model
