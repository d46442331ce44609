package eventstream

import (
	"errors"
	"log/slog"
	"slices"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/internal/segment"
	"github.com/nexus-erp/eventstream/keys"
)

// segmentCursor is where a read of the global order stands in the sealed runs.
type segmentCursor struct {
	reached  Position // the last sealed position, when the page was begun
	current  *unpacked
	places   []segment.Place // backward: of the records up to the one read last
	skipFrom Position        // a run whose segment is damaged: the log is read instead
	skipTo   Position

	ahead    []aheadSegment // those behind current, in order
	spare    *unpacked      // was current: its memory is for the next one
	record   segment.Record
	envelope codec.Envelope
}

// segmentsAhead is how many segments are unpacked while one is read: unpacking takes twice
// as long as reading.
const segmentsAhead = 2

// aheadSegment is a segment that is being unpacked ahead of the read.
type aheadSegment struct {
	last Position       // of its run, as the seal says
	done chan *unpacked // receives it once
}

// unpacked is a segment that was read.
type unpacked struct {
	segment.Records
	value []byte // as stored; kept for its memory
	err   error
}

// fromSegment reads up to n of the tenant's events from the segment that holds the
// next position. done is false if there is none, or if it is damaged: then the log
// has the events.
func (c *logCursor) fromSegment(p *page, n int) (done bool, err error) {
	s := &c.segment
	next := c.lo
	if c.opts.backward {
		next = c.hi
	}
	s.reached = c.view.db.sealer.reached()
	if next > s.reached || s.skipFrom <= next && next <= s.skipTo {
		return false, nil
	}
	id, ok := c.view.tenantID()
	if !ok {
		c.lo = c.hi + 1
		return true, nil
	}
	if s.current == nil || !s.current.Covers(next) {
		err = c.enterSegment(next)
	}
	if err == nil && c.opts.backward {
		err = c.segmentBackward(p, n, id)
	} else if err == nil {
		if n == pageMost { // whoever reads that much reads on
			c.readAhead()
		}
		err = c.segmentForward(p, n, id)
	}
	if damage := (*segmentDamage)(nil); errors.As(err, &damage) {
		return len(p.events) > 0, c.leaveSegment(next, damage)
	}
	return true, err
}

// between narrows what is read from the log, lo to hi, so that it ends where the next
// sound segment begins.
func (s *segmentCursor) between(lo, hi Position, backward bool) (Position, Position) {
	switch {
	case backward && hi > s.reached:
		return max(lo, s.reached+1), hi
	case backward:
		return max(lo, s.skipFrom), hi
	case lo <= s.reached:
		return lo, min(hi, s.skipTo)
	default:
		return lo, hi
	}
}

// segmentDamage is a segment that cannot be read.
type segmentDamage struct{ err error }

func (d *segmentDamage) Error() string { return d.err.Error() }

// leaveSegment has the damaged segment of the run around position packed again, and
// makes the cursor read the log instead.
func (c *logCursor) leaveSegment(position Position, damage *segmentDamage) error {
	db, s := c.view.db, &c.segment
	seal, err := db.sealOf(position)
	if err != nil {
		return err
	}
	s.current, s.places = nil, nil
	s.skipFrom, s.skipTo = seal.First, seal.Last
	db.log.Warn("a segment is damaged; the log is read instead", slog.Uint64("first", uint64(seal.First)), slog.Any("error", damage.err))
	if !db.opts.ReadOnly {
		db.sealer.mend(seal.First)
	}
	return nil
}

// enterSegment unpacks the segment that holds position, and goes to it.
func (c *logCursor) enterSegment(position Position) error {
	s := &c.segment
	u, err := c.unpack(position)
	if err != nil {
		return err
	}
	if s.current != u {
		s.spare, s.current = s.current, u
	}
	s.places = s.places[:0]
	for at := u.First(); at < position || c.opts.backward && at <= position; at++ {
		if c.opts.backward {
			s.places = append(s.places, u.Place())
		}
		u.Next(&s.record)
	}
	return nil
}

// unpack returns the segment that holds position: the one that was read ahead, if it
// is that.
func (c *logCursor) unpack(position Position) (*unpacked, error) {
	s := &c.segment
	if len(s.ahead) > 0 {
		a := s.ahead[0]
		u := <-a.done
		if s.ahead = slices.Delete(s.ahead, 0, 1); u.err == nil && u.Covers(position) && u.Last() == a.last {
			return u, nil
		}
		s.ahead = nil // the others are not what is read next
	}
	seal, err := c.view.db.sealOf(position)
	if err != nil {
		return nil, err
	}
	u := s.current
	if u == nil {
		u = &unpacked{}
	}
	c.view.db.unpack(u, seal.First)
	if u.err == nil && u.Last() != seal.Last {
		u.err = &segmentDamage{errSegmentOther}
	}
	return u, u.err
}

var errSegmentOther = errors.New("it holds another run than its seal says")

// readAhead has the segments behind the current one unpacked meanwhile.
func (c *logCursor) readAhead() {
	db, s := c.view.db, &c.segment
	if s.current == nil {
		return
	}
	last := s.current.Last()
	if n := len(s.ahead); n > 0 {
		last = s.ahead[n-1].last
	}
	for len(s.ahead) < segmentsAhead && last < min(c.hi, s.reached) {
		seal, err := db.sealOf(last + 1)
		if err != nil || !db.gate.join() {
			return // whoever gets there says why
		}
		u := s.spare
		if s.spare = nil; u == nil {
			u = &unpacked{}
		}
		a := aheadSegment{last: seal.Last, done: make(chan *unpacked, 1)}
		s.ahead, last = append(s.ahead, a), seal.Last
		go func() {
			defer db.gate.leave()
			db.unpack(u, seal.First)
			a.done <- u
		}()
	}
}

// unpack reads the segment at first into u, in u's memory.
func (db *DB) unpack(u *unpacked, first Position) {
	var ok bool
	u.value, ok, u.err = db.eng.Get(u.value[:0], keys.AppendSegment(nil, first))
	switch {
	case engine.IsCorruption(u.err):
		u.err = &segmentDamage{u.err}
		return
	case u.err != nil:
		return
	case !ok:
		u.err = &segmentDamage{errSegmentMissing}
		return
	}
	if err := u.Open(first, u.value); err != nil {
		u.err = &segmentDamage{err}
	}
}

var errSegmentMissing = errors.New("the segment is missing")

// sealOf reads the seal of the run that holds position.
func (db *DB) sealOf(position Position) (seal segment.Seal, err error) {
	it, err := db.eng.NewPrefixIter([]byte{byte(keys.KindSeal)})
	if err != nil {
		return segment.Seal{}, err
	}
	defer func() { err = readError("seal", errors.Join(err, it.Close())) }()
	if !it.SeekLT(keys.AppendSeal(nil, position+1)) {
		if err := it.Err(); err != nil {
			return segment.Seal{}, err
		}
		return segment.Seal{}, &CorruptionError{What: "seal", Position: position, Err: errSealMissing}
	}
	first, err := keys.ParseSeal(it.Key())
	if err != nil {
		return segment.Seal{}, &CorruptionError{What: "seal", Position: position, Err: err}
	}
	value, err := it.Value()
	if err != nil {
		return segment.Seal{}, err
	}
	if seal, err = segment.ParseSeal(first, value); err != nil {
		return segment.Seal{}, &CorruptionError{What: "seal", Position: first, Err: err}
	}
	if position > seal.Last {
		return segment.Seal{}, &CorruptionError{What: "seal", Position: position, Err: errSealMissing}
	}
	return seal, nil
}

// segmentForward reads records from where the cursor stands.
func (c *logCursor) segmentForward(p *page, n int, tenant TenantID) error {
	s := &c.segment
	for c.lo <= c.hi && len(p.events) < n && s.current.Next(&s.record) {
		if s.record.Tenant == tenant {
			if err := c.takePacked(p, &s.record); err != nil {
				return err
			}
		}
		c.lo = s.record.Position + 1
	}
	return nil
}

// segmentBackward reads records from where the cursor stands to the run's first.
func (c *logCursor) segmentBackward(p *page, n int, tenant TenantID) error {
	s := &c.segment
	for c.lo <= c.hi && len(p.events) < n && len(s.places) > 0 {
		last := len(s.places) - 1
		s.current.Return(s.places[last])
		s.current.Next(&s.record)
		if s.record.Tenant == tenant {
			if err := c.takePacked(p, &s.record); err != nil {
				return err
			}
		}
		s.places = s.places[:last]
		c.hi--
	}
	return nil
}

// takePacked decodes the event of a record and adds it to p if the options accept it.
// The segment's sum vouches for the record.
func (c *logCursor) takePacked(p *page, r *segment.Record) error {
	env := &c.segment.envelope
	if err := env.ParsePacked(r.Header[:], r.Position, r.Body); err != nil {
		return &segmentDamage{err}
	}
	stream := c.decoder.streamName(r.Stream)
	if !c.opts.accepts(stream, r.Version, env) {
		return nil
	}
	if err := c.decoder.decode(p.add(), c.view.tenant, stream, r.Version, env); err != nil {
		return p.drop(err)
	}
	return nil
}
