// Package render writes records as tables, JSON, JSON lines, YAML or CSV. A record
// is a JSON object; its fields keep their order and its numbers their digits.
package render

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Format is a form of output.
type Format string

// The forms of output.
const (
	Table Format = "table"
	JSON  Format = "json"
	JSONL Format = "jsonl"
	YAML  Format = "yaml"
	CSV   Format = "csv"
)

// ParseFormat reads the name of a format.
func ParseFormat(name string) (Format, error) {
	switch f := Format(name); f {
	case Table, JSON, JSONL, YAML, CSV:
		return f, nil
	}
	return "", fmt.Errorf("output format %q is none of table, json, jsonl, yaml, csv", name)
}

// Style is how records look.
type Style struct {
	Format  Format
	Columns []string // of tables, in order. Default: all fields.
	Colour  bool     // tables may carry colour
	Indent  bool     // JSON is spread over several lines
}

// Marshal returns v as JSON without escaping '<', '>' and '&', which would change
// names for nothing.
func Marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// indented spreads doc over several lines if the style asks for it. Values keep
// their text.
func indented(doc []byte, on bool) []byte {
	if !on {
		return doc
	}
	var b bytes.Buffer
	if json.Indent(&b, doc, "", "  ") != nil {
		return doc
	}
	return b.Bytes()
}
