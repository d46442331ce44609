package render

import (
	"bufio"
	"encoding/csv"
	"io"

	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/jsonobj"
)

// List writes any number of records one by one, and holds back only the first rows
// of a table, to size its columns. It is not safe for concurrent use.
type List struct {
	style  Style
	out    *bufio.Writer
	csv    *csv.Writer
	header []string // of CSV: the fields of the first record
	table  table
	fields []jsonobj.Field
	count  int
}

// NewList starts a list. [List.Close] must end it.
func NewList(w io.Writer, style Style) *List {
	l := &List{style: style, out: bufio.NewWriterSize(w, 64<<10)}
	l.csv = csv.NewWriter(l.out)
	l.table = table{out: l.out, columns: style.Columns, colour: style.Colour}
	return l
}

// Add writes one record, a JSON object on one line. It does not keep doc.
func (l *List) Add(doc []byte) error {
	l.count++
	switch l.style.Format {
	case JSON:
		if l.count == 1 {
			l.out.WriteString("[\n")
		} else {
			l.out.WriteString(",\n")
		}
		_, err := l.out.Write(indented(doc, l.style.Indent))
		return err
	case JSONL:
		l.out.Write(indented(doc, l.style.Indent))
		return l.out.WriteByte('\n')
	}
	fields, err := jsonobj.Parse(l.fields[:0], doc)
	if err != nil {
		return err
	}
	l.fields = fields
	switch l.style.Format {
	case YAML:
		return writeYAMLItem(l.out, fields)
	case CSV:
		return l.addCSV(fields)
	default:
		return l.table.add(fields)
	}
}

func (l *List) addCSV(fields []jsonobj.Field) error {
	if l.count == 1 {
		for _, f := range fields {
			l.header = append(l.header, f.Name)
		}
		if err := l.csv.Write(l.header); err != nil {
			return err
		}
	}
	row := make([]string, len(l.header))
	for i, name := range l.header {
		row[i] = text(find(fields, name))
	}
	return l.csv.Write(row)
}

// Flush shows what was added so far: someone waits for it.
func (l *List) Flush() error {
	if l.style.Format == Table {
		if err := l.table.flush(); err != nil {
			return err
		}
	}
	l.csv.Flush()
	if err := l.csv.Error(); err != nil {
		return err
	}
	return l.out.Flush()
}

// Close ends the list and writes what is left. It does not close the writer below.
func (l *List) Close() error {
	switch {
	case l.style.Format == JSON && l.count == 0:
		l.out.WriteString("[]\n")
	case l.style.Format == JSON:
		l.out.WriteString("\n]\n")
	case l.style.Format == YAML && l.count == 0:
		l.out.WriteString("[]\n")
	}
	return l.Flush()
}

// find returns the value of the field called name, or nil.
func find(fields []jsonobj.Field, name string) []byte {
	for _, f := range fields {
		if f.Name == name {
			return f.Value
		}
	}
	return nil
}
