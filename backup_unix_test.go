//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package eventstream_test

import (
	"os"
	"path/filepath"
	"testing"
)

func TestABackupAndARestoredStoreAreClosedToOthers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	info := mustBackup(t, backupSource(t, filepath.Join(dir, "store"), 3), filepath.Join(dir, "backup"))
	restored := mustRestore(t, info.Path, filepath.Join(dir, "again"), nil)
	for _, path := range []string{info.Path, filepath.Join(info.Path, "db"), restored.Path, filepath.Join(restored.Path, "db")} {
		found, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "mode of "+path, found.Mode().Perm(), 0o700)
	}
}
