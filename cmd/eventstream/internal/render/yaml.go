package render

import (
	"bufio"
	"bytes"
	"encoding/json"
	"strings"

	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/jsonobj"
)

// YAML is written here, value by value, because a conversion through Go values
// would turn decimals into floats and forget the order of fields. Strings stay in
// JSON's quotes, which YAML reads alike, so that no text turns into a number, a
// date or a truth value.

// writeYAML writes an object as a document.
func writeYAML(w *bufio.Writer, fields []jsonobj.Field) error {
	if len(fields) == 0 {
		_, err := w.WriteString("{}\n")
		return err
	}
	return yamlFields(w, fields, 0)
}

// writeYAMLItem writes an object as an item of a sequence.
func writeYAMLItem(w *bufio.Writer, fields []jsonobj.Field) error {
	w.WriteString("- ")
	if len(fields) == 0 {
		_, err := w.WriteString("{}\n")
		return err
	}
	return yamlFields(w, fields, 1)
}

// yamlFields writes the members of an object, of which the first stands where the
// line already is.
func yamlFields(w *bufio.Writer, fields []jsonobj.Field, depth int) error {
	for i, f := range fields {
		if i > 0 {
			yamlIndent(w, depth)
		}
		key, err := Marshal(f.Name)
		if err != nil {
			return err
		}
		if plainKey(f.Name) {
			key = []byte(f.Name)
		}
		w.Write(key)
		w.WriteByte(':')
		if err := yamlValue(w, f.Value, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// yamlValue writes what stands after "key:" or "-", up to the end of the line.
func yamlValue(w *bufio.Writer, value []byte, depth int) error {
	switch {
	case value[0] == '{':
		fields, err := jsonobj.Parse(nil, value)
		if err != nil { // a name twice: legal JSON, kept as it is
			return yamlFlow(w, value)
		}
		if len(fields) == 0 {
			_, err := w.WriteString(" {}\n")
			return err
		}
		w.WriteByte('\n')
		yamlIndent(w, depth)
		return yamlFields(w, fields, depth)
	case value[0] == '[':
		var items []json.RawMessage
		if err := json.Unmarshal(value, &items); err != nil {
			return err
		}
		if len(items) == 0 {
			_, err := w.WriteString(" []\n")
			return err
		}
		w.WriteByte('\n')
		for _, item := range items {
			yamlIndent(w, depth)
			w.WriteByte('-')
			if err := yamlValue(w, item, depth+1); err != nil {
				return err
			}
		}
		return nil
	default:
		return yamlFlow(w, value)
	}
}

// yamlFlow writes a value as JSON on the current line: YAML reads that too.
func yamlFlow(w *bufio.Writer, value []byte) error {
	var b bytes.Buffer
	if err := json.Compact(&b, value); err != nil {
		return err
	}
	w.WriteByte(' ')
	w.Write(b.Bytes())
	return w.WriteByte('\n')
}

func yamlIndent(w *bufio.Writer, depth int) { w.WriteString(strings.Repeat("  ", depth)) }

// plainKey reports whether a name needs no quotes: the contract's own names do not.
func plainKey(name string) bool {
	for _, r := range name {
		if (r < 'a' || r > 'z') && r != '_' {
			return false
		}
	}
	switch name {
	case "", "null", "true", "false", "yes", "no", "on", "off", "y", "n", "_":
		return false
	}
	return true
}
