package codec

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nexus-erp/eventstream/internal/campaign"
)

// The reference reads MessagePack as its specification is written, one value after the
// other, and keeps all of it. It shares no code with the scanner.

// object is a map, in the order in which it is written.
type object [][2]any

type extension struct {
	kind    int8
	content string
}

type binaryString string

type reference struct {
	left   []byte
	values int
}

// read returns the next value. ok is false if none stands there within the limits.
func (r *reference) read(depth int) (v any, ok bool) {
	r.values++
	first := r.take(1)
	if first == nil || r.values > MaxElements {
		return nil, false
	}
	c := int(first[0])
	switch {
	case c < 0x80:
		return big.NewInt(int64(c)), true
	case c < 0x90:
		return r.object(c-0x80, depth)
	case c < 0xa0:
		return r.array(c-0x90, depth)
	case c < 0xc0:
		return r.text(c - 0xa0)
	case c >= 0xe0:
		return big.NewInt(int64(c - 256)), true
	}
	switch c {
	case 0xc0:
		return nil, true
	case 0xc2:
		return false, true
	case 0xc3:
		return true, true
	case 0xc4, 0xc5, 0xc6:
		b, ok := r.counted(1 << (c - 0xc4))
		return binaryString(b), ok
	case 0xc7, 0xc8, 0xc9:
		n, ok := r.number(1 << (c - 0xc7))
		kind := r.take(1)
		content := r.take(n)
		return newExtension(kind, content, ok)
	case 0xca:
		b := r.take(4)
		if b == nil {
			return nil, false
		}
		f := math.Float32frombits(binary.BigEndian.Uint32(b))
		return f, f-f == 0
	case 0xcb:
		b := r.take(8)
		if b == nil {
			return nil, false
		}
		f := math.Float64frombits(binary.BigEndian.Uint64(b))
		return f, f-f == 0
	case 0xcc, 0xcd, 0xce, 0xcf:
		b := r.take(1 << (c - 0xcc))
		return new(big.Int).SetBytes(b), b != nil
	case 0xd0, 0xd1, 0xd2, 0xd3:
		b := r.take(1 << (c - 0xd0))
		n := new(big.Int).SetBytes(b)
		if b != nil && b[0] >= 0x80 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
		return n, b != nil
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8:
		kind := r.take(1)
		return newExtension(kind, r.take(1<<(c-0xd4)), true)
	case 0xd9, 0xda, 0xdb:
		b, ok := r.counted(1 << (c - 0xd9))
		return string(b), ok
	case 0xdc, 0xdd:
		n, ok := r.number(2 << (c - 0xdc))
		if !ok {
			return nil, false
		}
		return r.array(n, depth)
	case 0xde, 0xdf:
		n, ok := r.number(2 << (c - 0xde))
		if !ok {
			return nil, false
		}
		return r.object(n, depth)
	}
	return nil, false
}

// take returns the next n bytes, and nil if there are not as many.
func (r *reference) take(n int) []byte {
	if n > len(r.left) {
		return nil
	}
	b := r.left[:n:n]
	r.left = r.left[n:]
	return b
}

func (r *reference) number(width int) (n int, ok bool) {
	b := r.take(width)
	for _, c := range b {
		n = n<<8 | int(c)
	}
	return n, b != nil
}

func (r *reference) counted(width int) (b []byte, ok bool) {
	n, ok := r.number(width)
	b = r.take(n)
	return b, ok && b != nil
}

func (r *reference) text(n int) (any, bool) {
	b := r.take(n)
	return string(b), b != nil
}

func newExtension(kind, content []byte, ok bool) (any, bool) {
	if !ok || kind == nil || content == nil {
		return nil, false
	}
	return extension{int8(kind[0]), string(content)}, true
}

func (r *reference) array(n, depth int) (any, bool) {
	all := []any{}
	if n > 0 && depth == MaxDepth {
		return nil, false
	}
	for range n {
		v, ok := r.read(depth + 1)
		if !ok {
			return nil, false
		}
		all = append(all, v)
	}
	return all, true
}

func (r *reference) object(n, depth int) (any, bool) {
	all := object{}
	if n > 0 && depth == MaxDepth {
		return nil, false
	}
	for range n {
		key, ok := r.read(depth + 1)
		if !ok {
			return nil, false
		}
		value, ok := r.read(depth + 1)
		if !ok {
			return nil, false
		}
		all = append(all, [2]any{key, value})
	}
	return all, true
}

func readReference(data []byte) (any, bool) {
	r := reference{left: data}
	v, ok := r.read(0)
	return v, ok && len(r.left) == 0
}

// twice reports whether a map within v has two keys of the same value: the same number
// in whatever form, the same bytes as text or binary.
func twice(v any) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, twice)
	case object:
		seen := make(map[string]bool)
		for _, entry := range v {
			name := keyName(entry[0])
			if seen[name] || twice(entry[1]) {
				return true
			}
			seen[name] = true
		}
	}
	return false
}

func keyName(v any) string {
	switch v := v.(type) {
	case *big.Int:
		return "number " + v.String()
	case float32:
		return keyName(float64(v))
	case float64:
		if n, exact := new(big.Float).SetFloat64(v).Int(nil); exact == big.Exact && n.IsInt64() {
			return "number " + n.String()
		}
		return "float " + strconv.FormatFloat(v, 'g', -1, 64)
	case string:
		return "text " + v
	case binaryString:
		return "text " + string(v)
	case extension:
		return fmt.Sprintf("extension %d %q", v.kind, v.content)
	default:
		return fmt.Sprintf("%T %v", v, v)
	}
}

// oddKeys reports whether an array or a map within v is a key. Nothing in Go decodes
// those, and they are told apart by their bytes.
func oddKeys(v any) bool {
	switch v := v.(type) {
	case []any:
		return slices.ContainsFunc(v, oddKeys)
	case object:
		return slices.ContainsFunc(v, func(entry [2]any) bool {
			switch entry[0].(type) {
			case []any, object:
				return true
			}
			return oddKeys(entry[1])
		})
	}
	return false
}

// jsonOf returns what ToJSON has to write of v, read again by readJSON.
func jsonOf(v any) any {
	switch v := v.(type) {
	case *big.Int:
		return json.Number(v.String())
	case float32:
		return json.Number(string(appendJSONFloat(nil, float64(v), 32)))
	case float64:
		return json.Number(string(appendJSONFloat(nil, v, 64)))
	case string:
		return strings.ToValidUTF8(eachByte(v), "\ufffd")
	case binaryString:
		return base64.StdEncoding.EncodeToString([]byte(v))
	case extension:
		t := token{kind: kindExt, ext: v.kind, end: len(v.content)}
		if at, ok := t.time([]byte(v.content)); ok {
			return at.Format("2006-01-02T15:04:05.999999999Z07:00")
		}
		return base64.StdEncoding.EncodeToString([]byte(v.content))
	case []any:
		all := []any{}
		for _, e := range v {
			all = append(all, jsonOf(e))
		}
		return all
	case object:
		all := object{}
		for _, e := range v {
			all = append(all, [2]any{nameInJSON(e[0]), jsonOf(e[1])})
		}
		return all
	default:
		return v
	}
}

// eachByte makes each byte that is no UTF-8 one of its own for ToValidUTF8, which takes
// a run of them for one.
func eachByte(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteRune(r)
	}
	return b.String()
}

func nameInJSON(v any) string {
	switch v := jsonOf(v).(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case nil, bool:
		return fmt.Sprint(map[any]string{nil: "null", true: "true", false: "false"}[v])
	default:
		return string(appendPlain(nil, v))
	}
}

// appendPlain writes what jsonOf returned, by the standard library's rules for strings.
func appendPlain(dst []byte, v any) []byte {
	switch v := v.(type) {
	case []any:
		dst = append(dst, '[')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendPlain(dst, e)
		}
		return append(dst, ']')
	case object:
		dst = append(dst, '{')
		for i, e := range v {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendPlain(append(appendPlain(dst, e[0]), ':'), e[1])
		}
		return append(dst, '}')
	case string:
		return appendJSONString(dst, []byte(v))
	default:
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return append(dst, b...)
	}
}

// readJSON reads JSON and keeps the order and the doubles of objects.
func readJSON(d *json.Decoder) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('['):
		all := []any{}
		for d.More() {
			v, err := readJSON(d)
			if err != nil {
				return nil, err
			}
			all = append(all, v)
		}
		_, err := d.Token()
		return all, err
	case json.Delim('{'):
		all := object{}
		for d.More() {
			name, err := d.Token()
			if err != nil {
				return nil, err
			}
			v, err := readJSON(d)
			if err != nil {
				return nil, err
			}
			all = append(all, [2]any{name, v})
		}
		_, err := d.Token()
		return all, err
	}
	return t, nil
}

// anyMsgpack appends a value, often with a form that is wider than it has to be.
func anyMsgpack(r *rand.Rand, dst []byte, depth int) []byte {
	kind := r.IntN(14)
	if depth > 5 && kind >= 10 {
		kind = 0
	}
	some := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = []byte{0, 1, 'a', 'b', '"', '\\', 0x7f, 0x80, 0xc3, 0xa9, 0xff}[r.IntN(11)]
		}
		return b
	}
	small := r.IntN(4)
	switch kind {
	case 0:
		return append(dst, byte(r.IntN(3)))
	case 1:
		return append(dst, byte(0xff-r.IntN(3)))
	case 2, 3: // a number below 256 in any width
		code := 0xcc + r.IntN(8)
		wide := make([]byte, 1<<(code&3))
		if r.IntN(3) == 0 {
			wide = bytes.Repeat([]byte{0xff}, len(wide))
		}
		wide[len(wide)-1] = byte(r.IntN(3)) - 1
		return append(append(dst, byte(code)), wide...)
	case 4:
		return append(dst, []byte{0xc0, 0xc2, 0xc3}[r.IntN(3)])
	case 5:
		f := []float64{0, math.Copysign(0, -1), 1, -1, 1.5, 1e300, 1e21, 5e-324, 1 << 53, 1 << 63}[r.IntN(10)]
		if r.IntN(2) == 0 {
			return binary.BigEndian.AppendUint64(append(dst, 0xcb), math.Float64bits(f))
		}
		return binary.BigEndian.AppendUint32(append(dst, 0xca), math.Float32bits(float32(min(f, 1e30))))
	case 6:
		return append(append(dst, byte(0xa0+small)), some(small)...)
	case 7:
		return append(append(dst, 0xd9, byte(small)), some(small)...)
	case 8:
		return append(append(dst, 0xc5, 0, byte(small)), some(small)...)
	case 9:
		n := []int{1, 2, 4, 8, 12}[r.IntN(5)]
		return append(append(dst, 0xc7, byte(n), []byte{0xff, 0, 5}[r.IntN(3)]), some(n)...)
	case 10:
		dst = append(dst, byte(0x90+small))
	case 11:
		dst = append(dst, 0xdc, 0, byte(small))
	case 12:
		dst, small = append(dst, byte(0x80+small)), 2*small
	default:
		dst, small = append(dst, 0xdf, 0, 0, 0, byte(small)), 2*small
	}
	for range small {
		dst = anyMsgpack(r, dst, depth+1)
	}
	return dst
}

func compareWithReference(t *testing.T, data []byte) (whole bool) {
	t.Helper()
	var s scanner
	err := s.finish(data)
	want, ok := readReference(data)
	if (err == nil) != ok {
		t.Fatalf("scan of %x: %v, the reference accepts it: %v", data, err, ok)
	}
	if !ok {
		return false
	}
	if _, err := Encode(nil, Msgpack, Encoded(data)); !oddKeys(want) && (err == nil) == twice(want) {
		t.Fatalf("encoding %x as it is: error %v, a key occurs twice: %v", data, err, twice(want))
	}
	text, exact, err := ToJSON(Msgpack, data)
	if err != nil {
		t.Fatalf("ToJSON(%x): %v", data, err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	got, err := readJSON(d)
	if err != nil {
		t.Fatalf("ToJSON(%x) = %s: %v", data, text, err)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Fatalf("ToJSON(%x) = %s: more behind it, error %v", data, text, err)
	}
	if diff := cmp.Diff(jsonOf(want), got); diff != "" {
		t.Fatalf("ToJSON(%x) = %s (-want +got):\n%s", data, text, diff)
	}
	if again, err := FromJSON(Msgpack, text); exact != (err == nil && bytes.Equal(again, data)) {
		t.Fatalf("ToJSON(%x): exact is %v, and FromJSON makes %x, %v of it", data, exact, again, err)
	}
	return true
}

// The scanner accepts what a plain reader of the specification does, and no more; what
// it accepts is stored unless a key occurs twice, and has the same meaning as JSON.
func TestMsgpackIsReadAsAPlainReaderReadsIt(t *testing.T) {
	t.Parallel()
	n := campaign.Scale(t, campaign.Cases{Short: 2_000, PullRequest: 10_000, Nightly: 500_000})
	whole := 0
	for _, seed := range campaign.Seeds(t, 1) {
		r := campaign.Rand(t, seed)
		for range n {
			data := anyMsgpack(r, nil, 0)
			if !compareWithReference(t, data) {
				t.Fatalf("%x: refused, and it was well made", data)
			}
			data[r.IntN(len(data))] ^= 1 << r.IntN(8)
			if compareWithReference(t, data) {
				whole++
			}
			compareWithReference(t, data[:r.IntN(len(data))])
		}
	}
	if whole == 0 {
		t.Error("no value passed after a flip, want many: most flips are of content")
	}
	campaign.Count(t, campaign.Damages, 2*n)
}

// All inputs of up to two bytes, and of three that begin with what is not a number.
func TestShortMsgpackIsReadAsAPlainReaderReadsIt(t *testing.T) {
	t.Parallel()
	compareWithReference(t, nil)
	third := campaign.Scale(t, campaign.Cases{Short: 64, PullRequest: 16, Nightly: 1})
	for a := range 256 {
		compareWithReference(t, []byte{byte(a)})
		for b := range 256 {
			compareWithReference(t, []byte{byte(a), byte(b)})
			for c := 0; c < 256 && a >= 0x80 && a < 0xe0; c += third {
				compareWithReference(t, []byte{byte(a), byte(b), byte(c)})
			}
		}
	}
}
