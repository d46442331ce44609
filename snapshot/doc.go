// Package snapshot owns the stored form of an aggregate's state ([Append], [Parse]), and
// says when to take one ([Policy]) and how many to keep.
//
// A snapshot is what the first events of a stream, up to a version, come to. It is
// derived from them: whoever has none reads the events, and whoever finds one damaged,
// or of another type, reads the events too. So it can always be dropped.
//
// docs/FORMAT.md draws the record. The package knows no store: package eventstream keeps
// the records, package aggregate takes and uses them.
package snapshot
