package codec

import (
	"errors"
	"fmt"

	"github.com/nexus-erp/eventstream/keys"
)

// Limits that hold for every payload that is not [Raw]. They bound what decoding
// can allocate; what would break them is refused when it is encoded, so whatever
// was stored can be read.
const (
	// MaxDepth is how deep arrays, maps and objects may nest.
	MaxDepth = 32
	// MaxElements is how many values a payload may hold in all, counting map keys
	// and containers. Decoded into untyped Go values, a value of one byte can take
	// some 70 bytes: a payload of 1 MiB full of them would take 70 MiB without this
	// bound, and takes 7 MiB with it. Long series of numbers belong into a []byte.
	MaxElements = 100_000
	// maxBytes ends the encoding of endless values; the store's own limit, which
	// is lower or equal, gives the better error.
	maxBytes = 16 << 20
)

// Encoded is a payload that is encoded already. [Encode] checks it, and stores it
// as it stands.
type Encoded []byte

var errTooBig = fmt.Errorf("payload exceeds %d bytes", maxBytes)

// Encode appends v, encoded by codec id, to dst. A nil v is an empty payload:
// nothing is appended. The same value always encodes to the same bytes: maps are
// written in the order of their keys.
//
// An [Encoded] must be one well-formed value within the limits, without a key
// that occurs twice; it is copied as it stands, empty or not. [JSON] takes a
// json.RawMessage likewise, but removes insignificant space. [Raw] takes
// []byte, string and Encoded alone. Floats that are not finite are refused.
//
// If it fails with an [*Error], dst is returned as it was; its spare capacity may
// have been written to.
func Encode(dst []byte, id ID, v any) ([]byte, error) {
	if v == nil && id.Valid() {
		return dst, nil
	}
	var out []byte
	var err error
	switch id {
	case Msgpack:
		out, err = encodeMsgpack(dst, v)
	case JSON:
		out, err = encodeJSON(dst, v)
	case Raw:
		out, err = encodeRaw(dst, v)
	default:
		err = errUnknown
	}
	if err != nil {
		return dst, &Error{Codec: id, Op: opEncode, Err: err}
	}
	return out, nil
}

// Decode decodes data, the payload of an event of type eventType and version
// schema, into v, a pointer. All of data must be one value. An empty payload
// leaves v as it is. v shares no memory with data.
//
// A v of type *[Encoded] gets a copy of data, whatever the codec. [Raw] decodes
// into *[]byte, *string and *any too. Into an untyped value, [JSON] numbers come
// as json.Number, and [Msgpack] integers in the smallest type that holds them. An
// integer that does not fit into its Go type is an error, as is JSON in which an object
// has a name twice. Of [Msgpack], times in typed values come in UTC.
//
// Errors are of type [*Error]; v may then have been written in part.
func Decode(id ID, eventType string, schema keys.SchemaVersion, data []byte, v any) error {
	if len(data) == 0 && id.Valid() {
		return nil
	}
	var err error
	if e, ok := v.(*Encoded); ok && e != nil && id.Valid() {
		*e = append(Encoded(nil), data...)
		return nil
	}
	switch id {
	case Msgpack:
		err = decodeMsgpack(data, v)
	case JSON:
		err = decodeJSON(data, v)
	case Raw:
		err = decodeRaw(data, v)
	default:
		err = errUnknown
	}
	if err != nil {
		return &Error{Type: eventType, Schema: schema, Codec: id, Op: opDecode, Err: err}
	}
	return nil
}

var errUnknown = errors.New("unknown codec: use msgpack, json or raw")

func encodeRaw(dst []byte, v any) ([]byte, error) {
	switch v := v.(type) {
	case []byte:
		return append(dst, v...), nil
	case Encoded:
		return append(dst, v...), nil
	case string:
		return append(dst, v...), nil
	default:
		return nil, fmt.Errorf("a raw payload is a []byte, a string or a codec.Encoded, not a %T", v)
	}
}

func decodeRaw(data []byte, v any) error {
	switch v := v.(type) {
	case *[]byte:
		*v = append([]byte(nil), data...)
	case *string:
		*v = string(data)
	case *any:
		*v = append([]byte(nil), data...)
	default:
		return fmt.Errorf("a raw payload decodes into a *[]byte, *string or *codec.Encoded, not a %T", v)
	}
	return nil
}

// buffer is an append-only writer that the pooled encoders write to.
type buffer struct {
	b     []byte
	start int                     // where the payload starts in b
	check func(part []byte) error // looks at what was written so far, now and then
	next  int                     // when to check again
}

// checkEvery is how much an encoder may write between two checks: endless nesting
// is found before the stack has grown by more than a few megabytes.
const checkEvery = 4096

func (w *buffer) reset(dst []byte) {
	w.b, w.start, w.next = dst, len(dst), len(dst)+checkEvery
}

// Write appends p.
func (w *buffer) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), w.checked()
}

// WriteByte appends c.
func (w *buffer) WriteByte(c byte) error {
	w.b = append(w.b, c)
	return w.checked()
}

func (w *buffer) checked() error {
	if len(w.b) < w.next {
		return nil
	}
	w.next = len(w.b) + checkEvery
	if len(w.b)-w.start > maxBytes {
		return errTooBig
	}
	if w.check == nil {
		return nil
	}
	return w.check(w.b[w.start:])
}

// caught turns a panic of a type's own marshalling method, or of the library, into
// an error.
func caught(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("panic: %v", r)
	}
}
