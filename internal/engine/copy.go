package engine

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// copyBlock is how much of a file is copied or hashed at once.
const copyBlock = 1 << 20

// NoRoomError is a file system with less space than what is to be copied needs.
type NoRoomError struct{ Needed, Available uint64 }

// Error names both.
func (e *NoRoomError) Error() string {
	return fmt.Sprintf("%d bytes are needed, %d are free", e.Needed, e.Available)
}

// roomFor returns a [*NoRoomError] if the file system of path has less than needed
// bytes left. One that does not say is trusted.
func roomFor(fs vfs.FS, path string, needed uint64) error {
	usage, err := fs.GetDiskUsage(path)
	if err == nil && usage.AvailBytes < needed {
		return &NoRoomError{Needed: needed, Available: usage.AvailBytes}
	}
	return nil
}

// copyFile copies a file to a new one, and syncs it. What was read goes to sum too,
// if there is one. stopped is asked between blocks.
func copyFile(fs vfs.FS, from, to string, stopped func() error, sum hash.Hash) (n int64, err error) {
	out, err := fs.Create(to, vfs.WriteCategoryUnspecified)
	if err != nil {
		return 0, err
	}
	w := io.Writer(out)
	if sum != nil {
		w = io.MultiWriter(sum, out) // a file system may use the bytes that it was given
	}
	n, err = readThrough(fs, from, stopped, w)
	if err == nil {
		err = out.Sync()
	}
	return n, errors.Join(err, out.Close())
}

// sumFile returns a file's size and SHA-256.
func sumFile(fs vfs.FS, path string, stopped func() error) (n int64, sum [sha256.Size]byte, err error) {
	h := sha256.New()
	n, err = readThrough(fs, path, stopped, h)
	return n, [sha256.Size]byte(h.Sum(nil)), err
}

func readThrough(fs vfs.FS, path string, stopped func() error, w io.Writer) (n int64, err error) {
	in, err := fs.Open(path, vfs.SequentialReadsOption)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	for block := make([]byte, copyBlock); ; {
		if err := stopped(); err != nil {
			return n, err
		}
		read, err := io.ReadFull(in, block)
		if read > 0 {
			if _, err := w.Write(block[:read]); err != nil {
				return n, err
			}
			n += int64(read)
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return n, nil
		case err != nil:
			return n, err
		}
	}
}
