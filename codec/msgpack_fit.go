package codec

import (
	"fmt"
	"math"
	"reflect"
)

// fits checks that the integers of the value at b[pos:], which the scanner has passed,
// fit into the Go integers that they are about to be decoded into, and returns where the
// value ends. The library cuts off what does not fit: 300 becomes 44 in an int8, and -1
// the greatest uint64. What does not fit in another way, the decoder refuses itself.
func fits(b []byte, pos int, s *shape) (end int, err error) {
	t, err := readToken(b, pos)
	if err != nil {
		return 0, err
	}
	for s != nil && s.form == formPointer {
		s = s.elem
	}
	switch {
	case s == nil:
	case s.form == formScalar && (t.kind == kindUint || t.kind == kindInt):
		return t.end, t.fits(b, s.typ)
	case s.form == formStruct && t.kind == kindMap:
		return fitsStruct(b, t, s)
	case s.form == formStruct && t.kind == kindArray: // fields by their place
		return fitsParts(b, t, nil, nil)
	case s.form == formMap && t.kind == kindMap:
		return fitsParts(b, t, s.key, s.elem)
	case s.form == formList && t.kind == kindArray:
		return fitsParts(b, t, s.elem, s.elem)
	}
	return fitsParts(b, t, nil, nil)
}

// fitsStruct checks a map that is to become a struct. Names that the struct has not are
// passed over, as the decoder does.
func fitsStruct(b []byte, t token, s *shape) (end int, err error) {
	pos := t.end
	for range t.n {
		name, err := readToken(b, pos)
		if err != nil {
			return 0, err
		}
		if pos, err = fits(b, pos, nil); err != nil {
			return 0, err
		}
		var field *shape
		if name.kind == kindStr {
			field = s.names[string(b[name.body:name.end])]
		}
		if pos, err = fits(b, pos, field); err != nil {
			return 0, fmt.Errorf("%q: %w", b[name.body:name.end], err)
		}
	}
	return pos, nil
}

// fitsParts checks the parts of an array or a map, which are of two shapes in turn.
func fitsParts(b []byte, t token, even, odd *shape) (end int, err error) {
	pos := t.end
	for i := range t.values() {
		s := even
		if i%2 == 1 {
			s = odd
		}
		if pos, err = fits(b, pos, s); err != nil {
			return 0, err
		}
	}
	return pos, nil
}

// fits checks that an integer fits into a Go integer of type into.
func (t token) fits(b []byte, into reflect.Type) error {
	n := t.uint(b)
	negative := t.kind == kindInt && int64(n) < 0
	ok := true
	switch into.Kind() {
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		ok = (negative || n <= math.MaxInt64) && !into.OverflowInt(int64(n))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		ok = !negative && !into.OverflowUint(n)
	}
	if ok {
		return nil
	}
	if negative {
		return fmt.Errorf("the number %d does not fit into a Go %s", int64(n), into)
	}
	return fmt.Errorf("the number %d does not fit into a Go %s", n, into)
}
