package csvmap

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/jsonobj"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
	"github.com/nexus-erp/eventstream/codec"
)

// Blocks reads rows as events. The first row names the columns. Rows with the same
// value in the mapping's commit column, one after the other, are one block;
// [source.Groups] says what happens to the others.
//
// The value that names the stream stands as "case" in each event's metadata, since
// a stream's name may not be able to hold it.
type Blocks struct {
	in      *csv.Reader
	mapping *Mapping
	groups  *source.Groups
	ordinal int // of the row, from 1; the header is row 0
	line    int // of the last row that was read
	end     error

	names []string // of all columns

	columns    []column // that make the payload
	stream     int      // columns by their place; -1: there is none
	eventType  int
	occurredAt int
	commit     int
}

// column is a column of the payload.
type column struct {
	index int
	name  []byte // as a JSON string, with its colon
}

// NewBlocks returns the blocks of the rows that r reads.
func NewBlocks(r io.Reader, mapping *Mapping) *Blocks {
	buffered := bufio.NewReaderSize(r, 256<<10)
	if bom, err := buffered.Peek(3); err == nil && bytes.Equal(bom, []byte("\ufeff")) {
		if _, err := buffered.Discard(3); err != nil {
			return &Blocks{end: err, groups: source.NewGroups(source.LooseBlock)}
		}
	}
	in := csv.NewReader(buffered)
	in.Comma = mapping.comma
	in.ReuseRecord = true
	return &Blocks{in: in, mapping: mapping, groups: source.NewGroups(source.LooseBlock)}
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
		if b.columns == nil {
			b.end = b.header()
			continue
		}
		b.step()
	}
}

// header reads the first row and finds the columns that the mapping names.
func (b *Blocks) header() error {
	row, err := b.in.Read()
	if errors.Is(err, io.EOF) {
		return &source.SyntaxError{Line: 1, Reason: "the file is empty: its first row names the columns"}
	}
	if err != nil {
		return b.syntax(err)
	}
	place := make(map[string]int, len(row))
	for i, name := range row {
		if _, twice := place[name]; twice {
			return &source.SyntaxError{Line: 1, Field: name, Reason: "two columns have this name"}
		}
		if !utf8.ValidString(name) {
			return &source.SyntaxError{Line: 1, Field: strings.ToValidUTF8(name, "?"), Reason: "is not valid UTF-8"}
		}
		place[name] = i
	}
	find := func(name string) int {
		if name == "" {
			return -1
		}
		i, ok := place[name]
		if !ok && err == nil {
			err = &source.SyntaxError{Line: 1, Field: name, Reason: fmt.Sprintf("there is no such column; there are: %q", row)}
		}
		return i
	}
	b.names = slices.Clone(row)
	m := b.mapping
	b.stream, b.eventType, b.commit, b.occurredAt = find(m.StreamFrom), find(m.TypeFrom), find(m.Commit), -1
	if m.OccurredAt != nil {
		b.occurredAt = find(m.OccurredAt.Column)
	}
	for name := range m.Payload {
		find(name)
	}
	b.columns = make([]column, 0, len(row))
	used := make(map[string]bool, len(row))
	for i, name := range row {
		as, mapped := m.Payload[name]
		if m.Payload != nil && !mapped {
			continue
		}
		if as == "" {
			as = name
		}
		if used[as] && err == nil {
			err = &source.SyntaxError{Line: 1, Field: name, Reason: fmt.Sprintf("two columns go to %q in the payload", as)}
		}
		used[as] = true
		b.columns = append(b.columns, column{i, append(jsonobj.AppendString(nil, as), ':')})
	}
	return err
}

// step reads one row and hands it to the groups.
func (b *Blocks) step() {
	row, err := b.in.Read()
	if errors.Is(err, io.EOF) {
		b.groups.Finish()
		b.end = io.EOF
		return
	}
	b.ordinal++
	var wrong *csv.ParseError
	if errors.As(err, &wrong) && errors.Is(wrong.Err, csv.ErrFieldCount) {
		b.groups.Bad("", false, b.ordinal, &source.BadRecord{
			Line: wrong.StartLine, Field: "row", Events: 1, Err: err,
			Reason: fmt.Sprintf("the row has %d fields, the first row has %d", len(row), b.in.FieldsPerRecord),
		})
		return
	}
	if err != nil {
		b.groups.Finish()
		b.end = b.syntax(err)
		return
	}
	commit := ""
	if b.commit >= 0 {
		commit = row[b.commit]
	}
	r, bad := b.record(row)
	if bad != nil {
		b.groups.Bad(commit, true, b.ordinal, bad)
		return
	}
	b.groups.Add(commit, r)
}

// syntax is an error after which rows cannot be told apart: a quote that does not
// match may have swallowed any number of them.
func (b *Blocks) syntax(err error) error {
	var wrong *csv.ParseError
	if errors.As(err, &wrong) {
		return &source.SyntaxError{
			Line: wrong.StartLine, Field: "row", Err: err,
			Reason: fmt.Sprintf("%v, at line %d, column %d", wrong.Err, wrong.Line, wrong.Column),
		}
	}
	return &source.SyntaxError{Line: b.line + 1, Reason: err.Error(), Err: err}
}

// record makes an event of a row. The row's memory is used again.
func (b *Blocks) record(row []string) (source.Record, *source.BadRecord) {
	b.line, _ = b.in.FieldPos(0)
	bad := func(index int, format string, args ...any) *source.BadRecord {
		at, _ := b.in.FieldPos(index)
		return &source.BadRecord{Line: at, Field: b.name(index), Reason: fmt.Sprintf(format, args...), Events: 1}
	}
	for i, cell := range row {
		if !utf8.ValidString(cell) {
			return source.Record{}, bad(i, "is not valid UTF-8: convert the file, for example with iconv")
		}
	}
	id := strings.Clone(row[b.stream])
	if id == "" {
		return source.Record{}, bad(b.stream, "is empty, but names the stream")
	}
	stream, err := b.mapping.category.Stream(id)
	if err != nil {
		return source.Record{}, bad(b.stream, "%v", err)
	}
	ev := eventstream.NewEvent{Type: b.mapping.Type, Codec: codec.JSON, Metadata: map[string]string{"case": id}}
	if b.eventType >= 0 {
		ev.Type = strings.Clone(row[b.eventType])
	}
	if b.occurredAt >= 0 {
		text := row[b.occurredAt]
		if ev.OccurredAt, err = b.mapping.OccurredAt.parse(text); err != nil {
			return source.Record{}, bad(b.occurredAt, "%q %v", text, err)
		}
	}
	data := append(make([]byte, 0, 256), '{')
	for i, c := range b.columns {
		if i > 0 {
			data = append(data, ',')
		}
		data = append(data, c.name...)
		data = jsonobj.AppendString(data, row[c.index])
	}
	ev.Data = codec.Encoded(append(data, '}'))
	r := source.Record{Line: b.line, Ordinal: b.ordinal, Stream: stream, Event: ev}
	return r, source.Check(&r, source.Fields{
		Stream: b.name(b.stream), Type: b.name(b.eventType), OccurredAt: b.name(b.occurredAt), Data: "row", Metadata: b.name(b.stream),
	})
}

// name is the name of a column, or "" where the mapping names none.
func (b *Blocks) name(index int) string {
	if index < 0 {
		return ""
	}
	return b.names[index]
}
