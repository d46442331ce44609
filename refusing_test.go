package eventstream_test

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
)

const refusingRole = "refusing"

// refusals of a file system.
const (
	refusedWrites = "writes" // nothing may be changed any more: it was mounted read-only
	refusedOpens  = "opens"  // what is open goes on, nothing else can be opened: a permission was lost
	refusedFiles  = "files"  // likewise, but by the operating system: no file descriptors are left
)

// refusingTask tells a child what its file system refuses, from some append on.
type refusingTask struct {
	Dir   string
	What  string
	Errno syscall.Errno
	Size  int // of a payload; large ones fill tables and logs on the way
}

// refusingLine is an append that was acknowledged, or the end of the child.
type refusingLine struct {
	Position eventstream.Position
	ID       eventstream.EventID

	End       bool
	Hits      int64
	Broken    []string // promises that the store broke
	Told      string   // the first error of an append, if any
	Read      string   // the error of a read while the fault lasted, if any
	Healed    string   // the error of an append once it was over, if any
	CloseTook time.Duration
}

// refusal is a file system that refuses while it is armed.
type refusal struct {
	task  refusingTask
	armed atomic.Bool
	hits  atomic.Int64
}

func (r *refusal) wrap(fs vfs.FS) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if !r.armed.Load() || !r.refuses(op.Kind) {
			return nil
		}
		r.hits.Add(1)
		return r.task.Errno
	}))
}

func (r *refusal) refuses(kind errorfs.OpKind) bool {
	switch kind {
	case errorfs.OpCreate, errorfs.OpReuseForWrite, errorfs.OpRename, errorfs.OpRemove, errorfs.OpMkdirAll, errorfs.OpLink:
		return r.task.What != refusedFiles
	case errorfs.OpOpen, errorfs.OpOpenDir:
		return r.task.What == refusedOpens
	default:
		return r.task.What == refusedWrites && kind.ReadOrWrite() == errorfs.OpIsWrite
	}
}

// arm makes the file system refuse, and returns what ends that.
func (r *refusal) arm() (disarm func() error, err error) {
	if r.task.What == refusedFiles {
		return leaveNoDescriptors()
	}
	r.armed.Store(true)
	return func() error { r.armed.Store(false); return nil }, nil
}

// refusingAppends is how many appends a child makes in its first session, before the fault
// and while it lasts.
const refusingAppends = 60

func refusingChild(task refusingTask) error {
	r := &refusal{task: task}
	var end refusingLine
	end.End = true
	broken := func(format string, args ...any) { end.Broken = append(end.Broken, fmt.Sprintf(format, args...)) }
	db, err := eventstream.Open(task.Dir, onFS(r.wrap(vfs.Default), smallTables))
	if err != nil {
		return err
	}
	acked, size := 0, 16<<10
	add := func() error {
		data := make([]byte, size)
		data[0] = byte(acked)
		res, err := db.Append(ctx, "s", eventstream.Any, eventstream.NewEvent{Type: "X", Codec: codec.Raw, Data: codec.Encoded(data)})
		if err != nil {
			return err
		}
		acked++
		return say(refusingLine{Position: res.LastPosition, ID: res.EventIDs[0]})
	}
	addMany := func() (err error) {
		for n := 0; n < refusingAppends && err == nil; n++ {
			err = add()
		}
		return err
	}
	if err := errors.Join(addMany(), db.Close()); err != nil {
		return err
	}
	// These are in tables, which are closed.
	if db, err = eventstream.Open(task.Dir, onFS(r.wrap(vfs.Default), smallTables)); err != nil {
		return err
	}
	if size = task.Size; addMany() != nil {
		return errors.New("an append before the fault failed")
	}
	disarm, err := r.arm()
	if err != nil {
		return err
	}
	if err := addMany(); err != nil {
		end.Told = err.Error()
		if !errors.Is(err, eventstream.ErrPoisoned) || !errors.Is(err, task.Errno) {
			broken("an append failed, and does not say that the store is poisoned, and why: %v", err)
		}
		if err := add(); !errors.Is(err, eventstream.ErrPoisoned) || errors.Is(err, eventstream.ErrCommitUnknown) {
			broken("an append after the first that failed: %v", err)
		}
	}
	// A read gives everything, or an error: never less.
	events, err := collect(db.ReadAll(ctx))
	switch {
	case err == nil && len(events) < acked:
		broken("%d events were read of %d acknowledged ones, without an error", len(events), acked)
	case err != nil:
		end.Read = err.Error()
		if !errors.Is(err, task.Errno) || errors.Is(err, eventstream.ErrCorrupt) {
			broken("a read failed, and does not say why: %v", err)
		}
	}
	if _, err := db.Backup(ctx, task.Dir+".backup"); err == nil {
		broken("a backup was made")
	}
	end.Hits = r.hits.Load()
	if err := disarm(); err != nil {
		return err
	}
	if events, err := collect(db.ReadAll(ctx)); err != nil || len(events) < acked {
		broken("%d events were read of %d once the fault was over: %v", len(events), acked, err)
	}
	if err := add(); err != nil {
		end.Healed = err.Error()
		if end.Told == "" || !errors.Is(err, eventstream.ErrPoisoned) {
			broken("an append once the fault is over: %v", err)
		}
	}
	began := time.Now()
	if err := db.Close(); err != nil && end.Told == "" {
		broken("close: %v", err)
	}
	end.CloseTook = time.Since(began)
	return say(end)
}

// The file system refuses something from one moment to the next. The store does not
// panic, says what happened, reads what it can and nothing less than that, and has all that
// was acknowledged when it is opened again. If only the log's next file cannot be made,
// Pebble may end the process.
func TestAFileSystemThatRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		task    refusingTask
		poisons bool // the log cannot be written any more
	}{
		{"mounted read-only", refusingTask{What: refusedWrites, Errno: syscall.EROFS, Size: 100}, true},
		{"mounted read-only, among large events", refusingTask{What: refusedWrites, Errno: syscall.EROFS, Size: 16 << 10}, true},
		{"a permission is lost", refusingTask{What: refusedOpens, Errno: syscall.EACCES, Size: 100}, false},
		{"a permission is lost, among large events", refusingTask{What: refusedOpens, Errno: syscall.EACCES, Size: 16 << 10}, false},
		{"no file descriptors are left", refusingTask{What: refusedFiles, Errno: syscall.EMFILE, Size: 100}, false},
		{"no file descriptors are left, among large events", refusingTask{What: refusedFiles, Errno: syscall.EMFILE, Size: 16 << 10}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if c.task.What == refusedFiles && runtime.GOOS == "windows" {
				t.Skip("the system does not limit the descriptors of a process")
			}
			c.task.Dir = t.TempDir()
			testRefusing(t, c.task, c.poisons)
		})
	}
}

func testRefusing(t *testing.T, task refusingTask, poisons bool) {
	var acked []refusingLine
	var end refusingLine
	death, err := startChild(refusingRole, task, func(line refusingLine) {
		if line.End {
			end = line
		} else {
			acked = append(acked, line)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d acknowledged, death %q, %d refusals, append %q, read %q, append afterwards %q, Close took %v",
		len(acked), death, end.Hits, end.Told, end.Read, end.Healed, end.CloseTook)
	for _, b := range end.Broken {
		t.Error(b)
	}
	rotates := task.Size > 1000
	switch {
	case death == "" && !end.End:
		t.Fatal("the child ended without a word")
	case death != "" && !rotates:
		t.Errorf("the process ended: %s", death)
	case death == "" && !rotates && poisons != (end.Told != ""):
		t.Errorf("an append said %q, want an error: %v", end.Told, poisons)
	case end.CloseTook > closeMost:
		t.Errorf("Close took %v", end.CloseTook)
	case len(acked) < 2*refusingAppends:
		t.Errorf("%d appends were acknowledged, want the %d before the fault", len(acked), 2*refusingAppends)
	}
	opts := smallTables
	db := mustOpen(t, task.Dir, &opts)
	for _, a := range acked {
		if e, err := db.EventAt(ctx, a.Position); err != nil || e.ID != a.ID {
			t.Errorf("acknowledged position %d: %v", a.Position, err)
		}
	}
	if extra := int(db.Head()) - len(acked); extra < 0 || extra > 1 {
		t.Errorf("%d events beyond the acknowledged ones, want at most one", extra)
	}
	wantSound(t, db)
	mustAppend(t, db, "later", eventstream.NoStream, event("X"))
}

// A disk that fails is mounted read-only by the system. The store is not taken for one in
// use, is opened for reading, checked, and salvaged.
func TestAStoreOnAReadOnlyFileSystemIsRead(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	mustClose(t, calledStore(t, mem))
	before := imageOf(t, mem)
	for _, errno := range []syscall.Errno{syscall.EROFS, syscall.EIO, syscall.ENOSPC} {
		r := &refusal{task: refusingTask{What: refusedWrites, Errno: errno}}
		r.armed.Store(true)
		_, err := eventstream.Open("store", onFS(r.wrap(mem), smallTables))
		if !errors.Is(err, errno) && !errors.Is(err, eventstream.ErrDiskFull) || errors.Is(err, eventstream.ErrInUse) {
			t.Errorf("open for writing: got %v, want %v", err, errno)
		}
	}
	r := &refusal{task: refusingTask{What: refusedWrites, Errno: syscall.EROFS}}
	r.armed.Store(true)
	opts := onFS(r.wrap(mem), smallTables)
	opts.ReadOnly = true
	db, err := eventstream.Open("store", opts)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "events", len(mustCollect(t, db.ReadAll(ctx))), 2)
	wantSound(t, db)
	mustClose(t, db)
	salvage, err := eventstream.OpenSalvage(ctx, "store", &eventstream.SalvageOptions{FS: r.wrap(mem)})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "events salvaged", salvage.Events(), 3)
	mustClose(t, salvage)
	after := imageOf(t, mem)
	equal(t, "files", len(after), len(before))
	for path, content := range before {
		equal(t, path, string(after[path]), string(content))
	}
}
