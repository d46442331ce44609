package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream/keys"
)

// Checkpoint copies the database as it stands into dir, which must not exist, while
// writes go on. What was durable before the call is in it, what was submitted during
// the call may be; since there is one log, that is a prefix of all commits. The copy
// shares no file with the database. One runs at a time; the end of ctx and poison
// stop it between two blocks of a file. A checkpoint that fails leaves no dir.
func (e *Engine) Checkpoint(ctx context.Context, dir string) error {
	if err := e.writable(); err != nil {
		return err
	}
	select {
	case e.checkpoint <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-e.poison.ch:
		return e.poison.get()
	}
	stopped := func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return e.poison.get()
	}
	e.files.running.Store(&checkpointing{dir: dir, stopped: stopped})
	err := e.bounded(func() error {
		err := e.writeManifest()
		if err == nil {
			err = e.checkpointPebble(dir)
		}
		e.files.running.Store(nil)
		<-e.checkpoint
		return err
	})
	if poisoned := e.poison.get(); poisoned != nil {
		return poisoned // what was copied may hold a commit that failed
	}
	if err != nil {
		return fmt.Errorf("checkpoint: %w", checkpointErr(err))
	}
	return nil
}

// writeManifest sees to it that Pebble has written a manifest in this session. Until then
// its checkpoints have an empty one: it copies as much of the manifest as it wrote. As a
// rule it writes one while it opens, when it moves a log into tables. If there was no log,
// since the power failed before a new one was made, it does with the first flush.
func (e *Engine) writeManifest() (err error) {
	if e.manifest.Load() {
		return nil
	}
	defer func() {
		if r := recover(); r != nil {
			err = e.recovered(r)
		}
	}()
	if err := e.flush(); err != nil {
		return err
	}
	if !e.manifest.Load() {
		return errNoManifest
	}
	return nil
}

var errNoManifest = errors.New("the disk takes no tables, so there is no manifest to copy: free some space, or open the store again")

// checkpointPebble does not poison when Pebble panics, as it does when the directory of
// the copy cannot be synced: a broken disk for backups must not stop the store. By then
// Pebble has let go of its locks, since its own clean-up takes them again.
func (e *Engine) checkpointPebble(dir string) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case error:
			err = r
		default:
			err = fmt.Errorf("pebble: panic: %v", r)
		}
	}()
	return e.db.Checkpoint(dir)
}

// Compact rewrites every table that holds something that was deleted, so that its
// bytes are gone from all tables when it returns.
func (e *Engine) Compact(ctx context.Context) error {
	if err := e.writable(); err != nil {
		return err
	}
	return e.bounded(func() error { return e.compact(ctx) })
}

func (e *Engine) compact(ctx context.Context) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = e.recovered(r)
		}
	}()
	if err := e.Sync(ctx, 0); err != nil { // see flush
		return err
	}
	if err := e.db.Flush(); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	if err := e.db.Compact(ctx, []byte{byte(keys.KindMeta)}, []byte{0xff}, false); err != nil {
		return fmt.Errorf("compact: %w", err)
	}
	return nil
}

// copyingFS is the file system below Pebble. It makes a copy where Pebble asks for a
// hard link while a checkpoint runs, which is the only time that it does: a backup
// that shares blocks with the store would share the damage to them. And a copy can be
// stopped, so that Close need not wait for it.
//
// What a checkpoint writes goes past the watches over the store's disk: that the disk
// of a backup is full or slow says nothing of the store's, whose ballast it cannot use.
type copyingFS struct {
	vfs.FS
	base    vfs.FS // below the watches
	dir     string // the database's; all else that is written is a checkpoint's
	running atomic.Pointer[checkpointing]
}

// checkpointing is a checkpoint that runs.
type checkpointing struct {
	dir     string
	stopped func() error
}

// Unwrap implements vfs.FS.
func (f *copyingFS) Unwrap() vfs.FS { return f.FS }

// to returns the file system that the file or directory path is written with.
func (f *copyingFS) to(path string) vfs.FS {
	if f.running.Load() == nil {
		return f.FS
	}
	for within := path; within != f.dir; within = f.PathDir(within) {
		if f.PathDir(within) == within {
			return f.base // Pebble syncs the directories above a checkpoint too
		}
	}
	return f.FS
}

// Create implements vfs.FS.
func (f *copyingFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return f.to(name).Create(name, category)
}

// MkdirAll implements vfs.FS.
func (f *copyingFS) MkdirAll(dir string, perm os.FileMode) error {
	if c := f.running.Load(); c != nil && dir == c.dir {
		perm = 0o700
	}
	return f.to(dir).MkdirAll(dir, perm)
}

// OpenDir implements vfs.FS.
func (f *copyingFS) OpenDir(name string) (vfs.File, error) { return f.to(name).OpenDir(name) }

// Remove implements vfs.FS.
func (f *copyingFS) Remove(name string) error { return f.to(name).Remove(name) }

// RemoveAll implements vfs.FS.
func (f *copyingFS) RemoveAll(name string) error { return f.to(name).RemoveAll(name) }

// Link implements vfs.FS.
func (f *copyingFS) Link(oldname, newname string) error {
	c := f.running.Load()
	if c == nil || f.PathDir(newname) != c.dir {
		return f.FS.Link(oldname, newname)
	}
	if _, err := copyFile(f.base, oldname, newname, c.stopped, nil); err != nil {
		return copyError{err}
	}
	return nil
}

// copyError keeps Pebble from trying again by other means when a copy failed, as it
// does when a link fails unless for want of permission.
type copyError struct{ err error }

func (e copyError) Error() string        { return e.err.Error() }
func (e copyError) Unwrap() error        { return e.err }
func (e copyError) Is(target error) bool { return target == os.ErrPermission }

// checkpointErr takes what Is of a copyError made of err away again: nobody shall
// take a full disk for a missing permission.
func checkpointErr(err error) error {
	var failed copyError
	if errors.As(err, &failed) {
		return failed.err
	}
	return err
}
