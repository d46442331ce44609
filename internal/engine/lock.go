package engine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// takeLock locks the directory. One on a file system that is mounted read-only, as Linux
// does when a disk fails, is locked as far as it can be if it is only to be read: nobody
// writes there, and it is then that a store must be read.
func (d *Directory) takeLock(readOnly bool) (io.Closer, error) {
	path := d.fs.PathJoin(d.Path, fileLock)
	if d.fs == vfs.Default {
		return lockFile(path, readOnly)
	}
	lock, err := d.fs.Lock(path)
	switch {
	case err == nil:
		return lock, nil
	case readOnly && errors.Is(err, syscall.EROFS):
		return noLock{}, nil
	default:
		return nil, lockError(path, err)
	}
}

// lockFaults are errors of a file system, none of which says that somebody holds a lock.
var lockFaults = [...]error{
	os.ErrNotExist, syscall.EROFS, syscall.ENOSPC, syscall.EIO, syscall.EMFILE, syscall.ENFILE,
}

// lockError tells a lock that somebody holds from one that could not be made. A permission
// that is missing is a fault if opening the file says so; from locking it, some systems
// mean a lock that is held.
func lockError(path string, err error) error {
	_, fault := errors.AsType[*os.PathError](err)
	for _, f := range lockFaults {
		fault = fault || errors.Is(err, f)
	}
	if fault {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	return fmt.Errorf("%w: %s: %w", ErrLocked, path, err)
}

// noLock stands for a lock where nobody can write.
type noLock struct{}

func (noLock) Close() error { return nil }

// readOnlyFS lets Pebble, which takes a lock of its own by making a file, open a database
// where no file can be made. The directory's lock is held by then.
type readOnlyFS struct{ vfs.FS }

// Unwrap implements vfs.FS.
func (fs readOnlyFS) Unwrap() vfs.FS { return fs.FS }

// Lock implements vfs.FS.
func (fs readOnlyFS) Lock(name string) (io.Closer, error) {
	lock, err := fs.FS.Lock(name)
	if errors.Is(err, syscall.EROFS) {
		return noLock{}, nil
	}
	return lock, err
}
