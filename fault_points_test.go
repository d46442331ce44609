package eventstream_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/internal/campaign/faultfs"
)

const faultRole = "faults"

// faultMode is a way in which the operations on a disk fail.
type faultMode struct {
	Name   string
	Errno  syscall.Errno
	Onward bool   // not once, but from that operation on
	Heals  int    // if not 0, that many operations fail, and no more: somebody made room
	Opens  bool   // only where files are made or opened
	Seed   uint64 // if not 0, a second operation fails as well, some way behind
	// Astray, no operation fails, but a write lands in another file. Seed says in which,
	// and where.
	Astray bool
	Lazy   bool // nothing is synced but by Close: what is there when it returns is promised
}

var faultModes = []faultMode{
	{Name: "EIO once", Errno: syscall.EIO},
	{Name: "EIO from then on", Errno: syscall.EIO, Onward: true},
	{Name: "disk full once", Errno: syscall.ENOSPC},
	{Name: "disk full from then on", Errno: syscall.ENOSPC, Onward: true},
	{Name: "disk full until room is made", Errno: syscall.ENOSPC, Onward: true, Heals: 4},
	{Name: "read-only from then on", Errno: syscall.EROFS, Onward: true},
	{Name: "no more files", Errno: syscall.EMFILE, Onward: true, Opens: true},
	{Name: "EIO from then on, nothing is synced", Errno: syscall.EIO, Onward: true, Lazy: true},
	{Name: "EIO once, nothing is synced", Errno: syscall.EIO, Lazy: true}, // nightly
}

// faultTask tells a child which points to try: First, First+Stride and so on up to Last,
// each in a folder of its own below Dir.
type faultTask struct {
	Dir                 string
	First, Stride, Last int
	Mode                faultMode
}

// faultLine is what a child says of a point.
type faultLine struct {
	Point  int
	Acked  eventstream.Position
	Marked eventstream.Position // the high-water mark knows it
	End    bool                 // the script is over
	Fired  bool                 // the fault was hit
	Error  string               // what the script returned
	Broken bool                 // and that it is a broken promise
}

// inject returns a file system on which the n-th operation fails, as the mode says.
func (m faultMode) inject(dir string, n int, fired *atomic.Bool) vfs.FS {
	if m.Astray {
		return m.lead(dir, n, fired)
	}
	var left atomic.Int64
	left.Store(int64(m.Heals))
	fail := func(op errorfs.Op) error {
		if m.Heals > 0 && left.Add(-1) < 0 {
			return nil
		}
		fired.Store(true)
		return faultfs.Fail(m.Errno)(op)
	}
	first := faultfs.Trigger{At: n, Onward: m.Onward, Do: fail}
	if m.Opens {
		first.Match = func(op errorfs.Op) bool {
			return op.Kind == errorfs.OpCreate || op.Kind == errorfs.OpOpen || op.Kind == errorfs.OpOpenDir || op.Kind == errorfs.OpReuseForWrite
		}
	}
	fs := first.Wrap(vfs.Default)
	if m.Seed != 0 {
		second := faultfs.Trigger{At: n + 1 + int(m.Seed>>8+uint64(n)*7919)%40, Do: fail}
		fs = second.Wrap(fs)
	}
	return fs
}

// lead returns a file system on which the n-th write to a log, a table, a manifest or a
// file of the store's own lands in another file.
func (m faultMode) lead(dir string, n int, fired *atomic.Bool) vfs.FS {
	rng := rand.New(rand.NewPCG(m.Seed, uint64(n)))
	match := func(p string) bool { return strings.HasPrefix(p, dir) && filepath.Base(p) != "lock" }
	return faultfs.Misdirect(vfs.Default, match, n, func() (string, int64) {
		fired.Store(true)
		var files []string
		_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() && !strings.EqualFold(d.Name(), "lock") {
				files = append(files, path)
			}
			return nil
		})
		path := files[rng.IntN(len(files))]
		info, err := os.Stat(path)
		if err != nil || info.Size() == 0 {
			return path, 0
		}
		return path, rng.Int64N(info.Size())
	})
}

// options give up a store that does not answer soon: that is what many of the
// points end with, and Pebble lets go of none of them.
func (m faultMode) options(fs vfs.FS) *eventstream.Options {
	opts := scriptOptions(fs)
	opts.Unstable.ClosePatience = time.Second
	if m.Lazy {
		opts.Durability = eventstream.None
	}
	return opts
}

// faultChild plays the script at one point after the other. A point after which
// Pebble had to be abandoned is its last: its goroutines may still write.
func faultChild(task faultTask) error {
	for n := task.First; n <= task.Last; n += task.Stride {
		var fired atomic.Bool
		dir := filepath.Join(task.Dir, fmt.Sprint(n))
		fs := task.Mode.inject(dir, n, &fired)
		line := faultLine{Point: n}
		if err := say(line); err != nil {
			return err
		}
		var sayErr error
		s := script{
			open: func() (*eventstream.DB, error) {
				return eventstream.Open(dir, task.Mode.options(fs))
			},
			acked: func(p eventstream.Position) {
				if !task.Mode.Lazy {
					line.Acked = max(line.Acked, p)
					sayErr = errors.Join(sayErr, say(line))
				}
			},
			marked: func(p eventstream.Position) {
				line.Acked, line.Marked = p, p
				sayErr = errors.Join(sayErr, say(line))
			},
		}
		err := s.run()
		line.End, line.Fired, line.Broken = true, fired.Load(), errors.Is(err, errContract)
		if err != nil {
			line.Error = err.Error()
		}
		if err := errors.Join(sayErr, say(line)); err != nil {
			return err
		}
		if s.left || !line.Fired {
			return nil
		}
	}
	return nil
}

// An operation on the file system fails, once or from then on, whichever it is. No
// append is acknowledged that another process does not find, calls that fail say
// that the store is poisoned, and Close returns. The store may end its process, as
// Pebble does where it cannot go on; so it all happens in children. A store that syncs
// nothing promises what was appended once it was closed.
func TestAFaultAtEveryOperationLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	tries := faultSweep{reference: scriptReference(t), stride: campaign.Scale(t, campaign.Cases{Short: 160, PullRequest: 2, Nightly: 1})}
	for _, mode := range faultModes[:campaign.Scale(t, campaign.Cases{Short: 4, PullRequest: len(faultModes) - 1, Nightly: len(faultModes)})] {
		tries.sweep(t, mode)
	}
	tries.report(t)
}

// Two operations fail, the second some way behind the first: what the store does about
// the first is disturbed as well.
func TestTwoFaultsLoseNothingAcknowledged(t *testing.T) {
	t.Parallel()
	tries := faultSweep{reference: scriptReference(t), stride: campaign.Scale(t, campaign.Cases{Short: 160, PullRequest: 1})}
	for i, seed := range campaign.Seeds(t, campaign.Scale(t, campaign.Cases{Short: 1, PullRequest: 2, Nightly: 24})) {
		mode := faultModes[i%2*2] // EIO or a full disk, once
		mode.Seed = seed
		mode.Name += fmt.Sprintf(" and again, -seed %d", seed)
		tries.sweep(t, mode)
	}
	tries.report(t)
}

// A write lands in another file, and nobody says so: what it was to bring is missing, and
// what it hit is destroyed. The store that is left gives nothing wrong: it refuses, or
// says where it is damaged, or is whole, or ends beyond its mark.
func TestAMisdirectedWriteIsNeverASilentLoss(t *testing.T) {
	t.Parallel()
	tries := faultSweep{reference: scriptReference(t), stride: campaign.Scale(t, campaign.Cases{Short: 160, PullRequest: 1})}
	for _, seed := range campaign.Seeds(t, campaign.Scale(t, campaign.Cases{Short: 1, PullRequest: 3, Nightly: 40})) {
		tries.sweep(t, faultMode{Name: fmt.Sprintf("misdirected write, -seed %d", seed), Astray: true, Seed: seed})
	}
	tries.report(t)
	t.Logf("%v", tries.outcomes)
	campaign.Exception(t, campaign.LostEnd, tries.outcomes[leftShorter])
}

// faultSweep goes over all operations of the script, in several ways.
type faultSweep struct {
	reference []eventstream.Event
	stride    int // of a mode; the next begins one operation further on

	modes, points, failed int
	deaths                map[string]int
	outcomes              map[aftermath]int
}

// faultWorkers is how many children are at work for a mode. Much of the time they wait:
// for the disk, and for a store that does not answer.
const faultWorkers = 16

func (s *faultSweep) sweep(t *testing.T, mode faultMode) {
	t.Helper()
	workers := make([]faultTries, faultWorkers)
	var wg sync.WaitGroup
	for w := range workers {
		workers[w] = faultTries{t: t, reference: s.reference, deaths: map[string]int{}, outcomes: map[aftermath]int{}, task: faultTask{
			Dir: campaign.QuickDir(t), First: 1 + s.modes%s.stride + w*s.stride, Stride: faultWorkers * s.stride, Last: 10_000, Mode: mode,
		}}
		wg.Go(workers[w].run)
	}
	wg.Wait()
	if s.deaths == nil {
		s.deaths, s.outcomes = map[string]int{}, map[aftermath]int{}
	}
	s.modes++
	points := 0
	for _, w := range workers {
		points += w.points
		s.failed += w.failed
		for death, n := range w.deaths {
			s.deaths[death] += n
		}
		for outcome, n := range w.outcomes {
			s.outcomes[outcome] += n
		}
	}
	if points == 0 {
		t.Errorf("%s: no point was seen", mode.Name)
	}
	s.points += points
}

func (s *faultSweep) report(t *testing.T) {
	t.Helper()
	campaign.Count(t, campaign.FaultPoints, s.points)
	t.Logf("%d ended with an error", s.failed)
	for _, death := range slices.Sorted(maps.Keys(s.deaths)) {
		t.Logf("%d children died: %s", s.deaths[death], death)
	}
	if s.points < s.modes*40/s.stride || s.failed+s.outcomes[leftRefused]+s.outcomes[leftReported] < s.points/8 {
		t.Errorf("only %d points of %d modes were seen, %d with an error", s.points, s.modes, s.failed)
	}
}

// faultTries starts one child after the other until all points of a task are tried.
type faultTries struct {
	t         *testing.T
	reference []eventstream.Event
	task      faultTask

	points, failed int
	deaths         map[string]int
	outcomes       map[aftermath]int
}

func (f *faultTries) run() {
	for {
		var last faultLine
		death, err := startChild(faultRole, f.task, func(line faultLine) {
			if line.Point != last.Point && last.Point != 0 {
				f.verify(last) // the child has closed the store and gone on
			}
			last = line
		})
		switch {
		case err != nil:
			f.t.Errorf("%s at operation %d: %v", f.task.Mode.Name, last.Point, err)
			return
		case death != "":
			f.deaths[deathKind(death)]++
			last.Error = death
		case !last.End:
			f.t.Errorf("%s at operation %d: the child ended without a word", f.task.Mode.Name, last.Point)
			return
		}
		f.verify(last)
		if last.End && !last.Fired {
			return
		}
		f.task.First = last.Point + f.task.Stride
	}
}

// deathKind is what ended a child, without addresses and paths.
func deathKind(death string) string {
	death = strings.TrimRight(death, "0123456789abcdefx ")
	if i := strings.Index(death, "fault /"); i >= 0 {
		death = death[:i] + "an operation failed"
	}
	return death
}

// verify looks at what a point left.
func (f *faultTries) verify(line faultLine) {
	what := fmt.Sprintf("%s at operation %d (%s)", f.task.Mode.Name, line.Point, line.Error)
	dir := filepath.Join(f.task.Dir, fmt.Sprint(line.Point))
	switch {
	case f.task.Mode.Astray:
		f.outcomes[judgeScript(f.t, what, dir, scriptOptions(nil), f.reference, line.Acked, line.Marked)]++
	case line.Broken:
		f.t.Error(what)
		fallthrough
	default:
		verifyScript(f.t, what, dir, scriptOptions(nil), f.reference, line.Acked)
	}
	if err := os.RemoveAll(dir); err != nil {
		f.t.Error(err)
	}
	if line.Fired || !line.End {
		f.points++
	}
	if line.Error != "" {
		f.failed++
	}
}
