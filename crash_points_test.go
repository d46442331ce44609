package eventstream_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
)

// The power fails before any one operation on the file system, from the creation of
// a store on. What was acknowledged is there, to the byte, commits are whole, and
// the same calls again lead to the same store.
func TestACrashAtEveryOperationLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	reference := scriptReference(t)
	stride := 1
	if testing.Short() {
		stride = 10
	}
	const workers = 4
	points := make(chan int)
	var done atomic.Bool
	var crashed, partial atomic.Int64
	go func() {
		defer close(points)
		for n := 1; !done.Load(); n += stride {
			points <- n
		}
	}()
	t.Run("points", func(t *testing.T) {
		for w := range workers {
			t.Run(fmt.Sprintf("worker %d", w), func(t *testing.T) {
				t.Parallel()
				for n := range points {
					fired, kept := crashAt(t, n, reference)
					if !fired {
						done.Store(true)
						continue
					}
					crashed.Add(1)
					if kept < len(reference) {
						partial.Add(1)
					}
				}
			})
		}
	})
	t.Logf("%d crash points, at %d of them before the last append", crashed.Load(), partial.Load())
	if crashed.Load() < int64(100/stride) || partial.Load() < int64(60/stride) {
		t.Errorf("only %d crash points were seen, %d before the last append", crashed.Load(), partial.Load())
	}
}

// crashPercents says how much is left of what was not synced: nothing, some of it at
// random, all of it.
var crashPercents = [...]int{0, 50, 100}

// crashAt plays the script with a power failure before the n-th operation. fired is
// false if there are fewer; acked is how many events were acknowledged by then.
func crashAt(t *testing.T, n int, reference []eventstream.Event) (fired bool, acked int) {
	mem := vfs.NewCrashableMem()
	var head atomic.Uint64
	type crash struct {
		fs    *vfs.MemFS
		acked eventstream.Position
	}
	var crashes []crash
	fs := onOperation(mem, n, func() {
		at := eventstream.Position(head.Load()) // before the clone: what is acknowledged meanwhile does not count
		for _, percent := range crashPercents {
			cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: percent}
			if percent > 0 {
				cfg.RNG = newRand(n)
			}
			crashes = append(crashes, crash{mem.CrashClone(cfg), at})
		}
	})
	s := script{
		open:  func() (*eventstream.DB, error) { return eventstream.Open("store", scriptOptions(fs)) },
		acked: func(p eventstream.Position) { head.Store(max(head.Load(), uint64(p))) },
	}
	if err := s.run(); err != nil {
		t.Errorf("operation %d: the script itself: %v", n, err)
	}
	for i, c := range crashes {
		if crashPercents[i] == 50 && manifestLost(t, c.fs) {
			continue
		}
		what := fmt.Sprintf("crash at operation %d, %d %% of what was not synced left", n, crashPercents[i])
		verifyScript(t, what, "store", scriptOptions(c.fs), reference, c.acked)
		acked = int(c.acked)
	}
	return crashes != nil, acked
}

// manifestLost reports whether the crash kept the marker that names Pebble's new
// manifest, and not the manifest itself. Pebble makes both before it syncs their
// directory. File systems that keep the order in which files of a directory were made
// cannot end up so; on another one the store says which file is missing, and does not
// open with less than it had.
func manifestLost(t *testing.T, fs *vfs.MemFS) bool {
	t.Helper()
	names, err := fs.List("store/db")
	if err != nil {
		return false // there is no database yet
	}
	newest, manifest := "", ""
	for _, name := range names {
		if rest, ok := strings.CutPrefix(name, "marker.manifest."); ok && rest > newest {
			newest = rest
			_, manifest, _ = strings.Cut(rest, ".") // behind the marker's own number
		}
	}
	if manifest == "" || slices.Contains(names, manifest) {
		return false
	}
	if _, err := eventstream.Open("store", scriptOptions(fs)); err == nil || !strings.Contains(err.Error(), manifest) {
		t.Errorf("open without %s: got error %v, want one that names it", manifest, err)
	}
	return true
}
