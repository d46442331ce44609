// Package projection is the room for read models that commit with their checkpoint,
// so that an event takes effect exactly once: catch-up and live, retry and parking,
// rebuild beside the live view, leases. The kinds of keys that hold them,
// keys.KindView and keys.KindDerived, are reserved in format 1.
//
// It exports nothing yet: consumers follow the log with eventstream.DB.Follow and
// keep their own position.
package projection
