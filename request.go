package eventstream

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nexus-erp/eventstream/codec"
)

// appendRequest is one append on its way through the write path. It is pooled: the
// slices are kept, everything else is reset.
type appendRequest struct {
	db      *DB
	tenant  *tenant
	parts   []streamPart
	events  []eventPart
	buf     []byte    // keys and envelopes of all events
	scratch []byte    // encodes one payload at a time
	given   int       // events that came with an id
	size    int64     // of all envelopes and records, in bytes
	update  *UpdateTx // whose commit it is, or nil
	guards  []guard   // what must not have been committed

	// What passes between the request's caller and whoever decides it.
	state   atomic.Int32
	outcome outcome       // set before done is sent
	done    chan struct{} // receives once, when the request is told its outcome

	// Decided in the sequencer.
	newTenant     TenantID // the number that this commit gives to the tenant, or 0
	firstPosition Position
	lastPosition  Position
	recordedAt    int64
	failed        *streamPart    // the part whose expectation failed
	forbidden     Position       // of an event that a guard found
	changed       recordWrite    // what the update read, and somebody wrote since
	namespaces    []namespaceKey // that the update is the first to write
	deduplicated  bool
}

// The states of a request. Its caller waits in the first two and may go away; it
// then leaves the request to whoever has it.
const (
	stateQueued    int32 = iota // waits for its turn
	stateTaken                  // is being decided, or waits to be durable
	stateTold                   // its outcome was told
	stateWithdrawn              // its caller went away before its turn
	stateLeft                   // its caller went away afterwards
)

// outcome is what became of a request.
type outcome struct {
	decision decision
	err      error // why it was not committed for sure
}

// streamPart is one stream's part of an append.
type streamPart struct {
	stream       StreamID
	expect       Expected
	first, count int // its events
	head         *streamHead

	firstVersion  Version // of its first event
	firstPosition Position
	actual        Version  // what the sequencer found, for a conflict
	rests         Position // the event that actual rests on
}

// eventPart is one event of an append.
type eventPart struct {
	id      EventID           // zero until the event has its place, unless it came with one
	content codec.ContentHash // of what has a record; see contentOf
	claim   *idClaim          // nil if the event came without an id

	// Where the event's key, and behind it its envelope, stand in buf.
	key, envelope, end int

	// original is where an earlier append recorded the id, as the sequencer saw it.
	original        Position
	originalContent codec.ContentHash
}

func (db *DB) newRequest(tenantName string) *appendRequest {
	r, _ := db.requests.Get().(*appendRequest)
	if r == nil {
		r = &appendRequest{db: db, done: make(chan struct{}, 1)}
	}
	r.tenant = db.tenants.ensure(tenantName)
	return r
}

// bufKept bounds the buffers that go back to the pool.
const bufKept = 256 << 10

// release lets go of everything that the request holds.
func (r *appendRequest) release() {
	if r.db.eng.PoisonErr() != nil {
		return // whoever was held inside the engine may still look at it
	}
	for i := range r.parts {
		if h := r.parts[i].head; h != nil {
			r.db.heads.unpin(h)
		}
	}
	for i := range r.events {
		if c := r.events[i].claim; c != nil {
			r.db.inflight.unpin(c)
		}
	}
	clear(r.parts)
	clear(r.events)
	r.parts, r.events = r.parts[:0], r.events[:0]
	r.buf, r.scratch = kept(r.buf), kept(r.scratch)
	r.given, r.size, r.newTenant = 0, 0, 0
	r.outcome = outcome{}
	r.firstPosition, r.lastPosition, r.recordedAt = 0, 0, 0
	r.failed, r.deduplicated = nil, false
	if r.update != nil {
		r.db.recordWrites.end(r.update)
	}
	r.update, r.changed, r.namespaces = nil, recordWrite{}, nil
	r.guards, r.forbidden = nil, 0
	r.state.Store(stateQueued)
	r.db.requests.Put(r)
}

func kept(buf []byte) []byte {
	if cap(buf) > bufKept {
		return nil
	}
	return buf[:0]
}

// tell gives the request its outcome, and reports whether its caller is there to hear
// it. Only the first one counts; if the caller went away, nobody else will release the
// request.
func (r *appendRequest) tell(o outcome) bool {
	if r.state.CompareAndSwap(stateTaken, stateTold) {
		r.outcome = o
		r.done <- struct{}{}
		return true
	}
	if r.state.CompareAndSwap(stateLeft, stateTold) {
		r.release()
	}
	return false
}

// heard returns the outcome that the request was told, in the goroutine of its caller.
func (r *appendRequest) heard() outcome {
	if r.outcome.decision == decidedCommit {
		r.db.returned(1)
	}
	return r.outcome
}

// wait returns the request's outcome. If ctx ends first, left says that the request
// is not the caller's any more.
func (r *appendRequest) wait(ctx context.Context) (o outcome, left bool) {
	gone := ctx.Done()
	if gone == nil {
		<-r.done
		return r.heard(), false
	}
	select {
	case <-r.done:
		return r.heard(), false
	case <-gone:
	}
	if r.state.CompareAndSwap(stateQueued, stateWithdrawn) {
		return outcome{err: ctx.Err()}, true
	}
	if unknown, left := r.leave(ctx.Err()); left {
		return outcome{err: unknown}, true
	}
	<-r.done
	return r.heard(), false
}

// leave gives up a request that was taken, unless it was told its outcome. Whoever asks
// for its events again, under the ids in the error, may be there before Pebble has them:
// until they are durable they are claimed, those that the store made ids for too.
func (r *appendRequest) leave(why error) (unknown error, left bool) {
	r.db.seq.deciding.Lock()
	defer r.db.seq.deciding.Unlock()
	if r.firstPosition == 0 { // it was refused
		return nil, false
	}
	for i := range r.events {
		if e := &r.events[i]; e.claim == nil {
			e.claim, _ = r.db.inflight.pin(idKey{tenant: r.tenant, id: e.id})
			e.claim.decided(r.firstPosition+Position(i), r.contentOf(i))
		}
	}
	unknown = r.unknown(why)
	return unknown, r.state.CompareAndSwap(stateTaken, stateLeft)
}

// contentOf returns the content hash of event i. Those that have no record are hashed only
// if somebody asks: the request's caller.
func (r *appendRequest) contentOf(i int) codec.ContentHash {
	e := &r.events[i]
	if e.content == (codec.ContentHash{}) {
		at := slices.IndexFunc(r.parts, func(p streamPart) bool { return i < p.first+p.count })
		e.content = codec.ContentOf(r.buf[e.envelope:e.end], r.parts[at].stream)
	}
	return e.content
}

// unknown wraps why nobody knows what became of an append that was handed over.
func (r *appendRequest) unknown(err error) error {
	return &CommitUnknownError{EventIDs: r.eventIDs(0, len(r.events)), Err: err}
}

// eventIDs returns the ids of count events from first, in memory of their own.
func (r *appendRequest) eventIDs(first, count int) []EventID {
	if count == 0 {
		return nil
	}
	ids := make([]EventID, count)
	for i := range ids {
		ids[i] = r.events[first+i].id
	}
	return ids
}

func (r *appendRequest) streamResult(part int) AppendResult {
	p := &r.parts[part]
	res := AppendResult{
		Stream:       p.stream,
		EventIDs:     r.eventIDs(p.first, p.count),
		RecordedAt:   time.Unix(0, r.recordedAt).UTC(),
		Deduplicated: r.deduplicated,
	}
	if p.count > 0 {
		n := p.count - 1
		res.FirstVersion, res.LastVersion = p.firstVersion, p.firstVersion+Version(n)
		res.FirstPosition, res.LastPosition = p.firstPosition, p.firstPosition+Position(n)
	}
	return res
}

func (r *appendRequest) commitResult() CommitResult {
	res := CommitResult{
		Streams:       make([]AppendResult, len(r.parts)),
		FirstPosition: r.firstPosition,
		LastPosition:  r.lastPosition,
		RecordedAt:    time.Unix(0, r.recordedAt).UTC(),
		Deduplicated:  r.deduplicated,
	}
	for i := range r.parts {
		res.Streams[i] = r.streamResult(i)
	}
	return res
}
