package codec

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nexus-erp/eventstream/keys"
)

// ErrTrailing is matched by errors about payloads in which bytes follow the value.
var ErrTrailing = errTrailing

// RegistryError is one fault of a registry that does not build.
type RegistryError struct {
	Type   string             // the event type, if it is about one
	Schema keys.SchemaVersion // the schema version, if it is about one
	Reason string             // what is wrong, and how to mend it
}

// Error names the event type and the fault.
func (e *RegistryError) Error() string {
	var b strings.Builder
	b.WriteString("codec: registry")
	if e.Type != "" {
		fmt.Fprintf(&b, ": %q", e.Type)
	}
	if e.Schema != 0 {
		fmt.Fprintf(&b, " schema version %d", e.Schema)
	}
	b.WriteString(": " + e.Reason)
	return b.String()
}

// Is matches [ErrCodec].
func (e *RegistryError) Is(target error) bool { return isCodec(target) }

// UnknownTypeError is an event of a type that is not registered.
type UnknownTypeError struct {
	EventID keys.EventID
	Type    string
}

// Error names the type.
func (e *UnknownTypeError) Error() string {
	return fmt.Sprintf("codec: event type %q is not registered%s: register it, or drop it with Drop", e.Type, ofEvent(e.EventID))
}

// Is matches [ErrCodec].
func (e *UnknownTypeError) Is(target error) bool { return isCodec(target) }

// NewerSchemaError is an event of a schema version above those that the registry knows:
// a newer version of the program wrote it.
type NewerSchemaError struct {
	EventID keys.EventID
	Type    string
	Schema  keys.SchemaVersion // the event's
	Known   keys.SchemaVersion // the greatest that is known
}

// Error names the type and both versions.
func (e *NewerSchemaError) Error() string {
	return fmt.Sprintf("codec: %q has schema version %d%s, versions up to %d are known: a newer version of the program wrote it",
		e.Type, e.Schema, ofEvent(e.EventID), e.Known)
}

// Is matches [ErrCodec].
func (e *NewerSchemaError) Is(target error) bool { return isCodec(target) }

// GoTypeError is a Go value that stands for no event.
type GoTypeError struct {
	GoType string // the value's type; "" for nil
	Nil    bool   // it is a nil pointer to a registered type
}

// Error names the Go type.
func (e *GoTypeError) Error() string {
	switch {
	case e.Nil:
		return fmt.Sprintf("codec: a nil %s is no event", e.GoType)
	case e.GoType == "":
		return "codec: nil is no event"
	default:
		return fmt.Sprintf("codec: Go type %s is not registered for an event type", e.GoType)
	}
}

// Is matches [ErrCodec].
func (e *GoTypeError) Is(target error) bool { return isCodec(target) }

// The reasons of an [*UpcastError].
const (
	ReasonGap          = "version gap"            // no step leads on from the event's version
	ReasonMissingField = "missing required field" // a step returned MissingField
	ReasonFailed       = "step failed"            // a step returned another error, or panicked
	ReasonResult       = "invalid result"         // a step made what it does not declare, or what does not decode
	ReasonTooMany      = "too many events"        // steps made more than 1,000 of one
)

// UpcastError is an event that could not be brought to the present version of its type.
type UpcastError struct {
	EventID keys.EventID
	Type    string
	From    keys.SchemaVersion // where it stood when it failed
	To      keys.SchemaVersion // where the step leads
	Reason  string             // one of the Reason constants
	Err     error              // what the step returned, or what is wrong with its result
}

// Error names the event, the step and the reason.
func (e *UpcastError) Error() string {
	text := fmt.Sprintf("codec: upcast %q from schema version %d to %d%s: %s", e.Type, e.From, e.To, ofEvent(e.EventID), e.Reason)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Is matches [ErrCodec].
func (e *UpcastError) Is(target error) bool { return isCodec(target) }

// Unwrap returns the cause.
func (e *UpcastError) Unwrap() error { return e.Err }

// MissingFieldError is a payload without a field that a step needs.
type MissingFieldError struct{ Field string }

// MissingField returns the error of a step that finds no field called name.
func MissingField(name string) error { return &MissingFieldError{Field: name} }

// Error names the field.
func (e *MissingFieldError) Error() string { return fmt.Sprintf("field %q is missing", e.Field) }

// Is matches [ErrCodec].
func (e *MissingFieldError) Is(target error) bool { return isCodec(target) }

func isCodec(target error) bool { return errors.Is(ErrCodec, target) }

// ofEvent names an event in an error, if it is known.
func ofEvent(id keys.EventID) string {
	if id.IsZero() {
		return ""
	}
	return " (event " + id.String() + ")"
}
