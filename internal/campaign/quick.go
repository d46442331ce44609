package campaign

import (
	"os"
	"testing"
)

// memoryDir is where Linux keeps files in memory.
const memoryDir = "/dev/shm"

// QuickDir returns an empty directory that goes with the test, in memory where the
// system offers that. It is for tests that kill or break a process and look at its files
// after: those outlive a process, not a power failure, wherever they are.
func QuickDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(memoryDir, "eventstream")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}
