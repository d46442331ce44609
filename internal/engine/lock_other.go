//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package engine

import (
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// lockFile takes an exclusive lock on the file at path by the file system's own
// means.
func lockFile(path string, _ bool) (io.Closer, error) {
	c, err := vfs.Default.Lock(path)
	if err != nil {
		return nil, lockError(path, err)
	}
	return c, nil
}
