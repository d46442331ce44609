package codec

import (
	"encoding/binary"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/nexus-erp/eventstream/keys"
)

// Fingerprint identifies the shape of a Go type: two types of one shape have the same
// one. Snapshots carry that of the state that they hold.
type Fingerprint uint64

// String returns f as 16 hex digits.
func (f Fingerprint) String() string {
	digits := strconv.FormatUint(uint64(f), 16)
	return strings.Repeat("0", 16-len(digits)) + digits
}

// fingerprintDomain keeps fingerprints apart from a later way to compute them, which
// would make every snapshot one of another type.
const fingerprintDomain = "eventstream/shape/1\x00"

// FingerprintOf returns the fingerprint of t as codec id encodes it: the names of its
// fields as encoded, and their types, to the bottom. The order of fields and the names
// of Go types do not matter, but for those of types that encode themselves. schema is
// the user's own version of what t means, for changes that its shape does not show.
func FingerprintOf(t reflect.Type, id ID, schema keys.SchemaVersion) Fingerprint {
	p := shapePrinter{open: make(map[*shape]int)}
	p.print(shapeOf(t, id))
	b := append([]byte(fingerprintDomain), byte(id))
	b = binary.BigEndian.AppendUint32(b, uint32(schema))
	return Fingerprint(xxhash.Sum64(append(b, p.out.String()...)))
}

// CheckState reports why a value of type t, encoded by codec id and decoded again, may
// not be what it was, one text for each part at fault: fields that are not exported,
// interfaces, functions. An empty result is what a type needs whose values are kept.
func CheckState(t reflect.Type, id ID) []string {
	if id == Raw {
		if rawType(t) {
			return nil
		}
		return []string{"the raw codec takes bytes and texts alone"}
	}
	return shapeOf(t, id).check(id, true)
}

// shapePrinter writes a shape as a text.
type shapePrinter struct {
	out  strings.Builder
	open map[*shape]int // the shapes around the current one, by depth
}

func (p *shapePrinter) print(s *shape) {
	if depth, ok := p.open[s]; ok {
		p.out.WriteString("^" + strconv.Itoa(len(p.open)-depth))
		return
	}
	p.open[s] = len(p.open)
	defer delete(p.open, s)
	switch s.form {
	case formScalar:
		p.out.WriteString(s.typ.Kind().String())
	case formBytes:
		p.out.WriteString("bytes")
	case formTime:
		p.out.WriteString("time")
	case formOpaque:
		p.out.WriteString("own:" + s.typ.PkgPath() + "." + s.typ.Name())
	case formAny:
		p.out.WriteString("any")
	case formPointer:
		p.out.WriteString("*")
		p.print(s.elem)
	case formList:
		p.out.WriteString("[]")
		p.print(s.elem)
	case formMap:
		p.out.WriteString("map[")
		p.print(s.key)
		p.out.WriteString("]")
		p.print(s.elem)
	case formStruct:
		fields := slices.SortedFunc(slices.Values(s.fields), func(a, b shapeField) int { return strings.Compare(a.name, b.name) })
		p.out.WriteString("{")
		for i := range fields {
			p.out.WriteString(strconv.Quote(fields[i].name) + ":")
			p.print(fields[i].shape)
			p.out.WriteString(";")
		}
		p.out.WriteString("}")
	default:
		p.out.WriteString(s.typ.Kind().String())
	}
}

var byteType = reflect.TypeFor[byte]()

// rawType reports whether the raw codec takes values of type t: bytes and texts, under
// whatever name.
func rawType(t reflect.Type) bool {
	return t.Kind() == reflect.String || t.Kind() == reflect.Slice && t.Elem() == byteType
}
