package engine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// oldestPebbleFormat is the oldest format of Pebble's files that any store has had.
// Creating a store ends with its identity, which is written after the format.
const oldestPebbleFormat = 24

// ErrPebbleTooNew is a database that a newer Pebble wrote.
var ErrPebbleTooNew = errors.New("the database has a newer format of Pebble than this version reads")

// Preflight is what Pebble's directory shows before Pebble opens it.
type Preflight struct {
	Manifest string // its name
	// Torn says that the manifest ends in something that is no record. A crash can
	// leave that, and so can damage: what was lost has to be looked for.
	Torn bool
	// LogBytes is the size of all logs.
	LogBytes int64
	// Tables are the tables in the directory, by file number.
	Tables map[uint64]string
}

// LookBefore reads which database Pebble would open, and refuses one that Pebble
// would open with less than it held: Pebble takes a missing marker for a new
// database, and a damaged manifest for a short one, and deletes the tables that it no
// longer knows of. The error is a [*DamageError], ErrPebbleTooNew or one of the file
// system. Nothing is written.
func LookBefore(fs vfs.FS, storeDir string) (Preflight, error) {
	if fs == nil {
		fs = vfs.Default
	}
	dir := fs.PathJoin(storeDir, dirPebble)
	p := Preflight{Tables: make(map[uint64]string)}
	names, err := fs.List(dir)
	if errors.Is(err, os.ErrNotExist) {
		return p, &DamageError{File: dirPebble, Detail: "the directory of the database is missing"}
	}
	if err != nil {
		return p, fmt.Errorf("look at %s: %w", dir, err)
	}
	var format, manifest marker
	for _, name := range names {
		if err := errors.Join(format.see(name, "format-version"), manifest.see(name, "manifest")); err != nil {
			return p, err
		}
		if number, ok := fileNumber(name, ".sst"); ok {
			p.Tables[number] = name
		}
		if _, ok := fileNumber(name, ".log"); ok {
			info, err := fs.Stat(fs.PathJoin(dir, name))
			if err != nil {
				return p, fmt.Errorf("look at %s: %w", name, err)
			}
			p.LogBytes += info.Size()
		}
	}
	if err := format.checkFormat(); err != nil {
		return p, err
	}
	if manifest.file == "" {
		return p, damagedFile("marker.manifest.*", "the marker that names the manifest is missing")
	}
	if _, ok := strings.CutPrefix(manifest.value, "MANIFEST-"); !ok {
		return p, damagedFile(manifest.file, "the marker names no manifest")
	}
	p.Manifest = manifest.value
	content, err := readFile(fs, fs.PathJoin(dir, p.Manifest))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return p, damagedFile(p.Manifest, "the manifest is missing")
	case err != nil:
		return p, fmt.Errorf("read %s: %w", p.Manifest, err)
	}
	scan := scanManifest(content)
	switch {
	case scan.records == 0:
		return p, damagedFile(p.Manifest, "the manifest holds no whole record")
	case scan.damaged:
		return p, damagedFile(p.Manifest, fmt.Sprintf("the manifest is damaged at byte %d, and goes on behind it", scan.end))
	}
	p.Torn = scan.end < len(content)
	return p, nil
}

func damagedFile(name, detail string) error {
	return &DamageError{File: dirPebble + "/" + name, Detail: detail}
}

// marker is the newest of the empty files by which Pebble keeps a value in a name,
// marker.NAME.ITERATION.VALUE. A crash may leave an older one beside it.
type marker struct {
	file      string
	iteration uint64
	value     string
}

func (m *marker) see(file, name string) error {
	rest, ok := strings.CutPrefix(file, "marker.")
	if !ok {
		return nil
	}
	found, rest, _ := strings.Cut(rest, ".")
	number, value, ok := strings.Cut(rest, ".")
	iteration, err := strconv.ParseUint(number, 10, 64)
	if !ok || err != nil {
		return damagedFile(file, "the marker is malformed")
	}
	if found == name && (m.file == "" || m.iteration < iteration) {
		*m = marker{file: file, iteration: iteration, value: value}
	}
	return nil
}

func (m *marker) checkFormat() error {
	if m.file == "" {
		return damagedFile("marker.format-version.*", "the marker of the database's format is missing")
	}
	format, err := strconv.ParseUint(m.value, 10, 32)
	switch {
	case err != nil:
		return damagedFile(m.file, "the marker names no format")
	case format > uint64(PebbleFormat):
		return fmt.Errorf("%w: %d, up to %d is known", ErrPebbleTooNew, format, PebbleFormat)
	case format < oldestPebbleFormat:
		return damagedFile(m.file, fmt.Sprintf("no store was ever made in format %d of Pebble", format))
	}
	return nil
}

// fileNumber takes the number out of a name as 000012.sst.
func fileNumber(name, extension string) (number uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, extension)
	if !ok {
		return 0, false
	}
	number, err := strconv.ParseUint(digits, 10, 64)
	return number, err == nil
}

func readFile(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(f)
	return content, errors.Join(err, f.Close())
}
