package engine

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream/keys"
)

// StoreFormat is the format of the keyspace and the records in it that this
// version writes, and the newest that it reads. docs/FORMAT.md lists the formats.
const StoreFormat = 1

// Identity says which store a directory holds. It stands in two files beside
// Pebble's, and in Pebble itself.
type Identity struct {
	Format      int
	Store       keys.EventID // made once, for good
	Incarnation keys.EventID // made anew when a store is restored from a backup
	Node        string       // a label given at creation, may be empty
	CreatedAt   time.Time
}

// FormatTooNewError is a store of a format that this version does not read.
type FormatTooNewError struct{ Found int }

// Error names both formats.
func (e *FormatTooNewError) Error() string {
	return fmt.Sprintf("store format %d, newest known is %d", e.Found, StoreFormat)
}

var errIdentity = errors.New("identity file is damaged")

const identityTitle = "eventstream store"

// encode writes the identity as lines of text, so that a person can read it. The
// last line is the SHA-256 of the lines before.
func (id Identity) encode() []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, identityTitle)
	fmt.Fprintln(&b, "format:", id.Format)
	fmt.Fprintln(&b, "store:", id.Store)
	fmt.Fprintln(&b, "incarnation:", id.Incarnation)
	fmt.Fprintln(&b, "node:", strconv.Quote(id.Node))
	fmt.Fprintln(&b, "created:", id.CreatedAt.UTC().Format(time.RFC3339Nano))
	fmt.Fprintf(&b, "sha256: %x\n", sha256.Sum256(b.Bytes()))
	return b.Bytes()
}

// parseIdentity reads what encode wrote. A newer format is told before anything
// else is looked at, since a newer version may have changed the rest.
func parseIdentity(text []byte) (Identity, error) {
	lines := strings.SplitAfter(string(text), "\n")
	if len(lines) < 2 || lines[0] != identityTitle+"\n" {
		return Identity{}, errIdentity
	}
	value := func(line int, name string) string {
		if line >= len(lines) {
			return ""
		}
		v, _ := strings.CutPrefix(lines[line], name+": ")
		return strings.TrimSuffix(v, "\n")
	}
	format, err := strconv.Atoi(value(1, "format"))
	if err != nil || format < 1 {
		return Identity{}, errIdentity
	}
	if format > StoreFormat {
		return Identity{}, &FormatTooNewError{Found: format}
	}
	id := Identity{Format: format}
	var errs [4]error
	id.Store, errs[0] = keys.ParseEventID(value(2, "store"))
	id.Incarnation, errs[1] = keys.ParseEventID(value(3, "incarnation"))
	id.Node, errs[2] = strconv.Unquote(value(4, "node"))
	id.CreatedAt, errs[3] = time.Parse(time.RFC3339Nano, value(5, "created"))
	// Encoding again compares every byte, the sum included.
	if errors.Join(errs[:]...) != nil || !bytes.Equal(id.encode(), text) {
		return Identity{}, errIdentity
	}
	return id, nil
}

// maxIdentityBytes bounds how much of an identity file is read.
const maxIdentityBytes = 4096

func readIdentity(fs vfs.FS, path string) (Identity, error) {
	f, err := fs.Open(path)
	if err != nil {
		return Identity{}, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxIdentityBytes))
	if err := errors.Join(err, f.Close()); err != nil {
		return Identity{}, err
	}
	return parseIdentity(text)
}

// writeFile replaces the file called name in dir, so that a crash leaves the old
// content or the new.
func writeFile(fs vfs.FS, dir, name string, content []byte) error {
	path, temporary := fs.PathJoin(dir, name), fs.PathJoin(dir, name+temporarySuffix)
	f, err := fs.Create(temporary, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := fs.Rename(temporary, path); err != nil {
		return err
	}
	return syncDir(fs, dir)
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
