package eventstream_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/internal/campaign/faultfs"
)

// onOperation returns fs with a hook that runs once, before the n-th operation that
// changes something.
func onOperation(fs vfs.FS, n int, hook func()) vfs.FS {
	t := faultfs.Trigger{At: n, Do: func(errorfs.Op) error {
		hook()
		return nil
	}}
	return t.Wrap(fs)
}

// remainder says what a power failure leaves of what was not synced.
type remainder struct {
	percent int
	seed    uint64 // of which blocks and names, unless it is all or nothing
}

// remainders are what is tried at each crash point: nothing, all, and something in
// between, at random, more often in the later lanes.
func remainders(t testing.TB) []remainder {
	t.Helper()
	all := []remainder{{percent: 0}, {percent: 100}}
	for _, seed := range campaign.Seeds(t, campaign.Scale(t, campaign.Cases{Short: 1, PullRequest: 1, Nightly: 5})) {
		for _, percent := range []int{10, 50, 90} {
			if testing.Short() && percent != 50 {
				continue
			}
			all = append(all, remainder{percent, seed})
		}
	}
	return all
}

func (r remainder) String() string {
	return fmt.Sprintf("%d %% of what was not synced left, -seed %d", r.percent, r.seed)
}

// of returns what is left of fs after a power failure at operation n.
func (r remainder) of(fs *vfs.MemFS, n int) *vfs.MemFS {
	return fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: r.percent, RNG: rand.New(rand.NewPCG(r.seed, uint64(n)))})
}

// manifestLost reports whether the crash kept the marker that names Pebble's new
// manifest, and not the manifest itself. Pebble makes both before it syncs their
// directory. File systems that keep the order in which files of a directory were made
// cannot end up so; on another one the store says which file is missing, and does not
// open with less than it had. A store without an identity is one that was still being
// made: nobody was told of it, and Open makes it anew.
func manifestLost(t *testing.T, fs *vfs.MemFS) bool {
	t.Helper()
	if own, err := fs.List("store"); err != nil || !slices.Contains(own, "STORE") && !slices.Contains(own, "STORE.2") {
		return false
	}
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

// onLogSync returns fs with a hook that runs before the n-th sync of a log.
func onLogSync(fs vfs.FS, n int, hook func()) vfs.FS {
	t := faultfs.Trigger{
		At:    n,
		Match: func(op errorfs.Op) bool { return faultfs.Syncs(op) && strings.HasSuffix(op.Path, ".log") },
		Do: func(errorfs.Op) error {
			hook()
			return nil
		},
	}
	return t.Wrap(fs)
}
