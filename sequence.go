package eventstream

import (
	"encoding/binary"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
)

// decision is what the sequencer made of an append.
type decision int

const (
	decidedCommit    decision = iota + 1 // it is in the log
	decidedConflict                      // a stream is not as expected
	decidedDuplicate                     // an id is known already
	decidedAgain                         // its guards must be looked at again, from outside
)

// sequencer decides appends one at a time, in rounds.
//
// The obvious sequencer is a lock that every append takes in turn. It works, and
// costs each append a batch of Pebble's of its own and, as soon as there are more
// writers than cores, one more time to be parked and woken. Here an append queues
// itself, and a leader takes the queue, decides the appends in it one after the other,
// writes all that commit into one batch, and hands that over to the log. Each append
// waits once, for its outcome.
//
//	lead:  take the queue
//	       for each append: decide from memory → assign → note the new state
//	       one batch: all events, all positions, all ids       (neighbours insert faster)
//	       hand it over; its members are told when it is durable
//
// A round begins when the one before it is durable and those who were told of it have
// run again: whoever appends one event after the other is back in the queue by then.
// So every sync serves everybody who waits. Were rounds handed over while the log still
// syncs, writers would fall into two halves, of which each waits for the other's sync
// before its own. A lone append is a round of its own, and waits for nothing.
//
// The leader is a goroutine of the store, never a caller: it may be held inside Pebble,
// by a stall or for good, and a caller's ctx must count then too. The state below is
// the leader's; mu guards the queue alone and is never held while anything is written.
type sequencer struct {
	mu        sync.Mutex
	queue     []*appendRequest
	leading   bool
	more      bool         // the last group was full: the round goes on
	inFlight  int          // appends that were handed over and are not durable yet
	returning atomic.Int64 // callers that were told so, and have not run since
	failed    error        // why nothing can be appended any more

	// deciding is held while appends are taken and decided, which is from memory only: a
	// caller who goes away waits for it, and knows what became of his.
	deciding sync.Mutex

	head         Position      // the newest position assigned
	assigned     atomic.Uint64 // likewise, for others: nothing in Pebble is newer
	lastRecorded int64         // the newest recorded-at time, in ns
	clockWarned  time.Time
}

// The greatest group: what it holds is in memory several times over.
const (
	groupRequests = 256
	groupBytes    = 4 << 20
)

// commitGroup is the appends that share a batch: a round, or a part of one.
type commitGroup struct {
	db       *DB
	members  []*appendRequest // those that commit
	taken    []*appendRequest // from the queue, to be decided
	requests int              // that were taken in all: those that are refused count too,
	size     int64            // or a storm of them could hold up the members
	last     Position
	key      []byte // scratch of batch
	value    []byte
}

// sequence queues the request, and sees to it that somebody leads. Its outcome is
// told later.
func (r *appendRequest) sequence() error {
	seq := &r.db.seq
	seq.mu.Lock()
	if seq.failed != nil {
		seq.mu.Unlock()
		return seq.failed
	}
	seq.queue = append(seq.queue, r)
	lead := seq.mayLeadLocked()
	seq.mu.Unlock()
	if lead {
		r.db.startLeading()
	}
	return nil
}

// mayLeadLocked reports whether the caller must start a leader.
func (s *sequencer) mayLeadLocked() bool {
	if s.leading || !s.dueLocked() {
		return false
	}
	s.leading = true
	return true
}

// dueLocked reports whether the next round may begin.
func (s *sequencer) dueLocked() bool {
	return len(s.queue) > 0 && s.inFlight == 0 && s.returning.Load() == 0
}

// landed notes that n appends are not in flight any more, and that their callers are
// about to be told.
func (s *sequencer) landed(n int) {
	s.returning.Add(int64(n))
	s.mu.Lock()
	s.inFlight -= n
	s.mu.Unlock()
}

// returned notes that n callers who were told run again, or never will. The last one
// starts the leader, if anybody queued. That is a goroutine, which as a rule gets its
// turn when the caller has queued again or gone its way.
func (db *DB) returned(n int) {
	seq := &db.seq
	if seq.returning.Add(-int64(n)) > 0 {
		return
	}
	seq.mu.Lock()
	lead := seq.failed == nil && seq.mayLeadLocked()
	seq.mu.Unlock()
	if lead {
		db.startLeading()
	}
}

// startLeading starts a leader, for which Close waits as for the calls that it works
// for. If none of these is left, neither is anything to lead.
func (db *DB) startLeading() {
	if db.gate.join() {
		go db.lead()
	}
}

// lead decides a round, group by group, and the next one if that is due.
func (db *DB) lead() {
	defer db.gate.leave()
	for db.seq.goesOn() {
		db.commitGroup(db.newGroup())
	}
}

// goesOn reports whether the round has another group, or the next round may begin. If
// not, it gives up the lead.
func (s *sequencer) goesOn() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leading = s.more || s.dueLocked() // if not, whoever queues next, or returns last, goes on
	return s.leading
}

func (db *DB) newGroup() *commitGroup {
	if g, ok := db.groups.Get().(*commitGroup); ok {
		return g
	}
	return &commitGroup{db: db}
}

// take moves appends from the queue to the group, as many as it has room for, and
// reports whether there were any.
func (s *sequencer) take(g *commitGroup) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for ; n < len(s.queue); n++ {
		r := s.queue[n]
		if g.requests == groupRequests || g.requests > 0 && g.size+r.size > groupBytes {
			break
		}
		if !r.state.CompareAndSwap(stateQueued, stateTaken) {
			r.release() // its caller went away
			continue
		}
		g.taken = append(g.taken, r)
		g.requests++
		g.size += r.size
	}
	rest := copy(s.queue, s.queue[n:])
	clear(s.queue[rest:])
	s.queue = s.queue[:rest]
	s.more = rest > 0
	return len(g.taken) > 0
}

// gather takes the group's appends and decides them, and then what queued meanwhile: those
// who were told last are still on their way when the first of them are taken.
func (db *DB) gather(g *commitGroup) {
	db.seq.deciding.Lock()
	defer db.seq.deciding.Unlock()
	for db.seq.take(g) {
		db.decide(g)
	}
}

// commitGroup fills a group and hands over what commits.
func (db *DB) commitGroup(g *commitGroup) {
	db.gather(g)
	if len(g.members) == 0 {
		g.requests, g.size = 0, 0
		db.groups.Put(g)
		return
	}
	g.last = db.seq.head
	db.seq.assigned.Store(uint64(g.last)) // before anybody can read what the batch writes
	batch := g.batch()
	db.seq.mu.Lock()
	db.seq.inFlight += len(g.members)
	db.seq.mu.Unlock()
	// Once it is handed over, the group is the engine's: its members may be told, and
	// released, before the call returns.
	handOver := db.eng.Submit
	if db.opts.Durability != Sync {
		handOver = db.acknowledge
	}
	if err := handOver(batch, g.last, g); err != nil {
		err = db.poisoned(err)
		for _, r := range g.members {
			r.tell(outcome{err: err})
		}
	}
}

// decide decides the appends that were taken, one after the other.
func (db *DB) decide(g *commitGroup) {
	for _, r := range g.taken {
		switch {
		case r.isDuplicate():
			r.tell(outcome{decision: decidedDuplicate})
		case r.conflicts():
			r.tell(outcome{decision: decidedConflict})
		case !r.guarded():
			r.tell(outcome{decision: decidedAgain})
		case r.forbidden != 0:
			r.tell(outcome{decision: decidedConflict})
		default:
			if err := r.admit(); err != nil { // before it has a place in the log
				r.tell(outcome{err: err})
				continue
			}
			r.assign()
			g.members = append(g.members, r)
		}
	}
	clear(g.taken)
	g.taken = g.taken[:0]
}

// acknowledge writes a group that does not wait for a sync.
func (db *DB) acknowledge(batch engine.Batch, last Position, g engine.Reporter) error {
	return db.eng.Write(batch, acknowledged{db: db, last: last, group: g})
}

// acknowledged makes a group readable before its members are told.
type acknowledged struct {
	db    *DB
	last  Position
	group engine.Reporter
}

// Report implements engine.Reporter.
func (a acknowledged) Report(err error) {
	if err == nil {
		a.db.acknowledged.Rise(a.last)
	}
	a.group.Report(err)
}

// batch returns the group's writes: all events, all positions, all ids that do not tell
// the position themselves, since Pebble inserts neighbours faster.
func (g *commitGroup) batch() engine.Batch {
	b := g.db.eng.NewBatch()
	for _, r := range g.members {
		if r.newTenant != 0 {
			g.key = appendTenantKey(g.key[:0], r.tenant.name)
			g.value = binary.BigEndian.AppendUint32(g.value[:0], uint32(r.newTenant))
			b.Set(g.key, g.value)
		}
		for i := range r.events {
			e := &r.events[i]
			b.Set(r.buf[e.key:e.envelope], r.buf[e.envelope:e.end])
		}
	}
	for _, r := range g.members {
		for i := range r.events {
			e := &r.events[i]
			g.key = keys.AppendPosition(g.key[:0], r.firstPosition+Position(i))
			b.Set(g.key, r.buf[e.key:e.envelope])
		}
	}
	for _, r := range g.members {
		tenantID, _ := r.tenant.number()
		for i := range r.events {
			e, position := &r.events[i], r.firstPosition+Position(i)
			if g.db.locator.Tells(e.id, position) {
				continue
			}
			g.key = keys.AppendEventID(g.key[:0], tenantID, e.id)
			g.value = codec.AppendEventIDRecord(g.value[:0], position, e.content)
			b.Set(g.key, g.value)
		}
	}
	for _, r := range g.members {
		if r.update != nil {
			tenantID, _ := r.tenant.number()
			r.update.put(b, tenantID, r.namespaces)
		}
	}
	return b
}

// Report tells the members of the group that they are durable, or why nobody knows.
func (g *commitGroup) Report(err error) {
	if err != nil {
		err = g.db.poisoned(err)
		for _, r := range g.members {
			r.tell(outcome{err: r.unknown(err)})
		}
		return // others may still look at the group
	}
	g.db.seq.landed(len(g.members))
	gone := 0
	for i, r := range g.members {
		g.members[i] = nil
		if !r.tell(outcome{decision: decidedCommit}) {
			gone++
		}
	}
	if gone > 0 {
		g.db.returned(gone)
	}
	g.members, g.requests, g.size = g.members[:0], 0, 0
	g.db.groups.Put(g)
}

// fail ends the sequencer when the log failed: those in the queue would wait for a
// leader that may be held inside the engine.
func (db *DB) fail(err error) {
	err = db.poisoned(err)
	seq := &db.seq
	seq.mu.Lock()
	defer seq.mu.Unlock()
	seq.failed = err
	for _, r := range seq.queue {
		if r.state.CompareAndSwap(stateQueued, stateTaken) {
			r.tell(outcome{err: err})
		}
	}
	seq.queue = nil
}

// isDuplicate notes where the given ids are known from, and reports whether any
// is.
func (r *appendRequest) isDuplicate() bool {
	if r.given == 0 {
		return false
	}
	found := false
	for i := range r.events {
		if e := &r.events[i]; e.claim != nil && e.claim.position != 0 {
			e.original, e.originalContent = e.claim.position, e.claim.content
			found = true
		}
	}
	return found
}

// conflicts notes the first stream that is not as expected, or a record that was
// written since the update read it, and reports whether there is one.
func (r *appendRequest) conflicts() bool {
	for i := range r.parts {
		if p := &r.parts[i]; !p.expect.matches(p.head.version) {
			p.actual, p.rests = p.head.version, p.head.position
			r.failed = p
			return true
		}
	}
	if r.update == nil {
		return false
	}
	changed := false
	r.changed, changed = r.db.recordWrites.changed(r.update)
	return changed
}

// admit returns why the append cannot be written, although it may be.
func (r *appendRequest) admit() (err error) {
	if err := r.db.admit(r.size); err != nil {
		return err
	}
	if r.update != nil {
		r.namespaces, err = r.update.claim()
	}
	return err
}

// assign gives the events their places and notes the new state, for the appends
// that follow. If the group then fails, nothing follows: the store is poisoned.
func (r *appendRequest) assign() {
	db, seq := r.db, &r.db.seq
	tenantID, known := r.tenant.number()
	if !known {
		tenantID = db.tenants.greatest + 1
		db.tenants.intern(r.tenant, tenantID, seq.head+1)
		r.newTenant = tenantID
	}
	r.recordedAt = db.recordedAt()
	r.firstPosition = seq.head + 1
	for i := range r.parts {
		p := &r.parts[i]
		p.firstVersion, p.firstPosition = p.head.version+1, seq.head+1
		for j := p.first; j < p.first+p.count; j++ {
			p.head.version++
			seq.head++
			p.head.position = seq.head
			r.place(&r.events[j], tenantID, p.stream, p.head.version, seq.head)
		}
	}
	r.lastPosition = seq.head
	seq.lastRecorded = r.recordedAt
	if r.update != nil {
		db.recordWrites.note(r.update, r.lastPosition)
	}
}

// place writes into an event's key and envelope what was not known when they were
// encoded.
func (r *appendRequest) place(e *eventPart, tenantID TenantID, stream StreamID, version Version, position Position) {
	key, envelope := r.buf[e.key:e.envelope], r.buf[e.envelope:e.end]
	binary.BigEndian.PutUint32(key[keys.TenantOffset:], uint32(tenantID))
	binary.BigEndian.PutUint64(key[len(key)-keys.VersionFromEnd:], uint64(version))
	if e.claim != nil {
		e.claim.position, e.claim.content = position, e.content
	} else {
		e.id = r.db.locator.ID(r.recordedAt, position)
		codec.PutEventID(envelope, e.id)
		if !r.db.locator.Tells(e.id, position) { // it gets a record
			e.content = codec.ContentOf(envelope, stream)
		}
	}
	codec.SealEnvelope(envelope, tenantID, stream, version, position, r.recordedAt)
	r.db.tail.add(record{tenant: r.tenant, stream: stream, version: version, envelope: envelope})
}

// recordedAt returns the time to record, which never goes back.
func (db *DB) recordedAt() int64 {
	now, last := db.opts.Clock(), db.seq.lastRecorded
	ns := notBefore(last, now)
	const lag, pause = time.Hour, time.Minute
	if behind := time.Unix(0, last).Sub(now); behind > lag && now.Sub(db.seq.clockWarned).Abs() > pause {
		db.seq.clockWarned = now
		db.log.Warn("the clock is behind the newest event; events are recorded at that event's time",
			slog.Duration("behind", behind))
	}
	return ns
}

// notBefore returns what a clock says, in nanoseconds, or last if that is later. A clock
// that shows a time of which there are no nanoseconds is broken: it says nothing.
func notBefore(last int64, now time.Time) int64 {
	if now.After(maxTime) {
		return last
	}
	return max(last, clampNano(now))
}
