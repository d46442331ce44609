package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"strconv"
	"time"
	"unicode/utf8"
)

// ToJSON returns a payload as compact JSON, in one line and in the payload's own
// order. exact reports that [FromJSON] makes the same bytes of it again; it was
// tried. An exporter writes the payload's bytes beside or instead of JSON that is
// not exact.
//
// Of [Msgpack], integers keep all digits, and floats have a point or an exponent.
// What JSON has not is not exact: bytes and extensions become base64, times
// RFC 3339, keys that are no strings the text of their JSON, bytes of a string
// that are not UTF-8 U+FFFD. [JSON] is exact if it had no insignificant space.
// [Raw] is never JSON: ToJSON returns nil, false and no error.
//
// An empty payload is null, which is not exact, since null itself is a payload:
// an exporter leaves the payload out, and an importer calls FromJSON with nothing.
//
// An error is of type [*Error]: the payload is damaged.
func ToJSON(id ID, data []byte) (out []byte, exact bool, err error) {
	if len(data) == 0 && id.Valid() && id != Raw {
		return []byte("null"), false, nil
	}
	switch id {
	case Msgpack:
		var scan scanner
		if err = scan.finish(data); err == nil {
			out, _, err = appendJSON(make([]byte, 0, len(data)+len(data)/2), data, 0)
		}
	case JSON:
		if err = checkJSON(data); err == nil {
			out, err = appendCompact(make([]byte, 0, len(data)), data)
		}
	case Raw:
		return nil, false, nil
	default:
		err = errUnknown
	}
	if err != nil {
		return nil, false, &Error{Codec: id, Op: opDecode, Err: err}
	}
	again, err := FromJSON(id, out)
	return out, err == nil && bytes.Equal(again, data), nil
}

// FromJSON returns the payload that text, one JSON value, makes. No text at all is
// an empty payload.
//
// For [Msgpack], an integer must fit into 64 bits; a number with a point or an
// exponent becomes a 64-bit float. For [JSON], insignificant space is removed.
// [Raw] takes nothing but the empty payload.
//
// An error is of type [*Error].
func FromJSON(id ID, text []byte) (data []byte, err error) {
	if len(text) == 0 && id.Valid() {
		return nil, nil
	}
	switch id {
	case Msgpack:
		data, err = msgpackFromJSON(text)
	case JSON:
		if err = checkJSON(text); err == nil {
			data, err = appendCompact(make([]byte, 0, len(text)), text)
		}
	case Raw:
		err = errors.New("a raw payload is not JSON")
	default:
		err = errUnknown
	}
	if err != nil {
		return nil, &Error{Codec: id, Op: opEncode, Err: err}
	}
	return data, nil
}

func msgpackFromJSON(text []byte) ([]byte, error) {
	if !json.Valid(text) {
		return nil, jsonFault(text)
	}
	if !utf8.Valid(text) {
		return nil, errNotUTF8
	}
	w := jsonWalker{in: text, emit: true, out: make([]byte, 0, len(text))}
	if err := w.walk(); err != nil {
		return nil, err
	}
	return w.out, nil
}

// appendJSON appends the value at b[pos:], which the scanner has passed, and
// returns where it ends.
func appendJSON(dst, b []byte, pos int) (out []byte, end int, err error) {
	t, err := readToken(b, pos)
	if err != nil {
		return nil, 0, err
	}
	switch t.kind {
	case kindArray:
		return appendJSONArray(dst, b, t)
	case kindMap:
		return appendJSONObject(dst, b, t)
	case kindNil:
		dst = append(dst, "null"...)
	case kindBool:
		dst = strconv.AppendBool(dst, b[t.start] == 0xc3)
	case kindUint:
		dst = strconv.AppendUint(dst, t.uint(b), 10)
	case kindInt:
		dst = strconv.AppendInt(dst, int64(t.uint(b)), 10)
	case kindFloat32:
		dst = appendJSONFloat(dst, t.float(b), 32)
	case kindFloat64:
		dst = appendJSONFloat(dst, t.float(b), 64)
	case kindStr:
		dst = appendJSONString(dst, b[t.body:t.end])
	case kindExt:
		if at, ok := t.time(b); ok {
			dst = append(at.AppendFormat(append(dst, '"'), time.RFC3339Nano), '"')
			break
		}
		fallthrough
	case kindBin:
		dst = append(dst, '"')
		dst = base64.StdEncoding.AppendEncode(dst, b[t.body:t.end])
		dst = append(dst, '"')
	}
	return dst, t.end, nil
}

func appendJSONArray(dst, b []byte, t token) (out []byte, end int, err error) {
	dst = append(dst, '[')
	pos := t.end
	for i := range t.n {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst, pos, err = appendJSON(dst, b, pos); err != nil {
			return nil, 0, err
		}
	}
	return append(dst, ']'), pos, nil
}

func appendJSONObject(dst, b []byte, t token) (out []byte, end int, err error) {
	dst = append(dst, '{')
	pos := t.end
	for i := range t.n {
		if i > 0 {
			dst = append(dst, ',')
		}
		at := len(dst)
		if dst, pos, err = appendJSON(dst, b, pos); err != nil {
			return nil, 0, err
		}
		if dst[at] != '"' { // a key that is no string
			text := string(dst[at:])
			dst = appendJSONString(dst[:at], []byte(text))
		}
		dst = append(dst, ':')
		if dst, pos, err = appendJSON(dst, b, pos); err != nil {
			return nil, 0, err
		}
	}
	return append(dst, '}'), pos, nil
}

// appendJSONFloat appends the shortest text that gives f again, with a point or an
// exponent, so that it stays a float.
func appendJSONFloat(dst []byte, f float64, bits int) []byte {
	format := byte('f')
	if abs := max(f, -f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	at := len(dst)
	dst = strconv.AppendFloat(dst, f, format, -1, bits)
	if !bytes.ContainsAny(dst[at:], ".e") {
		dst = append(dst, ".0"...)
	}
	return dst
}

const hexDigits = "0123456789abcdef"

// appendJSONString appends s as a JSON string, and escapes only what must be.
func appendJSONString(dst, s []byte) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRune(s[i:])
			dst = utf8.AppendRune(dst, r) // U+FFFD for what is not UTF-8
			i += size
			continue
		}
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\r':
			dst = append(dst, '\\', 'r')
		case c == '\t':
			dst = append(dst, '\\', 't')
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
		default:
			dst = append(dst, c)
		}
		i++
	}
	return append(dst, '"')
}

// time returns the time that a timestamp extension stands for. ok is false for
// other extensions, and for times that RFC 3339 cannot write.
func (t token) time(b []byte) (at time.Time, ok bool) {
	if t.kind != kindExt || t.ext != -1 {
		return time.Time{}, false
	}
	content := b[t.body:t.end]
	switch len(content) {
	case 4:
		at = time.Unix(int64(binary.BigEndian.Uint32(content)), 0)
	case 8:
		v := binary.BigEndian.Uint64(content)
		at = time.Unix(int64(v&(1<<34-1)), int64(v>>34))
	case 12:
		at = time.Unix(int64(binary.BigEndian.Uint64(content[4:])), int64(binary.BigEndian.Uint32(content)))
	default:
		return time.Time{}, false
	}
	at = at.UTC()
	return at, at.Year() >= 0 && at.Year() <= 9999
}
