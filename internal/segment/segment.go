package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
)

// A segment's value:
//
//	0         version 1
//	1 to 5    events
//	5 to 9    length of what follows, before compression
//	9 to 17   xxhash64 of the segment's key, the nine bytes before, and what follows
//	17 on     compressed with zstd: the heads, the streams' names, the bodies
//
// The heads are turned on their side: first the first byte of each, then the second of
// each, and so on. Most columns are then all the same, and the segment a third smaller
// than with each event's bytes together.
const (
	segmentVersion = 1
	segmentHeader  = 17
	segmentSummed  = 9
)

var (
	errSegmentForm = errors.New("not a segment of a known form")
	errSegmentSum  = errors.New("sum does not match")
	errSegmentRun  = errors.New("the events are not the run that was sealed")
)

// AppendSegment appends the run's segment.
func (r *Run) AppendSegment(dst []byte) []byte {
	raw := slices.Grow(r.raw[:0], r.size())[:len(r.heads)]
	for n := range r.Events {
		for i, b := range r.heads[n*headLen : (n+1)*headLen] {
			raw[i*r.Events+n] = b
		}
	}
	raw = append(append(raw, r.names...), r.bodies...)
	r.raw = raw
	engine.GiveWay()

	start := len(dst)
	dst = append(dst, segmentVersion)
	dst = binary.BigEndian.AppendUint32(dst, uint32(r.Events))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(raw)))
	dst = append(dst, make([]byte, segmentHeader-segmentSummed)...)
	dst = codec.AppendZstd(dst, raw)
	engine.GiveWay()
	value := dst[start:]
	binary.BigEndian.PutUint64(value[segmentSummed:], segmentSum(r.First, value))
	return dst
}

func segmentSum(first keys.Position, value []byte) uint64 {
	var d xxhash.Digest
	d.Reset()
	var key [keys.PositionKeyLen]byte
	_, _ = d.Write(keys.AppendSegment(key[:0], first))
	_, _ = d.Write(value[:segmentSummed])
	_, _ = d.Write(value[segmentHeader:])
	return d.Sum64()
}

// Records are the events of a segment, in order of position. It is a reader with a
// place in it; the zero value holds nothing.
type Records struct {
	first  keys.Position
	events int
	raw    []byte

	read   int // events before the next one
	name   int // where its stream's name starts in raw
	body   int // where its body starts
	before times
}

// Record is an event of a segment. Stream and Body share the segment's memory; Header
// is valid until the next one is read.
type Record struct {
	Tenant   keys.TenantID
	Stream   []byte
	Version  keys.Version
	Position keys.Position
	Header   [codec.PackedHeaderLen]byte
	Body     []byte
}

// Open unpacks the segment at first into r, whose memory is used again.
func (r *Records) Open(first keys.Position, value []byte) error {
	if err := r.open(first, value); err != nil {
		*r = Records{raw: r.raw}
		return fmt.Errorf("segment at position %d: %w", first, err)
	}
	return nil
}

func (r *Records) open(first keys.Position, value []byte) (err error) {
	if len(value) < segmentHeader || value[0] != segmentVersion {
		return errSegmentForm
	}
	if segmentSum(first, value) != binary.BigEndian.Uint64(value[segmentSummed:]) {
		return errSegmentSum
	}
	events, size := uint64(binary.BigEndian.Uint32(value[1:])), int(binary.BigEndian.Uint32(value[5:]))
	if events == 0 || events*headLen > uint64(size) {
		return errSegmentForm
	}
	raw, err := codec.DecodeZstd(r.raw, value[segmentHeader:], size)
	if err != nil {
		return err
	}
	*r = Records{first: first, events: int(events), raw: raw, name: int(events) * headLen}
	return r.measure()
}

// measure finds where the bodies start, and that all parts fill the segment.
func (r *Records) measure() error {
	names, bodies := 0, 0
	for n := range r.events {
		names += int(r.column(headName)[n])
		length := 0
		for i := range 4 {
			length = length<<8 | int(r.column(headBody + i)[n])
		}
		bodies += length
	}
	if len(r.raw) != r.events*headLen+names+bodies {
		return errSegmentForm
	}
	r.body = r.name + names
	return nil
}

// column returns the i-th byte of each head.
func (r *Records) column(i int) []byte { return r.raw[i*r.events : (i+1)*r.events] }

// First returns the position of the first event.
func (r *Records) First() keys.Position { return r.first }

// Last returns the position of the last event, and 0 if there is none.
func (r *Records) Last() keys.Position { return r.first + keys.Position(r.events) - 1 }

// Covers reports whether position is one of the events'.
func (r *Records) Covers(position keys.Position) bool {
	return r.events > 0 && r.first <= position && position <= r.Last()
}

// Place is where a reader of records stands.
type Place struct {
	read, name, body int
	before           times
}

// Place returns where r stands, for Return.
func (r *Records) Place() Place { return Place{r.read, r.name, r.body, r.before} }

// Return goes back to a place that r gave.
func (r *Records) Return(p Place) {
	r.read, r.name, r.body, r.before = p.read, p.name, p.body, p.before
}

// Next reads the next event into rec. It reports false behind the last.
func (r *Records) Next(rec *Record) bool {
	if r.read == r.events {
		return false
	}
	var head [headLen]byte
	for i, at := 0, r.read; i < headLen; i, at = i+1, at+r.events {
		head[i] = r.raw[at]
	}
	recorded := binary.BigEndian.Uint64(head[headRecorded:]) + r.before.recorded
	occurred := binary.BigEndian.Uint64(head[headOccurred:]) + r.before.occurred
	r.before = times{recorded, occurred}
	binary.BigEndian.PutUint64(head[headRecorded:], recorded)
	binary.BigEndian.PutUint64(head[headOccurred:], occurred)

	rec.Tenant = keys.TenantID(binary.BigEndian.Uint32(head[:]))
	rec.Version = keys.Version(binary.BigEndian.Uint64(head[headVersion:]))
	rec.Position = r.first + keys.Position(r.read)
	rec.Header = [codec.PackedHeaderLen]byte(head[headPacked:])
	name, body := r.name+int(head[headName]), r.body+int(binary.BigEndian.Uint32(head[headBody:]))
	rec.Stream, rec.Body = r.raw[r.name:name:name], r.raw[r.body:body:body]
	r.read, r.name, r.body = r.read+1, name, body
	return true
}

// Verify unpacks a segment and compares every event with the seal.
func Verify(value []byte, s *Seal) error {
	var r Records
	if err := r.Open(s.First, value); err != nil {
		return err
	}
	var (
		h        Hasher
		rec      Record
		envelope []byte
	)
	for r.Next(&rec) {
		stream := keys.StreamID(rec.Stream)
		envelope = codec.UnpackEnvelope(envelope[:0], rec.Header[:], rec.Body, rec.Tenant, stream, rec.Version, rec.Position)
		h.Add(h.Record(rec.Tenant, stream, rec.Version, envelope))
	}
	if r.events != int(s.Events) || h.Run() != s.Run {
		return fmt.Errorf("segment at position %d: %w", s.First, errSegmentRun)
	}
	return nil
}
