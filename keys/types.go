package keys

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxNameBytes bounds the length of stream names, event types, tenant names and
// correlation, causation and user ids, in bytes.
const MaxNameBytes = 255

// Version is an event's place in its stream, counted from 1. Version 0 stands for
// a stream that does not exist.
type Version uint64

// MaxVersion is the greatest version that an event can have.
const MaxVersion Version = math.MaxInt64

// Next returns the version after v. It saturates at [MaxVersion].
func (v Version) Next() Version {
	if v >= MaxVersion {
		return MaxVersion
	}
	return v + 1
}

// String returns v in decimal.
func (v Version) String() string { return strconv.FormatUint(uint64(v), 10) }

// Position is an event's place in the store's one total order, counted from 1,
// without gaps, in commit order. Position 0 lies before the first event.
type Position uint64

// MaxPosition is the greatest position that an event can have.
const MaxPosition Position = math.MaxInt64

// String returns p in decimal.
func (p Position) String() string { return strconv.FormatUint(uint64(p), 10) }

// SchemaVersion numbers the shape of one event type's payload, from 1. It has
// nothing to do with the version of a stream.
type SchemaVersion uint32

// TenantID is a tenant's interned number. The store assigns it on the tenant's
// first append and never uses it again for another tenant. 0 is no tenant.
type TenantID uint32

// StreamID names a stream: 1 to [MaxNameBytes] bytes of valid UTF-8 without
// control characters. The form "context-type-id" is recommended, and is what
// [DefaultNamer] makes; only names of that form have a [StreamID.Category].
type StreamID string

// Validate returns a [*NameError] if s cannot name a stream.
func (s StreamID) Validate() error { return ValidateName("stream", string(s)) }

// Category returns "context-type" of a stream named "context-type-id", and ""
// for a name of any other form.
func (s StreamID) Category() string {
	context, rest, ok := strings.Cut(string(s), "-")
	if !ok || context == "" {
		return ""
	}
	kind, id, ok := strings.Cut(rest, "-")
	if !ok || kind == "" || id == "" {
		return ""
	}
	return string(s[:len(context)+1+len(kind)])
}

// ValidateName reports whether name is 1 to [MaxNameBytes] bytes of valid UTF-8
// without control characters. field is the name of what is validated, and ends up
// in the [*NameError].
func ValidateName(field, name string) error {
	if name == "" {
		return &NameError{Part: field, Reason: NameEmpty}
	}
	if len(name) > MaxNameBytes {
		return &NameError{Part: field, Reason: NameTooLong, Name: name, Max: MaxNameBytes}
	}
	plain := true // printable ASCII, as nearly all names are
	for i := 0; plain && i < len(name); i++ {
		plain = 0x20 <= name[i] && name[i] < 0x7f
	}
	if plain {
		return nil
	}
	if !utf8.ValidString(name) {
		return &NameError{Part: field, Reason: NameBadEncoding, Name: name}
	}
	for _, r := range name {
		if r < 0x20 || r == 0x7f || (r >= 0x80 && r < 0xa0) {
			return &NameError{Part: field, Reason: NameBadCharacter, Name: name, Rune: r}
		}
	}
	return nil
}
