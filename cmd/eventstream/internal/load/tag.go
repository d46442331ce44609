package load

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/keys"
)

// Tag gives each record a metadata entry that is made of something else in it.
type Tag struct {
	name    string
	field   string // "stream", "type", "user_id", "correlation_id" or "metadata"
	entry   string // of the metadata
	pattern *regexp.Regexp
}

var errTag = errors.New("a tag is NAME=FIELD or NAME=FIELD~REGEXP, where FIELD is stream, type, user_id, correlation_id or metadata.NAME")

// ParseTag reads NAME=FIELD, or NAME=FIELD~REGEXP: then the entry is what the first group
// of the expression matches, or all that it matches, and a record that it does not match
// has none.
func ParseTag(text string) (Tag, error) {
	name, rest, ok := strings.Cut(text, "=")
	field, pattern, limited := strings.Cut(rest, "~")
	if err := keys.ValidateName("tag", name); !ok || err != nil {
		return Tag{}, errTag
	}
	t := Tag{name: name, field: field}
	switch path, ok := codec.SplitPath(field); {
	case ok && len(path) == 2 && path[0] == "metadata":
		t.field, t.entry = path[0], path[1]
	case field == "stream", field == "type", field == "user_id", field == "correlation_id":
	default:
		return Tag{}, errTag
	}
	if limited {
		var err error
		if t.pattern, err = regexp.Compile(pattern); err != nil {
			return Tag{}, fmt.Errorf("%w: %w", errTag, err)
		}
	}
	return t, nil
}

// value returns the entry's value. ok is false if the record has none.
func (t *Tag) value(stream eventstream.StreamID, e *eventstream.NewEvent) (value string, ok bool) {
	switch t.field {
	case "stream":
		value = string(stream)
	case "type":
		value = e.Type
	case "user_id":
		value = e.UserID
	case "correlation_id":
		value = e.CorrelationID
	default:
		value = e.Metadata[t.entry]
	}
	if t.pattern == nil || value == "" {
		return value, value != ""
	}
	match := t.pattern.FindStringSubmatch(value)
	if match == nil {
		return "", false
	}
	return match[min(1, len(match)-1)], true
}

// tag adds the job's tags to a block.
func (j *Job) tag(block source.Block) {
	if len(j.Tags) == 0 {
		return
	}
	for i := range block.Records {
		r := &block.Records[i]
		metadata := maps.Clone(r.Event.Metadata) // records may share one
		for k := range j.Tags {
			if value, ok := j.Tags[k].value(r.Stream, &r.Event); ok {
				if metadata == nil {
					metadata = make(map[string]string)
				}
				metadata[j.Tags[k].name] = value
			}
		}
		r.Event.Metadata = metadata
	}
}
