// Package snapshot is the room for snapshots of an aggregate's state: the record
// (zstd, with an xxhash64 over the stored bytes and the identity), when to take one,
// how many to keep, and what to fall back to. The kind of key that holds them,
// keys.KindSnapshot, is reserved in format 1.
//
// It exports nothing yet: an aggregate is loaded by reading its stream.
package snapshot
