package codec_test

import (
	"bytes"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream/codec"
)

// Metadata is on disk, and in the content hash.
func TestMetadataIsOnDiskAndNeverChanges(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		m    map[string]string
		want string
	}{
		{"none", nil, ""},
		{"empty", map[string]string{}, ""},
		{"one", map[string]string{"k": "v"}, "\x01\x01k\x01v"},
		{"sorted by name", map[string]string{"b": "2", "a": "1", "": "0"}, "\x03\x00\x010\x01a\x011\x01b\x012"},
		{"an empty value", map[string]string{"k": ""}, "\x01\x01k\x00"},
		{"a long value", map[string]string{"k": strings.Repeat("v", 200)}, "\x01\x01k\xc8\x01" + strings.Repeat("v", 200)},
	} {
		if got := codec.AppendMetadata([]byte("before"), tt.m); string(got) != "before"+tt.want {
			t.Errorf("%s: got %q, want %q behind what was there", tt.name, got, tt.want)
		}
	}
}

func TestMetadataParsesIntoWhatWasStored(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "metadata")
		data := codec.AppendMetadata(nil, want)
		got, err := codec.ParseMetadata(data)
		if err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(got, want) || (len(want) == 0 && got != nil) {
			t.Fatalf("got %q, want %q", got, want)
		}
		if again := codec.AppendMetadata(nil, maps.Clone(want)); !bytes.Equal(again, data) {
			t.Fatalf("an equal map is stored as %x, want %x", again, data)
		}
		for n := 1; n < len(data); n++ {
			if m, err := codec.ParseMetadata(data[:n]); err == nil {
				t.Fatalf("%x cut off at %d: got %q, want an error", data, n, m)
			}
		}
		if m, err := codec.ParseMetadata(append(data, 0)); len(want) > 0 && err == nil {
			t.Fatalf("%x and a byte more: got %q, want an error", data, m)
		}
	})
}

func TestMalformedMetadataIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, data string }{
		{"a count of none", "\x00"},
		{"a count beyond the end", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
		{"a count that overflows", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"},
		{"a count without an end", "\x80"},
		{"a name beyond the end", "\x01\x05k\x01v"},
		{"a name's length near 2^64", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01k"},
		{"a value beyond the end", "\x01\x01k\x05v"},
		{"no value", "\x01\x01k"},
		{"a name twice", "\x02\x01k\x01v\x01k\x01w"},
		{"an empty name twice", "\x02\x00\x01v\x00\x01w"},
		{"names out of order", "\x02\x01b\x01v\x01a\x01w"},
		{"a byte too many", "\x01\x01k\x01v\x00"},
		{"a pair too many", "\x01\x01a\x01v\x01b\x01w"},
		{"a count in more bytes than it needs", "\x81\x00\x01k\x01v"},
		{"a length in more bytes than it needs", "\x01\x81\x00k\x01v"},
		{"a value's length in more bytes than it needs", "\x01\x01k\x81\x80\x00v"},
	} {
		if m, err := codec.ParseMetadata([]byte(tt.data)); err == nil {
			t.Errorf("%s: got %q, want an error", tt.name, m)
		}
	}
}

// Every map has one stored form: what parses is stored as the same bytes again.
func FuzzParseMetadata(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte("\x02\x01a\x011\x01b\x012"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := codec.ParseMetadata(data)
		if err != nil {
			return
		}
		if again := codec.AppendMetadata(nil, m); !bytes.Equal(again, data) {
			t.Errorf("%x parsed into %q, which is stored as %x", data, m, again)
		}
	})
}
