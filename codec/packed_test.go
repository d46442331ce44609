package codec_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"
	"testing"

	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/campaign"
)

// A header that was packed comes back whole, sums and all, if its place does; and what
// is read of it unverified is what stands in it.
func TestPackedEnvelopesComeBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want, p := anyEnvelope(t)
		env := stored(&want, p)
		header := codec.PackHeader([]byte("before"), env)[len("before"):]
		if len(header) != codec.PackedHeaderLen {
			t.Fatalf("got %d bytes, want %d", len(header), codec.PackedHeaderLen)
		}
		again := codec.UnpackEnvelope([]byte("before"), header, codec.Body(env), p.tenant, p.stream, p.version, want.Position)
		if string(again) != "before"+string(env) {
			t.Fatalf("got %x, want %x", again, env)
		}
		sound, err := parse(env, p)
		if err != nil {
			t.Fatal(err)
		}
		var packed codec.Envelope
		if err := packed.ParsePacked(header, want.Position, codec.Body(env)); err != nil {
			t.Fatal(err)
		}
		if diff := sameEnvelope(sound, packed); diff != "" {
			t.Fatalf("packed and not packed differ (-want +got):\n%s", diff)
		}
		if index, count := codec.CommitOf(env); index != int(want.Index) || count != int(want.Count) {
			t.Fatalf("CommitOf: got %d of %d, want %d of %d", index, count, want.Index, want.Count)
		}
		sum, ok := codec.HeaderSumOf(env)
		if !ok || sum != binary.BigEndian.Uint64(env[64:]) {
			t.Fatalf("HeaderSumOf: got %x, %v, want %x", sum, ok, env[64:72])
		}
		if sum, ok := codec.HeaderSumOf(env[:codec.EnvelopeHeaderLen-1]); ok || sum != 0 {
			t.Fatalf("HeaderSumOf of less than a header: got %x, %v, want none", sum, ok)
		}
	})
}

// No sum covers a packed envelope of its own, so its form alone must keep the parser
// within it: what it accepts makes up the whole body, and is stored as the same again.
func TestAPackedEnvelopeIsParsedWithinItsBody(t *testing.T) {
	t.Parallel()
	e := exampleEnvelope()
	env := stored(&e, examplePlace)
	header, body := codec.PackHeader(nil, env), codec.Body(env)
	damages, refused := 0, 0
	try := func(header, body []byte) {
		t.Helper()
		damages++
		var got codec.Envelope
		if err := got.ParsePacked(header, e.Position, body); err != nil {
			refused++
			return
		}
		occurred := got.OccurredAt
		again := stored(&got, examplePlace)
		binary.BigEndian.PutUint64(again[32:], uint64(occurred)) // sealing sets one that was not given
		if !bytes.Equal(codec.Body(again), body) || !bytes.Equal(codec.PackHeader(nil, again), header) {
			t.Fatalf("%x, %x: parsed into %+v, which is stored as %x", header, body, got, again)
		}
	}
	for bit := range 8 * len(header) {
		try(flipped(header, bit), body)
	}
	for bit := range 8 * len(body) {
		try(header, flipped(body, bit))
	}
	for n := range body {
		try(header, body[:n:n])
		for _, c := range []byte{0, 1, 0x7f, 0x80, 0xff} {
			changed := bytes.Clone(body)
			changed[n] = c
			try(header, changed)
		}
	}
	if refused == 0 || refused == damages {
		t.Errorf("%d of %d were refused, want some and not all", refused, damages)
	}
	campaign.Count(t, campaign.Damages, damages)
}

func flipped(b []byte, bits ...int) []byte {
	b = bytes.Clone(b)
	for _, bit := range bits {
		b[bit/8] ^= 1 << (bit % 8)
	}
	return b
}

// Two bits at once, bursts, blocks of zeros and swapped bytes are found too, wherever
// they are; and the error says which sum it was.
func TestEveryCommonDamageOfAnEnvelopeIsRefused(t *testing.T) {
	t.Parallel()
	e := exampleEnvelope()
	env := stored(&e, examplePlace)
	damages := 0
	try := func(what string, damaged []byte) {
		if bytes.Equal(damaged, env) {
			return
		}
		damages++
		if _, err := parse(damaged, examplePlace); err == nil {
			t.Fatalf("%s: accepted %x", what, damaged)
		} else if _, ok := errors.AsType[*codec.EnvelopeError](err); !ok {
			t.Fatalf("%s: got %v, want an *EnvelopeError", what, err)
		}
	}
	step := campaign.Scale(t, campaign.Cases{Short: 17, PullRequest: 5, Nightly: 1})
	for x := range 8 * len(env) {
		for y := x + 1; y < 8*len(env); y += step {
			try("two bits", flipped(env, x, y))
		}
	}
	for at := range env {
		for end := at + 1; end <= len(env); end++ {
			for _, fill := range []byte{0, 0xff} {
				damaged := bytes.Clone(env)
				copy(damaged[at:end], bytes.Repeat([]byte{fill}, end-at))
				try("a block", damaged)
			}
			damaged := bytes.Clone(env)
			damaged[at], damaged[end-1] = damaged[end-1], damaged[at]
			try("two bytes swapped", damaged)
			try("bytes lost", append(bytes.Clone(env[:at]), env[end:]...))
			try("bytes doubled", append(bytes.Clone(env[:end]), env[at:]...))
		}
		reversed := bytes.Clone(env)
		reversed[at] = bits.Reverse8(reversed[at])
		try("a byte reversed", reversed)
	}
	campaign.Count(t, campaign.Damages, damages)
}
