// Package csvmap reads the rows of a CSV file as events, as a mapping says.
package csvmap

import (
	"bytes"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/goccy/go-yaml"

	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
)

// Mapping says how a row becomes an event. It is a small YAML file:
//
//	stream_from: Invoice            # the column whose value names the stream (required)
//	category: sales-invoice         # in front of it; default: --category
//	type: InvoiceLineRecorded       # the type of every event; default: RowImported
//	type_from: Kind                 # or: the column that holds the type
//	occurred_at:                    # when it occurred; default: when it is recorded
//	  column: InvoiceDate
//	  layout: 2006-01-02 15:04:05   # in Go's notation; default: RFC 3339
//	  location: Europe/London       # of times without an offset; default: refuse them
//	payload:                        # column: name in the payload; default: every column as it is called
//	  StockCode: stock_code
//	  Quantity: quantity
//	commit: Invoice                 # consecutive rows with the same value here are one commit
//	delimiter: ";"                  # default: ","
//
// Values stay text exactly as they are, so that no amount passes through a float.
type Mapping struct {
	StreamFrom string            `yaml:"stream_from"`
	Category   string            `yaml:"category"`
	Type       string            `yaml:"type"`
	TypeFrom   string            `yaml:"type_from"`
	OccurredAt *OccurredAt       `yaml:"occurred_at"`
	Payload    map[string]string `yaml:"payload"`
	Commit     string            `yaml:"commit"`
	Delimiter  string            `yaml:"delimiter"`

	category source.Category
	comma    rune
}

// OccurredAt says where a row tells when it occurred.
type OccurredAt struct {
	Column   string `yaml:"column"`
	Layout   string `yaml:"layout"`
	Location string `yaml:"location"`

	zone *time.Location // nil: the text must bring its offset
}

// DefaultType is the type of events whose mapping names none.
const DefaultType = "RowImported"

// ParseMapping reads a mapping file. A field that it does not know is an error that
// shows the line. category is used unless the file names one.
func ParseMapping(file []byte, category string) (*Mapping, error) {
	m := &Mapping{}
	dec := yaml.NewDecoder(bytes.NewReader(file), yaml.DisallowUnknownField())
	if err := dec.Decode(m); err != nil {
		return nil, err
	}
	return m, m.complete(category)
}

// FromStream is the mapping for a file of which only the column that names the
// stream is known.
func FromStream(column, category string) (*Mapping, error) {
	m := &Mapping{StreamFrom: column}
	return m, m.complete(category)
}

// complete fills in the defaults and finds what does not fit together.
func (m *Mapping) complete(category string) error {
	var errs []error
	if m.StreamFrom == "" {
		errs = append(errs, errors.New("stream_from: name the column whose value names the stream"))
	}
	if m.Category == "" {
		m.Category = category
	}
	var err error
	if m.category, err = source.ParseCategory(m.Category); err != nil {
		errs = append(errs, err)
	}
	if m.Type != "" && m.TypeFrom != "" {
		errs = append(errs, errors.New("type, type_from: give one of them"))
	}
	if m.Type == "" && m.TypeFrom == "" {
		m.Type = DefaultType
	}
	if m.Delimiter == "" {
		m.Delimiter = ","
	}
	if m.Delimiter == `\t` || m.Delimiter == "tab" {
		m.Delimiter = "\t"
	}
	comma, n := utf8.DecodeRuneInString(m.Delimiter)
	if n != len(m.Delimiter) || comma == '"' || comma == '\n' || comma == '\r' || comma == utf8.RuneError {
		errs = append(errs, fmt.Errorf("delimiter: %q is not one character, or one that CSV needs itself", m.Delimiter))
	}
	m.comma = comma
	if m.OccurredAt != nil {
		errs = append(errs, m.OccurredAt.complete())
	}
	return errors.Join(errs...)
}

func (o *OccurredAt) complete() (err error) {
	if o.Column == "" {
		return errors.New("occurred_at.column: name the column")
	}
	if o.Location != "" {
		if o.zone, err = time.LoadLocation(o.Location); err != nil {
			return fmt.Errorf("occurred_at.location: %w", err)
		}
	}
	return nil
}

// parse reads the time in a cell.
func (o *OccurredAt) parse(text string) (time.Time, error) {
	if o.Layout == "" && o.zone == nil {
		return source.ParseTime(text)
	}
	layout := o.Layout
	if layout == "" {
		layout = "2006-01-02T15:04:05"
	}
	zone := o.zone
	if zone == nil {
		zone = undecided
	}
	t, err := time.ParseInLocation(layout, text, zone)
	if err != nil {
		return time.Time{}, fmt.Errorf("is no time of the layout %q", layout)
	}
	if t.Location() == undecided {
		return time.Time{}, errors.New("has no offset from UTC: name its location in the mapping")
	}
	return t, nil
}

// undecided stands for the offset that a text does not have. No text has this one.
var undecided = time.FixedZone("undecided", 1)
