package codec

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
)

// jsonWalker goes through JSON that is known to be valid. It counts depth and
// values, looks for names that occur twice, and with emit appends the value as
// MessagePack to out, in the order in which it stands there.
type jsonWalker struct {
	in       []byte
	pos      int
	depth    int
	elements int
	names    [][]byte // of the objects around pos, outermost first

	emit bool
	out  []byte
}

func (w *jsonWalker) walk() error {
	if err := w.value(); err != nil {
		return fmt.Errorf("at byte %d: %w", w.pos, err)
	}
	return nil
}

func (w *jsonWalker) value() error {
	w.space()
	if w.elements++; w.elements > MaxElements {
		return errTooMany
	}
	switch w.in[w.pos] {
	case '{':
		return w.container(w.object)
	case '[':
		return w.container(w.array)
	case '"':
		s, err := w.string()
		if err == nil && w.emit {
			w.out = appendMsgpackString(w.out, s)
		}
		return err
	case 'n':
		w.literal(4, 0xc0)
	case 'f':
		w.literal(5, 0xc2)
	case 't':
		w.literal(4, 0xc3)
	default:
		return w.number()
	}
	return nil
}

func (w *jsonWalker) space() {
	for w.pos < len(w.in) {
		switch w.in[w.pos] {
		case ' ', '\t', '\n', '\r':
			w.pos++
		default:
			return
		}
	}
}

func (w *jsonWalker) literal(n int, code byte) {
	w.pos += n
	if w.emit {
		w.out = append(w.out, code)
	}
}

// container reads the array or object at pos.
func (w *jsonWalker) container(read func() (int, error)) error {
	if w.depth++; w.depth > MaxDepth {
		return errTooDeep
	}
	object := w.in[w.pos] == '{'
	at := len(w.out)
	if w.emit {
		w.out = append(w.out, 0) // of the header; wider ones are made room for
	}
	w.pos++
	n, err := read()
	if err != nil {
		return err
	}
	w.depth--
	if w.emit {
		w.out = setMsgpackHeader(w.out, at, n, object)
	}
	return nil
}

func (w *jsonWalker) array() (n int, err error) {
	for w.space(); w.in[w.pos] != ']'; w.space() {
		if w.in[w.pos] == ',' {
			w.pos++
		}
		if err := w.value(); err != nil {
			return 0, err
		}
		n++
	}
	w.pos++
	return n, nil
}

func (w *jsonWalker) object() (n int, err error) {
	base := len(w.names)
	for w.space(); w.in[w.pos] != '}'; w.space() {
		if w.in[w.pos] == ',' {
			w.pos++
			w.space()
		}
		if w.elements++; w.elements > MaxElements {
			return 0, errTooMany
		}
		name, err := w.string()
		if err != nil {
			return 0, err
		}
		if w.emit {
			w.out = appendMsgpackString(w.out, name)
		}
		w.names = append(w.names, name)
		w.space()
		w.pos++ // the colon
		if err := w.value(); err != nil {
			return 0, err
		}
		n++
	}
	w.pos++
	names := w.names[base:]
	w.names = w.names[:base]
	slices.SortFunc(names, bytes.Compare)
	for i := 1; i < len(names); i++ {
		if bytes.Equal(names[i-1], names[i]) {
			return 0, fmt.Errorf("name %q occurs twice in one object", names[i])
		}
	}
	return n, nil
}

// string reads the string at pos and returns what it stands for.
func (w *jsonWalker) string() ([]byte, error) {
	end := w.pos + 1
	plain := true
	for w.in[end] != '"' {
		if w.in[end] == '\\' {
			plain = false
			end++
		}
		end++
	}
	quoted := w.in[w.pos : end+1]
	w.pos = end + 1
	if plain {
		return quoted[1 : len(quoted)-1], nil
	}
	var s string
	if err := json.Unmarshal(quoted, &s); err != nil {
		return nil, err
	}
	return []byte(s), nil
}

func (w *jsonWalker) number() error {
	end := w.pos
	for end < len(w.in) && bytes.IndexByte([]byte("+-.0123456789eE"), w.in[end]) >= 0 {
		end++
	}
	text := w.in[w.pos:end]
	if w.emit {
		out, err := appendMsgpackNumber(w.out, text)
		if err != nil {
			return err
		}
		w.out = out
	}
	w.pos = end
	return nil
}

// appendMsgpackNumber appends a number of JSON: as a float if it has a fraction or
// an exponent, else as an integer.
func appendMsgpackNumber(dst, text []byte) ([]byte, error) {
	if bytes.ContainsAny(text, ".eE") {
		f, err := strconv.ParseFloat(string(text), 64)
		if err != nil {
			return nil, fmt.Errorf("number %s exceeds a 64-bit float: write it as a string", text)
		}
		return binary.BigEndian.AppendUint64(append(dst, 0xcb), math.Float64bits(f)), nil
	}
	if u, err := strconv.ParseUint(string(text), 10, 64); err == nil {
		return appendMsgpackUint(dst, u), nil
	}
	i, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("integer %s exceeds 64 bits: write it as a string, or use the json codec", text)
	}
	return appendMsgpackInt(dst, i), nil
}

func appendMsgpackUint(dst []byte, u uint64) []byte {
	switch {
	case u <= 0x7f:
		return append(dst, byte(u))
	case u <= math.MaxUint8:
		return append(dst, 0xcc, byte(u))
	case u <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, 0xcd), uint16(u))
	case u <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, 0xce), uint32(u))
	default:
		return binary.BigEndian.AppendUint64(append(dst, 0xcf), u)
	}
}

func appendMsgpackInt(dst []byte, i int64) []byte {
	switch {
	case i >= 0:
		return appendMsgpackUint(dst, uint64(i))
	case i >= -32:
		return append(dst, byte(i))
	case i >= math.MinInt8:
		return append(dst, 0xd0, byte(i))
	case i >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(dst, 0xd1), uint16(i))
	case i >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(dst, 0xd2), uint32(i))
	default:
		return binary.BigEndian.AppendUint64(append(dst, 0xd3), uint64(i))
	}
}

func appendMsgpackString(dst, s []byte) []byte {
	switch n := len(s); {
	case n < 32:
		dst = append(dst, 0xa0|byte(n))
	case n <= math.MaxUint8:
		dst = append(dst, 0xd9, byte(n))
	case n <= math.MaxUint16:
		dst = binary.BigEndian.AppendUint16(append(dst, 0xda), uint16(n))
	default:
		dst = binary.BigEndian.AppendUint32(append(dst, 0xdb), uint32(n))
	}
	return append(dst, s...)
}

// setMsgpackHeader turns the one byte at b[at] into the header of an array or map
// of n, whose content follows it.
func setMsgpackHeader(b []byte, at, n int, object bool) []byte {
	short, long := byte(0x90), byte(0xdc)
	if object {
		short, long = 0x80, 0xde
	}
	switch {
	case n < 16:
		b[at] = short | byte(n)
		return b
	case n <= math.MaxUint16:
		b = slices.Insert(b, at, 0, 0)
		b[at] = long
		binary.BigEndian.PutUint16(b[at+1:], uint16(n))
	default:
		b = slices.Insert(b, at, 0, 0, 0, 0)
		b[at] = long + 1
		binary.BigEndian.PutUint32(b[at+1:], uint32(n))
	}
	return b
}
