package cloudevents

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strconv"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/jsonobj"
	"github.com/nexus-erp/eventstream/codec"
)

// The attributes of an event, in the order in which they are written.
const (
	attrSpecVersion = "specversion"
	attrID          = "id"
	attrSource      = "source"
	attrType        = "type"
	attrSubject     = "subject" // the stream
	attrTime        = "time"    // occurred-at
	attrContentType = "datacontenttype"
	attrDataSchema  = "dataschema"
	attrData        = "data"
	attrBase64      = "data_base64"

	// Extensions.
	extVersion     = "streamversion"
	extPosition    = "streamposition"
	extCommit      = "commitposition" // events with the same one were written by one append
	extSchema      = "schemaversion"
	extCodec       = "payloadcodec"
	extRecorded    = "recordedtime"
	extCorrelation = "correlationid"
	extCausation   = "causationid"
	extUser        = "userid"
	extMetadata    = "eventmetadata" // a JSON object, as text
)

const specVersion = "1.0"

// The content types of payloads.
const (
	typeJSON    = "application/json"
	typeMsgpack = "application/vnd.msgpack"
	typeBytes   = "application/octet-stream"
)

// Source returns the source attribute of a tenant's events.
func Source(store eventstream.EventID, tenant string) string {
	return "/eventstream/" + store.String() + "/" + url.PathEscape(tenant)
}

// Append appends ev as a CloudEvent.
func Append(dst []byte, ev *eventstream.Event, from string) []byte {
	sep := byte('{')
	text := func(name, value string) {
		if value == "" {
			return
		}
		dst = jsonobj.AppendString(append(dst, sep), name)
		dst = jsonobj.AppendString(append(dst, ':'), value)
		sep = ','
	}
	text(attrSpecVersion, specVersion)
	text(attrID, ev.ID.String())
	text(attrSource, from)
	text(attrType, ev.Type)
	text(attrSubject, string(ev.Stream))
	text(attrTime, ev.OccurredAt.UTC().Format(time.RFC3339Nano))
	text(extVersion, strconv.FormatUint(uint64(ev.Version), 10))
	text(extPosition, strconv.FormatUint(uint64(ev.Position), 10))
	text(extCommit, strconv.FormatUint(uint64(ev.CommitPosition()), 10))
	text(extSchema, strconv.FormatUint(uint64(ev.SchemaVersion), 10))
	text(extCodec, ev.Codec.String())
	text(extRecorded, ev.RecordedAt.UTC().Format(time.RFC3339Nano))
	text(extCorrelation, ev.CorrelationID)
	text(extCausation, ev.CausationID)
	text(extUser, ev.UserID)
	if len(ev.Metadata) > 0 {
		metadata, err := json.Marshal(ev.Metadata) // texts in order of their names: it cannot fail
		if err == nil {
			text(extMetadata, string(metadata))
		}
	}
	if len(ev.Data) == 0 {
		return append(dst, '}')
	}
	if data, exact, err := codec.ToJSON(ev.Codec, ev.Data); err == nil && exact {
		text(attrContentType, typeJSON)
		dst = append(dst, `,"data":`...)
		return append(append(dst, data...), '}')
	}
	switch ev.Codec {
	case codec.JSON:
		text(attrContentType, typeJSON)
	case codec.Msgpack:
		text(attrContentType, typeMsgpack)
	default:
		text(attrContentType, typeBytes)
	}
	dst = append(dst, `,"data_base64":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, ev.Data)
	return append(dst, `"}`...)
}
