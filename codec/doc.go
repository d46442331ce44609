// Package codec owns the bytes of an event: the envelope that wraps it on disk
// ([AppendEnvelope], [ParseEnvelope]) and the payload inside ([Encode], [Decode]).
//
// docs/FORMAT.md draws the envelope. Every decoder here takes bytes that may be
// damaged or hostile: it bounds what it allocates before it allocates it, refuses
// trailing bytes, and never panics.
package codec
