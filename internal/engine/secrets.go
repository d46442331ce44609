package engine

import (
	"errors"
	"fmt"
	"os"
)

// dirKeys is where a store keeps secrets: beside the database, and in no backup.
const dirKeys = "keys"

// ReadSecret returns what is kept under a name in the directory of keys, or an error that
// matches os.ErrNotExist.
func (d *Directory) ReadSecret(name string) ([]byte, error) {
	return readFile(d.fs, d.fs.PathJoin(d.Path, dirKeys, name))
}

// WriteSecret replaces what is kept under a name, durably.
func (d *Directory) WriteSecret(name string, content []byte) error {
	dir := d.fs.PathJoin(d.Path, dirKeys)
	if _, err := d.fs.Stat(dir); errors.Is(err, os.ErrNotExist) {
		if err := d.fs.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make %s: %w", dir, err)
		}
		if err := syncDir(d.fs, d.Path); err != nil {
			return err
		}
	}
	return writeFile(d.fs, dir, name, content)
}
