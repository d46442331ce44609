package codec

import (
	"fmt"

	"github.com/nexus-erp/eventstream/keys"
)

// ID numbers a payload codec. The numbers are on disk: they never change. 0 is no
// codec; an event that names none is encoded with [Msgpack].
type ID uint8

// The payload codecs.
const (
	// Msgpack writes MessagePack. Integers keep their 64 bits, and times their
	// nanoseconds. It is the default.
	Msgpack ID = 1
	// JSON writes JSON. As in encoding/json, bytes of a string that are not UTF-8
	// become U+FFFD.
	JSON ID = 2
	// Raw stores bytes that mean something to the caller alone.
	Raw ID = 3
)

// ParseID returns the codec called name: "msgpack", "json" or "raw".
func ParseID(name string) (ID, error) {
	for _, id := range [...]ID{Msgpack, JSON, Raw} {
		if id.String() == name {
			return id, nil
		}
	}
	return 0, fmt.Errorf("%w: unknown codec %q: use msgpack, json or raw", ErrCodec, name)
}

// Valid reports whether id is one of the codecs above.
func (id ID) Valid() bool { return id >= Msgpack && id <= Raw }

// String returns the codec's name, as [ParseID] reads it.
func (id ID) String() string {
	switch id {
	case Msgpack:
		return "msgpack"
	case JSON:
		return "json"
	case Raw:
		return "raw"
	default:
		return fmt.Sprintf("codec(%d)", uint8(id))
	}
}

// ErrCodec is matched by every error about encoding and decoding payloads. It
// matches [keys.ErrEventStore].
var ErrCodec error = codecError{}

type codecError struct{}

func (codecError) Error() string        { return "codec" }
func (codecError) Is(target error) bool { return target == keys.ErrEventStore }
