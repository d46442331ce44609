package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream/keys"
)

// TargetError is a place where nothing can be built.
type TargetError struct{ Reason string }

// Error says why.
func (e *TargetError) Error() string { return e.Reason }

// Staging is a directory that is being built beside the place where it will stand.
// Until it is whole it holds an empty file BACKUP, so that nobody opens it.
type Staging struct {
	Path string

	fs     vfs.FS
	target string // where it will stand
	parent string
}

// NewStaging begins a directory that will stand at target, which must not exist, or
// be empty, and must not lie in the directory apart.
func NewStaging(fs vfs.FS, target, apart string, id keys.EventID) (*Staging, error) {
	if fs == nil {
		fs = vfs.Default
	}
	if target == "" {
		return nil, &TargetError{Reason: "it is empty: name a directory"}
	}
	target, err := absolute(fs, target)
	if err != nil {
		return nil, err
	}
	if err := targetFree(fs, target); err != nil {
		return nil, err
	}
	s := &Staging{fs: fs, target: target, parent: fs.PathDir(target)}
	if err := s.isApart(apart); err != nil {
		return nil, err
	}
	s.Path = target + ".partial-" + id.String()
	if err := makeDir(fs, s.Path); err != nil {
		return nil, fmt.Errorf("create directory: %w", errors.Join(err, s.Discard()))
	}
	if err := writeFile(fs, s.Path, fileBackup, nil); err != nil {
		return nil, fmt.Errorf("write %s: %w", fileBackup, errors.Join(err, s.Discard()))
	}
	return s, nil
}

func absolute(fs vfs.FS, path string) (string, error) {
	if fs != vfs.Default {
		return fs.PathJoin(path), nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("resolve path: %w", err)
	}
	return path, nil
}

func targetFree(fs vfs.FS, target string) error {
	info, err := fs.Stat(target)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at directory: %w", err)
	case !info.IsDir():
		return &TargetError{Reason: "it is a file: name a new directory"}
	}
	names, err := fs.List(target)
	if err != nil {
		return fmt.Errorf("look at directory: %w", err)
	}
	if len(names) > 0 {
		return &TargetError{Reason: fmt.Sprintf("it holds files, as %q: name a new directory", names[0])}
	}
	return nil
}

// isApart refuses a target in the directory other: a store's directory holds nothing
// but the store, and a backup's nothing but the backup.
func (s *Staging) isApart(other string) error {
	other, err := absolute(s.fs, other)
	if err != nil {
		return err
	}
	if other, err = canonical(s.fs, other); err != nil {
		return err
	}
	above := s.parent
	for {
		if _, err := s.fs.Stat(above); err == nil || s.fs.PathDir(above) == above {
			break
		}
		above = s.fs.PathDir(above)
	}
	if above, err = canonical(s.fs, above); err != nil {
		return err
	}
	if above == other || strings.HasPrefix(above, strings.TrimSuffix(other, "/")+"/") || s.target == other {
		return &TargetError{Reason: fmt.Sprintf("it lies in %s, which it is made from: name a directory elsewhere", other)}
	}
	return nil
}

// PebbleDir returns where the database is built.
func (s *Staging) PebbleDir() string { return s.fs.PathJoin(s.Path, dirPebble) }

// Identify writes both identity files.
func (s *Staging) Identify(id Identity) error {
	for _, name := range []string{fileIdentityCopy, fileIdentity} {
		if err := writeFile(s.fs, s.Path, name, id.encode()); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

// Room returns a [*NoRoomError] if there is no room for needed bytes.
func (s *Staging) Room(needed uint64) error { return roomFor(s.fs, s.Path, needed) }

// Remove removes files, paths below the directory, that are there.
func (s *Staging) Remove(paths ...string) error {
	for _, path := range paths {
		if err := s.fs.RemoveAll(s.fs.PathJoin(s.Path, path)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Unmark takes the file BACKUP away: what was built is a store now.
func (s *Staging) Unmark() error {
	if err := s.fs.Remove(s.fs.PathJoin(s.Path, fileBackup)); err != nil {
		return err
	}
	return syncDir(s.fs, s.Path)
}

// Publish puts the directory, which is whole and synced but for its own entries, in
// its place. When it fails, nothing stands there.
func (s *Staging) Publish() error {
	if err := syncDir(s.fs, s.Path); err != nil {
		return err
	}
	if err := targetFree(s.fs, s.target); err != nil {
		return err
	}
	if err := s.fs.Remove(s.target); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := s.fs.Rename(s.Path, s.target); err != nil {
		return err
	}
	if err := syncDir(s.fs, s.parent); err != nil {
		return errors.Join(err, s.fs.Rename(s.target, s.Path))
	}
	return nil
}

// Target returns where the directory stands once it is published.
func (s *Staging) Target() string { return s.target }

// Discard removes what was built.
func (s *Staging) Discard() error {
	if err := s.fs.RemoveAll(s.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", s.Path, err)
	}
	return nil
}
