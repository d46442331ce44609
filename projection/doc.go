// Package projection keeps read models that follow the log: each event takes effect
// exactly once, since a view's records and the checkpoint behind the last event that
// they show are one commit. A commit of the log is never cut, so nobody who reads a
// view sees half a journal entry.
//
// A [Definition] says which events a projection takes and how it applies one. An
// [Engine] runs the projections of one tenant, each on its own goroutine: one that is
// slow or fails disturbs no other.
//
// A view whose code changed is built anew beside the one that is read ([Engine.Rebuild]),
// and takes its place at once. A projection that is a fold for each key ([Keyed]) can
// also be read as of a time ([Engine.ReadAsOf]).
package projection
