package engine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/nexus-erp/eventstream/internal/campaign"
)

// anyManifest returns records of random bytes, as Pebble writes them, and where each
// begins and ends.
func anyManifest(t *testing.T, r *rand.Rand) (content []byte, ends []int) {
	t.Helper()
	var records [][]byte
	for range 1 + r.IntN(6) {
		size := []int{r.IntN(60), r.IntN(60), r.IntN(500), manifestBlockLen - r.IntN(50), r.IntN(80 << 10)}[r.IntN(5)]
		one := make([]byte, size)
		for i := range one {
			one[i] = byte(r.Uint32())
		}
		if r.IntN(4) == 0 {
			clear(one) // zeros within a record are no end
		}
		records = append(records, one)
	}
	return recordsOf(t, records)
}

// damageManifest returns content with one fault, and a word for it.
func damageManifest(r *rand.Rand, content []byte) (what string, damaged []byte) {
	b := bytes.Clone(content)
	at := r.IntN(len(b))
	if r.IntN(3) == 0 { // around the edge of a block, if there is one
		at = min(len(b)-1, max(0, (1+r.IntN(3))*manifestBlockLen-20+r.IntN(40)))
	}
	n := min(len(b)-at, 1+r.IntN([]int{8, 40, 600, 40_000}[r.IntN(4)]))
	switch r.IntN(8) {
	case 0:
		what = "zeros"
		clear(b[at : at+n])
	case 1:
		what = "noise"
		for i := range n {
			b[at+i] = byte(r.Uint32())
		}
	case 2:
		what = "a flip"
		b[at] ^= 1 << r.IntN(8)
	case 3:
		what = "lost bytes"
		b = append(b[:at], b[at+n:]...)
	case 4:
		what = "doubled bytes"
		b = append(b[:at+n:at+n], b[at:]...)
	case 5:
		what = "a lost block"
		at -= at % manifestBlockLen
		b = append(b[:at], b[min(len(b), at+manifestBlockLen):]...)
	case 6:
		what = "zeros from there on"
		clear(b[at:])
	default:
		what = "noise behind it"
		for range n {
			b = append(b, byte(r.Uint32()))
		}
	}
	return fmt.Sprintf("%s at %d, %d bytes", what, at, n), b
}

// Whatever was done to a manifest: if it passes, the scan found as many records as Pebble
// reads, and no record that was written stands whole behind the place where Pebble
// stops, which are the ones that Pebble would forget.
func TestADamagedManifestIsReadAsPebbleDoes(t *testing.T) {
	t.Parallel()
	n := campaign.Scale(t, campaign.Cases{Short: 20, PullRequest: 100, Nightly: 5_000})
	kinds := make(map[bool]int)
	for _, seed := range campaign.Seeds(t, 1) {
		r := campaign.Rand(t, seed)
		for range n {
			content, ends := anyManifest(t, r)
			what, damaged := damageManifest(r, content)
			got := scanManifest(damaged)
			kinds[got.damaged]++
			if got.end > len(damaged) {
				t.Fatalf("%s of %d: got %+v, which ends behind the file", what, len(content), got)
			}
			if got.damaged {
				continue // the store is not opened
			}
			if want := pebbleReads(damaged); got.records != want {
				t.Fatalf("%s of %d, records end at %d: got %+v, Pebble reads %d records", what, len(content), ends, got, want)
			}
			start := 0
			for _, end := range ends {
				whole := end <= len(damaged) && bytes.Equal(content[start:end], damaged[start:end])
				if whole && start >= got.end {
					t.Fatalf("%s of %d: got %+v, and the record from %d to %d is whole", what, len(content), got, start, end)
				}
				start = end
			}
		}
	}
	if kinds[true] == 0 || kinds[false] == 0 {
		t.Errorf("got %v, want damaged ones and torn ones", kinds)
	}
	campaign.Count(t, campaign.Damages, n)
}
