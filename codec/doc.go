// Package codec owns the bytes of an event: the envelope that wraps it on disk
// ([AppendEnvelope], [ParseEnvelope]) and the payload inside ([Encode], [Decode]).
//
// A [Registry] says which Go type stands for which event type and schema version, and
// holds the steps by which payloads of earlier versions become the present one. They are
// applied when a payload is decoded; what is stored is never touched.
//
// docs/FORMAT.md draws the envelope. Every decoder here takes bytes that may be
// damaged or hostile: it bounds what it allocates before it allocates it, refuses
// trailing bytes, and never panics.
package codec
