package faultfs

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Lie returns fs with syncs that say they are done and do nothing, for the files and
// directories whose paths match. What was written to such a file, and which names such a
// directory holds, is gone after a crash: a cache without a battery, or, for a directory,
// a rename that is lost.
func Lie(fs vfs.FS, match func(path string) bool) vfs.FS {
	return &silentFS{FS: fs, lies: match}
}

// Tear returns fs with one write, the at-th to files whose paths match, of which only the
// first keep bytes reach the file. The call says that all did. Then torn is called: that
// is where the power fails.
func Tear(fs vfs.FS, match func(path string) bool, at, keep int, torn func()) vfs.FS {
	t := &silentFS{FS: fs}
	t.write = nth(match, at, func(f vfs.File, p []byte) error {
		_, err := f.Write(p[:min(keep, len(p))])
		torn()
		return err
	})
	return t
}

// Misdirect returns fs with one write, the at-th to files whose paths match, that lands
// in another file instead, offset bytes into it, as target chooses at that moment. Where
// it belonged are zeros.
func Misdirect(fs vfs.FS, match func(path string) bool, at int, target func() (path string, offset int64)) vfs.FS {
	t := &silentFS{FS: fs}
	t.write = nth(match, at, func(f vfs.File, p []byte) error {
		path, offset := target()
		other, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		_, err = other.WriteAt(append([]byte(nil), p...), offset)
		if err = errors.Join(err, other.Sync(), other.Close()); err != nil {
			return err
		}
		_, err = f.Write(make([]byte, len(p)))
		return err
	})
	return t
}

// Rot flips a bit of a file at rest.
func Rot(fs vfs.FS, path string, at int64, bit uint8) error {
	f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	b := make([]byte, 1)
	if _, err = f.ReadAt(b, at); err == nil {
		b[0] ^= 1 << (bit % 8)
		_, err = f.WriteAt(b, at)
	}
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("rot of byte %d of %s: %w", at, path, err)
	}
	return nil
}

// write takes the place of a write to a file. done false leaves it to the file.
type write func(path string, f vfs.File, p []byte) (done bool, err error)

// nth replaces the at-th write to files that match.
func nth(match func(path string) bool, at int, replace func(f vfs.File, p []byte) error) write {
	var count atomic.Int64
	return func(path string, f vfs.File, p []byte) (bool, error) {
		if !match(path) || count.Add(1) != int64(at) {
			return false, nil
		}
		return true, replace(f, p)
	}
}

// silentFS hands out files that do not do what they say.
type silentFS struct {
	vfs.FS
	lies  func(path string) bool // nil: none
	write write                  // nil: as it is
}

func (fs *silentFS) wrap(path string, f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &silentFile{File: f, fs: fs, path: path}, nil
}

// Create implements [vfs.FS], as do all methods below.
func (fs *silentFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	return fs.wrap(name, f, err)
}

func (fs *silentFS) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := fs.FS.OpenReadWrite(name, category, opts...)
	return fs.wrap(name, f, err)
}

func (fs *silentFS) ReuseForWrite(oldName, newName string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.ReuseForWrite(oldName, newName, category)
	return fs.wrap(newName, f, err)
}

func (fs *silentFS) OpenDir(name string) (vfs.File, error) {
	f, err := fs.FS.OpenDir(name)
	return fs.wrap(name, f, err)
}

// Unwrap implements [vfs.FS].
func (fs *silentFS) Unwrap() vfs.FS { return fs.FS }

type silentFile struct {
	vfs.File
	fs   *silentFS
	path string
}

func (f *silentFile) Write(p []byte) (int, error) {
	if f.fs.write != nil {
		if done, err := f.fs.write(f.path, f.File, p); done {
			return len(p), err
		}
	}
	return f.File.Write(p)
}

func (f *silentFile) sync(honest func() error) error {
	if f.fs.lies != nil && f.fs.lies(f.path) {
		return nil
	}
	return honest()
}

func (f *silentFile) Sync() error { return f.sync(f.File.Sync) }

func (f *silentFile) SyncData() error { return f.sync(f.File.SyncData) }

func (f *silentFile) SyncTo(length int64) (fullSync bool, err error) {
	err = f.sync(func() error {
		fullSync, err = f.File.SyncTo(length)
		return err
	})
	return fullSync, err
}
