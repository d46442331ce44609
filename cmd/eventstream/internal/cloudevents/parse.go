package cloudevents

import (
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

// The metadata entries that keep what an event from elsewhere was called.
const (
	metaID     = "cloudevents.id"
	metaSource = "cloudevents.source"
	metaPrefix = "cloudevents." // of other attributes that have no place of their own
)

// fields are the names of a record's parts.
var fields = source.Fields{Stream: attrSubject, Type: attrType, OccurredAt: attrTime, Data: attrData, Metadata: extMetadata}

// event is a CloudEvent that is being read.
type event struct {
	category source.Category

	texts   map[string]string // attributes that are texts
	others  []string          // names of extensions that have no place of their own, in order
	data    []byte            // JSON, or nil
	base64  []byte
	isBytes bool
}

// parse makes a record of a CloudEvent. commit is "" if it names none.
func parse(doc []byte, line int, category source.Category) (r source.Record, commit string, bad *source.BadRecord) {
	fail := func(field string, err error) (source.Record, string, *source.BadRecord) {
		return source.Record{}, commit, &source.BadRecord{Line: line, Field: field, Reason: err.Error(), Events: 1, Err: err}
	}
	members, err := jsonobj.Parse(nil, doc)
	if err != nil {
		return fail("", err)
	}
	e := event{category: category, texts: make(map[string]string)}
	for _, m := range members {
		if err := e.attribute(m.Name, m.Value); err != nil {
			return fail(m.Name, err)
		}
	}
	commit = e.texts[extCommit]
	r = source.Record{Line: line}
	if field, err := e.fill(&r); err != nil {
		return fail(field, err)
	}
	return r, commit, source.Check(&r, fields)
}

var (
	errText      = errors.New("it must be a text")
	errExtension = errors.New("an extension is a text, a number or a bool")
	errName      = errors.New("names of attributes are lower-case letters and digits")
)

// attribute takes in one member.
func (e *event) attribute(name string, value []byte) error {
	switch name {
	case attrData:
		e.data = value
		return nil
	case attrBase64:
		if string(value) == "null" {
			return nil
		}
		var text string
		if err := json.Unmarshal(value, &text); err != nil {
			return errText
		}
		raw, err := base64.StdEncoding.Strict().DecodeString(text)
		e.base64, e.isBytes = raw, true
		return err
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return errName
		}
	}
	if string(value) == "null" {
		return nil // as if it were not there
	}
	switch name {
	case attrSpecVersion, attrID, attrSource, attrType, attrSubject, attrTime, attrContentType, attrDataSchema,
		extVersion, extPosition, extCommit, extSchema, extCodec, extRecorded, extCorrelation, extCausation, extUser, extMetadata:
		var text string
		if err := json.Unmarshal(value, &text); err != nil {
			return errText
		}
		e.texts[name] = text
		return nil
	}
	switch value[0] {
	case '{', '[':
		return errExtension
	case '"':
		var text string
		if err := json.Unmarshal(value, &text); err != nil {
			return errText
		}
		e.texts[name] = text
	default:
		e.texts[name] = string(value)
	}
	e.others = append(e.others, name)
	return nil
}

// fill makes the record. It returns the attribute at fault.
func (e *event) fill(r *source.Record) (field string, err error) {
	for _, name := range []string{attrSpecVersion, attrID, attrSource, attrType} {
		if e.texts[name] == "" {
			return name, errors.New("it is required")
		}
	}
	if v := e.texts[attrSpecVersion]; v != specVersion {
		return attrSpecVersion, fmt.Errorf("%q is not read, only %s", v, specVersion)
	}
	ev := &r.Event
	ev.Type, ev.CorrelationID, ev.CausationID, ev.UserID = e.texts[attrType], e.texts[extCorrelation], e.texts[extCausation], e.texts[extUser]
	if text := e.texts[attrTime]; text != "" {
		if ev.OccurredAt, err = source.ParseTime(text); err != nil {
			return attrTime, fmt.Errorf("%q %w", text, err)
		}
	}
	if text := e.texts[extSchema]; text != "" {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return extSchema, fmt.Errorf("%q is no version of a schema", text)
		}
		ev.SchemaVersion = eventstream.SchemaVersion(n)
	}
	if text := e.texts[extMetadata]; text != "" {
		if err := json.Unmarshal([]byte(text), &ev.Metadata); err != nil {
			return extMetadata, fmt.Errorf("it must be a JSON object of texts: %w", err)
		}
	}
	if field, err := e.payload(ev); err != nil {
		return field, err
	}
	if e.ours() {
		return e.fillOurs(r)
	}
	return e.fillForeign(r)
}

// ours reports whether the event comes from a store: then its id and its stream are the
// store's.
func (e *event) ours() bool { return e.texts[extPosition] != "" && e.texts[extCommit] != "" }

func (e *event) fillOurs(r *source.Record) (field string, err error) {
	r.Stream = eventstream.StreamID(e.texts[attrSubject])
	if r.Stream == "" {
		return attrSubject, errors.New("it is required, since it names the stream")
	}
	if r.Event.ID, err = keys.ParseEventID(e.texts[attrID]); err != nil {
		return attrID, err
	}
	e.keepOthers(&r.Event)
	return "", nil
}

// fillForeign names the stream after the subject, or else the source, and makes the event's
// id of source and id, which together name one event for good.
func (e *event) fillForeign(r *source.Record) (field string, err error) {
	from := e.texts[attrSubject]
	field = attrSubject
	if from == "" {
		from, field = e.texts[attrSource], attrSource
	}
	if r.Stream, err = e.category.Stream(from); err != nil {
		return field, err
	}
	e.note(&r.Event, metaID, e.texts[attrID])
	e.note(&r.Event, metaSource, e.texts[attrSource])
	for _, name := range []string{attrContentType, attrDataSchema} {
		if e.texts[name] != "" {
			e.note(&r.Event, metaPrefix+name, e.texts[name])
		}
	}
	if e.texts[attrSubject] != "" {
		e.note(&r.Event, metaPrefix+attrSubject, e.texts[attrSubject])
	}
	e.keepOthers(&r.Event)
	name := strconv.Itoa(len(e.texts[attrSource])) + ":" + e.texts[attrSource] + e.texts[attrID]
	r.Event.ID = source.EventID("cloudevents", eventstream.StreamID(name), 0, r.Event.OccurredAt)
	return "", nil
}

// keepOthers keeps extensions that have no place of their own; traceparent keeps its name.
func (e *event) keepOthers(ev *eventstream.NewEvent) {
	for _, name := range e.others {
		entry := metaPrefix + name
		if name == "traceparent" || name == "tracestate" {
			entry = name
		}
		e.note(ev, entry, e.texts[name])
	}
}

func (e *event) note(ev *eventstream.NewEvent, name, value string) {
	if ev.Metadata == nil {
		ev.Metadata = make(map[string]string)
	}
	ev.Metadata[name] = value
}

// payload makes the payload. It returns the attribute at fault.
func (e *event) payload(ev *eventstream.NewEvent) (field string, err error) {
	ev.Codec = codec.JSON
	if e.isBytes {
		ev.Codec = codec.Raw
	}
	if name := e.texts[extCodec]; name != "" {
		if ev.Codec, err = codec.ParseID(name); err != nil {
			return extCodec, err
		}
	}
	switch {
	case e.isBytes && e.data != nil:
		return attrBase64, errors.New("an event has either data or data_base64, not both")
	case e.isBytes:
		ev.Data = codec.Encoded(e.base64)
		if _, err := codec.Encode(nil, ev.Codec, ev.Data); err != nil {
			return attrBase64, err
		}
	case e.data != nil:
		data, err := codec.FromJSON(ev.Codec, e.data)
		if err != nil {
			return attrData, err
		}
		ev.Data = codec.Encoded(data)
	default:
		ev.Data = codec.Encoded{}
	}
	return "", nil
}
