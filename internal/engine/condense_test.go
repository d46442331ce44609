package engine

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

// Whatever is written in whatever order, what stands in the database afterwards is the
// same, and each key is written once.
func TestACondensedBatchComesToTheSame(t *testing.T) {
	t.Parallel()
	e := open(t, vfs.NewMem())
	runs := 0
	rapid.Check(t, func(t *rapid.T) {
		runs++
		key := func(n int) string { return fmt.Sprintf("run-%d-key-%d", runs, n) }
		want := map[string]string{}
		before := e.NewBatch()
		for n := range 4 {
			want[key(n)] = "before"
			before.Set([]byte(key(n)), []byte("before"))
		}
		if err := e.WriteAndWait(before); err != nil {
			t.Fatal(err)
		}
		batch, _ := e.NewIndexedBatch()
		written, ranges := map[string]bool{}, false
		for n := range rapid.IntRange(0, 20).Draw(t, "writes") {
			key := key(rapid.IntRange(0, 6).Draw(t, "key"))
			switch kind := rapid.IntRange(0, 9).Draw(t, "kind"); {
			case kind < 6:
				want[key] = fmt.Sprint(n)
				batch.Set([]byte(key), []byte(want[key]))
				written[key] = true
			case kind < 9:
				delete(want, key)
				batch.Delete([]byte(key))
				written[key] = true
			default:
				maps.DeleteFunc(want, func(k, _ string) bool { return k == key })
				batch.DeleteRange([]byte(key), []byte(key+"\x00"))
				ranges = true
			}
		}
		batch = e.Condensed(batch)
		writes := 0
		for range batch.Keys() {
			writes++
		}
		if !ranges && writes != len(written) {
			t.Errorf("%d writes of %d keys are left", writes, len(written))
		}
		if err := e.WriteAndWait(batch); err != nil {
			t.Fatal(err)
		}
		wanted := ""
		for _, key := range slices.Sorted(maps.Keys(want)) {
			wanted += key + want[key] + " "
		}
		if got := list(t, e.Reader(), key(0), key(9)); got != wanted {
			t.Errorf("got %s, want %s", got, wanted)
		}
	})
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}
