package eventstream

import (
	"encoding/binary"
	"log/slog"
	"runtime"
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

// sequencer decides appends one at a time, in groups.
//
// The obvious sequencer is a lock that every append takes in turn. It works, and
// costs each append a batch of Pebble's of its own and, as soon as there are more
// writers than cores, one more time to be parked and woken. Here an append queues
// itself, and whoever finds nobody leading starts a leader: it takes the queue,
// decides the appends in it one after the other, writes all that commit into one
// batch, and hands that over to the log. What queues meanwhile is the next group,
// so groups grow with the load and a lone append is a group of its own. Each append
// waits once, for its outcome.
//
//	lead:  take the queue
//	       for each append: decide from memory → assign → note the new state
//	       one batch: all events, all positions, all ids       (neighbours insert faster)
//	       hand it over; its members are told when it is durable
//	       again, while what is queued makes a group
//
// While the log syncs, what queues is handed over in a few groups, so that the next
// sync finds it there: waiting for the one under way to end would leave the disk idle,
// a group for each append would cost a batch each. See groupShare. The leader is a
// goroutine of the store, never a caller: it may be held inside Pebble, by a stall or
// for good, and a caller's ctx must count then too. The state below is the leader's;
// mu guards the queue alone and is never held while anything is written.
type sequencer struct {
	mu       sync.Mutex
	queue    []*appendRequest
	leading  bool
	inFlight int   // appends that were handed over and are not durable yet
	failed   error // why nothing can be appended any more

	head         Position      // the newest position assigned
	assigned     atomic.Uint64 // likewise, for others: nothing in Pebble is newer
	lastRecorded int64         // the newest recorded-at time, in ns
	clockWarned  time.Time
}

const (
	// The greatest group: what it holds is in memory several times over.
	groupRequests = 256
	groupBytes    = 4 << 20
	// groupShare is the least group, as a divisor of what is in flight. With 64 writers,
	// half of them are being synced as a rule, and the others go in about four groups.
	// What is left over goes when something lands.
	groupShare = 4
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
	if s.leading || !s.groupLocked() {
		return false
	}
	s.leading = true
	return true
}

// groupLocked reports whether the queue makes a group. If nothing is in flight,
// anything does, so what is queued never waits for nothing.
func (s *sequencer) groupLocked() bool {
	return len(s.queue) > 0 && len(s.queue) >= s.inFlight/groupShare
}

// landed notes that n appends are not in flight any more, and reports whether the
// caller must see to it that somebody leads.
func (s *sequencer) landed(n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight -= n
	return s.failed == nil && s.mayLeadLocked()
}

// startLeading starts a leader, for which Close waits as for the calls that it works
// for. If none of these is left, neither is anything to lead.
func (db *DB) startLeading() {
	if db.gate.join() {
		go db.lead()
	}
}

// lead decides groups as long as the queue makes one.
func (db *DB) lead() {
	defer db.gate.leave()
	for g := db.takeGroup(); g != nil; g = db.takeGroup() {
		db.commitGroup(g)
	}
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
	if seq.inFlight > 0 {
		// Let those run that were just told, or are about to queue: the group grows.
		seq.mu.Unlock()
		runtime.Gosched()
		seq.mu.Lock()
	}
	defer seq.mu.Unlock()
	if !seq.groupLocked() {
		seq.leading = false // whoever queues next, or sees a group land, goes on
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
	clear(g.spare)
	g.spare = g.spare[:0]
	if len(g.members) == 0 {
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
	if g.db.seq.landed(len(g.members)) {
		g.db.startLeading()
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
	codec.SealEnvelope(envelope, tenantID, stream, version, position, r.recordedAt)
	if e.claim != nil {
		e.claim.position, e.claim.content = position, e.content
	}
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
