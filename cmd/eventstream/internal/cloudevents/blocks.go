package cloudevents

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
)

// MaxEventBytes bounds the text of one event.
const MaxEventBytes = 32 << 20

// Blocks reads CloudEvents: an array of them, or one after the other. Consecutive events of
// one commit of a store are one block; [source.Groups] says what happens to the others.
type Blocks struct {
	lines    *lineCounter
	decoder  *json.Decoder
	category source.Category
	begun    bool
	batch    bool // they are in an array
	ordinal  int
	groups   *source.Groups
	end      error
}

// NewBlocks returns the blocks of the events that r reads. Streams of events from elsewhere
// are named after category and subject.
func NewBlocks(r io.Reader, category source.Category) *Blocks {
	lines := &lineCounter{in: bufio.NewReaderSize(r, 64<<10)}
	return &Blocks{lines: lines, decoder: json.NewDecoder(lines), category: category, groups: source.NewGroups(source.LooseBlock)}
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
		if err := b.step(); err != nil {
			b.groups.Finish()
			b.end = err
		}
	}
}

// step reads one event and hands it to the groups.
func (b *Blocks) step() error {
	if !b.begun {
		b.begun = true
		first, err := b.lines.first()
		if err != nil {
			return b.failed(err)
		}
		if b.batch = first == '['; b.batch {
			if _, err := b.decoder.Token(); err != nil {
				return b.failed(err)
			}
		}
	}
	if b.batch && !b.decoder.More() {
		if _, err := b.decoder.Token(); err != nil {
			return b.failed(err)
		}
		var rest json.RawMessage
		if err := b.decoder.Decode(&rest); !errors.Is(err, io.EOF) {
			return b.failed(errors.New("something follows the array"))
		}
		return io.EOF
	}
	b.lines.bound(b.decoder.InputOffset() + MaxEventBytes)
	var doc json.RawMessage
	if err := b.decoder.Decode(&doc); err != nil {
		return b.failed(err)
	}
	line := b.lines.at(b.decoder.InputOffset() - int64(len(doc)))
	b.ordinal++
	r, commit, bad := parse(doc, line, b.category)
	if bad != nil {
		b.groups.Bad(commit, true, b.ordinal, bad)
		return nil
	}
	r.Ordinal = b.ordinal
	b.groups.Add(commit, r)
	return nil
}

// failed says where the text stops being events. The end of a file is none of its own
// faults, but for one inside a batch.
func (b *Blocks) failed(err error) error {
	if errors.Is(err, io.EOF) && !b.batch {
		return io.EOF
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the text ends within a batch or an event")
	}
	return &source.SyntaxError{Line: b.lines.at(b.decoder.InputOffset()), Reason: fmt.Sprintf("not CloudEvents in JSON: %v", err), Err: err}
}

// lineCounter tells on which line an offset lies, and stops a text that is too long.
type lineCounter struct {
	in       *bufio.Reader
	read     int64   // bytes handed out
	limit    int64   // of bytes to hand out; 0: none
	newlines []int64 // offsets of line ends that at was not asked beyond
	line     int     // how many line ends lie before newlines
}

var errLongEvent = fmt.Errorf("an event has more than %d MiB", MaxEventBytes>>20)

func (c *lineCounter) Read(p []byte) (int, error) {
	if c.limit > 0 && c.read > c.limit {
		return 0, errLongEvent
	}
	n, err := c.in.Read(p)
	for i, b := range p[:n] {
		if b == '\n' {
			c.newlines = append(c.newlines, c.read+int64(i))
		}
	}
	c.read += int64(n)
	return n, err
}

// bound makes reading fail well beyond an offset.
func (c *lineCounter) bound(offset int64) { c.limit = offset }

// at returns the line, from 1, of an offset. Offsets rise from call to call.
func (c *lineCounter) at(offset int64) int {
	n := 0
	for n < len(c.newlines) && c.newlines[n] < offset {
		n++
	}
	c.line += n
	c.newlines = append(c.newlines[:0], c.newlines[n:]...)
	return c.line + 1
}

// first returns the first byte that is no blank, which is read again.
func (c *lineCounter) first() (byte, error) {
	if mark, err := c.in.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = c.in.Discard(3)
	}
	for n := 1; ; n++ {
		b, err := c.in.Peek(n)
		if len(b) < n {
			return 0, err
		}
		if last := b[n-1]; last != ' ' && last != '\t' && last != '\n' && last != '\r' {
			return last, nil
		}
	}
}
