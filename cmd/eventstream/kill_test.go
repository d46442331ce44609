package main

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/xes"
	"github.com/nexus-erp/eventstream/internal/campaign"
)

const kills = 20

// TestAKilledImportIsFinishedByAnotherOne kills the import of a real log at random
// moments, each run going on where the killed ones stopped, and compares the end
// with an import that nobody disturbed. After each kill the store must open and hold
// cases whole or not at all; at the end it is verified.
func TestAKilledImportIsFinishedByAnotherOne(t *testing.T) {
	t.Parallel()
	data := realData(t)
	seed := campaign.Seed(t)
	for name, log := range map[string]realLog{"consignment": consignmentLog, "purchases": purchaseLog} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if testing.Short() && log.events > 10_000 {
				t.Skip("long: starts an import of 338,247 events 20 times")
			}
			random := rand.New(rand.NewPCG(seed, uint64(log.events)))
			file := filepath.Join(data, log.path)
			begin := time.Now()
			whole := caseSizes(t, file)
			longest := 500*time.Millisecond + 2*time.Since(begin) // well into the second pass
			p := newStore(t)
			killed := 0
			for range kills {
				if runAndKill(t, p, time.Duration(random.Int64N(int64(longest))), "import", "--format", "xes", file) {
					killed++
				}
				checkWholeCases(t, p, whole)
			}
			campaign.Count(t, campaign.KillRounds, killed)
			t.Logf("of %d runs", kills)
			if killed == 0 {
				t.Error("no run was killed: the moments come too late")
			}
			last := imported(p, exitOK, "--format", "xes", file)
			t.Logf("they had appended %d events, the last run appended %d", last.Duplicates, last.Events)
			if last.Events+last.Duplicates != log.events || last.Streams != log.streams {
				t.Errorf("the last run: got %+v", last)
			}
			log.checkStore(t, p, data) // verifies deep
		})
	}
}

// runAndKill runs a command line in a process of its own and kills it after a time. It
// reports whether the process was still at it.
func runAndKill(t *testing.T, p *program, after time.Duration, args ...string) bool {
	t.Helper()
	child := exec.Command(os.Args[0], append(args, "--dir", p.dir)...)
	child.Env = append(os.Environ(), childVariable+"=1")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	moment := time.NewTimer(after)
	defer moment.Stop()
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("%q failed before it was killed: %v", args, err)
		}
		return false
	case <-moment.C:
	}
	if err := child.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	return <-ended != nil
}

// caseSizes reads how many events each stream of a log has.
func caseSizes(t *testing.T, path string) map[eventstream.StreamID]eventstream.Version {
	t.Helper()
	category, err := source.ParseCategory("import-case")
	if err != nil {
		t.Fatal(err)
	}
	blocks := xes.NewBlocks(unzip(t, path), category)
	sizes := make(map[eventstream.StreamID]eventstream.Version)
	for {
		block, err := blocks.Next()
		if errors.Is(err, io.EOF) {
			return sizes
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range block.Records {
			sizes[r.Stream]++
		}
	}
}

// checkWholeCases opens the store after a kill.
func checkWholeCases(t *testing.T, p *program, whole map[eventstream.StreamID]eventstream.Version) {
	t.Helper()
	for _, s := range lines[streamRecord](t, p.must("streams")) {
		if s.Version != whole[s.Stream] {
			t.Errorf("stream %s has %d events, its case %d", s.Stream, s.Version, whole[s.Stream])
		}
	}
}
