//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package engine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// lockFile takes an exclusive lock on the file at path, which is created if need
// be. Unlike Pebble's own lock, which belongs to the process and is dropped when
// any of its descriptors of that file is closed, this one belongs to the
// descriptor: a second Open in the same process is refused as well. With readOnly, a file
// system that is mounted read-only will do, with the file there or without.
func lockFile(path string, readOnly bool) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if readOnly && errors.Is(err, syscall.EROFS) {
		if f, err = os.Open(path); errors.Is(err, os.ErrNotExist) {
			return noLock{}, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s", ErrLocked, path)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return flock{f}, nil
}

type flock struct{ file *os.File }

// Close unlocks the file rather than only closing it: a process that is being
// started from this one holds a copy of every descriptor for a moment, and with it
// the lock.
func (l flock) Close() error {
	return errors.Join(syscall.Flock(int(l.file.Fd()), syscall.LOCK_UN), l.file.Close())
}
