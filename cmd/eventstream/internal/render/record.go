package render

import (
	"bufio"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/jsonobj"
)

// Record writes one record, a JSON object on one line. A table shows one field a
// line.
func Record(w io.Writer, style Style, doc []byte) error {
	out := bufio.NewWriter(w)
	switch style.Format {
	case JSON, JSONL:
		out.Write(indented(doc, style.Indent))
		out.WriteByte('\n')
		return out.Flush()
	case CSV:
		style.Columns = nil
		l := NewList(w, style)
		if err := l.Add(doc); err != nil {
			return err
		}
		return l.Close()
	}
	fields, err := jsonobj.Parse(nil, doc)
	if err != nil {
		return err
	}
	if style.Format == YAML {
		if err := writeYAML(out, fields); err != nil {
			return err
		}
		return out.Flush()
	}
	width := 0
	for _, f := range fields {
		width = max(width, utf8.RuneCountInString(f.Name))
	}
	for _, f := range fields {
		name := f.Name
		if style.Colour {
			name = "\x1b[1m" + name + "\x1b[0m"
		}
		pad := strings.Repeat(" ", width-utf8.RuneCountInString(f.Name))
		out.WriteString(strings.TrimRight(name+pad+columnSpacing+printable(text(f.Value)), " ") + "\n")
	}
	return out.Flush()
}
