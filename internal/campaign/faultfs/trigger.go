package faultfs

import (
	"os"
	"sync/atomic"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// Trigger does something before an operation on a file system. Set its fields before
// the first call of Wrap and leave them alone then.
type Trigger struct {
	// At is the operation that is hit, counted from 1 among those that Match.
	At int
	// Onward hits every one behind it as well.
	Onward bool
	// Match chooses operations. Nil means [Changes].
	Match func(errorfs.Op) bool
	// Do is called before the operation; if it returns an error, that is what the
	// operation returns, and nothing is done. Operations may wait for it.
	Do func(errorfs.Op) error

	paused atomic.Bool
	count  atomic.Int64
}

// Wrap returns fs with the trigger in front of it. File systems that one trigger wraps
// count together.
func (t *Trigger) Wrap(fs vfs.FS) vfs.FS {
	match := t.Match
	if match == nil {
		match = Changes
	}
	before := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if t.paused.Load() || !match(op) {
			return nil
		}
		if at := t.count.Add(1); at == int64(t.At) || t.Onward && at > int64(t.At) {
			return t.Do(op)
		}
		return nil
	})
	return &triggerFS{FS: errorfs.Wrap(fs, before), before: before}
}

// triggerFS also sees what happens to files that take the place of others, as a log does
// that is used again: [errorfs.FS] hands those out as they are.
type triggerFS struct {
	*errorfs.FS
	before errorfs.Injector
}

// ReuseForWrite implements [vfs.FS].
func (fs *triggerFS) ReuseForWrite(oldName, newName string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := fs.before.MaybeError(errorfs.Op{Kind: errorfs.OpReuseForWrite, Path: oldName}); err != nil {
		return nil, err
	}
	f, err := reuse(fs.Unwrap(), oldName, newName, category)
	if err != nil {
		return nil, err
	}
	return errorfs.WrapFile(f, errorfs.InjectorFunc(func(op errorfs.Op) error {
		op.Path = newName // it does not know
		return fs.before.MaybeError(op)
	})), nil
}

// reuse is ReuseForWrite. That of a [vfs.MemFS] takes a lock for reading twice, and hangs
// if somebody makes a clone of what a crash leaves in between.
func reuse(fs vfs.FS, oldName, newName string, category vfs.DiskWriteCategory) (vfs.File, error) {
	mem, ok := fs.(*vfs.MemFS)
	if !ok {
		return fs.ReuseForWrite(oldName, newName, category)
	}
	if err := mem.Rename(oldName, newName); err != nil {
		return nil, err
	}
	return mem.OpenReadWrite(newName, category)
}

// Pause lets operations pass, uncounted, until [Trigger.Resume].
func (t *Trigger) Pause() { t.paused.Store(true) }

// Resume ends [Trigger.Pause].
func (t *Trigger) Resume() { t.paused.Store(false) }

// Fired reports whether as many operations were seen as it takes.
func (t *Trigger) Fired() bool { return t.count.Load() >= int64(t.At) }

// Fail makes an operation fail as the operating system would.
func Fail(errno syscall.Errno) func(errorfs.Op) error {
	return func(op errorfs.Op) error {
		return &os.PathError{Op: "fault", Path: op.Path, Err: errno}
	}
}

// Changes reports whether op changes something on the disk, or makes it last.
func Changes(op errorfs.Op) bool { return op.Kind.ReadOrWrite() == errorfs.OpIsWrite }

// Syncs reports whether op makes what was written to a file last.
func Syncs(op errorfs.Op) bool {
	return op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
}
