package eventstream

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/nexus-erp/eventstream/codec"
)

// ReadOption narrows or directs a read. Each option says which reads take it; any
// other read fails with an [*ArgumentError].
type ReadOption func(*readOptions)

// readOptions is what the options of one read say. Bounds are inclusive.
type readOptions struct {
	set []string // the options that were given

	fromVersion, toVersion   Version
	after, until             Position
	backward                 bool
	limit                    int
	occurredFrom, occurredTo int64
	recordedFrom, recordedTo int64
	types                    []string
	category                 string
	match                    func(StreamID, Version, *codec.Envelope) bool // nil: everything

	fault error
}

// From starts a stream's read at version v.
func From(v Version) ReadOption {
	return func(o *readOptions) { o.use("From"); o.fromVersion = v }
}

// To ends a stream's read with version v.
func To(v Version) ReadOption {
	return func(o *readOptions) { o.use("To"); o.toVersion = v }
}

// After starts a read of the global order behind position p: it is the position of
// the last event that the caller has.
func After(p Position) ReadOption {
	return func(o *readOptions) { o.use("After"); o.after = p }
}

// Until ends ReadAll with position p.
func Until(p Position) ReadOption {
	return func(o *readOptions) { o.use("Until"); o.until = p }
}

// Backward makes ReadStream and ReadAll return the newest event first.
func Backward() ReadOption {
	return func(o *readOptions) { o.use("Backward"); o.backward = true }
}

// Limit ends any read after n events. n is at least 1.
func Limit(n int) ReadOption {
	return func(o *readOptions) {
		o.use("Limit")
		o.limit = n
		if n < 1 {
			o.fault = &ArgumentError{Field: "Limit", Reason: fmt.Sprintf("%d is less than 1", n)}
		}
	}
}

// OccurredSince leaves out of a stream's read what happened before t.
func OccurredSince(t time.Time) ReadOption {
	return func(o *readOptions) { o.use("OccurredSince"); o.occurredFrom = clampNano(t) }
}

// OccurredUntil leaves out of a stream's read what happened after t. What happened
// at t is in.
func OccurredUntil(t time.Time) ReadOption {
	return func(o *readOptions) { o.use("OccurredUntil"); o.occurredTo = clampNano(t) }
}

// RecordedSince leaves out of a stream's read what was recorded before t.
func RecordedSince(t time.Time) ReadOption {
	return func(o *readOptions) { o.use("RecordedSince"); o.recordedFrom = clampNano(t) }
}

// RecordedUntil leaves out of a stream's read what was recorded after t: it shows
// the stream as it was known then. What was recorded at t is in.
func RecordedUntil(t time.Time) ReadOption {
	return func(o *readOptions) { o.use("RecordedUntil"); o.recordedTo = clampNano(t) }
}

// Types leaves all but these event types out of ReadAll and Follow.
func Types(types ...string) ReadOption {
	return func(o *readOptions) { o.use("Types"); o.types = append(o.types, types...) }
}

// Category leaves all but the streams named "context-type-…" out of ReadAll and
// Follow. See [keys.StreamID.Category].
func Category(category string) ReadOption {
	return func(o *readOptions) { o.use("Category"); o.category = category }
}

// The options that each read takes.
var (
	streamReadOptions = []string{"From", "To", "Backward", "Limit", "OccurredSince", "OccurredUntil", "RecordedSince", "RecordedUntil"}
	logReadOptions    = []string{"After", "Until", "Backward", "Limit", "Types", "Category"}
	followOptions     = []string{"After", "Limit", "Types", "Category"}
)

func (o *readOptions) use(name string) { o.set = append(o.set, name) }

// newReadOptions applies opts to the defaults of the read called read, which takes
// the options named in allowed.
func newReadOptions(read string, allowed []string, opts []ReadOption) (*readOptions, error) {
	o := readEverything()
	for _, opt := range opts {
		opt(o)
	}
	for _, name := range o.set {
		if !slices.Contains(allowed, name) {
			return nil, &ArgumentError{Field: name, Reason: fmt.Sprintf("%s does not take this option; it takes %v", read, allowed)}
		}
	}
	return o, o.fault
}

// readEverything is what a read without options does.
func readEverything() *readOptions {
	return &readOptions{
		fromVersion: 1, toVersion: math.MaxInt64,
		until:        math.MaxInt64,
		limit:        math.MaxInt,
		occurredFrom: math.MinInt64, occurredTo: math.MaxInt64,
		recordedFrom: math.MinInt64, recordedTo: math.MaxInt64,
	}
}

// accepts reports whether an event passes the options that look at the event
// itself.
func (o *readOptions) accepts(stream StreamID, version Version, env *codec.Envelope) bool {
	return env.OccurredAt >= o.occurredFrom && env.OccurredAt <= o.occurredTo &&
		env.RecordedAt >= o.recordedFrom && env.RecordedAt <= o.recordedTo &&
		(o.types == nil || slices.Contains(o.types, string(env.Type))) &&
		(o.category == "" || stream.Category() == o.category) &&
		(o.match == nil || o.match(stream, version, env))
}

// clampNano returns t in nanoseconds, or the nearest time that has them.
func clampNano(t time.Time) int64 {
	switch {
	case t.Before(minTime):
		return math.MinInt64
	case t.After(maxTime):
		return math.MaxInt64
	default:
		return t.UnixNano()
	}
}
