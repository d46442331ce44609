package eventstream

import (
	"time"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/engine"
)

// appendRequest is one append on its way through the write path. It is pooled: the
// slices are kept, everything else is reset.
type appendRequest struct {
	db      *DB
	tenant  *tenant
	parts   []streamPart
	events  []eventPart
	ids     []EventID // those that the store made
	scratch []byte    // encodes one event at a time
	given   int       // events that came with an id

	batch      engine.Batch
	hasBatch   bool        // the batch is ours to release
	tenantSlot engine.Slot // the new tenant's record, if it has a key
	bytes      int64       // of all envelopes

	// Decided in the sequencer.
	newTenant     TenantID // the number that the commit gives to the tenant, or 0
	firstPosition Position
	lastPosition  Position
	recordedAt    int64
	ticket        *engine.Ticket // nil where nobody waits for a sync
	failed        *streamPart    // the part whose expectation failed
	deduplicated  bool
}

// streamPart is one stream's part of an append.
type streamPart struct {
	stream       StreamID
	expect       Expected
	first, count int // its events
	head         *streamHead

	firstVersion  Version  // of its first event
	actual        Version  // what the sequencer found, for a conflict
	rests         Position // the event that actual rests on
	firstPosition Position
}

// eventPart is one event of an append.
type eventPart struct {
	id      EventID
	content codec.ContentHash
	claim   *idClaim // nil if the store made the id

	event, position, byID engine.Slot

	// original is where an earlier append recorded the id, as the sequencer saw it.
	original        Position
	originalContent codec.ContentHash
}

func (db *DB) newRequest(tenantName string) *appendRequest {
	r, _ := db.requests.Get().(*appendRequest)
	if r == nil {
		r = &appendRequest{db: db}
	}
	r.tenant = db.tenants.ensure(tenantName)
	return r
}

// scratchKept bounds the buffers that go back to the pool.
const scratchKept = 64 << 10

// release lets go of everything that the request holds.
func (r *appendRequest) release() {
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
	if r.hasBatch {
		r.batch.Release()
	}
	clear(r.parts)
	clear(r.events)
	kept := appendRequest{db: r.db, parts: r.parts[:0], events: r.events[:0], ids: r.ids[:0], scratch: r.scratch[:0]}
	if cap(kept.scratch) > scratchKept {
		kept.scratch = nil
	}
	*r = kept
	r.db.requests.Put(r)
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
