package codec

import (
	"bytes"
	"encoding/json"
	"math"
	"math/big"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/nexus-erp/eventstream/internal/campaign"
)

// anyJSON appends a value, with space, escapes, and names that are the same once they
// are read.
func anyJSON(r *rand.Rand, dst []byte, depth int) []byte {
	pick := func(from ...string) string { return from[r.IntN(len(from))] }
	space := func() string { return pick("", "", "", " ", "\n\t", "\r") }
	name := func() string {
		return pick(`"a"`, `"\u0061"`, `"b"`, `"\n"`, `"\u000a"`, `"\/"`, `"/"`, `"é"`, `"\u00e9"`, `"\ud83d\ude00"`, `"😀"`, `"\ud83d"`, `"\udc00"`, `"�"`, `""`, `"\\"`, `"\""`, `"A"`)
	}
	kind := r.IntN(8)
	if depth > 4 && kind >= 4 {
		kind = 1
	}
	dst = append(dst, space()...)
	switch kind {
	case 0:
		dst = append(dst, pick("null", "true", "false")...)
	case 1, 2:
		dst = append(dst, pick("0", "-0", "7", "-1", "127", "128", "255", "256", "65535", "65536", "4294967295", "4294967296",
			"-32", "-33", "-128", "-129", "-32768", "-32769", "-2147483648", "-2147483649",
			"9223372036854775807", "9223372036854775808", "18446744073709551615", "18446744073709551616", "-9223372036854775808", "-9223372036854775809",
			"0.1", "-0.0", "1e2", "1E+2", "1.0", "1e-400", "1e400", "-1e308", "123456789012345678901234567890", "1.7976931348623159e308")...)
	case 3:
		dst = append(dst, name()...)
	case 4, 5:
		dst = append(dst, '[')
		for i := range r.IntN(4) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = anyJSON(r, dst, depth+1)
		}
		dst = append(append(dst, space()...), ']')
	default:
		dst = append(dst, '{')
		for i := range r.IntN(4) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(append(append(dst, space()...), name()...), space()...)
			dst = anyJSON(r, append(dst, ':'), depth+1)
		}
		dst = append(append(dst, space()...), '}')
	}
	return append(dst, space()...)
}

// sound returns what text means, and false if it is no JSON, not UTF-8, or has a name
// twice in one object.
func sound(text []byte) (v any, ok bool) {
	if !json.Valid(text) || !utf8.Valid(text) {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	v, err := readJSON(d)
	return v, err == nil && !twice(v)
}

// asMsgpack returns what MessagePack holds of v, and false if a number is too great.
func asMsgpack(v any) (_ any, ok bool) {
	switch v := v.(type) {
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			f, err := strconv.ParseFloat(v.String(), 64)
			return f, err == nil
		}
		n, _ := new(big.Int).SetString(v.String(), 10)
		return n, n.IsInt64() || n.IsUint64()
	case []any:
		all := []any{}
		for _, e := range v {
			e, ok := asMsgpack(e)
			if !ok {
				return nil, false
			}
			all = append(all, e)
		}
		return all, true
	case object:
		all := object{}
		for _, entry := range v {
			e, ok := asMsgpack(entry[1])
			if !ok {
				return nil, false
			}
			all = append(all, [2]any{entry[0], e})
		}
		return all, true
	default:
		return v, true
	}
}

func compareJSON(t *testing.T, text []byte) (ok bool) {
	t.Helper()
	v, ok := sound(text)
	stored, err := Encode(nil, JSON, Encoded(text))
	if (err == nil) != ok {
		t.Fatalf("storing %q: got %v, a plain reader accepts it: %v", text, err, ok)
	}
	var raw json.RawMessage
	if err := Decode(JSON, "T", 1, text, &raw); (err == nil) != ok {
		t.Fatalf("reading %q: got %v, a plain reader accepts it: %v", text, err, ok)
	}
	data, err := FromJSON(Msgpack, text)
	if !ok {
		if err == nil {
			t.Fatalf("FromJSON(%q) = %x, a plain reader refuses it", text, data)
		}
		return false
	}
	if !bytes.Equal(stored, text) {
		t.Fatalf("%q was stored as %q", text, stored)
	}
	want, fits := asMsgpack(v)
	if (err == nil) != fits {
		t.Fatalf("FromJSON(%q): got %v, all numbers fit: %v", text, err, fits)
	}
	if !fits {
		return true
	}
	got, whole := readReference(data)
	same := cmp.Options{
		cmp.Comparer(func(x, y *big.Int) bool { return x.Cmp(y) == 0 }),
		cmp.Comparer(func(x, y float64) bool { return math.Float64bits(x) == math.Float64bits(y) }),
	}
	if diff := cmp.Diff(want, got, same); diff != "" || !whole {
		t.Fatalf("FromJSON(%q) = %x (-want +got):\n%s", text, data, diff)
	}
	return true
}

// JSON is stored, read and turned into MessagePack exactly if a plain reader of its
// tokens finds one value in UTF-8 without doubles, and it keeps its meaning.
func TestJSONIsReadAsAPlainReaderReadsIt(t *testing.T) {
	t.Parallel()
	n := campaign.Scale(t, campaign.Cases{Short: 2_000, PullRequest: 10_000, Nightly: 500_000})
	passed := 0
	for _, seed := range campaign.Seeds(t, 1) {
		r := campaign.Rand(t, seed)
		for range n {
			text := anyJSON(r, nil, 0)
			if compareJSON(t, text) {
				passed++
			}
			changed := bytes.Clone(text)
			changed[r.IntN(len(changed))] ^= 1 << r.IntN(8)
			compareJSON(t, changed)
			if cut := r.IntN(len(text)); cut > 0 { // nothing at all is the empty payload
				compareJSON(t, text[:cut])
			}
		}
	}
	if passed < n/2 {
		t.Errorf("%d of %d texts passed, want most", passed, n)
	}
	campaign.Count(t, campaign.Damages, 2*n)
}
