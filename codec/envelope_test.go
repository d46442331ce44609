package codec_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/keys"
)

// place is where an envelope stands.
type place struct {
	tenant  keys.TenantID
	stream  keys.StreamID
	version keys.Version
}

var examplePlace = place{tenant: 7, stream: "sales-order-42", version: 3}

func exampleEnvelope() codec.Envelope {
	return codec.Envelope{
		Flags:       codec.FlagOccurredGiven,
		Codec:       codec.JSON,
		Schema:      2,
		Index:       1,
		Count:       3,
		Position:    0x0102030405060708,
		RecordedAt:  1_700_000_000_123_456_789,
		OccurredAt:  -1,
		EventID:     keys.EventID{0: 0x01, 1: 0x8b, 15: 0xff},
		Type:        []byte("OrderPlaced"),
		Correlation: []byte("corr"),
		Causation:   []byte("c"),
		User:        []byte("ada"),
		Metadata:    codec.AppendMetadata(nil, map[string]string{"k": "v"}),
		Payload:     []byte(`{"n":1}`),
	}
}

// stored returns e as it is stored in p.
func stored(e *codec.Envelope, p place) []byte {
	env := codec.AppendEnvelope(nil, e, string(e.Type), string(e.Correlation), string(e.Causation), string(e.User))
	codec.SealEnvelope(env, p.tenant, p.stream, p.version, e.Position, e.RecordedAt)
	return env
}

func parse(env []byte, p place) (codec.Envelope, error) {
	return codec.ParseEnvelope(env, p.tenant, p.stream, p.version)
}

func mustRefuse(t testing.TB, what string, env []byte, p place) {
	t.Helper()
	_, err := parse(env, p)
	refused, ok := errors.AsType[*codec.EnvelopeError](err)
	switch {
	case !ok:
		t.Errorf("%s: got error %v, want an *EnvelopeError", what, err)
	case refused.Stream != p.stream || refused.Version != p.version:
		t.Errorf("%s: the error names %q version %d, want %q version %d", what, refused.Stream, refused.Version, p.stream, p.version)
	}
}

// sameEnvelope returns how x and y differ, or nothing.
func sameEnvelope(x, y codec.Envelope) string {
	return cmp.Diff(x, y, cmpopts.IgnoreUnexported(codec.Envelope{}), cmp.Comparer(bytes.Equal))
}

// The envelope is on disk. If this test fails, the format has changed: that needs a
// new envelope version, and readers that know both.
func TestTheEnvelopeIsOnDiskAndNeverChanges(t *testing.T) {
	t.Parallel()
	want := unhex(t,
		"01",                               // version
		"01",                               // flags: the caller gave occurred-at
		"02",                               // codec: JSON
		"00",                               // compression: none
		"00000000",                         // key id
		"00000002",                         // schema version
		"0001",                             // index in the commit
		"0003",                             // events in the commit
		"0102030405060708",                 // position
		"17979cfe3d85cd15",                 // recorded at
		"ffffffffffffffff",                 // occurred at
		"018b00000000000000000000000000ff", // event id
		"253a21229b09ae13",                 // xxhash64 of the body
		"f69fe8055c753404",                 // xxhash64 of tenant, version, stream and the header so far
		"0b4f72646572506c61636564",         // type
		"04636f7272",                       // correlation
		"0163",                             // causation
		"03616461",                         // user
		"00000005", "01016b0176",           // metadata
		"7b226e223a317d", // payload
	)
	e := exampleEnvelope()
	got := stored(&e, examplePlace)
	if !bytes.Equal(got, want) {
		t.Errorf("envelope:\n got %x\nwant %x", got, want)
	}
	parsed, err := parse(want, examplePlace)
	if err != nil {
		t.Fatal(err)
	}
	if diff := sameEnvelope(e, parsed); diff != "" {
		t.Errorf("parsed envelope differs (-want +got):\n%s", diff)
	}
}

func unhex(t testing.TB, lines ...string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(lines, ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func anyEnvelope(t *rapid.T) (codec.Envelope, place) {
	name := rapid.StringN(0, -1, keys.MaxNameBytes)
	count := rapid.Uint16Range(1, math.MaxUint16).Draw(t, "count")
	e := codec.Envelope{
		Flags:       rapid.SampledFrom([]byte{0, codec.FlagOccurredGiven}).Draw(t, "flags"),
		Codec:       codec.ID(rapid.Byte().Draw(t, "codec")),
		Schema:      keys.SchemaVersion(rapid.Uint32().Draw(t, "schema")),
		Index:       rapid.Uint16Range(0, count-1).Draw(t, "index"),
		Count:       count,
		Position:    keys.Position(rapid.Uint64().Draw(t, "position")),
		RecordedAt:  rapid.Int64().Draw(t, "recorded"),
		OccurredAt:  rapid.Int64().Draw(t, "occurred"),
		EventID:     keys.EventID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")),
		Type:        []byte(name.Draw(t, "type")),
		Correlation: []byte(name.Draw(t, "correlation")),
		Causation:   []byte(name.Draw(t, "causation")),
		User:        []byte(name.Draw(t, "user")),
		Metadata:    codec.AppendMetadata(nil, rapid.MapOf(rapid.String(), rapid.String()).Draw(t, "metadata")),
		Payload:     rapid.SliceOf(rapid.Byte()).Draw(t, "payload"),
	}
	return e, place{
		tenant:  keys.TenantID(rapid.Uint32().Draw(t, "tenant")),
		stream:  keys.StreamID(name.Draw(t, "stream")),
		version: keys.Version(rapid.Uint64().Draw(t, "version")),
	}
}

func TestEnvelopesParseIntoWhatWasStored(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want, p := anyEnvelope(t)
		env := stored(&want, p)
		got, err := parse(env, p)
		if err != nil {
			t.Fatalf("parse: %v", err)
		}
		if want.Flags&codec.FlagOccurredGiven == 0 {
			want.OccurredAt = want.RecordedAt // nobody gave it
		}
		if diff := sameEnvelope(want, got); diff != "" {
			t.Fatalf("parsed envelope differs (-want +got):\n%s", diff)
		}
		if position, ok := codec.PositionOf(env); !ok || position != want.Position {
			t.Fatalf("PositionOf: got %d, %v, want %d", position, ok, want.Position)
		}
	})
}

func TestAppendEnvelopeKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	e := exampleEnvelope()
	alone := codec.AppendEnvelope(nil, &e, "T", "", "", "")
	after := codec.AppendEnvelope([]byte("before"), &e, "T", "", "", "")
	if string(after) != "before"+string(alone) {
		t.Errorf("got %x, want the envelope after what was there", after)
	}
}

// The parts of a parsed envelope cannot be grown into one another.
func TestPartsOfAnEnvelopeEndWhereTheyEnd(t *testing.T) {
	t.Parallel()
	e := exampleEnvelope()
	env := stored(&e, examplePlace)
	before := bytes.Clone(env)
	parsed, err := parse(env, examplePlace)
	if err != nil {
		t.Fatal(err)
	}
	for name, part := range map[string][]byte{
		"type": parsed.Type, "correlation": parsed.Correlation, "causation": parsed.Causation,
		"user": parsed.User, "metadata": parsed.Metadata, "payload": parsed.Payload,
	} {
		if grown := append(part, 'x'); len(grown) != len(part)+1 || !bytes.Equal(env, before) {
			t.Errorf("growing the %s changed the envelope", name)
		}
	}
}

func TestEveryDamagedBitOfAnEnvelopeIsRefused(t *testing.T) {
	t.Parallel()
	e := exampleEnvelope()
	env := stored(&e, examplePlace)
	for i := range env {
		for bit := range 8 {
			env[i] ^= 1 << bit
			if _, err := parse(env, examplePlace); err == nil {
				t.Errorf("bit %d of byte %d flipped: accepted", bit, i)
			}
			env[i] ^= 1 << bit
		}
	}
	if _, err := parse(env, examplePlace); err != nil {
		t.Fatalf("the envelope itself: %v", err)
	}
}

func TestEveryTruncatedEnvelopeIsRefused(t *testing.T) {
	t.Parallel()
	e := exampleEnvelope()
	env := stored(&e, examplePlace)
	for n := range env {
		mustRefuse(t, "cut off", env[:n:n], examplePlace)
	}
	mustRefuse(t, "a byte too many", append(bytes.Clone(env), 0), examplePlace)
}

func TestAnEnvelopeInAnotherPlaceIsRefused(t *testing.T) {
	t.Parallel()
	e := exampleEnvelope()
	env := stored(&e, examplePlace)
	for name, p := range map[string]place{
		"another tenant":          {8, examplePlace.stream, examplePlace.version},
		"another stream":          {examplePlace.tenant, "sales-order-43", examplePlace.version},
		"a longer stream":         {examplePlace.tenant, examplePlace.stream + "0", examplePlace.version},
		"no stream":               {examplePlace.tenant, "", examplePlace.version},
		"a stream that is no key": {examplePlace.tenant, keys.StreamID(strings.Repeat("s", 1000)), examplePlace.version},
		"the version before":      {examplePlace.tenant, examplePlace.stream, examplePlace.version - 1},
		"the version after":       {examplePlace.tenant, examplePlace.stream, examplePlace.version + 1},
	} {
		mustRefuse(t, name, env, p)
	}
}

// resealed returns the example as stored, changed, with sums that match again.
func resealed(change func(env []byte) []byte) []byte {
	e := exampleEnvelope()
	env := change(stored(&e, examplePlace))
	binary.BigEndian.PutUint64(env[56:], xxhash.Sum64(env[codec.EnvelopeHeaderLen:]))
	codec.SealEnvelope(env, examplePlace.tenant, examplePlace.stream, examplePlace.version, e.Position, e.RecordedAt)
	return env
}

// What a newer version may write, and what no version writes, is refused by name.
func TestEnvelopesOfUnknownFormAreRefused(t *testing.T) {
	t.Parallel()
	set := func(at int, value ...byte) func([]byte) []byte {
		return func(env []byte) []byte { copy(env[at:], value); return env }
	}
	for _, tt := range []struct {
		name   string
		change func([]byte) []byte
		want   string
	}{
		{"version 0", set(0, 0), "unknown envelope version 0"},
		{"version 2", set(0, 2), "unknown envelope version 2"},
		{"a flag of later", set(1, 0x03), "unknown flags 0x03"},
		{"the highest flag", set(1, 0x80), "unknown flags 0x80"},
		{"compressed", set(3, 1), "unknown compression 1"},
		{"encrypted", set(4, 0, 0, 0, 5), "encrypted with a key this version does not know: key 5"},
		{"index is count", set(12, 0, 3), "index is not below the commit's count"},
		{"a commit of none", set(12, 0, 0, 0, 0), "index is not below the commit's count"},
		{"no body", func(env []byte) []byte { return env[:72] }, "shorter than its parts"},
		{"a type beyond the end", set(72, 255), "shorter than its parts"},
		{"metadata beyond the end", set(72+23, 0xff, 0xff, 0xff, 0xff), "shorter than its parts"},
		{"metadata cut off", func(env []byte) []byte { return env[:72+23+4+2] }, "shorter than its parts"},
		{"the metadata's length cut off", func(env []byte) []byte { return env[:72+23+3] }, "shorter than its parts"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			env := resealed(tt.change)
			mustRefuse(t, tt.name, env, examplePlace)
			_, err := parse(env, examplePlace)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want %q in it", err, tt.want)
			}
			if !errors.Is(err, keys.ErrEventStore) || errors.Unwrap(err) == nil {
				t.Errorf("error %v: want one that matches ErrEventStore and holds the fault", err)
			}
		})
	}
}

func TestResealedEnvelopesParse(t *testing.T) {
	t.Parallel()
	if _, err := parse(resealed(func(env []byte) []byte { return env }), examplePlace); err != nil {
		t.Errorf("the unchanged one: %v", err)
	}
}

func TestPositionOfNeedsAHeader(t *testing.T) {
	t.Parallel()
	e := exampleEnvelope()
	env := stored(&e, examplePlace)
	if position, ok := codec.PositionOf(env[:codec.EnvelopeHeaderLen]); !ok || position != e.Position {
		t.Errorf("a header alone: got %d, %v, want %d", position, ok, e.Position)
	}
	for n := range codec.EnvelopeHeaderLen {
		if position, ok := codec.PositionOf(env[:n]); ok || position != 0 {
			t.Errorf("%d bytes: got %d, %v, want none", n, position, ok)
		}
	}
}

// Whatever stands on disk, parsing it ends with an error or with parts that make up
// the whole input and that are stored as the same bytes again.
func FuzzParseEnvelope(f *testing.F) {
	e := exampleEnvelope()
	env := stored(&e, examplePlace)
	f.Add(env, false)
	f.Add(env[72:], true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, data []byte, seal bool) {
		env := bytes.Clone(data)
		if seal { // let any body through to the parts behind the sums
			header := stored(&e, examplePlace)[:codec.EnvelopeHeaderLen]
			env = append(header, data...)
			binary.BigEndian.PutUint64(env[56:], xxhash.Sum64(data))
			codec.SealEnvelope(env, examplePlace.tenant, examplePlace.stream, examplePlace.version, e.Position, e.RecordedAt)
		}
		codec.PositionOf(env)
		parsed, err := parse(env, examplePlace)
		if err != nil {
			mustRefuse(t, "refused", env, examplePlace)
			return
		}
		if again := stored(&parsed, examplePlace); !bytes.Equal(again, env) {
			t.Errorf("%x parsed into %+v, which is stored as %x", env, parsed, again)
		}
		if got := parsed.ContentHash(examplePlace.stream); got == (codec.ContentHash{}) {
			t.Error("the content hash is zero")
		}
	})
}
