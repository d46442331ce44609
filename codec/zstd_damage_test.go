package codec

import (
	"bytes"
	"errors"
	"testing"

	"github.com/nexus-erp/eventstream/internal/campaign"
)

// A frame that was damaged is refused, or unpacks to what was packed: a bit that the
// format does not use changes nothing. Other bytes never come out.
func TestADamagedFrameNeverGivesOtherBytes(t *testing.T) {
	t.Parallel()
	damages := 0
	for name, raw := range map[string][]byte{
		"nothing":          nil,
		"one byte":         {'x'},
		"text":             text(700),
		"the same":         bytes.Repeat([]byte{'x'}, 5000),
		"noise":            noise(300),
		"noise, then text": append(noise(200), text(300)...),
		"several blocks":   append(bytes.Repeat([]byte{'x'}, 300<<10), noise(100)...),
	} {
		packed := AppendZstd(nil, raw)
		try := func(what string, at int, damaged []byte) {
			if bytes.Equal(damaged, packed) {
				return
			}
			damages++
			got, err := DecodeZstd(nil, damaged, len(raw))
			switch {
			case err != nil && (got != nil || !errors.Is(err, ErrZstd)):
				t.Fatalf("%s: %s at %d: got %d bytes, error %v, want none and one that matches ErrZstd", name, what, at, len(got), err)
			case err == nil && !bytes.Equal(got, raw):
				t.Fatalf("%s: %s at %d: other bytes came out, and no error", name, what, at)
			}
		}
		for bit := range 8 * len(packed) {
			damaged := bytes.Clone(packed)
			damaged[bit/8] ^= 1 << (bit % 8)
			try("a flip", bit, damaged)
		}
		for at := range packed {
			for _, fill := range []byte{0, 0xff, packed[at] + 1} {
				damaged := bytes.Clone(packed)
				damaged[at] = fill
				try("a changed byte", at, damaged)
			}
			try("a lost byte", at, append(bytes.Clone(packed[:at]), packed[at+1:]...))
			try("a doubled byte", at, append(bytes.Clone(packed[:at+1]), packed[at:]...))
			if at+8 <= len(packed) {
				damaged := bytes.Clone(packed)
				clear(damaged[at : at+8])
				try("zeros", at, damaged)
			}
		}
		for _, n := range []int{len(raw) - 1, len(raw) + 1, 2 * len(raw), MaxZstdBytes, MaxZstdBytes + 1, -1} {
			if got, err := DecodeZstd(nil, packed, n); n != len(raw) && (got != nil || !errors.Is(err, ErrZstd)) {
				t.Errorf("%s: asked for %d of %d bytes: got %d, error %v", name, n, len(raw), len(got), err)
			}
		}
		// What the buffer held before does not show through.
		buf := bytes.Repeat([]byte{0xee}, len(raw)+64)
		if got, err := DecodeZstd(buf[:7], packed, len(raw)); err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%s: into a used buffer: got %d bytes, %v", name, len(got), err)
		}
	}
	campaign.Count(t, campaign.Damages, damages)
}
