package eventstream_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nexus-erp/eventstream"
)

const faultRole = "faults"

// faultTask tells a child which points to try: First, First+Stride and so on, each
// in a folder of its own below Dir.
type faultTask struct {
	Dir           string
	First, Stride int
	Persistent    bool // not once, but from that operation on
}

// faultLine is what a child says of a point.
type faultLine struct {
	Point  int
	Acked  eventstream.Position
	End    bool   // the script is over
	Fired  bool   // the fault was hit
	Error  string // what the script returned
	Broken bool   // and that it is a broken promise
	Held   bool   // a call did not return
}

// faultChild plays the script at one point after the other. A point after which
// Pebble had to be abandoned is its last: its goroutines may still write.
func faultChild(task faultTask) error {
	for n := task.First; ; n += task.Stride {
		var fired atomic.Bool
		var count atomic.Int64
		fs := errorfs.Wrap(vfs.Default, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
				return nil
			}
			if at := count.Add(1); at == int64(n) || task.Persistent && at > int64(n) {
				fired.Store(true)
				return &os.PathError{Op: "fault", Path: op.Path, Err: syscall.EIO}
			}
			return nil
		}))
		line := faultLine{Point: n}
		if err := say(line); err != nil {
			return err
		}
		var sayErr error
		s := script{
			open: func() (*eventstream.DB, error) {
				return eventstream.Open(filepath.Join(task.Dir, fmt.Sprint(n)), scriptOptions(fs))
			},
			acked: func(p eventstream.Position) {
				line.Acked = max(line.Acked, p)
				sayErr = errors.Join(sayErr, say(line))
			},
		}
		err := s.run()
		line.End, line.Fired, line.Broken, line.Held = true, fired.Load(), errors.Is(err, errContract), errors.Is(err, errHeld)
		if err != nil {
			line.Error = err.Error()
		}
		if err := errors.Join(sayErr, say(line)); err != nil {
			return err
		}
		if err != nil || !line.Fired {
			return nil
		}
	}
}

// An operation on the file system fails, once or from then on, whichever it is. No
// append is acknowledged that another process does not find, calls that fail say
// that the store is poisoned, and Close returns. The store may end its process, as
// Pebble does where it cannot go on; so it all happens in children.
func TestAFaultAtEveryOperationLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	reference := scriptReference(t)
	stride := 5
	if testing.Short() {
		stride = 30
	}
	for name, persistent := range map[string]bool{"once": false, "from then on": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const workers = 4 // most of the time they wait for Close
			tries := make([]faultTries, workers)
			var wg sync.WaitGroup
			for w := range workers {
				tries[w] = faultTries{t: t, reference: reference, deaths: map[string]int{}, task: faultTask{
					Dir: t.TempDir(), First: 1 + w*stride, Stride: workers * stride, Persistent: persistent,
				}}
				wg.Go(tries[w].run)
			}
			wg.Wait()
			points, failed, held, deaths := 0, 0, 0, map[string]int{}
			for _, w := range tries {
				points += w.points
				failed += w.failed
				held += w.held
				for death, n := range w.deaths {
					deaths[death] += n
				}
			}
			t.Logf("%d points, %d of them with an error, %d with a call that was held inside Pebble; children that died: %v", points, failed, held, deaths)
			if points < 150/stride || failed < points/4 {
				t.Errorf("only %d points were seen, %d with an error", points, failed)
			}
		})
	}
}

// faultTries starts one child after the other until all points of a task are tried.
type faultTries struct {
	t         *testing.T
	reference []eventstream.Event
	task      faultTask

	points, failed, held int
	deaths               map[string]int
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
			f.t.Errorf("fault at operation %d: %v", last.Point, err)
			return
		case death != "":
			f.deaths[strings.TrimRight(death, "0123456789abcdefx ")]++
			last.Error = death
		case !last.End:
			f.t.Errorf("fault at operation %d: the child ended without a word", last.Point)
			return
		}
		f.verify(last)
		if last.End && !last.Fired {
			return
		}
		f.task.First = last.Point + f.task.Stride
	}
}

// verify looks at what a point left.
func (f *faultTries) verify(line faultLine) {
	what := fmt.Sprintf("fault at operation %d (%s)", line.Point, line.Error)
	if line.Broken {
		f.t.Error(what)
	}
	dir := filepath.Join(f.task.Dir, fmt.Sprint(line.Point))
	verifyScript(f.t, what, dir, scriptOptions(nil), f.reference, line.Acked)
	if err := os.RemoveAll(dir); err != nil {
		f.t.Error(err)
	}
	f.points++
	if line.Error != "" {
		f.failed++
	}
	if line.Held {
		f.held++
	}
}
