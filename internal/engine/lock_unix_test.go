//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package engine

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// A process that is being started holds copies of all descriptors for a moment. The
// lock must be free as soon as it is closed, copies or not.
func TestALockIsFreeOnceItIsClosed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	lock, err := lockFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	held, ok := lock.(flock)
	if !ok {
		t.Fatalf("the lock is a %T", lock)
	}
	raw, err := syscall.Dup(int(held.file.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	inherited := os.NewFile(uintptr(raw), "inherited")
	defer closeDirectory(t, inherited)
	if _, err := lockFile(path, false); !errors.Is(err, ErrLocked) {
		t.Errorf("while it is held: got %v, want ErrLocked", err)
	}
	closeDirectory(t, lock)
	again, err := lockFile(path, false)
	if err != nil {
		t.Fatalf("after it was closed: %v", err)
	}
	closeDirectory(t, again)
}
