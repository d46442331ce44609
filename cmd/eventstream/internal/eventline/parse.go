package eventline

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/jsonobj"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/keys"
)

// Line is what one line asks to append.
type Line struct {
	Record   source.Record
	Commit   string // the JSON text of "commit", or ""
	Readable bool   // it is an object, so that Commit is known even if the line is bad
}

// fields are the names of a record's parts.
var fields = source.Fields{Stream: "stream", Type: "type", OccurredAt: "occurred_at", Data: "data", Metadata: "metadata"}

// parser gathers the fields of one line.
type parser struct {
	line  Line
	codec codec.ID
	data  []byte // JSON, or nil
	raw   []byte // decoded data_base64, or nil
	isRaw bool
}

// Parse reads a line, a JSON object. Required are stream and type. The payload is
// data, any JSON, or data_base64; of neither, it is empty. codec says how it is
// stored: json by default, raw for data_base64. position, version and recorded_at
// are read over: the store assigns them. Any other field is an error, so that a
// name mistyped is not lost. A null is as if the field were not there, but for
// data.
//
// number is the line's number. A bad line says which commit it belongs to if it can.
func Parse(line []byte, number int) (Line, *source.BadRecord) {
	bad := func(field string, err error) *source.BadRecord {
		return &source.BadRecord{Line: number, Field: field, Reason: err.Error(), Events: 1, Err: err}
	}
	members, err := jsonobj.Parse(make([]jsonobj.Field, 0, 18), line)
	if err != nil {
		return Line{}, bad("", err)
	}
	p := parser{line: Line{Readable: true}}
	p.line.Record.Line = number
	var first *source.BadRecord // the others are read on for the sake of commit
	for _, m := range members {
		if err := p.field(m.Name, m.Value); err != nil && first == nil {
			first = bad(m.Name, err)
		}
	}
	if field, err := p.payload(); err != nil && first == nil {
		first = bad(field, err)
	}
	if first == nil {
		first = p.required()
	}
	if first == nil {
		first = source.Check(&p.line.Record, fields)
	}
	return p.line, first
}

func (p *parser) required() *source.BadRecord {
	r := &p.line.Record
	switch {
	case r.Stream == "":
		return &source.BadRecord{Line: r.Line, Field: "stream", Reason: "the event has none", Events: 1}
	case r.Event.Type == "":
		return &source.BadRecord{Line: r.Line, Field: "type", Reason: "the event has none", Events: 1}
	}
	return nil
}

func (p *parser) field(name string, value []byte) (err error) {
	read := value
	if string(value) == "null" && name != "data" {
		read = nil // as if it were not there, unless the name is unknown
	}
	ev := &p.line.Record.Event
	switch name {
	case "position", "version", "recorded_at", "deduplicated":
		return nil // the store assigns them
	case "data":
		p.data = value
		return nil
	case "commit":
		p.line.Commit = string(read)
		return nil
	case "data_base64":
		return p.base64(read)
	case "stream":
		return unmarshal(read, &p.line.Record.Stream)
	case "type":
		return unmarshal(read, &ev.Type)
	case "correlation_id":
		return unmarshal(read, &ev.CorrelationID)
	case "causation_id":
		return unmarshal(read, &ev.CausationID)
	case "user_id":
		return unmarshal(read, &ev.UserID)
	case "schema_version":
		return unmarshal(read, &ev.SchemaVersion)
	case "metadata":
		return p.metadata(read)
	case "expect":
		if read != nil {
			p.line.Record.Expect, err = eventstream.ParseExpected(string(bytes.Trim(read, `"`)))
		}
		return err
	case "codec", "event_id", "occurred_at":
		var text string
		if err := unmarshal(read, &text); err != nil || text == "" {
			return err
		}
		return p.named(name, text)
	default:
		return errors.New("an event has no such field: metadata takes what is your own")
	}
}

// named reads a field that is a text of a certain form.
func (p *parser) named(name, text string) (err error) {
	ev := &p.line.Record.Event
	switch name {
	case "codec":
		p.codec, err = codec.ParseID(text)
	case "event_id":
		ev.ID, err = keys.ParseEventID(text)
	default:
		if ev.OccurredAt, err = source.ParseTime(text); err != nil {
			err = fmt.Errorf("%q %w", text, err)
		}
	}
	return err
}

func (p *parser) base64(value []byte) error {
	if value == nil {
		return nil
	}
	var text string
	if err := unmarshal(value, &text); err != nil {
		return err
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(text)
	p.raw, p.isRaw = raw, true
	return err
}

func (p *parser) metadata(value []byte) error {
	if value == nil {
		return nil
	}
	members, err := jsonobj.Parse(nil, value)
	if err != nil {
		return err
	}
	if len(members) == 0 {
		return nil
	}
	metadata := make(map[string]string, len(members))
	for _, m := range members {
		var text string
		if err := unmarshal(m.Value, &text); err != nil {
			return fmt.Errorf("entry %q: %w", m.Name, err)
		}
		metadata[m.Name] = text
	}
	p.line.Record.Event.Metadata = metadata
	return nil
}

// payload makes the event's payload of data or data_base64. It returns the field
// at fault.
func (p *parser) payload() (string, error) {
	ev := &p.line.Record.Event
	ev.Codec = p.codec
	switch {
	case p.isRaw && p.data != nil && string(p.data) != "null":
		return "data_base64", errors.New("an event has either data or data_base64, not both")
	case p.isRaw:
		if ev.Codec == 0 {
			ev.Codec = codec.Raw
		}
		ev.Data = codec.Encoded(p.raw)
	case p.data == nil:
		if ev.Codec == 0 {
			ev.Codec = codec.JSON
		}
		ev.Data = codec.Encoded{}
	default:
		if ev.Codec == 0 {
			ev.Codec = codec.JSON
		}
		data, err := codec.FromJSON(ev.Codec, p.data)
		if err != nil {
			return "data", err
		}
		ev.Data = codec.Encoded(data)
	}
	return "", nil
}

// unmarshal decodes a value into a string or a number and says what was expected.
func unmarshal(value []byte, into any) error {
	if value == nil {
		return nil
	}
	err := json.Unmarshal(value, into)
	if err == nil {
		return nil
	}
	want := "a string"
	if _, ok := into.(*eventstream.SchemaVersion); ok {
		want = "a number from 0 to " + strconv.FormatUint(1<<32-1, 10)
	}
	return fmt.Errorf("got %.40s, want %s", value, want)
}
