// Package cursor makes and checks page tokens: a place in the results of a query, signed,
// so that whoever hands one back can change nothing about it. It knows no store: what a
// place is, and when two queries are the same, is its caller's.
//
// A token is base64url, without padding, of
//
//	0   version, 1
//	1   u32 key id
//	5   u64 issued, ns since 1970
//	13  u64 expires, ns since 1970
//	21  incarnation of the store, 16 bytes
//	37  digest of the query, 16 bytes
//	53  the place
//	-16 the first 16 bytes of an HMAC-SHA-256
//
// The sum covers a name of its own, and each part behind its length. Its key is derived,
// by HKDF (RFC 5869), from a root of the ring and the tenant's name, so a tenant's tokens
// are of no use to another. A token grants nothing: whoever may ask the query may go on
// with it.
package cursor
