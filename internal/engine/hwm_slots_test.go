package engine

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/keys"
)

// Whatever stands in the two slots, in all combinations: the sound mark of this store
// with the greater sequence counts, the state says what there is without one, and marks
// that are written from then on are read, whichever of the slots is damaged next.
func TestEveryPairOfMarkSlots(t *testing.T) {
	t.Parallel()
	foreign := aMark(90)
	foreign.Incarnation[15]++
	type slot struct {
		name     string
		content  []byte
		mark     Mark
		sequence uint64 // 0: no mark of this store
		foreign  bool
	}
	damaged := aMark(80).encode(80)
	damaged[40] ^= 0x10
	slots := []slot{
		{name: "nothing"},
		{name: "damaged", content: damaged},
		{name: "older", content: aMark(4).encode(4), mark: aMark(4), sequence: 4},
		{name: "newer", content: aMark(5).encode(5), mark: aMark(5), sequence: 5},
		{name: "newer, at an earlier position", content: aMark(3).encode(6), mark: aMark(3), sequence: 6},
		{name: "far in the future", content: aMark(7).encode(1 << 62), mark: aMark(7), sequence: 1 << 62},
		{name: "foreign", content: foreign.encode(1), foreign: true},
		{name: "foreign, far in the future", content: foreign.encode(1 << 63), foreign: true},
	}
	damages := 0
	elsewhere := vfs.NewMem() // for damage: the file that is open stays as it is
	copied := memDirectory(t, elsewhere)
	for _, a := range slots {
		for _, b := range slots {
			what := fmt.Sprintf("%s and %s", a.name, b.name)
			mem := vfs.NewMem()
			d := memDirectory(t, mem)
			putMem(t, mem, "store/HWM", markFileOf(a.content, b.content))
			want, state := Mark{}, MarkDamaged
			switch {
			case a.sequence > 0 && a.sequence >= b.sequence:
				want, state = a.mark, MarkSound
			case b.sequence > 0:
				want, state = b.mark, MarkSound
			case a.foreign || b.foreign:
				state = MarkForeign
			}
			wantMark(t, d, what, want, state)

			f := d.MarkFile()
			if _, _, err := f.Read(); err != nil {
				t.Fatal(err)
			}
			for n := range keys.Position(4) {
				if err := f.Write(aMark(20 + n)); err != nil {
					t.Fatal(err)
				}
				wantMark(t, d, what+", written", aMark(20+n), MarkSound)
				content := getMem(t, mem, "store/HWM")
				for at := range []int{0, 1} {
					damages++
					torn := bytes.Clone(content)
					clear(torn[at*markSecond : at*markSecond+markLen])
					putMem(t, elsewhere, "store/HWM", torn)
					got, found, err := copied.MarkFile().Read()
					before := want // of the opening, or of the write before
					if n > 0 {
						before, state = aMark(19+n), MarkSound
					}
					newest := got == aMark(20+n) && found == MarkSound
					previous := got == before && (found == state || state == MarkForeign && found == MarkDamaged)
					if err != nil || !newest && !previous {
						t.Fatalf("%s, written %d times, slot %d lost: got %+v, %v, %v, want the newest or the one before", what, n+1, at, got, found, err)
					}
				}
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	campaign.Count(t, campaign.Damages, damages)
}
