package codec

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/vmihailenco/msgpack/v5"
)

// The library writes map[string]string, map[string]bool and the top of a
// map[string]any in the order of their keys, and every other map in Go's random
// order. A payload must always encode to the same bytes, or an append that is
// tried again would differ from the first. So a payload whose Go type may hold
// other maps gets its maps sorted after encoding, those that were structs
// included, since they look the same by then. Other payloads keep their structs'
// fields in the order of declaration, at no cost.

// mapSorter puts the maps of a well-formed value into the order of their keys:
// strings first, by their bytes, then the rest, by theirs.
type mapSorter struct {
	b     []byte
	move  bool
	pairs []pair // of the maps around the current value, outermost first
	spare []byte
}

// pair is a map's entry: its key is b[key:value], its value b[value:end].
type pair struct{ key, value, end int }

// sort sorts the maps of b in place. A key that occurs twice is an error: two Go
// keys, as int8(1) and int64(1), may be the same number.
func (s *mapSorter) sort(b []byte) error { return s.run(b, true) }

// distinct reports a key that occurs twice, and leaves b as it is.
func (s *mapSorter) distinct(b []byte) error { return s.run(b, false) }

func (s *mapSorter) run(b []byte, move bool) error {
	s.b, s.move, s.pairs = b, move, s.pairs[:0]
	_, err := s.value(0)
	s.b = nil
	if cap(s.spare) > keepBytes || cap(s.pairs) > keepBytes/16 {
		s.spare, s.pairs = nil, nil
	}
	return err
}

// value handles the value at pos and returns where it ends. Depth is bounded, the
// scanner was here before.
func (s *mapSorter) value(pos int) (end int, err error) {
	t, err := readToken(s.b, pos)
	if err != nil {
		return 0, err
	}
	if t.kind == kindMap {
		return s.entries(t)
	}
	pos = t.end
	for range t.values() {
		if pos, err = s.value(pos); err != nil {
			return 0, err
		}
	}
	return pos, nil
}

func (s *mapSorter) entries(t token) (end int, err error) {
	base, pos := len(s.pairs), t.end
	for range t.n {
		p := pair{key: pos}
		if p.value, err = s.value(p.key); err != nil {
			return 0, err
		}
		if p.end, err = s.value(p.value); err != nil {
			return 0, err
		}
		pos = p.end
		s.pairs = append(s.pairs, p)
	}
	pairs := s.pairs[base:]
	s.pairs = s.pairs[:base]
	if slices.IsSortedFunc(pairs, s.compare) {
		return pos, s.twice(pairs)
	}
	slices.SortFunc(pairs, s.compare)
	if err := s.twice(pairs); err != nil {
		return 0, err
	}
	if s.move {
		s.spare = s.spare[:0]
		for _, p := range pairs {
			s.spare = append(s.spare, s.b[p.key:p.end]...)
		}
		copy(s.b[t.end:], s.spare)
	}
	return pos, nil
}

func (s *mapSorter) compare(x, y pair) int {
	kx, _ := readToken(s.b, x.key) // value has read both
	ky, _ := readToken(s.b, y.key)
	switch {
	case kx.kind == kindStr && ky.kind == kindStr:
		return bytes.Compare(s.b[kx.body:kx.end], s.b[ky.body:ky.end])
	case kx.kind == kindStr:
		return -1
	case ky.kind == kindStr:
		return +1
	default:
		return bytes.Compare(s.b[x.key:x.value], s.b[y.key:y.value])
	}
}

// twice reports a key that occurs twice in sorted pairs: among neighbours, or in two
// forms of the same, as a number in one byte and in two.
func (s *mapSorter) twice(pairs []pair) error {
	for i := 1; i < len(pairs); i++ {
		if s.compare(pairs[i-1], pairs[i]) == 0 {
			return s.twiceError(pairs[i])
		}
	}
	var buf [16]byte
	forms := func(p pair) bool { return !bytes.Equal(s.key(buf[:0], p), s.b[p.key:p.value]) }
	if !slices.ContainsFunc(pairs, forms) {
		return nil
	}
	seen := make(map[string]bool, len(pairs))
	for _, p := range pairs {
		key := string(s.key(nil, p))
		if seen[key] {
			return s.twiceError(p)
		}
		seen[key] = true
	}
	return nil
}

func (s *mapSorter) twiceError(p pair) error {
	k, _ := readToken(s.b, p.key) // value has read it
	if k.kind == kindStr {
		return fmt.Errorf("at byte %d: key %q occurs twice in one map", k.start, s.b[k.body:k.end])
	}
	return fmt.Errorf("at byte %d: key 0x%x occurs twice in one map", k.start, s.b[p.key:p.value])
}

// key appends a pair's key in the form that all of the same value have: what decoders
// take for the same key, whatever its width, and whether it is text or bytes.
func (s *mapSorter) key(dst []byte, p pair) []byte {
	k, _ := readToken(s.b, p.key)
	switch k.kind {
	case kindUint:
		return appendMsgpackUint(dst, k.uint(s.b))
	case kindInt:
		return appendMsgpackInt(dst, int64(k.uint(s.b)))
	case kindFloat32, kindFloat64:
		f := k.float(s.b)
		if f == math.Trunc(f) && math.Abs(f) < 1<<63 {
			return appendMsgpackInt(dst, int64(f))
		}
		return binary.BigEndian.AppendUint64(append(dst, 0xcb), math.Float64bits(f))
	case kindStr, kindBin:
		return appendMsgpackString(dst, s.b[k.body:k.end])
	case kindExt:
		return append(append(dst, 0xc7, byte(k.ext)), s.b[k.body:k.end]...)
	default:
		return append(dst, s.b[p.key:p.value]...)
	}
}

// keyOrder caches inKeyOrder by type, as the library caches its encoders.
var keyOrder sync.Map

// inKeyOrder reports whether the library writes every map of a value of type t in
// the order of its keys.
func inKeyOrder(t reflect.Type) bool {
	if known, ok := keyOrder.Load(t); ok {
		return known.(bool)
	}
	ok := !mayHoldMaps(t, map[reflect.Type]bool{})
	keyOrder.Store(t, ok)
	return ok
}

var (
	timeType          = reflect.TypeFor[time.Time]()
	stringType        = reflect.TypeFor[string]()
	boolType          = reflect.TypeFor[bool]()
	customEncoderType = reflect.TypeFor[msgpack.CustomEncoder]()
	marshalerType     = reflect.TypeFor[msgpack.Marshaler]()
	binaryType        = reflect.TypeFor[encoding.BinaryMarshaler]()
	textType          = reflect.TypeFor[encoding.TextMarshaler]()
)

// mayHoldMaps reports whether a value of type t may hold a map that the library
// does not sort, now or behind an interface or a method of its own.
func mayHoldMaps(t reflect.Type, seen map[reflect.Type]bool) bool {
	if seen[t] || t == timeType {
		return false
	}
	seen[t] = true
	implements := func(i reflect.Type) bool { return t.Implements(i) || reflect.PointerTo(t).Implements(i) }
	if implements(customEncoderType) || implements(marshalerType) {
		return true
	}
	if implements(binaryType) || implements(textType) {
		return false
	}
	switch t.Kind() {
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return mayHoldMaps(t.Elem(), seen)
	case reflect.Map:
		return t.Key() != stringType || (t.Elem() != stringType && t.Elem() != boolType)
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if (f.IsExported() || f.Anonymous) && mayHoldMaps(f.Type, seen) {
				return true
			}
		}
	}
	return false
}
