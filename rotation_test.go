package eventstream_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/campaign"
)

const rotationRole = "rotation"

// rotationTask tells a child which operation on log files fails.
type rotationTask struct {
	Dir   string
	Close bool // closing an old log; otherwise creating the next
	Nth   int
	Errno syscall.Errno
}

// rotationLine is an append that was acknowledged, or the end of the child.
type rotationLine struct {
	Stream   eventstream.StreamID
	Version  eventstream.Version
	Position eventstream.Position
	ID       eventstream.EventID

	End       bool
	Hit       bool   // the fault was hit
	Error     string // the first that an append returned
	Broken    string // a promise that the store broke
	CloseTook time.Duration
}

// rotationFS makes the n-th creation or closing of a log fail, and all after it.
type rotationFS struct {
	vfs.FS
	task  rotationTask
	count *atomic.Int64
}

func (fs rotationFS) fault() error {
	if fs.count.Add(1) < int64(fs.task.Nth) {
		return nil
	}
	return &os.PathError{Op: "fault", Path: "log", Err: fs.task.Errno}
}

func (fs rotationFS) made(name string, make func() (vfs.File, error)) (vfs.File, error) {
	if !strings.HasSuffix(name, ".log") {
		return make()
	}
	if !fs.task.Close {
		if err := fs.fault(); err != nil {
			return nil, err
		}
	}
	f, err := make()
	if err != nil {
		return nil, err
	}
	return rotationFile{f, fs}, nil
}

func (fs rotationFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.made(name, func() (vfs.File, error) { return fs.FS.Create(name, category) })
}

func (fs rotationFS) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return fs.made(to, func() (vfs.File, error) { return fs.FS.ReuseForWrite(from, to, category) })
}

type rotationFile struct {
	vfs.File
	fs rotationFS
}

func (f rotationFile) Close() error {
	err := f.File.Close()
	if f.fs.task.Close {
		err = errors.Join(f.fs.fault(), err)
	}
	return err
}

const (
	rotationWriters = 4
	rotationAppends = 100 // of each writer: enough for several logs
)

func rotationStream(writer int) eventstream.StreamID {
	return eventstream.StreamID(fmt.Sprintf("w-w-%d", writer))
}

// rotationData is the payload of a version, so that the parent knows it.
func rotationData(stream eventstream.StreamID, version eventstream.Version) []byte {
	return bytes.Repeat([]byte(fmt.Sprintf("%s@%d;", stream, version)), 400)
}

func rotationChild(task rotationTask) error {
	var count atomic.Int64
	db, err := eventstream.Open(task.Dir, &eventstream.Options{
		FS: rotationFS{vfs.Default, task, &count}, MemTableBytes: 256 << 10, CacheBytes: 1 << 20,
	})
	if err != nil {
		return say(rotationLine{End: true, Hit: count.Load() >= int64(task.Nth), Error: err.Error()})
	}
	var wg sync.WaitGroup
	errs := make([]error, rotationWriters)
	for w := range rotationWriters {
		wg.Go(func() {
			stream := rotationStream(w)
			for v := range eventstream.Version(rotationAppends) {
				res, err := db.Append(ctx, stream, eventstream.Exact(v), eventstream.NewEvent{
					Type: "X", Codec: codec.Raw, Data: codec.Encoded(rotationData(stream, v+1)),
				})
				if err == nil {
					err = say(rotationLine{Stream: stream, Version: res.LastVersion, Position: res.LastPosition, ID: res.EventIDs[0]})
				}
				if err != nil {
					errs[w] = err
					return
				}
			}
		})
	}
	wg.Wait()
	end := rotationLine{End: true, Hit: count.Load() >= int64(task.Nth)}
	if err := errors.Join(errs...); err != nil {
		end.Error = err.Error()
		for _, err := range errs {
			if err != nil && !errors.Is(err, eventstream.ErrPoisoned) {
				end.Broken = fmt.Sprintf("an append failed, and does not say that the store is poisoned: %v", err)
			}
		}
		if _, err := db.Append(ctx, "later", eventstream.Any, event("X")); !errors.Is(err, eventstream.ErrPoisoned) {
			end.Broken = fmt.Sprintf("an append after the failure: %v", err)
		}
	}
	started := time.Now()
	_ = db.Close() // with or without an error
	end.CloseTook = time.Since(started)
	return say(end)
}

// The log cannot be rotated: the next file cannot be made, or the old one does not
// close. Pebble may end the process at that; the store may stop writing. Whatever
// comes, what was acknowledged is there when another process opens the store.
func TestALogThatCannotBeRotatedLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	for _, closing := range []bool{false, true} {
		for _, errno := range []syscall.Errno{syscall.ENOSPC, syscall.EIO} {
			for nth := 1; nth <= 4; nth++ {
				if testing.Short() && nth != 2 {
					continue
				}
				name := fmt.Sprintf("%v at creation %d", errno, nth)
				if closing {
					name = fmt.Sprintf("%v at closing %d", errno, nth)
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					testRotation(t, rotationTask{Dir: t.TempDir(), Close: closing, Nth: nth, Errno: errno})
				})
			}
		}
	}
}

func testRotation(t *testing.T, task rotationTask) {
	var acked []rotationLine
	var end rotationLine
	death, err := startChild(rotationRole, task, func(line rotationLine) {
		if line.End {
			end = line
		} else {
			acked = append(acked, line)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case death == "" && !end.End:
		t.Fatal("the child ended without a word")
	case death == "" && !end.Hit:
		t.Fatalf("the fault was never hit; %d appends", len(acked))
	case end.Broken != "":
		t.Error(end.Broken)
	case end.CloseTook > closeMost:
		t.Errorf("Close took %v", end.CloseTook)
	}
	t.Logf("%d acknowledged, death %q, error %q, Close took %v", len(acked), death, end.Error, end.CloseTook)
	if len(acked) == 0 && task.Nth > 2 {
		t.Error("nothing was acknowledged before the fault")
	}

	db := mustOpen(t, task.Dir, &eventstream.Options{MemTableBytes: 256 << 10, CacheBytes: 1 << 20})
	found := map[eventstream.Position]eventstream.Event{}
	for _, e := range mustCollect(t, db.ReadAll(ctx)) {
		found[e.Position] = e
		if !bytes.Equal(e.Data, rotationData(e.Stream, e.Version)) {
			t.Errorf("%s@%d does not hold what was appended", e.Stream, e.Version)
		}
	}
	for _, a := range acked {
		if e := found[a.Position]; e.Stream != a.Stream || e.Version != a.Version || e.ID != a.ID {
			t.Errorf("acknowledged %s@%d at position %d: found %s@%d", a.Stream, a.Version, a.Position, e.Stream, e.Version)
		}
	}
	if extra := len(found) - len(acked); extra > rotationWriters {
		t.Errorf("%d events beyond the acknowledged ones, want at most one a writer", extra)
	}
	report, err := db.Check(ctx, eventstream.Deep())
	if err != nil || !report.OK() {
		t.Errorf("check: %+v, %v", report, err)
	}
	mustAppend(t, db, "later", eventstream.NoStream, event("X"))
	campaign.Count(t, campaign.FaultPoints, 1)
}
