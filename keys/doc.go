// Package keys owns every key that the store writes and every identity that a
// key is made of.
//
// A key starts with one byte that names its kind. Kinds that belong to a tenant
// carry the tenant's interned id next, four bytes wide, so that no tenant's range
// can reach another's. Variable parts are escaped and terminated ([AppendPart]):
// the parts sort as their raw bytes do, and no encoded part is a prefix of
// another, so a range over stream "a" never reads stream "a/b". Numbers are
// big-endian, so that byte order is numeric order.
//
// Encoders have the shape AppendX(dst, …) []byte and never fail; parsers return a
// [*KeyError] on any input that no encoder could have made.
//
// The package also owns the value types that those keys are made of ([StreamID],
// [Version], [Position], [EventID], [TenantID], [SchemaVersion]) and the naming
// rules ([DefaultNamer], [SafeID]). Package eventstream re-exports the types.
package keys
