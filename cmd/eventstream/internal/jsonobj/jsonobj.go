// Package jsonobj takes a JSON object apart without touching its values: numbers
// keep every digit, and the fields their order. Names are compared exactly, and a
// name that comes twice is an error; encoding/json allows both slips.
package jsonobj

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Field is one member of an object. Value is the JSON text of its value and shares
// the document's memory.
type Field struct {
	Name  string
	Value []byte
}

// Parse appends the members of the object doc to dst.
func Parse(dst []Field, doc []byte) ([]Field, error) {
	if !utf8.Valid(doc) {
		return dst, errors.New("not valid UTF-8")
	}
	if !json.Valid(doc) {
		return dst, syntax(doc)
	}
	i := blanks(doc, 0)
	if doc[i] != '{' {
		return dst, errors.New("not a JSON object")
	}
	first := len(dst)
	for i = blanks(doc, i+1); doc[i] != '}'; i = blanks(doc, i) {
		if doc[i] == ',' {
			i = blanks(doc, i+1)
		}
		end := skipString(doc, i)
		name, err := unquote(doc[i:end])
		if err != nil {
			return dst, err
		}
		for _, f := range dst[first:] {
			if f.Name == name {
				return dst, fmt.Errorf("field %q comes twice", name)
			}
		}
		start := blanks(doc, blanks(doc, end)+1) // past the colon
		i = skipValue(doc, start)
		dst = append(dst, Field{Name: name, Value: doc[start:i]})
	}
	return dst, nil
}

// syntax says where doc stops being JSON.
func syntax(doc []byte) error {
	var any json.RawMessage
	err := json.Unmarshal(doc, &any)
	var at *json.SyntaxError
	if errors.As(err, &at) {
		return fmt.Errorf("not valid JSON at byte %d: %w", at.Offset, err)
	}
	return fmt.Errorf("not valid JSON: %w", err)
}

// REQUIRES of all below: doc is valid JSON and i lies inside it.

func blanks(doc []byte, i int) int {
	for i < len(doc) && (doc[i] == ' ' || doc[i] == '\t' || doc[i] == '\n' || doc[i] == '\r') {
		i++
	}
	return i
}

func skipString(doc []byte, i int) int {
	for i++; doc[i] != '"'; i++ {
		if doc[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func skipValue(doc []byte, i int) int {
	switch doc[i] {
	case '"':
		return skipString(doc, i)
	case '{', '[':
		depth := 0
		for {
			switch doc[i] {
			case '"':
				i = skipString(doc, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				depth--
			}
			i++
			if depth == 0 {
				return i
			}
		}
	default:
		for i < len(doc) && doc[i] != ',' && doc[i] != '}' && doc[i] != ']' && blanks(doc, i) == i {
			i++
		}
		return i
	}
}

func unquote(quoted []byte) (string, error) {
	for _, c := range quoted {
		if c == '\\' {
			var s string
			err := json.Unmarshal(quoted, &s)
			return s, err
		}
	}
	return string(quoted[1 : len(quoted)-1]), nil
}

// AppendString appends s, valid UTF-8, as a JSON string. It escapes what must be
// escaped and nothing else, so that a text has one form.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = fmt.Appendf(dst, `\u%04x`, c)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}
