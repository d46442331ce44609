package keys

import (
	"errors"
	"fmt"
)

// ErrEventStore is matched by every error of the event store: package eventstream
// re-exports it. It stands here because every other package may import this one.
var ErrEventStore = errors.New("eventstream")

// Sentinels for errors.Is. The typed errors of this package match them.
var (
	// ErrInvalidName is matched by [*NameError].
	ErrInvalidName = errors.New("keys: invalid name")
	// ErrInvalidKey is matched by [*KeyError].
	ErrInvalidKey = errors.New("keys: invalid key")
	// ErrInvalidID is matched by [*IDError].
	ErrInvalidID = errors.New("keys: invalid event id")
)

// NameReason says what is wrong with a name.
type NameReason string

// The reasons of a [*NameError].
const (
	NameEmpty        NameReason = "empty"
	NameTooLong      NameReason = "too_long"
	NameBadEncoding  NameReason = "invalid_utf8"
	NameBadCharacter NameReason = "invalid_character"
	NameSeparator    NameReason = "separator_inside"
)

// NameError is a name that the naming rules refuse.
type NameError struct {
	Part   string     // the part at fault: "stream", "context", "type", "id", "tenant", …
	Reason NameReason // what is wrong with it
	Name   string     // the name as given
	Max    int        // the longest allowed length in bytes, for NameTooLong
	Rune   rune       // the first character at fault, for NameBadCharacter
}

// Error says what is wrong and how to mend it.
func (e *NameError) Error() string {
	switch e.Reason {
	case NameEmpty:
		return fmt.Sprintf("%s name is empty: give it at least one character that is not blank", e.Part)
	case NameTooLong:
		return fmt.Sprintf("%s name has %d bytes, at most %d are allowed", e.Part, len(e.Name), e.Max)
	case NameBadEncoding:
		return fmt.Sprintf("%s name %q is not valid UTF-8", e.Part, e.Name)
	case NameSeparator:
		return fmt.Sprintf("%s name %q contains '-', which separates the parts of a stream name: use '_'", e.Part, e.Name)
	default:
		return fmt.Sprintf("%s name %q contains %q, which is not allowed there", e.Part, e.Name, e.Rune)
	}
}

// Is matches [ErrInvalidName].
func (e *NameError) Is(target error) bool { return target == ErrInvalidName || target == ErrEventStore }

// KeyError is a stored key that does not parse. It means damage, or a store of
// another format.
type KeyError struct {
	Kind   Kind   // the kind that was expected
	Key    []byte // the key as found
	Reason string // what is wrong with it
}

// Error names the kind, the fault and the key's bytes.
func (e *KeyError) Error() string {
	return fmt.Sprintf("keys: not a valid %s key: %s: %x", e.Kind, e.Reason, e.Key)
}

// Is matches [ErrInvalidKey].
func (e *KeyError) Is(target error) bool { return target == ErrInvalidKey || target == ErrEventStore }

// IDError is a text that is no event id.
type IDError struct {
	Text string // the text as given
	Err  error  // what the ULID parser found
}

// Error shows the text and what an event id looks like.
func (e *IDError) Error() string {
	return fmt.Sprintf("event id %q is not a ULID of 26 characters: %v", e.Text, e.Err)
}

// Is matches [ErrInvalidID].
func (e *IDError) Is(target error) bool { return target == ErrInvalidID || target == ErrEventStore }

// Unwrap returns the parser's error.
func (e *IDError) Unwrap() error { return e.Err }
