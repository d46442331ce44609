package engine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Names in a store's directory.
const (
	fileIdentity     = "STORE"
	fileIdentityCopy = "STORE.2"
	fileCreating     = "CREATING" // there from before the database is created until the identity is written
	fileMark         = "HWM"
	fileLock         = "lock"
	fileBackup       = "BACKUP"  // in a backup; empty in one, or in a restored store, that is being made
	fileBallast      = "BALLAST" // room that is set aside, see ballast
	temporarySuffix  = ".tmp"    // of a file that is being written, to be renamed
	dirPebble        = "db"
)

// Faults of a directory.
var (
	ErrLocked       = errors.New("directory is locked")
	ErrExists       = errors.New("store exists already")
	ErrNotExist     = errors.New("store does not exist")
	ErrIsBackup     = errors.New("directory is a backup")
	ErrIdentityLost = errors.New("both identity files, STORE and STORE.2, are missing or damaged")
)

// NotAStoreError is a path that holds something else than a store.
type NotAStoreError struct{ Reason string }

// Error says what is there.
func (e *NotAStoreError) Error() string { return e.Reason }

// Directory is a store's locked directory.
type Directory struct {
	Path     string // canonical: absolute, without symbolic links
	Fresh    bool   // it holds no store yet: create Pebble, then call Establish
	Identity Identity

	fs   vfs.FS
	lock io.Closer
}

// DirectoryConfig says which directory to open and how.
type DirectoryConfig struct {
	FS               vfs.FS // nil: the operating system's
	Path             string
	ReadOnly         bool
	ErrorIfExists    bool
	ErrorIfNotExists bool
	Backup           bool   // a backup is opened as well, to check it
	Reserve          uint64 // bytes that must be free for a store to be created
}

// OpenDirectory locks the store's directory and reads who it is. A directory that
// does not exist is created, unless cfg says otherwise. Nothing is written to one
// that is refused.
func OpenDirectory(cfg DirectoryConfig) (opened *Directory, err error) {
	d := &Directory{fs: cfg.FS, Path: cfg.Path}
	if d.fs == nil {
		d.fs = vfs.Default
	}
	found, err := d.look(cfg)
	if err != nil {
		return nil, err
	}
	if !found {
		if err := checkRoom(d.fs, d.Path, cfg.Reserve); err != nil {
			return nil, err
		}
		if err := makeDir(d.fs, d.Path); err != nil {
			return nil, fmt.Errorf("create directory: %w", err)
		}
	}
	if d.Path, err = canonical(d.fs, d.Path); err != nil {
		return nil, err
	}
	if d.lock, err = d.takeLock(cfg.ReadOnly); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = d.lock.Close()
			opened = nil
		}
	}()
	// What was seen before the lock may have changed: look again.
	if found, err = d.look(cfg); err != nil {
		return nil, err
	}
	if found {
		return d, nil
	}
	d.Fresh = true
	return d, d.begin()
}

// makeDir creates path and what is missing above it, each so that a crash does not
// take it away again with everything inside.
func makeDir(fs vfs.FS, path string) error {
	if _, err := fs.Stat(path); err == nil {
		return nil
	}
	parent := fs.PathDir(path)
	if parent != path {
		if err := makeDir(fs, parent); err != nil {
			return err
		}
	}
	if err := fs.MkdirAll(path, 0o700); err != nil {
		return err
	}
	return syncDir(fs, parent)
}

// PebbleDir returns Pebble's own directory.
func (d *Directory) PebbleDir() string { return d.fs.PathJoin(d.Path, dirPebble) }

// look finds out what the directory holds, and reads the identity of a store.
func (d *Directory) look(cfg DirectoryConfig) (found bool, err error) {
	info, err := d.fs.Stat(d.Path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, d.absent(cfg)
	case err != nil:
		return false, fmt.Errorf("look at directory: %w", err)
	case !info.IsDir():
		return false, &NotAStoreError{Reason: "it is a file"}
	}
	names, err := d.fs.List(d.Path)
	if err != nil {
		return false, fmt.Errorf("look at directory: %w", err)
	}
	has := make(map[string]bool, len(names))
	for _, name := range names {
		has[name] = true
	}
	if has[fileBackup] && !cfg.Backup {
		return false, ErrIsBackup
	}
	if has[fileIdentity] || has[fileIdentityCopy] {
		if cfg.ErrorIfExists {
			return false, ErrExists
		}
		return true, d.readIdentity()
	}
	switch {
	case has[fileCreating]:
		return false, d.absent(cfg) // a creation that was interrupted: nobody was told that it exists
	case has[dirPebble]:
		return false, ErrIdentityLost
	}
	for _, name := range names {
		if name != fileLock && name != fileBallast && name != fileCreating+temporarySuffix { // a creation that had hardly begun
			return false, &NotAStoreError{Reason: fmt.Sprintf("the directory holds other files, as %q", name)}
		}
	}
	return false, d.absent(cfg)
}

func (d *Directory) absent(cfg DirectoryConfig) error {
	if cfg.ErrorIfNotExists || cfg.ReadOnly {
		return ErrNotExist
	}
	return nil
}

// readIdentity takes the identity from either file. Both readable and different
// means that files of two stores were mixed.
func (d *Directory) readIdentity() error {
	first, firstErr := readIdentity(d.fs, d.fs.PathJoin(d.Path, fileIdentity))
	second, secondErr := readIdentity(d.fs, d.fs.PathJoin(d.Path, fileIdentityCopy))
	var tooNew *FormatTooNewError
	switch {
	case errors.As(firstErr, &tooNew), errors.As(secondErr, &tooNew):
		return tooNew
	case firstErr != nil && secondErr != nil:
		return fmt.Errorf("%w: %w, %w", ErrIdentityLost, firstErr, secondErr)
	case firstErr != nil:
		d.Identity = second
	case secondErr != nil:
		d.Identity = first
	case string(first.encode()) != string(second.encode()):
		return fmt.Errorf("%w: they name different stores", ErrIdentityLost)
	default:
		d.Identity = first
	}
	return nil
}

// Mend writes a missing or damaged copy of the identity again from the other, and
// ends a creation that was interrupted after its last step that counts. It is for a
// store that passed the checks of Open.
func (d *Directory) Mend() error {
	for _, name := range []string{fileIdentity, fileIdentityCopy} {
		if _, err := readIdentity(d.fs, d.fs.PathJoin(d.Path, name)); err == nil {
			continue
		}
		if err := writeFile(d.fs, d.Path, name, d.Identity.encode()); err != nil {
			return fmt.Errorf("mend %s: %w", name, err)
		}
	}
	return d.removeMarker()
}

// begin marks that a store is being created, and clears what an interrupted
// creation left.
func (d *Directory) begin() error {
	if err := writeFile(d.fs, d.Path, fileCreating, nil); err != nil {
		return fmt.Errorf("create store: %w", err)
	}
	if err := d.fs.RemoveAll(d.PebbleDir()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("create store: clear an interrupted creation: %w", err)
	}
	// Pebble would let others read it, should the directory above be open to them.
	if err := d.fs.MkdirAll(d.PebbleDir(), 0o700); err != nil {
		return fmt.Errorf("create store: %w", err)
	}
	return nil
}

// Establish ends a creation: the database is there and knows its identity, now the
// directory says so.
func (d *Directory) Establish(id Identity) error {
	d.Identity = id
	for _, name := range []string{fileIdentityCopy, fileIdentity} {
		if err := writeFile(d.fs, d.Path, name, id.encode()); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	d.Fresh = false
	return d.removeMarker()
}

func (d *Directory) removeMarker() error {
	err := d.fs.Remove(d.fs.PathJoin(d.Path, fileCreating))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncDir(d.fs, d.Path)
	}
	return err
}

// Close lets go of the lock.
func (d *Directory) Close() error { return d.lock.Close() }

// canonical resolves symbolic links, so that two ways to one directory meet at one
// lock. Only the operating system's file system has them.
func canonical(fs vfs.FS, path string) (string, error) {
	if fs != vfs.Default {
		return path, nil
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("resolve path: %w", err)
	}
	resolved, err := filepath.EvalSymlinks(absolute)
	if err != nil {
		return "", fmt.Errorf("resolve path: %w", err)
	}
	return resolved, nil
}
