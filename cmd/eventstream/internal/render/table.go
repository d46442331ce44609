package render

import (
	"bufio"
	"encoding/json"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/jsonobj"
)

const (
	tableSample   = 200 // rows that are held back to size the columns
	maxCellRunes  = 72  // a longer cell ends in an ellipsis
	columnSpacing = "  "
)

// table lines up its columns by the first rows; later rows that are wider stick
// out.
type table struct {
	out     *bufio.Writer
	columns []string
	colour  bool

	held   [][]string
	widths []int
	sized  bool
}

func (t *table) add(fields []jsonobj.Field) error {
	if t.columns == nil {
		for _, f := range fields {
			t.columns = append(t.columns, f.Name)
		}
	}
	row := make([]string, len(t.columns))
	for i, name := range t.columns {
		row[i] = cell(find(fields, name))
	}
	if t.sized {
		return t.write(row, false)
	}
	t.held = append(t.held, row)
	if len(t.held) < tableSample {
		return nil
	}
	return t.flush()
}

// flush writes the rows held back. The column widths stand from then on.
func (t *table) flush() error {
	if !t.sized && len(t.held) > 0 {
		t.sized = true
		head := make([]string, len(t.columns))
		t.widths = make([]int, len(t.columns))
		for i, name := range t.columns {
			head[i] = strings.ToUpper(name)
			t.widths[i] = utf8.RuneCountInString(name)
			for _, row := range t.held {
				t.widths[i] = max(t.widths[i], utf8.RuneCountInString(row[i]))
			}
		}
		if err := t.write(head, t.colour); err != nil {
			return err
		}
	}
	for _, row := range t.held {
		if err := t.write(row, false); err != nil {
			return err
		}
	}
	t.held = nil
	return nil
}

func (t *table) write(row []string, bold bool) error {
	var b strings.Builder
	for i, cell := range row {
		b.WriteString(cell)
		if i < len(row)-1 {
			b.WriteString(strings.Repeat(" ", max(0, t.widths[i]-utf8.RuneCountInString(cell))))
			b.WriteString(columnSpacing)
		}
	}
	line := strings.TrimRight(b.String(), " ")
	if bold {
		line = "\x1b[1m" + line + "\x1b[0m"
	}
	_, err := t.out.WriteString(line + "\n")
	return err
}

// cell is a value for the eyes: shortened, and without characters that could steer
// the terminal.
func cell(value []byte) string {
	s := printable(text(value))
	if utf8.RuneCountInString(s) <= maxCellRunes {
		return s
	}
	return string([]rune(s)[:maxCellRunes-1]) + "…"
}

func printable(s string) string {
	if strings.IndexFunc(s, steers) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if steers(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func steers(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }

// text is a JSON value as a cell: a string without its quotes, null as nothing,
// anything else as its JSON.
func text(value []byte) string {
	switch {
	case value == nil || string(value) == "null":
		return ""
	case value[0] == '"':
		var s string
		if json.Unmarshal(value, &s) == nil {
			return s
		}
	}
	return string(value)
}
