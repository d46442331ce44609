package eventstream_test

import (
	"bytes"
	"fmt"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/internal/campaign/faultfs"
)

// aftermath is what a store makes of a disk that did not do what it said.
type aftermath string

const (
	leftWhole    aftermath = "whole"                    // everything acknowledged is there
	leftRefused  aftermath = "refused"                  // Open says what is wrong
	leftReported aftermath = "opened, reported"         // a read or Check says what is wrong
	leftShorter  aftermath = "shorter, beyond its mark" // the listed exception
)

// judgeScript opens what the script left on a disk that lied. Whatever the store gives
// without an error is what was written, from the first event on, in whole commits. It may
// end before what was acknowledged only behind marked: that is what the disk kept for
// sure, so that the high-water mark knows.
func judgeScript(t *testing.T, what, dir string, opts *eventstream.Options, reference []eventstream.Event, acked, marked eventstream.Position) aftermath {
	t.Helper()
	db, err := eventstream.Open(dir, opts)
	if err != nil {
		if !typed(err) {
			t.Errorf("%s: open: the error does not say what is damaged: %v", what, err)
		}
		return leftRefused
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Errorf("%s: close: %v", what, err)
		}
	}()
	got := make([]eventstream.Event, db.Head())
	for _, tenant := range []string{eventstream.DefaultTenant, "acme"} {
		for e, err := range db.Tenant(tenant).ReadAll(ctx) {
			if err != nil {
				if !typed(err) {
					t.Errorf("%s: read: the error does not say what is damaged: %v", what, err)
				}
				return leftReported
			}
			got[e.Position-1] = e
		}
	}
	report, err := db.Check(ctx, eventstream.Deep())
	if err != nil || !report.OK() {
		return leftReported
	}
	n := eventstream.Position(len(got))
	if int(n) > len(reference) {
		t.Errorf("%s: %d events, more than were appended", what, n)
		return leftWhole
	}
	compareEvents(t, what, got, reference[:n])
	if n > 0 && got[n-1].CommitIndex != got[n-1].CommitSize-1 {
		t.Errorf("%s: the last commit is there in part", what)
	}
	switch {
	case n >= acked:
		return leftWhole
	case n < marked:
		t.Errorf("%s: SILENT LOSS: %d events, %d were acknowledged, and %d are behind the high-water mark", what, n, acked, marked)
	}
	return leftShorter
}

func isLog(p string) bool      { return strings.HasSuffix(p, ".log") }
func isManifest(p string) bool { return strings.HasPrefix(path.Base(p), "MANIFEST") }
func isTable(p string) bool    { return strings.HasSuffix(p, ".sst") }
func isDirectory(p string) bool {
	return p == "" || p == "." || p == "store" || p == "store/db" || p == "store/keys"
}

// isOwn are the files that the store itself keeps beside the database.
func isOwn(p string) bool { return path.Dir(p) == "store" && !isDirectory(p) }

// Syncs of some files, or of directories, do nothing, and the power fails, at any
// operation: logs without their end, tables that are empty, names of files whose content
// never came, contents whose name never came.
func TestALyingDiskIsNeverASilentLoss(t *testing.T) {
	t.Parallel()
	reference := scriptReference(t)
	stride := campaign.Scale(t, campaign.Cases{Short: 23, PullRequest: 3, Nightly: 1})
	for name, liar := range map[string]struct {
		lies   func(string) bool
		honest bool // about the high-water mark, its name and what it rests on
	}{
		"logs":        {isLog, true},
		"tables":      {isTable, true},
		"manifests":   {isManifest, true},
		"own files":   {isOwn, false},
		"directories": {isDirectory, false},
		"everything":  {func(string) bool { return true }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outcomes := map[aftermath]int{}
			for n := 1; ; n += stride {
				mem := vfs.NewCrashableMem()
				var head, marked atomic.Uint64
				var crashed *vfs.MemFS
				var acked, mark eventstream.Position
				fs := onOperation(faultfs.Lie(mem, liar.lies), n, func() {
					acked, mark = eventstream.Position(head.Load()), eventstream.Position(marked.Load())
					crashed = mem.CrashClone(vfs.CrashCloneCfg{})
				})
				s := script{
					open:   func() (*eventstream.DB, error) { return eventstream.Open("store", scriptOptions(fs)) },
					acked:  func(p eventstream.Position) { head.Store(max(head.Load(), uint64(p))) },
					marked: func(p eventstream.Position) { marked.Store(uint64(p)) },
				}
				if err := s.run(); err != nil {
					t.Fatalf("operation %d: the script itself: %v", n, err)
				}
				if crashed == nil {
					break
				}
				if !liar.honest {
					mark = 0
				}
				what := fmt.Sprintf("syncs of %s do nothing, crash at operation %d", name, n)
				outcomes[judgeScript(t, what, "store", scriptOptions(crashed), reference, acked, mark)]++
			}
			count(t, outcomes)
			if !testing.Short() && outcomes[leftRefused]+outcomes[leftReported]+outcomes[leftShorter] == 0 {
				t.Error("the lie made no difference anywhere")
			}
		})
	}
}

// count reports outcomes, and the listed exception among them.
func count(t *testing.T, outcomes map[aftermath]int) {
	t.Helper()
	n := 0
	for _, k := range outcomes {
		n += k
	}
	t.Logf("%v", outcomes)
	campaign.Count(t, campaign.CrashPoints, n)
	campaign.Exception(t, campaign.LostEnd, outcomes[leftShorter])
}

// The power fails while the log is written: of what was not synced yet there is nothing,
// any part from its beginning, or that part with zeros up to its end. Whatever was synced
// is there, and a commit is whole or not there at all.
func TestATornWriteOfTheLogIsNoPartOfACommit(t *testing.T) {
	t.Parallel()
	reference := scriptReference(t)
	sectors := campaign.Scale(t, campaign.Cases{Short: 1, PullRequest: 3, Nightly: 64})
	points := 0
	for n := 1; ; n += campaign.Scale(t, campaign.Cases{Short: 9, PullRequest: 1}) {
		mem := vfs.NewCrashableMem()
		var head atomic.Uint64
		var acked eventstream.Position
		var synced, written image
		var once sync.Once
		fs := onLogSync(mem, n, func() {
			once.Do(func() {
				acked = eventstream.Position(head.Load())
				synced = imageOf(t, mem.CrashClone(vfs.CrashCloneCfg{}))
				written = imageOf(t, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: newRand(n)}))
			})
		})
		s := script{
			open:  func() (*eventstream.DB, error) { return eventstream.Open("store", scriptOptions(fs)) },
			acked: func(p eventstream.Position) { head.Store(max(head.Load(), uint64(p))) },
		}
		if err := s.run(); err != nil {
			t.Fatal(err)
		}
		if written == nil {
			break
		}
		for name, content := range written {
			from, to := len(synced[name]), len(content)
			if !isLog(name) || from >= to {
				continue
			}
			for _, cut := range cuts(from, to, sectors) {
				for _, torn := range [][]byte{content[:cut], append(bytes.Clone(content[:cut]), make([]byte, to-cut)...)} {
					files := image{}
					for other, c := range written {
						files[other] = c
					}
					files[name] = torn
					crashed, err := memOf(files)
					if err != nil {
						t.Fatal(err)
					}
					what := fmt.Sprintf("sync %d of the log, torn at byte %d of %d to %d", n, cut, from, to)
					if got := judgeScript(t, what, "store", scriptOptions(crashed), reference, acked, acked); got != leftWhole {
						t.Errorf("%s: got %s, want a whole store", what, got)
					}
					points++
				}
			}
		}
	}
	campaign.Count(t, campaign.CrashPoints, points)
	if points < 20 {
		t.Errorf("only %d torn writes were seen", points)
	}
}

// cuts are where a write from one offset to another is torn: at every byte of its first
// bytes, where its header is, at some sectors, and before its last byte.
func cuts(from, to, sectors int) (at []int) {
	for c := from; c < min(from+8, to); c++ {
		at = append(at, c)
	}
	step := max((to-from)/512/sectors, 1) * 512
	for c := (from/512 + 1) * 512; c < to; c += step {
		at = append(at, c)
	}
	return append(at, to-1)
}
