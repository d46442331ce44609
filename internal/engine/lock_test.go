package engine

import (
	"errors"
	"os"
	"syscall"
	"testing"
)

// Who cannot make a lock is not told that somebody else has the store open.
func TestAFaultIsNotTakenForALockThatIsHeld(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		held bool
	}{
		{syscall.EAGAIN, true},
		{syscall.EACCES, true}, // from fcntl, on some systems
		{errors.New("lock held by current process"), true},
		{&os.PathError{Op: "open", Path: "lock", Err: syscall.EACCES}, false},
		{&os.PathError{Op: "open", Path: "lock", Err: syscall.ENOENT}, false},
		{syscall.EROFS, false},
		{syscall.EMFILE, false},
		{syscall.ENOSPC, false},
		{syscall.EIO, false},
	} {
		if err := lockError("lock", c.err); errors.Is(err, ErrLocked) != c.held || !errors.Is(err, c.err) {
			t.Errorf("%v: got %v, want ErrLocked: %v", c.err, err, c.held)
		}
	}
}
