// Package cursor is the room for signed page tokens: an HMAC over position, query,
// tenant and incarnation, with a key ring that rotates. Cryptography only; it knows
// no store, and imports the standard library alone.
//
// It exports nothing yet: reads are paged by version and position until queries
// arrive.
package cursor
