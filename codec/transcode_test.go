package codec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream/codec"
)

func TestToJSON(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		id    codec.ID
		data  string
		want  string
		exact bool
	}{
		{"nil", codec.Msgpack, "\xc0", "null", true},
		{"booleans", codec.Msgpack, "\x92\xc2\xc3", "[false,true]", true},
		{"an empty map and array", codec.Msgpack, "\x92\x80\x90", "[{},[]]", true},
		{"order as it stands", codec.Msgpack, "\x82\xa1b\x01\xa1a\x02", `{"b":1,"a":2}`, true},
		{"the greatest unsigned integer", codec.Msgpack, "\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615", true},
		{"the smallest integer", codec.Msgpack, "\xd3\x80\x00\x00\x00\x00\x00\x00\x00", "-9223372036854775808", true},
		{"small negative integers", codec.Msgpack, "\x93\xff\xe0\xd0\xdf", "[-1,-32,-33]", true},
		{"an integer wider than needed", codec.Msgpack, "\xcd\x00\x05", "5", false},
		{"a positive signed integer", codec.Msgpack, "\xd1\x01\x00", "256", false},
		{"negative integers of 16 and 32 bits", codec.Msgpack, "\x92\xd1\xff\x00\xd2\xff\xff\x00\x00", "[-256,-65536]", true},
		{"unsigned integers of 16 and 32 bits", codec.Msgpack, "\x92\xcd\x01\x00\xce\x00\x01\x00\x00", "[256,65536]", true},
		{"a whole float", codec.Msgpack, "\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00", "1.0", true},
		{"minus zero", codec.Msgpack, "\xcb\x80\x00\x00\x00\x00\x00\x00\x00", "-0.0", true},
		{"a tenth", codec.Msgpack, "\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a", "0.1", true},
		{"a large float", codec.Msgpack, "\xcb\x54\xb2\x49\xad\x25\x94\xc3\x7d", "1e+100", true},
		{"a float of 32 bits", codec.Msgpack, "\xca\x3d\xcc\xcc\xcd", "0.1", false},
		{"text with escapes", codec.Msgpack, "\xac\"\\\n\r\t\x01<&>\xc3\xa9\x7f", `"\"\\\n\r\t\u0001<&>é` + "\x7f\"", true},
		{"line separators", codec.Msgpack, "\xa3\u2028", "\"\u2028\"", true},
		{"the replacement character itself", codec.Msgpack, "\xa3\uFFFD", "\"\uFFFD\"", true},
		{"text that is not UTF-8", codec.Msgpack, "\xa2a\xff", "\"a\uFFFD\"", false},
		{"text in a longer form", codec.Msgpack, "\xd9\x01a", `"a"`, false},
		{"bytes", codec.Msgpack, "\xc4\x02\xfb\xff", `"+/8="`, false},
		{"a time in seconds", codec.Msgpack, "\xd6\xff\x69\x22\x9a\x80", `"2025-11-23T05:24:16Z"`, false},
		{"a time in nanoseconds", codec.Msgpack, "\xd7\xff\x00\x00\x00\x04\x00\x00\x00\x00", `"1970-01-01T00:00:00.000000001Z"`, false},
		{"a time before 1970", codec.Msgpack, "\xc7\x0c\xff\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff", `"1969-12-31T23:59:59Z"`, false},
		{"a time beyond the year 9999", codec.Msgpack, "\xc7\x0c\xff\x00\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff", `"AAAAAH//////////"`, false},
		{"a timestamp of an odd length", codec.Msgpack, "\xd4\xff\x01", `"AQ=="`, false},
		{"another extension", codec.Msgpack, "\xd5\x05\x01\x02", `"AQI="`, false},
		{"keys that are no strings", codec.Msgpack, "\x84\x01\x01\xc3\x02\xc4\x01\xff\x03\x91\xa1a\x04", `{"1":1,"true":2,"/w==":3,"[\"a\"]":4}`, false},
		{"nothing in msgpack", codec.Msgpack, "", "null", false},
		{"nothing in JSON", codec.JSON, "", "null", false},
		{"compact JSON", codec.JSON, `{"b":1.10,"a":"<"}`, `{"b":1.10,"a":"<"}`, true},
		{"JSON with space", codec.JSON, `{ "b": 1 }`, `{"b":1}`, false},
		{"a large JSON number", codec.JSON, `123456789012345678901234567890`, `123456789012345678901234567890`, true},
		{"raw bytes", codec.Raw, "{}", "", false},
		{"no raw bytes", codec.Raw, "", "", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, exact, err := codec.ToJSON(tt.id, []byte(tt.data))
			if err != nil || string(got) != tt.want || exact != tt.exact {
				t.Fatalf("ToJSON = %s, exact %v, %v, want %s, exact %v", got, exact, err, tt.want, tt.exact)
			}
			if len(got) > 0 && !json.Valid(got) {
				t.Errorf("ToJSON gave %s, want valid JSON", got)
			}
			if again, err := codec.FromJSON(tt.id, got); exact && (err != nil || string(again) != tt.data) {
				t.Errorf("FromJSON = %q, %v, want %q", again, err, tt.data)
			}
		})
	}
}

func TestToJSONRefusesDamage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		id   codec.ID
		data string
	}{
		{codec.Msgpack, "\x92\x01"},
		{codec.Msgpack, "\x01\x01"},
		{codec.Msgpack, "\xc1"},
		{codec.JSON, "{"},
		{codec.JSON, "1 2"},
	} {
		got, exact, err := codec.ToJSON(tt.id, []byte(tt.data))
		var e *codec.Error
		if got != nil || exact || !errors.As(err, &e) || e.Op != "decode" {
			t.Errorf("ToJSON(%s, %q) = %s, %v, %v, want nothing and an *Error of decoding", tt.id, tt.data, got, exact, err)
		}
	}
}

func TestFromJSON(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		id   codec.ID
		text string
		want string
	}{
		{codec.Msgpack, "", ""},
		{codec.JSON, "", ""},
		{codec.Raw, "", ""},
		{codec.Msgpack, " null ", "\xc0"},
		{codec.Msgpack, " { \"b\" : [ 1 , true , false ] , \"a\" : { } } ", "\x82\xa1b\x93\x01\xc3\xc2\xa1a\x80"},
		{codec.Msgpack, `-0`, "\x00"},
		{codec.Msgpack, `1e2`, "\xcb\x40\x59\x00\x00\x00\x00\x00\x00"},
		{codec.Msgpack, `1.0`, "\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00"},
		{codec.Msgpack, `-9223372036854775808`, "\xd3\x80\x00\x00\x00\x00\x00\x00\x00"},
		{codec.Msgpack, `18446744073709551615`, "\xcf\xff\xff\xff\xff\xff\xff\xff\xff"},
		{codec.Msgpack, `"\u00e9\ud83d\ude00\/"`, "\xa7é😀/"},
		{codec.Msgpack, `"\\"`, "\xa1\\"},
		{codec.Msgpack, `[]`, "\x90"},
		{codec.JSON, " { \"b\" : 1.10 } ", `{"b":1.10}`},
	} {
		got, err := codec.FromJSON(tt.id, []byte(tt.text))
		if err != nil || string(got) != tt.want {
			t.Errorf("FromJSON(%s, %s) = %q, %v, want %q", tt.id, tt.text, got, err, tt.want)
		}
	}
}

func TestFromJSONRefuses(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", codec.MaxDepth+1) + strings.Repeat("]", codec.MaxDepth+1)
	many := "[" + strings.Repeat("1,", codec.MaxElements) + "1]"
	keys := `{"a":1` + strings.Repeat(`,"a":1`, codec.MaxElements/2) + "}"
	for _, tt := range []struct {
		name string
		id   codec.ID
		text string
		want string
	}{
		{"an integer of more than 64 bits", codec.Msgpack, `[18446744073709551616]`, "write it as a string"},
		{"a negative one", codec.Msgpack, `-9223372036854775809`, "write it as a string"},
		{"a float beyond 64 bits", codec.Msgpack, `1e999`, "exceeds a 64-bit float"},
		{"a name twice", codec.Msgpack, `{"a":1,"a":2}`, "twice"},
		{"a name twice, once escaped", codec.JSON, `{"a":1,"\u0061":2}`, "twice"},
		{"what is no JSON", codec.Msgpack, `{`, "not valid JSON"},
		{"trailing text", codec.Msgpack, `1 1`, "not valid JSON"},
		{"what is not UTF-8", codec.Msgpack, "\"\xff\"", "UTF-8"},
		{"deep nesting in msgpack", codec.Msgpack, deep, "deeper"},
		{"deep nesting in JSON", codec.JSON, deep, "deeper"},
		{"many values", codec.Msgpack, many, "more than"},
		{"many keys", codec.JSON, keys, "more than"},
		{"a raw payload", codec.Raw, `1`, "not JSON"},
	} {
		got, err := codec.FromJSON(tt.id, []byte(tt.text))
		var e *codec.Error
		if got != nil || !errors.As(err, &e) || e.Op != "encode" || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %d bytes, error %v, want an *Error with %q", tt.name, len(got), err, tt.want)
		}
	}
}

func TestContainersOfEverySizeConvertExactly(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 15, 16, 17, 255, 256, 65535, 65536, 99_999} {
		array := make([]int, n)
		checkExact(t, mustEncode(t, codec.Msgpack, array))
		if n <= codec.MaxElements/2-1 {
			checkExact(t, mustEncode(t, codec.Msgpack, filled(n, text, itself)))
		}
	}
	for _, n := range []int{0, 31, 32, 255, 256, 65535, 65536} {
		checkExact(t, mustEncode(t, codec.Msgpack, []string{strings.Repeat("é", n), strings.Repeat("x", n)}))
	}
}

func checkExact(t *testing.T, data []byte) {
	t.Helper()
	if _, exact, err := codec.ToJSON(codec.Msgpack, data); err != nil || !exact {
		t.Errorf("ToJSON of %d bytes: exact %v, %v, want exact", len(data), exact, err)
	}
}

// values draws what an event could hold, with floats up to limit.
func values(limit float64) *rapid.Generator[any] {
	scalar := rapid.OneOf(
		rapid.Just[any](nil),
		asAny(rapid.Bool()),
		asAny(rapid.Int64()),
		asAny(rapid.Uint64()),
		asAny(rapid.Float64Range(-limit, limit)),
		asAny(rapid.String()),
	)
	v := scalar
	for range 4 {
		v = rapid.OneOf(scalar, asAny(rapid.SliceOfN(v, 0, 20)), asAny(rapid.MapOfN(rapid.String(), v, 0, 20)))
	}
	return v
}

func asAny[T any](g *rapid.Generator[T]) *rapid.Generator[any] {
	return rapid.Map(g, func(v T) any { return v })
}

func TestMsgpackGoesThroughJSONExactly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		data, err := codec.Encode(nil, codec.Msgpack, values(math.MaxFloat64).Draw(t, "value"))
		if err != nil {
			t.Fatal(err)
		}
		text, exact, err := codec.ToJSON(codec.Msgpack, data)
		if len(data) > 0 && (err != nil || !exact || !json.Valid(text)) {
			t.Fatalf("ToJSON(%x) = %s, exact %v, %v, want exact", data, text, exact, err)
		}
	})
}

func TestJSONGoesThroughMsgpackWithTheSameMeaning(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		value := values(1<<53).Draw(t, "value") // encoding/json writes greater floats as integers of any size
		if value == nil {
			return // an empty payload
		}
		want, err := codec.Encode(nil, codec.JSON, value)
		if err != nil {
			t.Fatal(err)
		}
		data, err := codec.FromJSON(codec.Msgpack, want)
		if err != nil {
			t.Fatalf("FromJSON(%s): %v", want, err)
		}
		got, _, err := codec.ToJSON(codec.Msgpack, data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(meaning(t, want), meaning(t, got)); diff != "" {
			t.Fatalf("%s became %s:\n%s", want, got, diff)
		}
	})
}

// meaning decodes JSON, with numbers as exact as they can be compared.
func meaning(t *rapid.T, text []byte) any {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	var norm func(v any) any
	norm = func(v any) any {
		switch v := v.(type) {
		case json.Number:
			if i, err := v.Int64(); err == nil {
				return i
			}
			f, err := v.Float64()
			if err != nil {
				t.Fatal(err)
			}
			if f == math.Trunc(f) && math.Abs(f) < 1<<53 {
				return int64(f)
			}
			return f
		case []any:
			for i := range v {
				v[i] = norm(v[i])
			}
		case map[string]any:
			for k := range v {
				v[k] = norm(v[k])
			}
		}
		return v
	}
	return norm(v)
}

// FuzzTranscode feeds anything to all four ways through the transcoder: nothing
// may panic, JSON must be valid and in one line, and exact must be true.
func FuzzTranscode(f *testing.F) {
	f.Add([]byte("\x82\xa1b\xd6\xff\x69\x22\x9a\x80\xa1a\xc4\x01\xff"))
	f.Add([]byte(`{"b":[1,-1,1.5,"x\u00e9\n",null,true],"a":{}}`))
	f.Add([]byte(`18446744073709551616`))
	f.Add([]byte("\x81\x81\x01\x02\xca\x3d\xcc\xcc\xcd"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		for _, id := range []codec.ID{codec.Msgpack, codec.JSON, codec.Raw} {
			text, exact, err := codec.ToJSON(id, data)
			if err == nil && id != codec.Raw {
				if !json.Valid(text) || bytes.ContainsAny(text, "\n\r") {
					t.Errorf("ToJSON(%s, %x) = %q, want one line of valid JSON", id, data, text)
				}
				if again, err := codec.FromJSON(id, text); exact && (err != nil || !bytes.Equal(again, data)) {
					t.Errorf("FromJSON(%s, %s) = %x, %v, want %x, since ToJSON said exact", id, text, again, err, data)
				}
			}
			made, err := codec.FromJSON(id, data)
			if err != nil || len(made) == 0 {
				continue
			}
			if _, err := codec.Encode(nil, id, codec.Encoded(made)); err != nil {
				t.Errorf("FromJSON(%s, %s) made %x, which is refused: %v", id, data, made, err)
			}
			if _, exact, err := codec.ToJSON(id, made); err != nil || !exact {
				t.Errorf("FromJSON(%s, %s) made %x, which goes back exact %v, %v, want exact", id, data, made, exact, err)
			}
		}
	})
}

func TestPostingsRoundTripAsText(t *testing.T) {
	t.Parallel()
	data := mustEncode(t, codec.Msgpack, examplePosting())
	text, exact, err := codec.ToJSON(codec.Msgpack, data)
	want := `{"account":"1000","cents":-123456789012,"currency":"EUR","posted":"2026-11-23T08:00:00.123456789Z",` +
		`"tags":{"a":"1","b":"2"},"lines":[{"no":1,"quantity":5},{"no":2,"quantity":-7}]}`
	if err != nil || exact || string(text) != want {
		t.Errorf("ToJSON = %s, exact %v, %v, want %s, not exact because of its time", text, exact, err, want)
	}
}
