package eventline

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
)

// MaxLineBytes bounds a line: a payload of the greatest size in base64 fits in.
const MaxLineBytes = 32 << 20

// Blocks reads lines as events. Consecutive lines with the same commit are one
// block; [source.Groups] says what happens to the others. Blank lines are read
// over.
type Blocks struct {
	in      *bufio.Reader
	buf     []byte
	number  int // of the line, from 1
	ordinal int // of the event, from 1
	groups  *source.Groups
	end     error // why there are no more lines
}

// NewBlocks returns the blocks of the lines that r reads. Up to loose lines without
// a commit may share one.
func NewBlocks(r io.Reader, loose int) *Blocks {
	return &Blocks{in: bufio.NewReaderSize(r, 256<<10), groups: source.NewGroups(loose)}
}

// Next returns the next block. See [source.Decoder].
func (b *Blocks) Next() (source.Block, error) {
	for {
		if block, err, ok := b.groups.Next(); ok {
			return block, err
		}
		if b.end != nil {
			return source.Block{}, b.end
		}
		b.step()
	}
}

// step reads one line and hands it to the groups.
func (b *Blocks) step() {
	text, err := b.readLine()
	if len(bytes.TrimSpace(text)) > 0 {
		b.ordinal++
		line, bad := Parse(text, b.number)
		if bad != nil {
			b.groups.Bad(line.Commit, line.Readable, b.ordinal, bad)
		} else {
			line.Record.Ordinal = b.ordinal
			b.groups.Add(line.Commit, line.Record)
		}
	}
	if err != nil {
		b.groups.Finish()
		b.end = err
	}
}

// readLine returns the next line without its end, and io.EOF with or behind the
// last. It is valid until the next call.
func (b *Blocks) readLine() ([]byte, error) {
	b.number++
	b.buf = b.buf[:0]
	for {
		part, err := b.in.ReadSlice('\n')
		b.buf = append(b.buf, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull) && len(b.buf) <= MaxLineBytes:
			continue
		case len(b.buf) > MaxLineBytes:
			return nil, &source.SyntaxError{Line: b.number, Reason: fmt.Sprintf("the line is longer than %d MiB: is it JSON lines?", MaxLineBytes>>20)}
		case err != nil && !errors.Is(err, io.EOF):
			return nil, &source.SyntaxError{Line: b.number, Reason: err.Error(), Err: err}
		case b.number == 1:
			return bytes.TrimPrefix(b.buf, []byte("\ufeff")), err
		}
		return b.buf, err
	}
}
