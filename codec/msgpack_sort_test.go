package codec_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream/codec"
)

type warehouse string

type customMap map[string]int

func (m customMap) EncodeMsgpack(e *msgpack.Encoder) error { return e.Encode(map[string]int(m)) }

func filled[K comparable, V any](n int, key func(int) K, value func(int) V) map[K]V {
	m := map[K]V{}
	for _, i := range rand.Perm(n) {
		m[key(i)] = value(i)
	}
	return m
}

func itself(i int) int  { return i }
func text(i int) string { return fmt.Sprint("key-", i) }

func TestMapsOfEveryKindEncodeAlwaysTheSame(t *testing.T) {
	t.Parallel()
	const n = 40
	for name, value := range map[string]func() any{
		"map[string]string": func() any { return filled(n, text, text) },
		"map[string]bool":   func() any { return filled(n, text, func(i int) bool { return i%2 == 0 }) },
		"map[string]any":    func() any { return filled(n, text, func(int) any { return filled(n, itself, text) }) },
		"map[string]int":    func() any { return filled(n, text, itself) },
		"map[int]string":    func() any { return filled(n, itself, text) },
		"map[int64]int":     func() any { return filled(n, func(i int) int64 { return int64(i-20) * 1e9 }, itself) },
		"a named key":       func() any { return filled(n, func(i int) warehouse { return warehouse(text(i)) }, itself) },
		"a map of maps":     func() any { return filled(n, text, func(int) map[string]int { return filled(n, text, itself) }) },
		"keys of many types": func() any {
			return filled(n, func(i int) any { return []any{i, text(i), float64(i) + .5}[i%3] }, itself)
		},
		"a struct as a key":     func() any { return filled(n, func(i int) line { return line{uint32(i), 1} }, itself) },
		"a pointer to a map":    func() any { m := filled(n, text, itself); return &m },
		"a map in a struct":     func() any { return struct{ M map[string]int }{filled(n, text, itself)} },
		"a map behind any":      func() any { return []any{filled(n, text, itself)} },
		"an encoder of its own": func() any { return []customMap{filled(n, text, itself)} },
		"a map in a slice of pointers": func() any {
			m := filled(n, text, itself)
			return []*map[string]int{&m}
		},
		"an embedded struct": func() any {
			type Inner struct{ M map[string]int }
			return struct{ Inner }{Inner{filled(n, text, itself)}}
		},
	} {
		want := mustEncode(t, codec.Msgpack, value())
		for range 5 {
			if got := mustEncode(t, codec.Msgpack, value()); !bytes.Equal(got, want) {
				t.Errorf("%s: encoded to %x, then to %x, want the same", name, want, got)
				break
			}
		}
	}
}

func TestSortedMapsKeepTheirValues(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.MapOf(rapid.String(), rapid.MapOf(rapid.Int64(), rapid.SliceOf(rapid.Uint16()))).Draw(t, "map")
		data, err := codec.Encode(nil, codec.Msgpack, want)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]map[int64][]uint16{}
		if err := codec.Decode(codec.Msgpack, "T", 1, data, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("decoded map differs (-want +got):\n%s", diff)
		}
		again, err := codec.Encode(nil, codec.Msgpack, got)
		if err != nil || !bytes.Equal(again, data) {
			t.Fatalf("encoded again: %x, %v, want %x", again, err, data)
		}
	})
}

func TestStructsKeepTheOrderOfTheirFields(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		v    any
		want string
	}{
		{"without a map", struct{ B, A int }{1, 2}, "\x82\xa1B\x01\xa1A\x02"},
		{"with a map that the library sorts", struct {
			B map[string]string
			A map[string]bool
		}{}, "\x82\xa1B\xc0\xa1A\xc0"},
		{"with a time", struct{ B, A time.Time }{time.Unix(1, 0), time.Unix(2, 0)}, "\x82\xa1B\xd6\xff\x00\x00\x00\x01\xa1A\xd6\xff\x00\x00\x00\x02"},
		{"with another map", struct{ B, A map[int]int }{}, "\x82\xa1A\xc0\xa1B\xc0"},
		{"with an interface", struct{ B, A any }{}, "\x82\xa1A\xc0\xa1B\xc0"},
	} {
		if got := mustEncode(t, codec.Msgpack, tt.v); string(got) != tt.want {
			t.Errorf("%s: encoded to %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestStringKeysComeFirstInByteOrder(t *testing.T) {
	t.Parallel()
	long := string(bytes.Repeat([]byte("b"), 40)) // its header byte is above every other's
	got := mustEncode(t, codec.Msgpack, map[any]int{"c": 1, long: 2, "a": 3, -1: 4, 7: 5, true: 6})
	want := "\x86\xa1a\x03\xd9\x28" + long + "\x02\xa1c\x01\x07\x05\xc3\x06\xff\x04"
	if string(got) != want {
		t.Errorf("encoded to %q, want %q", got, want)
	}
}

// What decoders take for one key is one, however it is written: of the two values only
// one would come out.
func TestAKeyInTwoFormsIsRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"1 in one byte and in two":       "8201a161cc01a162",
		"-1 in one byte and in two":      "82ff01d0ff02",
		"1 with and without a sign":      "82cc0101d00102",
		"1.0 in four bytes and in eight": "82ca3f80000001cb3ff000000000000002",
		"1 and 1.0":                      "820101ca3f80000002",
		"0.0 and -0.0":                   "82cb000000000000000001cb800000000000000002",
		"text and bytes":                 "82a16101c4016102",
		"a time in two headers":          "82d6ff0000000001c704ff0000000002",
	} {
		data, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := codec.Encode(nil, codec.Msgpack, codec.Encoded(data)); err == nil || !strings.Contains(err.Error(), "occurs twice") {
			t.Errorf("%s: got %v, want that a key occurs twice", name, err)
		}
	}
}
