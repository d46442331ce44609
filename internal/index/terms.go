package index

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/keys"
)

// The indexes. The numbers are on disk.
const (
	Tenant      keys.IndexID = 1 // one term, empty: every event of the tenant
	Type        keys.IndexID = 2
	Category    keys.IndexID = 3
	Correlation keys.IndexID = 4
	Causation   keys.IndexID = 5
	User        keys.IndexID = 6
	Occurred    keys.IndexID = 7 // see TimeTerm
	Tag         keys.IndexID = 8 // see TagTerm
)

// MaxTags is how many metadata entries of an event are indexed as tags. An event with
// more has the term ManyTags instead, so that it is found by whoever looks for any tag,
// and looked at.
const MaxTags = 32

// ManyTags is no tag: those hold a "=".
const ManyTags = "*"

// maxTerm bounds a tag's term.
const maxTerm = 255

// Terms calls add with each term that an event has in the index id. The term is valid
// during the call. The error is one of damaged metadata.
func Terms(id keys.IndexID, stream keys.StreamID, env *codec.Envelope, add func(term []byte)) error {
	some := func(term []byte) {
		if len(term) > 0 {
			add(term)
		}
	}
	switch id {
	case Tenant:
		add(nil)
	case Type:
		some(env.Type)
	case Category:
		some([]byte(stream.Category()))
	case Correlation:
		some(CorrelationOf(env))
	case Causation:
		some(env.Causation)
	case User:
		some(env.User)
	case Occurred:
		add(AppendTimeTerm(nil, env.OccurredAt))
	case Tag:
		if len(env.Metadata) == 0 {
			return nil
		}
		metadata, err := codec.ParseMetadata(env.Metadata)
		if err != nil {
			return err
		}
		if len(metadata) > MaxTags {
			add([]byte(ManyTags))
			return nil
		}
		for key, value := range metadata {
			add([]byte(TagTerm(key, value)))
		}
	}
	return nil
}

// traceparent is the metadata entry in which W3C Trace Context hands a trace on:
// version, trace id, parent id and flags in hexadecimal, with "-" between them
// (https://www.w3.org/TR/trace-context/#traceparent-header).
const traceparent = "traceparent"

// CorrelationOf returns an event's correlation id: its own, or else the trace id of the
// traceparent in its metadata, or nil. The result shares memory with env.
func CorrelationOf(env *codec.Envelope) []byte {
	if len(env.Correlation) > 0 || !bytes.Contains(env.Metadata, []byte(traceparent)) {
		return env.Correlation
	}
	metadata, err := codec.ParseMetadata(env.Metadata)
	if err != nil {
		return nil // whoever reads the event is told
	}
	return []byte(TraceID(metadata[traceparent]))
}

// TraceID returns the trace id of a traceparent, or "" if it is none.
func TraceID(parent string) string {
	const versionEnd, idEnd, parentEnd, size = 2, 35, 52, 55
	if len(parent) < size || parent[versionEnd] != '-' || parent[idEnd] != '-' || parent[parentEnd] != '-' ||
		len(parent) > size && (parent[:versionEnd] == "00" || parent[size] != '-') || parent[:versionEnd] == "ff" {
		return ""
	}
	id := parent[versionEnd+1 : idEnd]
	if !lowerHex(parent[:versionEnd]) || !lowerHex(id) || strings.Trim(id, "0") == "" || !lowerHex(parent[idEnd+1:parentEnd]) || !lowerHex(parent[parentEnd+1:size]) {
		return ""
	}
	return id
}

func lowerHex(s string) bool {
	return strings.Trim(s, "0123456789abcdef") == ""
}

// AppendTimeTerm appends the term of a time in nanoseconds: terms sort as times do.
func AppendTimeTerm(dst []byte, ns int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(ns)^(1<<63))
}

// ParseTimeTerm takes apart what [AppendTimeTerm] made. ok is false if it is no time.
func ParseTimeTerm(term string) (ns int64, ok bool) {
	if len(term) != 8 {
		return 0, false
	}
	return int64(binary.BigEndian.Uint64([]byte(term)) ^ (1 << 63)), true
}

// TagTerm returns the term of a metadata entry: "key=value", and for a long one its start
// and a hash of all of it. Two entries may share a term; whoever reads by it looks at the
// event.
func TagTerm(key, value string) string {
	term := key + "=" + value
	if len(term) <= maxTerm {
		return term
	}
	var sum [8]byte
	binary.BigEndian.PutUint64(sum[:], xxhash.Sum64String(term))
	digest := hex.EncodeToString(sum[:])
	return term[:maxTerm-len(digest)] + digest
}
