package codec

import (
	"fmt"
	"strings"

	"github.com/nexus-erp/eventstream/keys"
)

// The operations of an [*Error].
const (
	opEncode = "encode"
	opDecode = "decode"
)

// Error is a payload that did not encode or decode.
type Error struct {
	Type   string             // the event's type, if it is known
	Schema keys.SchemaVersion // the version of the payload's shape, if it is known
	Codec  ID                 // the codec at work
	Op     string             // "encode" or "decode"
	Err    error              // what went wrong
}

// Error says what failed and why.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "codec: %s %s payload", e.Op, e.Codec)
	if e.Type != "" {
		fmt.Fprintf(&b, " of %q", e.Type)
	}
	if e.Schema != 0 {
		fmt.Fprintf(&b, ", schema version %d", e.Schema)
	}
	fmt.Fprintf(&b, ": %v", e.Err)
	return b.String()
}

// Is matches [ErrCodec].
func (e *Error) Is(target error) bool { return target == ErrCodec || target == keys.ErrEventStore }

// Unwrap returns what went wrong.
func (e *Error) Unwrap() error { return e.Err }
