// Package eventstream is an embedded event store: one process, one directory, no
// server. It appends domain events to streams, keeps them for good in one total
// order, and says of every append whether it is on disk.
//
//	db, err := eventstream.Open("books", nil)
//	if err != nil { … }
//	defer db.Close()
//
//	res, err := db.Append(ctx, "finance-account-1000", eventstream.NoStream,
//		eventstream.NewEvent{Type: "AccountCredited", Data: amount})
//
//	for ev, err := range db.ReadStream(ctx, "finance-account-1000") { … }
//
// # Model
//
// A stream holds the events of one aggregate, with versions from 1 without a hole.
// All events of a store have positions from 1 without a hole, in the order in which
// they were committed. A commit is the events of one append, over one or several
// streams: all of it is there or nothing, and nobody ever sees a part.
//
// # Guarantees
//
// With the default durability, an append that returned nil is on disk, and survives
// a kill and a power cut on a disk that honours flushes. Readers never see an event
// that a crash can still remove, and no answer, be it a conflict or a deduplicated
// result, rests on one. An append whose outcome cannot be known says so
// ([*CommitUnknownError]) and is safe to repeat with the same event ids.
//
// If the log fails, the store stops writing, goes on reading, and has to be opened
// again. Damage is an error that names the place ([*CorruptionError]), never a
// shorter store.
//
// # Caveats
//
// One process at a time has a store open. Events are not deleted or changed. An
// append is at most 1,000 events and 8 MiB. Some failures of the log end the
// process, by the engine's design: the store is whole when it is opened again.
package eventstream
