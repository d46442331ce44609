package engine

import (
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// givingFS gives way with every block of a table: flushes and compactions pack for a tenth
// of a second and more. See [GiveWay].
type givingFS struct{ vfs.FS }

// Create implements vfs.FS.
func (fs givingFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	if err != nil || filepath.Ext(name) != ".sst" {
		return f, err
	}
	return givingFile{f}, nil
}

// Unwrap implements vfs.FS.
func (fs givingFS) Unwrap() vfs.FS { return fs.FS }

// givingFile is a table that is being written.
type givingFile struct{ vfs.File }

// Write implements vfs.File.
func (f givingFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	GiveWay()
	return n, err
}
