// Package demo runs the store's main job end to end, on a generated year of a shop:
// invoices, deliveries, stock moves and the journal entries they cause.
//
// The year is a plan: a list of entries, each one atomic append over several
// streams, the same for the same seed. A child process appends it from the start
// and is killed on the way. The parent, which saw every acknowledgement through a
// pipe, reopens the store, compares what is there with the plan, finishes the year
// by appending all of it again under the same event ids, and then asks the questions
// that books must answer.
//
// Money is in cents and quantities are whole pieces; nothing here is a float.
package demo
