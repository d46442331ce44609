// Package eventline is the JSON form of an event, one a line: what read and export
// write, and what append and import read.
package eventline

import (
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/jsonobj"
	"github.com/nexus-erp/eventstream/codec"
)

// AppendView appends ev as it is shown: with the payload as JSON, even where JSON
// cannot say all of it. A payload without any JSON form is in data_base64.
func AppendView(dst []byte, ev *eventstream.Event) []byte {
	dst = appendHead(dst, ev)
	data, _, err := codec.ToJSON(ev.Codec, ev.Data)
	switch {
	case len(ev.Data) == 0:
		return append(dst, "null}"...)
	case err != nil || data == nil:
		return append(appendBase64(dst, ev.Data), '}')
	default:
		return append(append(dst, data...), '}')
	}
}

// AppendExport appends ev so that an import makes the same event of it: the payload
// is in data only if data says all of it, else in data_base64. Events with the same
// commit were written by one append.
func AppendExport(dst []byte, ev *eventstream.Event) []byte {
	dst = appendData(appendHead(dst, ev), ev)
	dst = append(dst, `,"codec":`...)
	dst = jsonobj.AppendString(dst, ev.Codec.String())
	dst = append(dst, `,"commit":`...)
	dst = strconv.AppendUint(dst, uint64(ev.CommitPosition()), 10)
	return append(dst, '}')
}

// appendHead appends everything up to and including `"data":`.
func appendHead(dst []byte, ev *eventstream.Event) []byte {
	dst = append(dst, `{"position":`...)
	dst = strconv.AppendUint(dst, uint64(ev.Position), 10)
	text := func(name, value string) {
		dst = append(dst, name...)
		dst = jsonobj.AppendString(dst, value)
	}
	text(`,"stream":`, string(ev.Stream))
	dst = append(dst, `,"version":`...)
	dst = strconv.AppendUint(dst, uint64(ev.Version), 10)
	text(`,"event_id":`, ev.ID.String())
	text(`,"type":`, ev.Type)
	dst = append(dst, `,"schema_version":`...)
	dst = strconv.AppendUint(dst, uint64(ev.SchemaVersion), 10)
	dst = append(dst, `,"occurred_at":"`...)
	dst = ev.OccurredAt.UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, `","recorded_at":"`...)
	dst = ev.RecordedAt.UTC().AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, '"')
	text(`,"correlation_id":`, ev.CorrelationID)
	text(`,"causation_id":`, ev.CausationID)
	text(`,"user_id":`, ev.UserID)
	dst = append(dst, `,"metadata":{`...)
	for i, key := range slices.Sorted(maps.Keys(ev.Metadata)) {
		if i > 0 {
			dst = append(dst, ',')
		}
		text("", key)
		text(":", ev.Metadata[key])
	}
	return append(dst, `},"data":`...)
}

// Data returns the payload as JSON if that says all of it, else in base64.
func Data(ev *eventstream.Event) (data, base64Data string) {
	if text, exact, err := codec.ToJSON(ev.Codec, ev.Data); err == nil && exact {
		return string(text), ""
	}
	return "", base64.StdEncoding.EncodeToString(ev.Data)
}

func appendData(dst []byte, ev *eventstream.Event) []byte {
	if data, exact, err := codec.ToJSON(ev.Codec, ev.Data); err == nil && exact {
		return append(dst, data...)
	}
	return appendBase64(dst, ev.Data)
}

// appendBase64 appends the payload in a field of its own; data says nothing.
func appendBase64(dst, data []byte) []byte {
	dst = append(dst, `null,"data_base64":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, data)
	return append(dst, '"')
}
