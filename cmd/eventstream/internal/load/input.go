// Package load brings files into a store in two passes: the first reads everything
// and finds what is wrong, the second appends.
package load

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"
)

// Input is a file that can be read twice.
type Input struct {
	Name string // for messages
	Size int64  // in bytes, as it lies on the disk

	path     string
	modified time.Time
	spooled  bool
}

// NewInput returns the file called name, or what stdin holds if name is "-". What
// cannot be read twice is written to a temporary file first. Close must follow.
func NewInput(name string, stdin io.Reader) (*Input, error) {
	if name == "-" {
		return spool("stdin", stdin)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("import %s: it is a directory", name)
	}
	if !info.Mode().IsRegular() {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		in, err := spool(name, f)
		if closeErr := f.Close(); err == nil && closeErr != nil {
			return nil, errors.Join(closeErr, in.Close())
		}
		return in, err
	}
	return &Input{Name: name, Size: info.Size(), path: name, modified: info.ModTime()}, nil
}

func spool(name string, r io.Reader) (*Input, error) {
	f, err := os.CreateTemp("", "eventstream-import-*")
	if err != nil {
		return nil, err
	}
	in := &Input{Name: name, path: f.Name(), spooled: true}
	in.Size, err = io.Copy(f, r)
	if err == nil {
		var info os.FileInfo
		if info, err = f.Stat(); err == nil {
			in.modified = info.ModTime()
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("spool %s: %w", name, err), in.Close())
	}
	return in, nil
}

// Close removes what was spooled.
func (in *Input) Close() error {
	if !in.spooled {
		return nil
	}
	if err := os.Remove(in.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// open returns the content from its beginning, uncompressed if it is gzip, which its
// first bytes tell. progress is told of every piece that is read from the disk.
func (in *Input) open(progress func(bytes int)) (io.ReadCloser, error) {
	f, err := os.Open(in.path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && (info.Size() != in.Size || !info.ModTime().Equal(in.modified)) {
		err = fmt.Errorf("import %s: the file changed while it was read: import it again", in.Name)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	buffered := bufio.NewReaderSize(&counted{f, progress}, 256<<10)
	magic, err := buffered.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, f.Close())
	}
	if string(magic) != "\x1f\x8b" {
		return &content{buffered, f}, nil
	}
	zip, err := gzip.NewReader(buffered)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("import %s: %w", in.Name, err), f.Close())
	}
	return &content{zip, f}, nil
}

// content reads from one place and closes another.
type content struct {
	io.Reader
	io.Closer
}

// counted reports what is read through it.
type counted struct {
	from     io.Reader
	progress func(bytes int)
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.progress(n)
	return n, err
}
