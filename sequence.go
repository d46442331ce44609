package eventstream

import (
	"encoding/binary"
	"log/slog"
	"sync"
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
)

// sequencer decides appends one at a time, in groups.
//
// The obvious sequencer is a lock that every append takes in turn. It works, and
// costs each append a batch of Pebble's of its own and, as soon as there are more
// writers than cores, one more time to be parked and woken. Here an append queues
// itself, and whoever finds nobody leading takes the lead: it takes the queue,
// decides the appends in it one after the other, writes all that commit into one
// batch, and hands that over to the log. What queues meanwhile is the next group,
// so groups grow with the load and a lone append is a group of its own. Each append
// waits once, for its outcome.
//
//	lead:  take the queue
//	       for each append: decide from memory → assign → note the new state
//	       one batch: all events, all positions, all ids       (neighbours insert faster)
//	       hand it over; its members are told when it is durable
//	       again, until the queue is empty or two groups are in flight
//
// While one group is being synced and another is ready, the rest waits, and becomes
// one group when the first lands. A leader whose own append is told passes the lead
// on. The state below is the
// leader's; mu guards the queue alone and is never held while anything is written.
type sequencer struct {
	mu       sync.Mutex
	queue    []*appendRequest
	leading  bool
	inFlight int   // groups that were handed over and are not durable yet
	failed   error // why nothing can be appended any more

	head         Position // the newest position assigned
	lastRecorded int64    // the newest recorded-at time, in ns
	clockWarned  time.Time
}

const (
	// The greatest group: what it holds is in memory several times over.
	groupRequests = 256
	groupBytes    = 4 << 20
	// groupsInFlight bounds how many groups wait for the disk. One is being synced and
	// the next is ready for it; more would only be smaller, and each costs a batch.
	groupsInFlight = 2
)

// commitGroup is the appends that share a batch.
type commitGroup struct {
	db      *DB
	members []*appendRequest // those that commit
	spare   []*appendRequest // taken from the queue
	last    Position
	key     []byte // scratch of batch
	value   []byte
}

// sequence queues the request, and leads if nobody does. Its outcome is told later.
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
		r.db.lead(r.done)
	}
	return nil
}

// mayLeadLocked reports whether the caller must lead.
func (s *sequencer) mayLeadLocked() bool {
	if s.leading || len(s.queue) == 0 || s.inFlight >= groupsInFlight {
		return false
	}
	s.leading = true
	return true
}

// landed notes that a group is not in flight any more, and reports whether the
// caller must see to it that somebody leads.
func (s *sequencer) landed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
	return s.failed == nil && s.mayLeadLocked()
}

// lead decides groups until the queue is empty or enough groups are in flight. When told receives, the leader's own
// append has its outcome, and another goroutine goes on with what is left.
func (db *DB) lead(told chan struct{}) {
	for g := db.takeGroup(); g != nil; g = db.takeGroup() {
		db.commitGroup(g)
		if len(told) > 0 && db.seq.waiting() {
			go db.lead(nil)
			return
		}
	}
}

// waiting reports whether the queue holds anything. Only the leader may ask.
func (s *sequencer) waiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.queue) > 0
}

// takeGroup takes the next group from the queue. It returns nil, and gives up the
// lead, if there is none.
func (db *DB) takeGroup() *commitGroup {
	g, _ := db.groups.Get().(*commitGroup)
	if g == nil {
		g = &commitGroup{db: db}
	}
	seq := &db.seq
	seq.mu.Lock()
	defer seq.mu.Unlock()
	if seq.inFlight >= groupsInFlight {
		seq.leading = false // whoever sees a group land goes on
		db.groups.Put(g)
		return nil
	}
	taken, size := 0, int64(0)
	for _, r := range seq.queue {
		if len(g.spare) == groupRequests || (size > 0 && size+r.size > groupBytes) {
			break
		}
		taken++
		if !r.state.CompareAndSwap(stateQueued, stateTaken) {
			r.release() // its caller went away
			continue
		}
		g.spare = append(g.spare, r)
		size += r.size
	}
	rest := copy(seq.queue, seq.queue[taken:])
	clear(seq.queue[rest:])
	seq.queue = seq.queue[:rest]
	if taken == 0 {
		seq.leading = false
		db.groups.Put(g)
		return nil
	}
	return g
}

// commitGroup decides a group and hands over what commits.
func (db *DB) commitGroup(g *commitGroup) {
	for _, r := range g.spare {
		switch {
		case r.isDuplicate():
			r.tell(outcome{decision: decidedDuplicate})
		case r.conflicts():
			r.tell(outcome{decision: decidedConflict})
		default:
			r.assign()
			g.members = append(g.members, r)
		}
	}
	clear(g.spare)
	g.spare = g.spare[:0]
	if len(g.members) == 0 {
		db.groups.Put(g)
		return
	}
	g.last = db.seq.head
	batch := g.batch()
	db.seq.mu.Lock()
	db.seq.inFlight++
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

// batch returns the group's writes: all events, all positions, all ids, since Pebble
// inserts neighbours faster.
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
			e := &r.events[i]
			g.key = keys.AppendEventID(g.key[:0], tenantID, e.id)
			g.value = codec.AppendEventIDRecord(g.value[:0], r.firstPosition+Position(i), e.content)
			b.Set(g.key, g.value)
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
	if g.db.seq.landed() {
		go g.db.lead(nil)
	}
	for i, r := range g.members {
		g.members[i] = nil
		r.tell(outcome{decision: decidedCommit})
	}
	g.members = g.members[:0]
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

// conflicts notes the first stream that is not as expected, and reports whether
// there is one.
func (r *appendRequest) conflicts() bool {
	for i := range r.parts {
		if p := &r.parts[i]; !p.expect.matches(p.head.version) {
			p.actual, p.rests = p.head.version, p.head.position
			r.failed = p
			return true
		}
	}
	return false
}

// assign gives the events their places and notes the new state, for the appends
// that follow. If the group then fails, nothing follows: the store is poisoned.
func (r *appendRequest) assign() {
	db, seq := r.db, &r.db.seq
	tenantID, known := r.tenant.number()
	if !known {
		tenantID = db.tenants.greatest + 1
		db.tenants.intern(r.tenant, tenantID)
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
}

// place writes into an event's key and envelope what was not known when they were
// encoded.
func (r *appendRequest) place(e *eventPart, tenantID TenantID, stream StreamID, version Version, position Position) {
	key, envelope := r.buf[e.key:e.envelope], r.buf[e.envelope:e.end]
	binary.BigEndian.PutUint32(key[keys.TenantOffset:], uint32(tenantID))
	binary.BigEndian.PutUint64(key[len(key)-keys.VersionFromEnd:], uint64(version))
	codec.SealEnvelope(envelope, tenantID, stream, version, position, r.recordedAt)
	if e.claim != nil {
		e.claim.position, e.claim.content = position, e.content
	}
	r.db.tail.add(record{tenant: r.tenant, stream: stream, version: version, envelope: envelope})
}

// recordedAt returns the time to record, which never goes back.
func (db *DB) recordedAt() int64 {
	now := db.opts.Clock()
	ns := now.UnixNano()
	if ns >= db.seq.lastRecorded {
		return ns
	}
	const lag, pause = time.Hour, time.Minute
	if behind := time.Duration(db.seq.lastRecorded - ns); behind > lag && now.Sub(db.seq.clockWarned).Abs() > pause {
		db.seq.clockWarned = now
		db.log.Warn("the clock is behind the newest event; events are recorded at that event's time",
			slog.Duration("behind", behind))
	}
	return db.seq.lastRecorded
}
