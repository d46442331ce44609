package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream/keys"
)

// text is what packs well and is not all the same.
func text(n int) []byte {
	return bytes.Repeat([]byte("order 4711 was paid; "), n/21+1)[:n]
}

func noise(n int) []byte {
	rng, b := rand.New(rand.NewPCG(1, 2)), make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func TestZstdRoundTrip(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 255, 256, 1023, 1024, 1025, 64 << 10, 128<<10 + 1, 4 << 20, 4<<20 + 1, 9 << 20, 40 << 20} {
		for name, make := range map[string]func(int) []byte{"text": text, "noise": noise, "zeros": func(n int) []byte { return make([]byte, n) }} {
			raw := make(n)
			packed := AppendZstd([]byte("head"), raw)
			if string(packed[:4]) != "head" {
				t.Errorf("%d bytes of %s: AppendZstd did not append", n, name)
			}
			got, err := DecodeZstd(nil, packed[4:], n)
			if err != nil || !bytes.Equal(got, raw) {
				t.Errorf("%d bytes of %s: got %d bytes, error %v", n, name, len(got), err)
			}
		}
	}
}

func TestZstdUsesTheBufferThatItIsGiven(t *testing.T) {
	t.Parallel()
	raw := text(5000)
	packed := AppendZstd(nil, raw)
	for _, tt := range []struct {
		name   string
		dst    []byte
		reused bool
	}{
		{"none", nil, false},
		{"too small", make([]byte, 0, 4999), false},
		{"just enough", make([]byte, 0, 5000), true},
		{"larger, and with content", make([]byte, 777, 9000), true},
	} {
		got, err := DecodeZstd(tt.dst, packed, 5000)
		if err != nil || !bytes.Equal(got, raw) {
			t.Errorf("%s: got %d bytes, error %v", tt.name, len(got), err)
			continue
		}
		if reused := cap(tt.dst) > 0 && &got[0] == &tt.dst[:1][0]; reused != tt.reused {
			t.Errorf("%s: reused %v, want %v", tt.name, reused, tt.reused)
		}
	}
}

func TestZstdIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			raw := text(10_000 + i*50_000)
			for range 10 {
				got, err := DecodeZstd(nil, AppendZstd(nil, raw), len(raw))
				if err != nil || !bytes.Equal(got, raw) {
					t.Errorf("%d bytes: got %d, error %v", len(raw), len(got), err)
				}
			}
		})
	}
	wg.Wait()
}

// frame builds a frame by hand: the descriptor and what follows it, then the blocks.
func frame(header []byte, blocks ...[]byte) []byte {
	f := append([]byte{0x28, 0xb5, 0x2f, 0xfd}, header...)
	return append(f, bytes.Join(blocks, nil)...)
}

const (
	blockRaw = 0
	blockRLE = 1
	blockBad = 3
)

// block returns a block's header and content.
func block(last bool, kind, size int, content ...byte) []byte {
	h := uint32(size)<<3 | uint32(kind)<<1
	if last {
		h |= 1
	}
	return append([]byte{byte(h), byte(h >> 8), byte(h >> 16)}, content...)
}

// Frame headers: a descriptor, and the window or the content's size.
var (
	smallWindow = []byte{0x00, 0x00}                        // 1 KiB
	largeWindow = []byte{0x00, 13 << 3}                     // 8 MiB
	hugeWindow  = []byte{0x00, 14 << 3}                     // 16 MiB
	worstWindow = []byte{0x00, 0xff}                        // 3.75 TiB
	withDict    = []byte{0x01, 0x00, 0x07}                  // dictionary 7
	tenGiB      = uint64(10 << 30)                          // what bombs claim
	claimsTen   = size8(0xe0, tenGiB)                       // one segment of 10 GiB
	windowedTen = size8(0xc0, tenGiB, byte(largeWindow[1])) // the same in a window of 8 MiB
)

func size8(descriptor byte, size uint64, window ...byte) []byte {
	return binary.LittleEndian.AppendUint64(append([]byte{descriptor}, window...), size)
}

// bomb is a frame of about n bytes whose blocks unpack to 128 KiB each.
func bomb(header []byte, n int) []byte {
	var blocks [][]byte
	for range n/4 - 4 {
		blocks = append(blocks, block(false, blockRLE, 128<<10, 'x'))
	}
	return frame(header, append(blocks, block(true, blockRLE, 128<<10, 'x'))...)
}

func TestZstdRefusals(t *testing.T) {
	t.Parallel()
	raw := text(5000)
	good := AppendZstd(nil, raw)
	skippable := []byte{0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4}
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	badSum := bytes.Clone(good)
	badSum[len(badSum)-1] ^= 1
	for _, tt := range []struct {
		name   string
		src    []byte
		rawLen int
		want   string
	}{
		{"nothing", nil, 0, "unexpected EOF"},
		{"no frame", []byte("PK\x03\x04 and so on"), 10, "magic"},
		{"a length below zero", good, -1, "not between 0 and 67108864"},
		{"a length above the bound", good, MaxZstdBytes + 1, "not between 0 and 67108864"},
		{"a length that is too small", good, 4999, "says that it unpacks to 5000 bytes, want 4999"},
		{"a length that is too great", good, 5001, "says that it unpacks to 5000 bytes, want 5001"},
		{"a trailing byte", append(bytes.Clone(good), 0), 5000, "more bytes follow"},
		{"two frames", append(bytes.Clone(good), good...), 5000, "more bytes follow"},
		{"two frames, and their length", append(bytes.Clone(good), good...), 10000, "unpacks to 5000 bytes, want 10000"},
		{"an empty frame behind", append(bytes.Clone(good), AppendZstd(nil, nil)...), 5000, "more bytes follow"},
		{"a skippable frame behind", append(bytes.Clone(good), skippable...), 5000, "more bytes follow"},
		{"a skippable frame in front", append(bytes.Clone(skippable), good...), 5000, "skippable"},
		{"a skippable frame alone", skippable, 0, "skippable"},
		{"a bit flipped", flipped, 5000, ""},
		{"a bit of the checksum flipped", badSum, 5000, "CRC check failed"},
		{"10 GiB in one segment", bomb(claimsTen, 1024), 5000, "unpacks to 10737418240 bytes, want 5000"},
		{"10 GiB in a window", bomb(windowedTen, 1024), MaxZstdBytes, "unpacks to 10737418240 bytes, want 67108864"},
		{"more than it should, in silence", bomb(largeWindow, 1024), 5000, "unpacks to more than 5000"},
		{"far less than it should", frame(smallWindow, block(true, blockRaw, 1, 'x')), MaxZstdBytes, "hold at most 1 bytes"},
		{"less than it should", frame(largeWindow, block(true, blockRLE, 3, 'x')), 2, "more than 2"},
		{"a window of 16 MiB", frame(hugeWindow, block(true, blockRaw, 1, 'x')), 1, "window of 16777216"},
		{"a window of terabytes", frame(worstWindow, block(true, blockRaw, 1, 'x')), 1, "window of 4123168604160"},
		{"a dictionary", frame(withDict, block(true, blockRaw, 1, 'x')), 1, "dictionary"},
		{"a block of the reserved type", frame(smallWindow, block(true, blockBad, 1, 'x')), 1, "reserved"},
		{"a block above 128 KiB", frame(smallWindow, block(true, blockRLE, 128<<10+1, 'x')), 1, "above 128 KiB"},
		{"no last block", frame(smallWindow, block(false, blockRaw, 1, 'x')), 1, "cut off"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := DecodeZstd(nil, tt.src, tt.rawLen)
			if got != nil || !errors.Is(err, ErrZstd) || !errors.Is(err, keys.ErrEventStore) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %d bytes, error %v, want one with %q", len(got), err, tt.want)
			}
		})
	}
}

func TestZstdFramesByHandAreRead(t *testing.T) {
	t.Parallel()
	got, err := DecodeZstd(nil, frame(largeWindow, block(false, blockRLE, 3, 'x'), block(true, blockRaw, 2, 'y', 'z')), 5)
	if err != nil || string(got) != "xxxyz" {
		t.Errorf("got %q, %v: the refusals above may test nothing", got, err)
	}
}

func TestZstdRefusesEveryCut(t *testing.T) {
	t.Parallel()
	raw := append(text(200<<10), noise(100)...)
	packed := AppendZstd(nil, raw)
	for n := range packed {
		if got, err := DecodeZstd(nil, packed[:n], len(raw)); got != nil || !errors.Is(err, ErrZstd) {
			t.Fatalf("the first %d of %d bytes: got %d bytes, error %v", n, len(packed), len(got), err)
		}
	}
}

// What unpacks to more than it may is refused before it costs anything. Not parallel:
// it measures.
func TestZstdBombsCostNothing(t *testing.T) {
	var library bytes.Buffer
	w, err := zstd.NewWriter(&library, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for range 32 { // 32 MiB of zeros as a stream, which does not tell its length
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	AppendZstd(nil, nil)
	if _, err := DecodeZstd(nil, AppendZstd(nil, text(1000)), 1000); err != nil { // the decoder is there
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		src    []byte
		rawLen int
	}{
		{"10 GiB in one segment", bomb(claimsTen, 1024), 1 << 20},
		{"10 GiB in one segment, and its length", bomb(claimsTen, 1024), 10 << 30},
		{"10 GiB in a window", bomb(windowedTen, 1024), MaxZstdBytes},
		{"32 MiB in silence", bomb(largeWindow, 1024), 1 << 20},
		{"a stream of the library's", library.Bytes(), 1 << 20},
		{"64 MiB that are not there", frame(smallWindow, block(true, blockRaw, 1, 'x')), MaxZstdBytes},
		{"a window of terabytes", frame(worstWindow, block(true, blockRaw, 1, 'x')), 1},
	} {
		took, allocated, err := measure(func() error {
			_, err := DecodeZstd(nil, tt.src, tt.rawLen)
			return err
		})
		if !errors.Is(err, ErrZstd) {
			t.Errorf("%s: error %v, want ErrZstd", tt.name, err)
		}
		// The decoder's own tables and the 1 MiB that the caller asked for.
		if allocated > 4<<20 {
			t.Errorf("%s: %d bytes were allocated, want at most 4 MiB", tt.name, allocated)
		}
		if !RaceEnabled && took > 10*time.Millisecond {
			t.Errorf("%s: it took %s, want less than 10ms", tt.name, took)
		}
	}
}

func TestZstdProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		raw := bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "unit"), rapid.IntRange(0, 2000).Draw(t, "times"))
		packed := AppendZstd(nil, raw)
		got, err := DecodeZstd(nil, packed, len(raw))
		if err != nil || !bytes.Equal(got, raw) {
			t.Fatalf("%d bytes: got %d, error %v", len(raw), len(got), err)
		}
		// One bit flipped anywhere never gives other bytes.
		i := rapid.IntRange(0, len(packed)*8-1).Draw(t, "bit")
		packed[i/8] ^= 1 << (i % 8)
		if got, err := DecodeZstd(nil, packed, len(raw)); err == nil && !bytes.Equal(got, raw) {
			t.Fatalf("bit %d flipped: other bytes came out, and no error", i)
		}
	})
}

// FuzzDecodeZstd feeds anything: it never panics, and what it accepts has the length
// that was asked for and no more memory than that.
func FuzzDecodeZstd(f *testing.F) {
	for _, seed := range [][]byte{
		nil, AppendZstd(nil, nil), AppendZstd(nil, text(5000)), AppendZstd(nil, noise(300)),
		bomb(claimsTen, 64), bomb(largeWindow, 64), frame(worstWindow, block(true, blockRaw, 1, 'x')),
		frame(largeWindow, block(false, blockRLE, 3, 'x'), block(true, blockRaw, 2, 'y', 'z')),
	} {
		for _, n := range []uint32{0, 5, 300, 5000} {
			f.Add(seed, n)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte, rawLen uint32) {
		n := int(rawLen % (1 << 20))
		got, err := DecodeZstd(nil, src, n)
		switch {
		case err != nil && !errors.Is(err, ErrZstd):
			t.Errorf("error %v, want one that matches ErrZstd", err)
		case err == nil && (len(got) != n || cap(got) > max(n, 32)):
			t.Errorf("%d bytes with room for %d, want %d", len(got), cap(got), n)
		}
	})
}
