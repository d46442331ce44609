package codec_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/keys"
)

func TestIDsAreOnDiskAndNeverChange(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		id     codec.ID
		number uint8
		name   string
	}{
		{codec.Msgpack, 1, "msgpack"},
		{codec.JSON, 2, "json"},
		{codec.Raw, 3, "raw"},
	} {
		if got := uint8(tt.id); got != tt.number {
			t.Errorf("number of %s = %d, want %d", tt.name, got, tt.number)
		}
		if got := tt.id.String(); got != tt.name {
			t.Errorf("String of %d = %q, want %q", tt.number, got, tt.name)
		}
		got, err := codec.ParseID(tt.name)
		if got != tt.id || err != nil {
			t.Errorf("ParseID(%q) = %v, %v, want %v", tt.name, got, err, tt.id)
		}
		if !tt.id.Valid() {
			t.Errorf("%s is not valid, want valid", tt.name)
		}
	}
}

func TestOtherIDsAreNone(t *testing.T) {
	t.Parallel()
	for _, id := range []codec.ID{0, 4, 255} {
		if id.Valid() {
			t.Errorf("codec %d is valid, want not", uint8(id))
		}
		for what, err := range map[string]error{
			"Encode":            second(codec.Encode(nil, id, 1)),
			"Decode":            codec.Decode(id, "T", 1, []byte{1}, new(int)),
			"FromJSON":          second(codec.FromJSON(id, []byte("1"))),
			"ToJSON":            func() error { _, _, err := codec.ToJSON(id, []byte{1}); return err }(),
			"Encode of nothing": second(codec.Encode(nil, id, nil)),
			"Decode of nothing": codec.Decode(id, "T", 1, nil, new(int)),
		} {
			if !errors.Is(err, codec.ErrCodec) {
				t.Errorf("%s with codec %d: error %v, want one that matches ErrCodec", what, uint8(id), err)
			}
		}
	}
	for _, name := range []string{"", "MSGPACK", "yaml", "codec(4)"} {
		id, err := codec.ParseID(name)
		if id != 0 || !errors.Is(err, codec.ErrCodec) || !errors.Is(err, keys.ErrEventStore) {
			t.Errorf("ParseID(%q) = %v, %v, want 0 and an error that matches ErrCodec and ErrEventStore", name, id, err)
		}
	}
	if got := codec.ID(9).String(); got != "codec(9)" {
		t.Errorf("String of 9 = %q, want codec(9)", got)
	}
}

func TestErrorNamesTheEventAndMatchesItsKinds(t *testing.T) {
	t.Parallel()
	err := codec.Decode(codec.JSON, "AccountCredited", 3, []byte("{"), new(any))
	var e *codec.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %T, want *codec.Error", err)
	}
	want := codec.Error{Type: "AccountCredited", Schema: 3, Codec: codec.JSON, Op: "decode", Err: e.Err}
	if *e != want {
		t.Errorf("error %+v, want %+v", *e, want)
	}
	if !errors.Is(err, codec.ErrCodec) || !errors.Is(err, keys.ErrEventStore) || e.Unwrap() == nil {
		t.Errorf("error %v, want one that matches ErrCodec and ErrEventStore and has a cause", err)
	}
	for _, part := range []string{"decode json payload", `of "AccountCredited"`, "schema version 3"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q, want it to contain %q", err, part)
		}
	}
	if !errors.Is(codec.ErrCodec, keys.ErrEventStore) || codec.ErrCodec.Error() != "codec" {
		t.Errorf("ErrCodec is %q, want \"codec\", matching ErrEventStore", codec.ErrCodec)
	}
}

func second[T any](_ T, err error) error { return err }
