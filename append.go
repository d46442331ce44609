package eventstream

import (
	"context"
	"fmt"
	"math"
	"time"
	"unicode/utf8"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/keys"
)

// StreamAppend is one stream's part of an append.
type StreamAppend struct {
	Stream StreamID
	// Expect is required.
	Expect Expected
	// Events are appended in order. Without events the stream is only checked: the
	// append goes through only if it is as expected.
	Events []NewEvent
}

// Append appends events to stream, all or none, if the stream is as expected.
//
// When it returns nil, the events are durable as Options.Durability says, and
// visible to every reader. Calls that run at once share one sync of the log.
//
// An event with an ID that the store has, with the same content, is not written
// again: the first result is returned with Deduplicated, whatever expect says. If
// events of one call stem from different appends, or some are new and some not, or
// the content differs, the error is a [*DuplicateEventError].
//
// Other errors: [*ConflictError] if the stream is not as expected; [*ArgumentError]
// and [*LimitError]; a [*DiskFullError], and nothing was written; ctx's error, if it ends before the append takes its turn, and
// a [*CommitUnknownError] if it ends later; [ErrPoisoned]; [ErrClosed]. A conflict or a
// deduplicated result rests only on events that are readable: it waits until they
// are.
func (s streams) Append(ctx context.Context, stream StreamID, expect Expected, events ...NewEvent) (AppendResult, error) {
	entries := [1]StreamAppend{{Stream: stream, Expect: expect, Events: events}}
	r, err := s.commit(ctx, entries[:], "", nil, nil)
	if err != nil {
		return AppendResult{}, err
	}
	defer r.release()
	return r.streamResult(0), nil
}

// AppendAll appends to several streams in one commit: all of it or nothing, and
// nobody ever sees a part. Positions follow the order of the list. Each entry has
// its own expectation; an entry without events is only checked. At least one entry
// has events, no stream is named twice, an entry that is only checked expects
// something other than [Any]. Everything else is as for Append.
func (s streams) AppendAll(ctx context.Context, entries []StreamAppend) (CommitResult, error) {
	r, err := s.commit(ctx, entries, "appends", nil, nil)
	if err != nil {
		return CommitResult{}, err
	}
	defer r.release()
	return r.commitResult(), nil
}

// commit is the write path. It returns the append as decided, which the caller
// releases.
//
//	prepare     validate, encode, hash; look up ids, warm heads     caller, no lock
//	sequence    decide, assign, hand over to the log                one at a time, from memory only
//	wait        for the sync that all share                         no lock
//
// One total order needs one sequencer, and one sync must serve many writers, so
// the sequencer ends with the hand-over and never spans a sync: with a lock held
// across it, throughput is one append a sync whatever the number of writers.
func (s streams) commit(ctx context.Context, entries []StreamAppend, list string, update *UpdateTx, guards []guard) (*appendRequest, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !s.db.gate.enter() {
		return nil, ErrClosed
	}
	defer s.db.gate.leave()
	if err := s.db.writable(); err != nil {
		return nil, err
	}
	r := s.db.newRequest(s.tenant)
	r.guards = guards
	if update != nil {
		r.update, update.handed = update, true
	}
	left, err := r.run(ctx, entries, list)
	switch {
	case left:
		s.db.stats.failed(err)
		return nil, err
	case err != nil:
		r.release()
		s.db.stats.failed(err)
		return nil, err
	}
	s.db.stats.appended(r)
	return r, nil
}

// run takes the request through the write path. If left is true the request is not
// the caller's any more.
func (r *appendRequest) run(ctx context.Context, entries []StreamAppend, list string) (left bool, err error) {
	if err := r.prepare(entries, list); err != nil {
		return false, err
	}
	for {
		if err := r.checkGuards(ctx); err != nil {
			return false, err
		}
		if err := r.sequence(); err != nil {
			return false, err
		}
		o, left := r.wait(ctx)
		if left || o.err != nil {
			return left, o.err
		}
		if o.decision != decidedAgain {
			return false, r.answer(ctx, o.decision)
		}
		r.state.Store(stateQueued)
	}
}

// answer returns the error that a decision means.
func (r *appendRequest) answer(ctx context.Context, d decision) error {
	switch d {
	case decidedConflict:
		return r.conflict(ctx)
	case decidedDuplicate:
		return r.duplicate(ctx)
	default:
		return nil
	}
}

// conflict answers an append whose expectation failed, once the event that shows
// it is readable: an answer must not rest on what a crash could still remove.
func (r *appendRequest) conflict(ctx context.Context) error {
	p := r.failed
	if p == nil && r.forbidden != 0 {
		if err := r.db.awaitReadable(ctx, r.forbidden); err != nil {
			return err
		}
		return &GuardError{Tenant: r.tenant.name, Position: r.forbidden}
	}
	if p == nil {
		w := r.changed
		if err := r.db.awaitReadable(ctx, w.position); err != nil {
			return err
		}
		return &RecordConflictError{Tenant: r.tenant.name, Namespace: w.namespace, Key: []byte(w.key), Position: w.position}
	}
	if err := r.db.awaitReadable(ctx, p.rests); err != nil {
		return err
	}
	return &ConflictError{Tenant: r.tenant.name, Stream: p.stream, Expected: p.expect, Actual: p.actual}
}

// prepare does everything that needs no order: it validates, encodes and hashes
// all events, but for versions and positions, and reads from disk what the decision
// needs.
func (r *appendRequest) prepare(entries []StreamAppend, list string) error {
	if err := r.collect(entries, list); err != nil {
		return err
	}
	if err := r.claimIDs(); err != nil {
		return err
	}
	if err := r.encode(entries, list); err != nil {
		return err
	}
	if r.update != nil {
		if r.size += r.update.size(); r.size > r.db.opts.MaxAppendBytes {
			return &LimitError{Field: "update", Size: r.size, Limit: r.db.opts.MaxAppendBytes, Unit: "bytes"}
		}
	}
	return r.warm()
}

// collect validates the shape of the append and pins the heads of its streams.
func (r *appendRequest) collect(entries []StreamAppend, list string) error {
	total := 0
	for i := range entries {
		e := &entries[i]
		field := func(name string) string {
			if list == "" {
				return name
			}
			return fmt.Sprintf("%s[%d].%s", list, i, name)
		}
		if err := e.Stream.Validate(); err != nil {
			return &ArgumentError{Field: field("Stream"), Reason: err.Error(), Err: err}
		}
		if !e.Expect.valid() {
			return &ArgumentError{Field: field("Expect"), Reason: "an expected version is required: Any, NoStream, StreamExists or Exact(n)"}
		}
		if len(e.Events) == 0 && e.Expect == Any {
			return &ArgumentError{Field: field("Events"), Reason: "no events and Any expected: there is nothing to append and nothing to check"}
		}
		for j := range entries[:i] {
			if entries[j].Stream == e.Stream {
				return &ArgumentError{Field: field("Stream"), Reason: fmt.Sprintf("stream %q is named twice: give all its events in one entry", e.Stream)}
			}
		}
		total += len(e.Events)
		if total > maxAppendEvents || i >= maxAppendEvents {
			return &LimitError{Field: "append", Size: int64(countEvents(entries)), Limit: maxAppendEvents, Unit: "events"}
		}
	}
	if total == 0 {
		return &ArgumentError{Field: "Events", Reason: "an append needs at least one event"}
	}
	for i := range entries {
		e := &entries[i]
		r.parts = append(r.parts, streamPart{stream: e.Stream, expect: e.Expect, first: len(r.events), count: len(e.Events)})
		for j := range e.Events {
			r.events = append(r.events, eventPart{id: e.Events[j].ID})
		}
	}
	return nil
}

func countEvents(entries []StreamAppend) int {
	n := 0
	for i := range entries {
		n += max(len(entries[i].Events), 1)
	}
	return n
}

// claimIDs claims the ids that events came with. The others get theirs with their place.
func (r *appendRequest) claimIDs() error {
	for i := range r.events {
		e := &r.events[i]
		if e.id.IsZero() {
			continue
		}
		r.given++
		var shared bool
		e.claim, shared = r.db.inflight.pin(idKey{tenant: r.tenant, id: e.id})
		if shared { // perhaps by an earlier event of this append
			for j := range r.events[:i] {
				if r.events[j].id == e.id {
					return &DuplicateEventError{Tenant: r.tenant.name, EventID: e.id, Reason: "it is named twice in this append"}
				}
			}
		}
	}
	return nil
}

// encode writes the key and the envelope of each event into the buffer, with gaps
// for what is not known yet.
func (r *appendRequest) encode(entries []StreamAppend, list string) error {
	n := 0
	for i := range entries {
		for j := range entries[i].Events {
			part := &r.events[n]
			if err := r.encodeEvent(&entries[i].Events[j], part, entries[i].Stream, n); err != nil {
				return inEvent(err, list, i, j)
			}
			if r.size += int64(part.end - part.envelope); r.size > r.db.opts.MaxAppendBytes {
				return &LimitError{Field: "append", Size: r.size, Limit: r.db.opts.MaxAppendBytes, Unit: "bytes"}
			}
			n++
		}
	}
	return nil
}

// encodeEvent validates one event and adds it to the buffer.
func (r *appendRequest) encodeEvent(e *NewEvent, part *eventPart, stream StreamID, index int) error {
	if err := keys.ValidateName("event type", e.Type); err != nil {
		return &ArgumentError{Field: "Type", Reason: err.Error(), Err: err}
	}
	for _, label := range [...]struct{ field, value string }{
		{"CorrelationID", e.CorrelationID}, {"CausationID", e.CausationID}, {"UserID", e.UserID},
	} {
		if label.value == "" {
			continue
		}
		if err := keys.ValidateName(label.field, label.value); err != nil {
			return &ArgumentError{Field: label.field, Reason: err.Error(), Err: err}
		}
	}
	env := codec.Envelope{
		Codec:   e.Codec,
		Schema:  max(e.SchemaVersion, 1),
		Index:   uint16(index),
		Count:   uint16(len(r.events)),
		EventID: part.id,
	}
	if env.Codec == 0 {
		env.Codec = codec.Msgpack
	}
	if !e.OccurredAt.IsZero() {
		if e.OccurredAt.Before(minTime) || e.OccurredAt.After(maxTime) {
			return &ArgumentError{Field: "OccurredAt", Reason: fmt.Sprintf("%v lies outside %v to %v", e.OccurredAt, minTime, maxTime)}
		}
		env.Flags, env.OccurredAt = codec.FlagOccurredGiven, e.OccurredAt.UnixNano()
	}
	var err error
	if r.scratch, err = encodeMetadata(r.scratch[:0], e.Metadata); err != nil {
		return err
	}
	metadataLen := len(r.scratch)
	if r.scratch, err = codec.Encode(r.scratch, env.Codec, e.Data); err != nil {
		return &ArgumentError{Field: "Data", Reason: err.Error(), Err: err}
	}
	env.Metadata, env.Payload = r.scratch[:metadataLen], r.scratch[metadataLen:]
	if n, limit := int64(len(env.Payload)), r.db.opts.MaxPayloadBytes; n > limit {
		return &LimitError{Field: "Data", Size: n, Limit: limit, Unit: "bytes"}
	}

	part.key = len(r.buf)
	r.buf = keys.AppendEvent(r.buf, 0, stream, 0)
	part.envelope = len(r.buf)
	r.buf = codec.AppendEnvelope(r.buf, &env, e.Type, e.CorrelationID, e.CausationID, e.UserID)
	part.end = len(r.buf)
	if part.claim != nil {
		part.content = codec.ContentOf(r.buf[part.envelope:], stream)
	}
	return nil
}

// minTime and maxTime bound the times that fit in 64 bits of nanoseconds.
var (
	minTime = time.Unix(0, math.MinInt64).UTC()
	maxTime = time.Unix(0, math.MaxInt64).UTC()
)

func encodeMetadata(dst []byte, m map[string]string) ([]byte, error) {
	size := 0
	for name, value := range m {
		if err := keys.ValidateName("metadata", name); err != nil {
			return dst, &ArgumentError{Field: "Metadata", Reason: err.Error(), Err: err}
		}
		if !utf8.ValidString(value) {
			return dst, &ArgumentError{Field: "Metadata", Reason: fmt.Sprintf("the value of %q is not valid UTF-8", name)}
		}
		if size += len(name) + len(value); size > maxMetadataBytes {
			return dst, &LimitError{Field: "Metadata", Size: int64(size), Limit: maxMetadataBytes, Unit: "bytes"}
		}
	}
	return codec.AppendMetadata(dst, m), nil
}

// inEvent names the event that a fault is in.
func inEvent(err error, list string, entry, event int) error {
	prefix := fmt.Sprintf("events[%d].", event)
	if list != "" {
		prefix = fmt.Sprintf("%s[%d].Events[%d].", list, entry, event)
	}
	switch err := err.(type) {
	case *ArgumentError:
		err.Field = prefix + err.Field
	case *LimitError:
		err.Field = prefix + err.Field
	}
	return err
}

// warm reads from disk what the decision will need from memory: the heads of cold
// streams and the ids that were given.
func (r *appendRequest) warm() error {
	for i := range r.parts {
		p := &r.parts[i]
		p.head = r.db.heads.pin(streamKey{tenant: r.tenant, stream: p.stream})
		if err := p.head.warm(r.db.findHead); err != nil {
			return fmt.Errorf("append to %q: %w", p.stream, err)
		}
	}
	for i := range r.events {
		if c := r.events[i].claim; c != nil {
			if err := c.warm(r.db.findID); err != nil {
				return fmt.Errorf("append: look up event id %s: %w", r.events[i].id, err)
			}
		}
	}
	return nil
}
