// Package xes reads event logs in XES (IEEE 1849), the exchange format of process
// mining. The file is streamed: only one case is held in memory.
package xes

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
)

// Attribute is a typed key and value. Lists and containers have children instead
// of a value; any other attribute may have children that say more about it.
type Attribute struct {
	Line     int
	Kind     string // string, date, int, float, boolean, id, list or container
	Key      string
	Value    string // as written
	HasValue bool
	Children []Attribute
}

// Event is one event of a case.
type Event struct {
	Line       int
	Attributes []Attribute
}

// Trace is one case.
type Trace struct {
	Line       int
	Attributes []Attribute // in whatever place of the case they stand
	Events     []Event
}

const (
	maxDepth      = 64        // of nested attributes
	maxTraceBytes = 256 << 20 // of one case in memory
)

// Decoder reads the traces of a log one by one. It refuses what is no well-formed
// XML with a *source.SyntaxError.
type Decoder struct {
	xml   *xml.Decoder
	open  []xml.Name // the elements that were opened and not closed
	begun bool
	ended bool
	held  int // bytes of the case being read
}

// NewDecoder returns a decoder that reads r.
func NewDecoder(r io.Reader) *Decoder { return &Decoder{xml: xml.NewDecoder(r)} }

// Next returns the next trace, and io.EOF behind the end of a whole log.
func (d *Decoder) Next() (*Trace, error) {
	for {
		tok, line, err := d.token()
		if err != nil {
			return nil, err
		}
		start, ok := tok.(xml.StartElement)
		switch {
		case !ok: // the end of the log: what may follow, token checks
		case len(d.open) == 1:
			if start.Name.Local != "log" {
				return nil, d.syntax(line, start.Name.Local, "the outermost element of an XES file is <log>")
			}
		case start.Name.Local == "trace":
			return d.trace(line)
		case start.Name.Local == "event":
			return nil, d.syntax(line, "event", "an event outside of a <trace> belongs to no case")
		default: // extensions, globals, classifiers and attributes of the log
			if err := d.skip(); err != nil {
				return nil, err
			}
		}
	}
}

func (d *Decoder) trace(line int) (*Trace, error) {
	d.held = 0
	t := &Trace{Line: line}
	for {
		tok, line, err := d.token()
		if err != nil {
			return nil, err
		}
		start, ok := tok.(xml.StartElement)
		switch {
		case !ok:
			return t, nil
		case start.Name.Local == "event":
			ev, err := d.event(line)
			if err != nil {
				return nil, err
			}
			t.Events = append(t.Events, ev)
		default:
			attr, err := d.attribute(start, line, 1)
			if err != nil {
				return nil, err
			}
			t.Attributes = append(t.Attributes, attr)
		}
		if d.held > maxTraceBytes {
			return nil, d.syntax(t.Line, "trace", fmt.Sprintf("the case takes more than %d MiB", maxTraceBytes>>20))
		}
	}
}

func (d *Decoder) event(line int) (Event, error) {
	d.held += 64
	ev := Event{Line: line}
	for {
		tok, line, err := d.token()
		if err != nil {
			return ev, err
		}
		start, ok := tok.(xml.StartElement)
		if !ok {
			return ev, nil
		}
		attr, err := d.attribute(start, line, 1)
		if err != nil {
			return ev, err
		}
		ev.Attributes = append(ev.Attributes, attr)
	}
}

// attribute reads the rest of an attribute whose start was read.
func (d *Decoder) attribute(start xml.StartElement, line, depth int) (Attribute, error) {
	a := Attribute{Line: line, Kind: start.Name.Local}
	switch a.Kind {
	case "string", "date", "int", "float", "boolean", "id", "list", "container":
	default:
		return a, d.syntax(line, a.Kind, "an attribute is a <string>, <date>, <int>, <float>, <boolean>, <id>, <list> or <container>")
	}
	for _, at := range start.Attr {
		switch at.Name.Local {
		case "key":
			a.Key = at.Value
		case "value":
			a.Value, a.HasValue = at.Value, true
		}
	}
	d.held += 128 + len(a.Key) + len(a.Value)
	if depth > maxDepth || d.held > maxTraceBytes {
		return a, d.syntax(line, a.Key, fmt.Sprintf("nested deeper than %d, or the case takes more than %d MiB", maxDepth, maxTraceBytes>>20))
	}
	inValues := false // between <values> and </values>, which lists may have around their items
	for {
		tok, line, err := d.token()
		if err != nil {
			return a, err
		}
		child, ok := tok.(xml.StartElement)
		switch {
		case !ok && inValues:
			inValues = false
		case !ok:
			return a, nil
		case child.Name.Local == "values" && a.Kind == "list" && !inValues:
			inValues = true
		default:
			c, err := d.attribute(child, line, depth+1)
			if err != nil {
				return a, err
			}
			a.Children = append(a.Children, c)
		}
	}
}

// skip reads up to the end of the element whose start was read.
func (d *Decoder) skip() error {
	for depth := len(d.open); len(d.open) >= depth; {
		if _, _, err := d.token(); err != nil {
			return err
		}
	}
	return nil
}

// token returns the next start or end of an element and its line, and sees to it
// that they match: the raw tokens of encoding/xml, which spare half the time, are
// not checked.
func (d *Decoder) token() (xml.Token, int, error) {
	for {
		line, _ := d.xml.InputPos()
		tok, err := d.xml.RawToken()
		if err != nil {
			return nil, 0, d.readError(line, err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if d.ended {
				return nil, 0, d.syntax(line, tok.Name.Local, "a second element after </log>")
			}
			d.begun = true
			d.open = append(d.open, tok.Name)
			return tok, line, nil
		case xml.EndElement:
			if len(d.open) == 0 || d.open[len(d.open)-1] != tok.Name {
				return nil, 0, d.syntax(line, tok.Name.Local, "the end of an element that is not open")
			}
			d.open = d.open[:len(d.open)-1]
			d.ended = len(d.open) == 0
			return tok, line, nil
		case xml.CharData:
			if text := strings.TrimSpace(strings.TrimPrefix(string(tok), "\ufeff")); text != "" {
				return nil, 0, d.syntax(line, d.innermost(), fmt.Sprintf("text %.20q, where XES has none", text))
			}
		}
	}
}

func (d *Decoder) innermost() string {
	if len(d.open) == 0 {
		return "file"
	}
	return d.open[len(d.open)-1].Local
}

func (d *Decoder) readError(line int, err error) error {
	var xmlErr *xml.SyntaxError
	switch {
	case errors.Is(err, io.EOF) && d.ended:
		return io.EOF
	case errors.Is(err, io.EOF) && !d.begun:
		return d.syntax(line, "file", "no <log> in it: is it XES?")
	case errors.Is(err, io.EOF):
		return d.syntax(line, d.innermost(), "the file ends inside an element: was it cut off?")
	case errors.As(err, &xmlErr):
		return &source.SyntaxError{Line: xmlErr.Line, Field: d.innermost(), Reason: "not well-formed XML: " + xmlErr.Msg, Err: err}
	default:
		return &source.SyntaxError{Line: line, Field: d.innermost(), Reason: err.Error(), Err: err}
	}
}

func (d *Decoder) syntax(line int, field, reason string) error {
	return &source.SyntaxError{Line: line, Field: field, Reason: reason}
}
