package engine

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// pebbleLock is the file that Pebble locks.
const pebbleLock = "LOCK"

// Seal ends a backup: it adds the sums of all files to b, and writes it to the file
// BACKUP. stopped is asked now and then and ends it with an error.
func (s *Staging) Seal(b *Backup, stopped func() error) error {
	// What checking it left.
	if err := s.Remove(fileLock, s.fs.PathJoin(dirPebble, pebbleLock)); err != nil {
		return err
	}
	names, err := s.fs.List(s.PebbleDir())
	if err != nil {
		return err
	}
	for i, name := range names {
		names[i] = dirPebble + "/" + name
	}
	names = append(names, fileIdentity, fileIdentityCopy)
	slices.Sort(names)
	b.Files = nil
	for _, name := range names {
		if !backupName.MatchString(name) {
			return fmt.Errorf("the backup holds a file %q that is no part of a store", name)
		}
		f := BackupFile{Name: name}
		if f.Size, f.Sum, err = sumFile(s.fs, s.path(name), stopped); err != nil {
			return err
		}
		b.Files = append(b.Files, f)
	}
	if err := syncDir(s.fs, s.PebbleDir()); err != nil {
		return err
	}
	return writeFile(s.fs, s.Path, fileBackup, b.encode())
}

func (s *Staging) path(name string) string { return join(s.fs, s.Path, name) }

// join appends a name with slashes to dir.
func join(fs vfs.FS, dir, name string) string {
	return fs.PathJoin(append([]string{dir}, strings.Split(name, "/")...)...)
}

// Fill copies the files of the backup b in dir, and compares their sizes and sums.
func (s *Staging) Fill(b *Backup, dir string, stopped func() error) error {
	if err := roomFor(s.fs, s.Path, uint64(b.Bytes())); err != nil {
		return err
	}
	for _, f := range b.Files { // most of what can be wrong shows at once
		info, err := s.fs.Stat(join(s.fs, dir, f.Name))
		switch {
		case errors.Is(err, os.ErrNotExist):
			return &BackupDamageError{Reason: fmt.Sprintf("its file %s is missing", f.Name)}
		case err != nil:
			return err
		case info.IsDir() || info.Size() != f.Size:
			return &BackupDamageError{Reason: fmt.Sprintf("its file %s has %d bytes, %d were written", f.Name, info.Size(), f.Size)}
		}
	}
	if err := makeDir(s.fs, s.PebbleDir()); err != nil {
		return err
	}
	for _, f := range b.Files {
		sum := sha256.New()
		n, err := copyFile(s.fs, join(s.fs, dir, f.Name), s.path(f.Name), stopped, sum)
		if err != nil {
			return err
		}
		if n != f.Size || [sha256.Size]byte(sum.Sum(nil)) != f.Sum {
			return &BackupDamageError{Reason: fmt.Sprintf("its file %s is not the one that was written: the SHA-256 differs", f.Name)}
		}
	}
	return syncDir(s.fs, s.PebbleDir())
}

// Identity returns the identity that the files of the directory name.
func (s *Staging) Identity() (Identity, error) {
	d := &Directory{fs: s.fs, Path: s.Path}
	err := d.readIdentity()
	return d.Identity, err
}
