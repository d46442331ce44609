package codec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vmihailenco/msgpack/v5"

	"github.com/nexus-erp/eventstream/codec"
)

type posting struct {
	Account  string            `msgpack:"account" json:"account"`
	Cents    int64             `msgpack:"cents" json:"cents"`
	Currency string            `msgpack:"currency" json:"currency"`
	Posted   time.Time         `msgpack:"posted" json:"posted"`
	Tags     map[string]string `msgpack:"tags" json:"tags"`
	Lines    []line            `msgpack:"lines" json:"lines"`
}

type line struct {
	No       uint32 `msgpack:"no" json:"no"`
	Quantity int64  `msgpack:"quantity" json:"quantity"`
}

func examplePosting() posting {
	return posting{
		Account: "1000", Cents: -123456789012, Currency: "EUR",
		Posted: time.Date(2026, 11, 23, 8, 0, 0, 123456789, time.UTC),
		Tags:   map[string]string{"b": "2", "a": "1"},
		Lines:  []line{{1, 5}, {2, -7}},
	}
}

func TestEncodedValuesDecodeToTheSame(t *testing.T) {
	t.Parallel()
	for _, id := range []codec.ID{codec.Msgpack, codec.JSON} {
		want := examplePosting()
		data := mustEncode(t, id, want)
		var got posting
		if err := codec.Decode(id, "Posted", 1, data, &got); err != nil {
			t.Fatalf("%s: Decode: %v", id, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: decoded value differs (-want +got):\n%s", id, diff)
		}
	}
}

func TestEncodeAppendsToWhatIsThere(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		id   codec.ID
		v    any
		want string
	}{
		{codec.Msgpack, "a", "x\xa1a"},
		{codec.Msgpack, []any{"b", "a"}, "x\x92\xa1b\xa1a"},
		{codec.Msgpack, map[string]any{"b": 1, "a": 2}, "x\x82\xa1a\x02\xa1b\x01"},
		{codec.JSON, "a", `x"a"`},
		{codec.JSON, json.RawMessage(` [1, 2] `), `x[1,2]`},
		{codec.JSON, map[string]any{"b": "<&>", "a": nil}, `x{"a":null,"b":"<&>"}`},
		{codec.Raw, "a", "xa"},
		{codec.Raw, []byte("ab"), "xab"},
		{codec.Raw, codec.Encoded("abc"), "xabc"},
		{codec.Msgpack, nil, "x"},
		{codec.JSON, nil, "x"},
		{codec.Raw, nil, "x"},
		{codec.Msgpack, codec.Encoded(nil), "x"},
		{codec.JSON, codec.Encoded{}, "x"},
		{codec.JSON, json.RawMessage{}, "x"},
		{codec.Msgpack, codec.Encoded("\xcd\x00\x05"), "x\xcd\x00\x05"},
		{codec.JSON, codec.Encoded(` { } `), "x { } "},
		{codec.Msgpack, (*posting)(nil), "x\xc0"},
		{codec.JSON, (*posting)(nil), "xnull"},
	} {
		got, err := codec.Encode([]byte("x"), tt.id, tt.v)
		if err != nil || string(got) != tt.want {
			t.Errorf("Encode(%s, %#v) = %q, %v, want %q", tt.id, tt.v, got, err, tt.want)
		}
	}
}

type loop struct {
	Next *loop
}

func endless() *loop {
	l := &loop{}
	l.Next = l
	return l
}

func endlessSlice() any {
	s := make([]any, 1)
	s[0] = s
	return s
}

type panics struct{}

func (panics) MarshalText() ([]byte, error)    { panic("no text") }
func (panics) MarshalMsgpack() ([]byte, error) { panic("no bytes") }

type twoValues struct{}

func (twoValues) MarshalMsgpack() ([]byte, error) { return []byte{1, 2}, nil }

type needsPointer struct{ n int }

func (p *needsPointer) EncodeMsgpack(e *msgpack.Encoder) error { return e.EncodeInt(int64(p.n)) }

func TestEncodeRefusesWhatCouldNotBeReadAgain(t *testing.T) {
	t.Parallel()
	nested := any(1)
	for range codec.MaxDepth + 1 {
		nested = []any{nested}
	}
	for _, tt := range []struct {
		name string
		id   codec.ID
		v    any
		want string
	}{
		{"a channel in msgpack", codec.Msgpack, make(chan int), "unsupported chan int"},
		{"a function in JSON", codec.JSON, func() {}, "unsupported type"},
		{"NaN in msgpack", codec.Msgpack, math.NaN(), "NaN or infinite"},
		{"a nested infinity in msgpack", codec.Msgpack, []any{1, float32(math.Inf(-1))}, "NaN or infinite"},
		{"NaN in JSON", codec.JSON, math.NaN(), "NaN"},
		{"nesting in msgpack", codec.Msgpack, nested, "deeper than 32"},
		{"nesting in JSON", codec.JSON, nested, "deeper than 32"},
		{"a loop of pointers in msgpack", codec.Msgpack, endless(), "refers to itself"},
		{"a loop of slices in msgpack", codec.Msgpack, endlessSlice(), "refers to itself"},
		{"a loop of pointers in JSON", codec.JSON, endless(), "cycle"},
		{"too many values in msgpack", codec.Msgpack, make([]int, codec.MaxElements), "more than 100000"},
		{"too many values in JSON", codec.JSON, make([]int, codec.MaxElements), "more than 100000"},
		{"more bytes than any limit", codec.Msgpack, strings.Repeat("x", 17<<20), "exceeds"},
		{"a method that panics in msgpack", codec.Msgpack, panics{}, "panic: no bytes"},
		{"a method that panics in JSON", codec.JSON, panics{}, "panic: no text"},
		{"a method that writes two values", codec.Msgpack, twoValues{}, "more bytes follow"},
		{"a method of the pointer alone", codec.Msgpack, needsPointer{}, "non-addressable"},
		{"two keys that are one number", codec.Msgpack, map[any]int{int8(1): 1, int64(1): 2}, "key 0x01 occurs twice"},
		{"a number in raw", codec.Raw, 5, "not a int"},
		{"a truncated Encoded in msgpack", codec.Msgpack, codec.Encoded("\x92\x01"), "more elements than bytes"},
		{"a value cut short", codec.Msgpack, codec.Encoded("\xcd\x01"), "ends within a value"},
		{"a trailing byte in msgpack", codec.Msgpack, codec.Encoded("\x01\x01"), "at byte 1: more bytes follow"},
		{"a reserved byte in msgpack", codec.Msgpack, codec.Encoded("\x91\xc1"), "0xc1"},
		{"a key twice in msgpack", codec.Msgpack, codec.Encoded("\x83\xa1b\x01\xa1a\x01\xa1b\x01"), `key "b" occurs twice`},
		{"a nested key twice in msgpack", codec.Msgpack, codec.Encoded("\x91\x82\x01\x01\x01\x01"), "key 0x01 occurs twice"},
		{"NaN in an Encoded", codec.Msgpack, codec.Encoded("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"), "NaN"},
		{"JSON cut short", codec.JSON, codec.Encoded(`{"a":`), "not valid JSON"},
		{"two JSON values", codec.JSON, codec.Encoded(`1 2`), "not valid JSON"},
		{"only space in JSON", codec.JSON, codec.Encoded(` `), "not valid JSON"},
		{"a name twice in JSON", codec.JSON, codec.Encoded(`[{"a":1,"\u0061":2}]`), `name "a" occurs twice`},
		{"a name twice in a RawMessage", codec.JSON, json.RawMessage(`{"a":1,"a":2}`), `name "a" occurs twice`},
		{"a name twice in a nested RawMessage", codec.JSON, []any{json.RawMessage(`{"a":1,"a":2}`)}, `name "a" occurs twice`},
		{"JSON that is not UTF-8", codec.JSON, codec.Encoded("\"\xff\""), "not valid UTF-8"},
		{"invalid RawMessage", codec.JSON, json.RawMessage(`nope`), "not valid JSON"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := codec.Encode([]byte("kept"), tt.id, tt.v)
			var e *codec.Error
			if !errors.As(err, &e) || e.Op != "encode" || e.Codec != tt.id {
				t.Fatalf("error %v, want an *Error of encoding %s", err, tt.id)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want it to contain %q", err, tt.want)
			}
			if string(got) != "kept" {
				t.Errorf("dst = %q, want it unchanged", got)
			}
		})
	}
}

func TestDecodeRefusesWhatIsNotOneValue(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		id   codec.ID
		data string
		v    any
		want string
	}{
		{"a trailing byte", codec.Msgpack, "\x01\x01", new(int), "more bytes follow"},
		{"a value cut short", codec.Msgpack, "\xa2a", new(string), "ends within a value"},
		{"another type", codec.Msgpack, "\xa1a", new(int), "invalid code"},
		{"no pointer", codec.Msgpack, "\x01", 1, "non-pointer"},
		{"nil", codec.Msgpack, "\x01", nil, "nil"},
		{"a key that cannot be one", codec.Msgpack, "\x81\x91\x01\x01", new(map[any]any), "panic"},
		{"a method that panics", codec.Msgpack, "\x01", new(panicsDecoding), "panic: no value"},
		{"a method that reads too little", codec.Msgpack, "\x92\x01\x02", new(readsLittle), "more bytes follow"},
		{"trailing JSON", codec.JSON, "1 1", new(int), "more bytes follow"},
		{"JSON cut short", codec.JSON, `{"a"`, new(any), "unexpected EOF"},
		{"space alone", codec.JSON, "  ", new(any), "ends within"},
		{"a trailing bracket", codec.JSON, "1]", new(int), "more bytes follow"},
		{"a JSON type that does not fit", codec.JSON, `"a"`, new(int), "cannot unmarshal"},
		{"a JSON method that panics", codec.JSON, `"a"`, new(panicsDecoding), "panic: no value"},
		{"a raw payload into an int", codec.Raw, "a", new(int), "not a *int"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := codec.Decode(tt.id, "T", 2, []byte(tt.data), tt.v)
			var e *codec.Error
			if !errors.As(err, &e) || e.Op != "decode" || e.Type != "T" || e.Schema != 2 || e.Codec != tt.id {
				t.Fatalf("error %v, want an *Error of decoding T version 2 by %s", err, tt.id)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want it to contain %q", err, tt.want)
			}
		})
	}
}

type panicsDecoding struct{}

func (*panicsDecoding) UnmarshalMsgpack([]byte) error { panic("no value") }
func (*panicsDecoding) UnmarshalText([]byte) error    { panic("no value") }

type readsLittle struct{}

func (*readsLittle) DecodeMsgpack(d *msgpack.Decoder) error {
	_, err := d.DecodeArrayLen()
	return err
}

func TestEmptyPayloadLeavesTheValueAsItIs(t *testing.T) {
	t.Parallel()
	for _, id := range []codec.ID{codec.Msgpack, codec.JSON, codec.Raw} {
		v := "untouched"
		if err := codec.Decode(id, "T", 1, nil, &v); err != nil || v != "untouched" {
			t.Errorf("%s: value %q, error %v, want it untouched and no error", id, v, err)
		}
	}
}

func TestDecodeIntoUntypedValues(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		id   codec.ID
		data string
		want any
	}{
		{codec.JSON, `{"n":12345678901234567890.10}`, map[string]any{"n": json.Number("12345678901234567890.10")}},
		{codec.Msgpack, "\x92\x01\xc4\x01x", []any{int8(1), []byte("x")}},
		{codec.Msgpack, "\x81\xa1t\xd6\xff\x00\x00\x00\x00", map[string]any{"t": time.Unix(0, 0)}},
		{codec.Raw, "abc", []byte("abc")},
	} {
		var got any
		if err := codec.Decode(tt.id, "T", 1, []byte(tt.data), &got); err != nil {
			t.Errorf("Decode(%s, %q): %v", tt.id, tt.data, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("Decode(%s, %q) differs (-want +got):\n%s", tt.id, tt.data, diff)
		}
	}
}

func TestDecodedBytesAreACopy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		id   codec.ID
		data string
		v    any
		get  func(v any) string
	}{
		{codec.Raw, "abc", new([]byte), func(v any) string { return string(*v.(*[]byte)) }},
		{codec.Raw, "abc", new(string), func(v any) string { return *v.(*string) }},
		{codec.Raw, "abc", new(codec.Encoded), func(v any) string { return string(*v.(*codec.Encoded)) }},
		{codec.JSON, "123", new(codec.Encoded), func(v any) string { return string(*v.(*codec.Encoded)) }},
		{codec.JSON, "123", new(json.RawMessage), func(v any) string { return string(*v.(*json.RawMessage)) }},
		{codec.Msgpack, "\xa2ab", new(codec.Encoded), func(v any) string { return string(*v.(*codec.Encoded)) }},
		{codec.Msgpack, "\xa2ab", new(msgpack.RawMessage), func(v any) string { return string(*v.(*msgpack.RawMessage)) }},
	} {
		data := []byte(tt.data)
		if err := codec.Decode(tt.id, "T", 1, data, tt.v); err != nil {
			t.Errorf("Decode(%s, %q, %T): %v", tt.id, tt.data, tt.v, err)
			continue
		}
		clear(data)
		if got := tt.get(tt.v); got != tt.data {
			t.Errorf("Decode(%s, %q, %T) gave %q once data was overwritten, want a copy", tt.id, tt.data, tt.v, got)
		}
	}
}

func TestLargePayloadsGoThrough(t *testing.T) {
	t.Parallel()
	for _, id := range []codec.ID{codec.Msgpack, codec.JSON, codec.Raw} {
		want := bytes.Repeat([]byte("payload "), 1<<17)
		data := mustEncode(t, id, want)
		var got []byte
		if err := codec.Decode(id, "T", 1, data, &got); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, error %v, want the %d bytes that were encoded", id, len(got), err, len(want))
		}
	}
}

func mustEncode(t testing.TB, id codec.ID, v any) []byte {
	t.Helper()
	data, err := codec.Encode(nil, id, v)
	if err != nil {
		t.Fatalf("Encode(%s, %T): %v", id, v, err)
	}
	return data
}
