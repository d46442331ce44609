package eventstream

import (
	"bytes"
	"testing"
)

func TestCopiesOfAnArenaStandApart(t *testing.T) {
	t.Parallel()
	var a arena
	type pair struct{ original, copied []byte }
	var all []pair
	for i, n := range []int{0, 1, 10, 3000, 4096, 5000, 100_000, 1 << 20, 7, 64 << 10, 64<<10 + 1, 3} {
		original := bytes.Repeat([]byte{byte(i + 1)}, n)
		source := bytes.Clone(original)
		copied := a.copy(source)
		clear(source) // the arena must not hold on to it
		if cap(copied) != len(copied) {
			t.Errorf("copy %d has %d bytes of room behind it that are another's", i, cap(copied)-len(copied))
		}
		all = append(all, pair{original, copied})
	}
	for i, p := range all {
		if !bytes.Equal(p.original, p.copied) {
			t.Errorf("copy %d changed", i)
		}
	}
}

// Whoever keeps one small copy keeps its array: arrays grow with the number of
// copies, but not beyond a bound, and what is larger has an array of its own.
func TestArraysOfAnArenaAreBounded(t *testing.T) {
	t.Parallel()
	var a arena
	small := bytes.Repeat([]byte{1}, 100)
	arrays := 0
	for range 10_000 {
		before := cap(a.free)
		free := cap(a.free) - len(a.free)
		a.copy(small)
		if free < len(small) {
			arrays++
		}
		if n := cap(a.free); n > arenaLargest+arenaSmallest {
			t.Fatalf("an array of %d bytes for copies of %d, after one of %d", n, len(small), before)
		}
	}
	if most := 10_000*len(small)/arenaLargest + 10; arrays > most {
		t.Errorf("%d arrays for %d bytes, want at most %d", arrays, 10_000*len(small), most)
	}
	if n := cap(a.copy(make([]byte, 10*arenaLargest))); n != 10*arenaLargest {
		t.Errorf("a large copy has capacity %d, want its length %d", n, 10*arenaLargest)
	}
}
