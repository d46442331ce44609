package engine

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

// recordsOf returns records as Pebble writes them to a manifest, and where each ends.
func recordsOf(t interface{ Fatal(...any) }, records [][]byte) (content []byte, ends []int) {
	var b bytes.Buffer
	w := record.NewWriter(&b)
	for _, r := range records {
		if _, err := w.WriteRecord(r); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, b.Len())
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), ends
}

// pebbleReads returns how many records Pebble reads before it stops.
func pebbleReads(content []byte) (n int) {
	r := record.NewReader(bytes.NewReader(content), 0)
	for {
		one, err := r.Next()
		if err != nil {
			return n
		}
		if _, err := io.Copy(io.Discard, one); err != nil {
			return n
		}
		n++
	}
}

// aManifest returns the manifest of a database with some tables.
func aManifest(t *testing.T) []byte {
	t.Helper()
	mem := vfs.NewMem()
	database(t, mem, 4, 20)
	found, err := LookBefore(mem, memStore)
	if err != nil {
		t.Fatal(err)
	}
	return getMem(t, mem, mem.PathJoin(memStore, dirPebble, found.Manifest))
}

// Whatever bit of a manifest is flipped, what Pebble still reads is told from the whole
// manifest: it is damaged, or torn where nothing valid follows.
func TestEveryFlippedBitOfAManifestIsSeen(t *testing.T) {
	t.Parallel()
	content := aManifest(t)
	whole := scanManifest(content)
	if whole.damaged || whole.end != len(content) || whole.records != pebbleReads(content) || whole.records < 4 {
		t.Fatalf("the manifest as it is: got %+v of %d bytes, Pebble reads %d records", whole, len(content), pebbleReads(content))
	}
	damaged := 0
	for bit := range len(content) * 8 {
		b := bytes.Clone(content)
		b[bit/8] ^= 1 << (bit % 8)
		got := scanManifest(b)
		switch {
		case got.damaged:
			damaged++
		case got.records != whole.records-1:
			t.Errorf("bit %d of byte %d: got %+v, which is neither damaged nor without its last record alone", bit%8, bit/8, got)
		case got.end == len(b):
			t.Errorf("bit %d of byte %d: got %+v, as if it were whole", bit%8, bit/8, got)
		}
		if got.end > bit/8 {
			t.Errorf("bit %d of byte %d: the sound part goes up to %d", bit%8, bit/8, got.end)
		}
	}
	if damaged < len(content)*8/2 {
		t.Errorf("only %d of %d flips count as damage", damaged, len(content)*8)
	}
}

// A manifest that ends anywhere is what a crash may leave.
func TestEveryTruncationOfAManifestIsTorn(t *testing.T) {
	t.Parallel()
	content := aManifest(t)
	for n := range content {
		got := scanManifest(content[:n])
		if got.damaged || got.end > n || got.records != pebbleReads(content[:n]) {
			t.Errorf("cut to %d bytes: got %+v, want what Pebble reads, %d records, and no damage", n, got, pebbleReads(content[:n]))
		}
		zeros := append(bytes.Clone(content[:n]), make([]byte, 4096)...)
		if got := scanManifest(zeros); got.damaged || got.end > n+longestZeroHeader {
			t.Errorf("cut to %d bytes, then zeros: got %+v, want no damage", n, got)
		}
	}
}

// Records longer than a block, and ends of blocks too small for another chunk, are
// read as Pebble reads them.
func TestAManifestOfManyBlocksIsReadAsPebbleDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 200), rapid.IntRange(manifestBlockLen-40, manifestBlockLen), rapid.IntRange(0, 100<<10)), 2, 8).Draw(t, "sizes")
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		var records [][]byte
		for _, n := range sizes {
			r := make([]byte, n)
			for i := range r {
				r[i] = byte(rng.Uint32())
			}
			records = append(records, r)
		}
		content, ends := recordsOf(t, records)
		if got := scanManifest(content); got.damaged || got.records != len(sizes) || got.end != len(content) {
			t.Fatalf("whole: got %+v, want %d records in %d bytes", got, len(sizes), len(content))
		}
		at := rng.IntN(len(content))
		cut := scanManifest(content[:at])
		if want := pebbleReads(content[:at]); cut.damaged || cut.records != want {
			t.Fatalf("cut to %d bytes: got %+v, Pebble reads %d records", at, cut, want)
		}
		flipped := bytes.Clone(content)
		flipped[at] ^= 1 << rng.IntN(8)
		got := scanManifest(flipped)
		inLast := at >= ends[len(ends)-2]
		if !inLast && !got.damaged && got.records != len(sizes) || got.records < len(sizes) && !got.damaged && got.end == len(content) {
			t.Fatalf("byte %d of %d flipped: got %+v", at, len(content), got)
		}
	})
}

// Padding at a block's end is what Pebble takes for padding.
func TestPaddingOfAManifest(t *testing.T) {
	t.Parallel()
	for left := range 24 {
		// The first record leaves so many bytes of its block.
		content, _ := recordsOf(t, [][]byte{make([]byte, manifestBlockLen-chunkHeaderLen-left), []byte("the next one")})
		if got := scanManifest(content); got.damaged || got.records != 2 || got.end != len(content) {
			t.Errorf("%d bytes left: got %+v, want 2 records in %d bytes", left, got, len(content))
		}
	}
}

// A chunk that begins no record where one must begin, or begins one within another,
// is damage, sound as it is by itself.
func TestChunksOutOfOrderAreDamage(t *testing.T) {
	t.Parallel()
	long, _ := recordsOf(t, [][]byte{make([]byte, manifestBlockLen)}) // a first chunk and a last
	short, _ := recordsOf(t, [][]byte{[]byte("a")})
	for name, content := range map[string][]byte{
		"a last chunk without a first": long[manifestBlockLen:],
		"two first chunks":             append(bytes.Clone(long[:manifestBlockLen]), long[:manifestBlockLen]...),
		"a record within another":      append(bytes.Clone(long[:manifestBlockLen]), short...),
	} {
		if got := scanManifest(content); !got.damaged || got.records != 0 || got.end != 0 {
			t.Errorf("%s: got %+v, want damage at 0", name, got)
		}
	}
}
