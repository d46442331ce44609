package codec_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/keys"
)

// hashOf returns the content hash of e in stream.
func hashOf(stream keys.StreamID, e *codec.Envelope) codec.ContentHash {
	env := codec.AppendEnvelope(nil, e, string(e.Type), string(e.Correlation), string(e.Causation), string(e.User))
	return codec.HashContent(stream, e.Schema, e.Codec, e.Flags&codec.FlagOccurredGiven != 0, e.OccurredAt, codec.Body(env))
}

// Content hashes are on disk. If this test fails, retries of what an earlier
// version recorded are no longer recognised.
func TestContentHashesAreOnDiskAndNeverChange(t *testing.T) {
	t.Parallel()
	e := exampleEnvelope()
	if got, want := fmt.Sprintf("%x", hashOf("sales-order-42", &e)), "36f68d01be7a1881250c818d3a6e7ff9"; got != want {
		t.Errorf("with occurred-at: got %s, want %s", got, want)
	}
	e.Flags = 0
	if got, want := fmt.Sprintf("%x", hashOf("sales-order-42", &e)), "bddc0ed5cdebcc4873f58687b0367006"; got != want {
		t.Errorf("without occurred-at: got %s, want %s", got, want)
	}
}

func TestContentHashesDifferInEverythingThatTheCallerSays(t *testing.T) {
	t.Parallel()
	seen := map[codec.ContentHash]string{}
	for _, tt := range []struct {
		name   string
		change func(stream *keys.StreamID, e *codec.Envelope)
	}{
		{"nothing", func(*keys.StreamID, *codec.Envelope) {}},
		{"stream", func(s *keys.StreamID, _ *codec.Envelope) { *s = "sales-order-43" }},
		{"an empty stream", func(s *keys.StreamID, _ *codec.Envelope) { *s = "" }},
		{"type", func(_ *keys.StreamID, e *codec.Envelope) { e.Type = []byte("OrderPlaces") }},
		{"schema version", func(_ *keys.StreamID, e *codec.Envelope) { e.Schema++ }},
		{"codec", func(_ *keys.StreamID, e *codec.Envelope) { e.Codec = codec.Raw }},
		{"occurred at", func(_ *keys.StreamID, e *codec.Envelope) { e.OccurredAt++ }},
		{"occurred at not given", func(_ *keys.StreamID, e *codec.Envelope) { e.Flags = 0 }},
		{"correlation", func(_ *keys.StreamID, e *codec.Envelope) { e.Correlation = nil }},
		{"causation", func(_ *keys.StreamID, e *codec.Envelope) { e.Causation = []byte("d") }},
		{"user", func(_ *keys.StreamID, e *codec.Envelope) { e.User = []byte("bob") }},
		{"a letter moved from the type to the correlation", func(_ *keys.StreamID, e *codec.Envelope) {
			e.Type, e.Correlation = []byte("OrderPlace"), []byte("dcorr")
		}},
		{"correlation and causation changed places", func(_ *keys.StreamID, e *codec.Envelope) {
			e.Correlation, e.Causation = e.Causation, e.Correlation
		}},
		{"metadata", func(_ *keys.StreamID, e *codec.Envelope) {
			e.Metadata = codec.AppendMetadata(nil, map[string]string{"k": "w"})
		}},
		{"no metadata", func(_ *keys.StreamID, e *codec.Envelope) { e.Metadata = nil }},
		{"metadata moved into the payload", func(_ *keys.StreamID, e *codec.Envelope) {
			e.Metadata, e.Payload = nil, append(bytes.Clone(e.Metadata), e.Payload...)
		}},
		{"payload", func(_ *keys.StreamID, e *codec.Envelope) { e.Payload = []byte(`{"n":2}`) }},
		{"no payload", func(_ *keys.StreamID, e *codec.Envelope) { e.Payload = nil }},
	} {
		stream, e := examplePlace.stream, exampleEnvelope()
		tt.change(&stream, &e)
		hash := hashOf(stream, &e)
		if other, ok := seen[hash]; ok {
			t.Errorf("%q hashes as %q does", tt.name, other)
		}
		seen[hash] = tt.name
	}
}

// A retry carries the same content, whatever the store assigned the first time.
func TestContentHashesIgnoreWhatTheStoreAssigns(t *testing.T) {
	t.Parallel()
	e := exampleEnvelope()
	want := hashOf(examplePlace.stream, &e)
	for name, change := range map[string]func(*codec.Envelope){
		"position":    func(e *codec.Envelope) { e.Position = 9 },
		"recorded at": func(e *codec.Envelope) { e.RecordedAt = 9 },
		"index":       func(e *codec.Envelope) { e.Index = 0 },
		"count":       func(e *codec.Envelope) { e.Count = 9 },
		"event id":    func(e *codec.Envelope) { e.EventID = keys.EventID{9} },
		"equal metadata": func(e *codec.Envelope) {
			e.Metadata = codec.AppendMetadata(nil, map[string]string{"k": "v"})
		},
	} {
		other := exampleEnvelope()
		change(&other)
		if got := hashOf(examplePlace.stream, &other); got != want {
			t.Errorf("%s: got hash %x, want %x", name, got, want)
		}
	}
	// Without a time of the caller's, the one that the store filled in is not content.
	e.Flags = 0
	want = hashOf(examplePlace.stream, &e)
	parsed, err := parse(stored(&e, examplePlace), examplePlace)
	if err != nil {
		t.Fatal(err)
	}
	if got := parsed.ContentHash(examplePlace.stream); got != want {
		t.Errorf("of the stored envelope: got hash %x, want %x", got, want)
	}
}

func TestContentHashOfTheStoredEnvelopeIsThatOfTheNewOne(t *testing.T) {
	t.Parallel()
	e := exampleEnvelope()
	parsed, err := parse(stored(&e, examplePlace), examplePlace)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := parsed.ContentHash(examplePlace.stream), hashOf(examplePlace.stream, &e); got != want {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestEventIDRecord(t *testing.T) {
	t.Parallel()
	content := codec.ContentHash{0: 0xaa, 15: 0xbb}
	want := unhex(t, "0000000000000102", "aa0000000000000000000000000000bb")
	got := codec.AppendEventIDRecord([]byte("x"), 0x102, content)
	if string(got) != "x"+string(want) || len(want) != codec.EventIDRecordLen {
		t.Errorf("got %x, want x and %x", got, want)
	}
	position, parsed, ok := codec.ParseEventIDRecord(want)
	if !ok || position != 0x102 || parsed != content {
		t.Errorf("parsed into %d, %x, %v", position, parsed, ok)
	}
	for n := range len(want) + 4 {
		if position, content, ok := codec.ParseEventIDRecord(make([]byte, n)); ok != (n == len(want)) || position != 0 || content != (codec.ContentHash{}) {
			t.Errorf("%d bytes: got %d, %x, %v", n, position, content, ok)
		}
	}
}
