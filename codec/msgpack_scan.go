package codec

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// kind is what a MessagePack token is.
type kind uint8

const (
	kindNil kind = iota + 1 // never stored
	kindBool
	kindUint
	kindInt
	kindFloat32
	kindFloat64
	kindStr
	kindBin
	kindExt
	kindArray
	kindMap
)

// token is one value, or the header of an array or a map. Its bytes are
// b[start:end]; those of its content b[body:end].
type token struct {
	kind             kind
	start, body, end int
	n                int // elements of an array, pairs of a map
	ext              int8
}

var (
	errTruncated = errors.New("ends within a value")
	errReserved  = errors.New("byte 0xc1, which begins no value")
)

// readToken reads the token at b[pos:].
func readToken(b []byte, pos int) (token, error) {
	if pos >= len(b) {
		return token{}, errTruncated
	}
	c := b[pos]
	t := token{start: pos, body: pos + 1}
	switch {
	case c <= 0x7f:
		t.kind, t.body, t.end = kindUint, pos, pos+1
		return t, nil
	case c >= 0xe0:
		t.kind, t.body, t.end = kindInt, pos, pos+1
		return t, nil
	case c <= 0x8f:
		t.kind, t.n, t.end = kindMap, int(c&0x0f), pos+1
		return t, nil
	case c <= 0x9f:
		t.kind, t.n, t.end = kindArray, int(c&0x0f), pos+1
		return t, nil
	case c <= 0xbf:
		return t.sized(b, kindStr, uint32(c&0x1f))
	}
	switch c {
	case 0xc0:
		return t.sized(b, kindNil, 0)
	case 0xc1:
		return token{}, errReserved
	case 0xc2, 0xc3:
		return t.sized(b, kindBool, 0)
	case 0xc4, 0xc5, 0xc6:
		return t.counted(b, kindBin, 1<<(c-0xc4))
	case 0xc7, 0xc8, 0xc9:
		return t.counted(b, kindExt, 1<<(c-0xc7))
	case 0xca:
		return t.sized(b, kindFloat32, 4)
	case 0xcb:
		return t.sized(b, kindFloat64, 8)
	case 0xcc, 0xcd, 0xce, 0xcf:
		return t.sized(b, kindUint, 1<<(c-0xcc))
	case 0xd0, 0xd1, 0xd2, 0xd3:
		return t.sized(b, kindInt, 1<<(c-0xd0))
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8:
		return t.sized(b, kindExt, 1<<(c-0xd4))
	case 0xd9, 0xda, 0xdb:
		return t.counted(b, kindStr, 1<<(c-0xd9))
	case 0xdc, 0xdd:
		return t.counted(b, kindArray, 2<<(c-0xdc))
	default: // 0xde, 0xdf
		return t.counted(b, kindMap, 2<<(c-0xde))
	}
}

// counted reads a length or count of width bytes at t.body, and goes on behind it.
func (t token) counted(b []byte, k kind, width int) (token, error) {
	if len(b)-t.body < width {
		return token{}, errTruncated
	}
	var n uint32
	switch width {
	case 1:
		n = uint32(b[t.body])
	case 2:
		n = uint32(binary.BigEndian.Uint16(b[t.body:]))
	default:
		n = binary.BigEndian.Uint32(b[t.body:])
	}
	t.body += width
	if k != kindArray && k != kindMap {
		return t.sized(b, k, n)
	}
	if int64(n) > math.MaxInt32 {
		return token{}, errTooMany // also keeps n an int where an int has 32 bits
	}
	t.kind, t.n, t.end = k, int(n), t.body
	return t, nil
}

// sized sets the content to size bytes at t.body, behind the type of an extension.
func (t token) sized(b []byte, k kind, size uint32) (token, error) {
	if k == kindExt {
		if t.body >= len(b) {
			return token{}, errTruncated
		}
		t.ext = int8(b[t.body])
		t.body++
	}
	if int64(size) > int64(len(b)-t.body) {
		return token{}, errTruncated
	}
	t.kind, t.end = k, t.body+int(size)
	return t, nil
}

// values returns how many values follow a header as its elements.
func (t token) values() int {
	switch t.kind {
	case kindArray:
		return t.n
	case kindMap:
		return 2 * t.n
	default:
		return 0
	}
}

// float returns the value of a float.
func (t token) float(b []byte) float64 {
	if t.kind == kindFloat32 {
		return float64(math.Float32frombits(binary.BigEndian.Uint32(b[t.body:])))
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b[t.body:]))
}

// uint returns the bits of an integer, sign-extended.
func (t token) uint(b []byte) uint64 {
	switch v := b[t.body:t.end]; len(v) {
	case 1:
		if t.kind == kindInt {
			return uint64(int8(v[0]))
		}
		return uint64(v[0])
	case 2:
		if t.kind == kindInt {
			return uint64(int16(binary.BigEndian.Uint16(v)))
		}
		return uint64(binary.BigEndian.Uint16(v))
	case 4:
		if t.kind == kindInt {
			return uint64(int32(binary.BigEndian.Uint32(v)))
		}
		return uint64(binary.BigEndian.Uint32(v))
	default:
		return binary.BigEndian.Uint64(v)
	}
}

var (
	errTooDeep   = fmt.Errorf("nests deeper than %d levels (or refers to itself)", MaxDepth)
	errTooMany   = fmt.Errorf("holds more than %d values: put long series into a []byte", MaxElements)
	errNotFinite = errors.New("holds a float that is NaN or infinite")
	errOverclaim = errors.New("an array or map claims more elements than bytes follow")
	errTrailing  = errors.New("more bytes follow the value")
)

// scanner checks that bytes are one well-formed MessagePack value within the
// limits, before anything is allocated for it. The decoding library trusts the
// lengths that it reads: the five bytes dd ff ff ff ff make it ask for 64 GiB.
//
// It keeps no more than the open containers and can be fed a growing prefix.
type scanner struct {
	pos      int             // the next token
	depth    int             // open containers
	left     [MaxDepth]int32 // values to come in each of them
	elements int
	ext      bool // there is an extension
	huge     bool // there is an integer above the greatest int64
	done     bool // the value is complete
}

// feed reads as many tokens as b, which starts with what it was fed before, holds
// whole.
func (s *scanner) feed(b []byte) error { return s.scan(b, false) }

// finish reads the rest of b, which must be one value.
func (s *scanner) finish(b []byte) error {
	if err := s.scan(b, true); err != nil {
		return err
	}
	if s.pos < len(b) {
		return s.fault(errTrailing)
	}
	return nil
}

func (s *scanner) fault(err error) error { return fmt.Errorf("at byte %d: %w", s.pos, err) }

func (s *scanner) scan(b []byte, whole bool) error {
	for !s.done {
		if s.scalars(b) {
			continue
		}
		t, err := readToken(b, s.pos)
		if errors.Is(err, errTruncated) && !whole {
			return nil
		}
		if err != nil {
			return s.fault(err)
		}
		if (t.kind == kindFloat64 || t.kind == kindFloat32) && !finite(t.float(b)) {
			return s.fault(errNotFinite)
		}
		s.ext = s.ext || t.kind == kindExt
		n := t.values()
		if s.elements++; n > MaxElements-s.elements {
			return s.fault(errTooMany)
		}
		if whole && n > len(b)-t.end {
			return s.fault(errOverclaim)
		}
		if n > 0 {
			if s.depth == MaxDepth {
				return s.fault(errTooDeep)
			}
			s.left[s.depth] = int32(n)
			s.depth++
			s.pos = t.end
			continue
		}
		s.pos = t.end
		s.completed()
	}
	return nil
}

// scalars reads values of the innermost container, as long as they are scalars whose
// first byte tells their size: nearly all are, and are spared readToken. It reports
// whether it read any.
func (s *scanner) scalars(b []byte) bool {
	left := 1
	if s.depth > 0 {
		left = int(s.left[s.depth-1])
	}
	left = min(left, MaxElements-s.elements)
	read, pos := 0, s.pos
	for read < left && pos < len(b) {
		size := int(scalarSizes[b[pos]])
		if size == 0 || size > len(b)-pos {
			break
		}
		s.huge = s.huge || b[pos] == 0xcf && b[pos+1] >= 0x80
		pos += size
		read++
	}
	if read == 0 {
		return false
	}
	s.pos, s.elements = pos, s.elements+read
	if s.depth > 0 {
		s.left[s.depth-1] -= int32(read - 1)
	}
	s.completed()
	return true
}

// scalarSizes are the sizes of the scalars by their first byte, and 0 where that does
// not tell it, and for floats, which need a look.
var scalarSizes = func() (sizes [256]uint8) {
	for c := range sizes {
		switch {
		case c <= 0x7f, c >= 0xe0, c == 0xc0, c == 0xc2, c == 0xc3:
			sizes[c] = 1
		case 0xa0 <= c && c <= 0xbf:
			sizes[c] = 1 + uint8(c&0x1f)
		case 0xcc <= c && c <= 0xcf, 0xd0 <= c && c <= 0xd3:
			sizes[c] = 1 + 1<<(c&0x03)
		}
	}
	return sizes
}()

// completed notes the end of a value, and of the containers that it ends.
func (s *scanner) completed() {
	for s.depth > 0 {
		if s.left[s.depth-1]--; s.left[s.depth-1] > 0 {
			return
		}
		s.depth--
	}
	s.done = true
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }
