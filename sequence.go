package eventstream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
)

// decision is what the sequencer made of an append.
type decision int

const (
	decidedCommit    decision = iota + 1 // handed over to the log
	decidedConflict                      // a stream is not as expected
	decidedDuplicate                     // an id is known already
)

// sequencer decides appends one at a time. Its state is guarded by the turn.
type sequencer struct {
	turn *turn

	head         Position // the newest position assigned
	lastRecorded int64    // the newest recorded-at time, in ns
	clockWarned  time.Time
}

// sequence takes the append's turn: it decides from memory only, assigns versions
// and positions, and hands the batch over to the log.
func (r *appendRequest) sequence(ctx context.Context) (decision, error) {
	seq := &r.db.seq
	if err := seq.turn.take(ctx, r.db.eng.Poisoned(), r.db.writable); err != nil {
		return 0, err
	}
	defer seq.turn.end()
	if err := r.db.writable(); err != nil {
		return 0, err
	}
	if r.isDuplicate() {
		return decidedDuplicate, nil
	}
	if r.conflicts() {
		return decidedConflict, nil
	}
	r.assign()
	return decidedCommit, r.submit()
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

// assign gives the events their places and writes them into the batch.
func (r *appendRequest) assign() {
	db := r.db
	tenantID, known := r.tenant.number()
	if !known {
		tenantID = db.tenants.greatest + 1
	}
	if r.tenantSlot.Key != nil {
		// The batch is not ours any more once it is handed over.
		r.newTenant = tenantID
		binary.BigEndian.PutUint32(r.tenantSlot.Value, uint32(tenantID))
	}
	r.recordedAt = db.recordedAt()
	r.firstPosition = db.seq.head + 1
	position := db.seq.head
	for i := range r.parts {
		p := &r.parts[i]
		p.firstVersion, p.firstPosition = p.head.version+1, position+1
		version := p.head.version
		for j := range r.events[p.first : p.first+p.count] {
			e := &r.events[p.first+j]
			version++
			position++
			e.place(tenantID, p.stream, version, position, r.recordedAt)
			db.tail.add(record{tenant: r.tenant, stream: p.stream, version: version, envelope: e.event.Value})
		}
	}
	r.lastPosition = position
}

// place writes into an event's three records what was not known when they were
// encoded.
func (e *eventPart) place(tenantID TenantID, stream StreamID, version Version, position Position, recordedAt int64) {
	key := e.event.Key
	binary.BigEndian.PutUint32(key[keys.TenantOffset:], uint32(tenantID))
	binary.BigEndian.PutUint64(key[len(key)-keys.VersionFromEnd:], uint64(version))
	codec.SealEnvelope(e.event.Value, tenantID, stream, version, position, recordedAt)
	binary.BigEndian.PutUint64(e.position.Key[keys.PositionOffset:], uint64(position))
	copy(e.position.Value, key)
	binary.BigEndian.PutUint32(e.byID.Key[keys.TenantOffset:], uint32(tenantID))
	binary.BigEndian.PutUint64(e.byID.Value, uint64(position))
}

// submit hands the batch over and, if the log took it, makes the new state known
// to the appends that follow.
func (r *appendRequest) submit() error {
	db := r.db
	last := r.lastPosition
	r.hasBatch = false
	var err error
	if db.opts.Durability == Sync {
		r.ticket, err = db.eng.Submit(r.batch, last)
	} else {
		err = db.eng.Write(r.batch)
	}
	if err != nil {
		// The log may hold the batch or not; nothing follows it in this process.
		return r.unknown(db.poisoned(err))
	}
	if r.newTenant != 0 {
		db.tenants.intern(r.tenant, r.newTenant)
	}
	for i := range r.parts {
		if p := &r.parts[i]; p.count > 0 {
			p.head.version = p.firstVersion + Version(p.count-1)
			p.head.position = p.firstPosition + Position(p.count-1)
		}
	}
	for i := range r.events {
		if e := &r.events[i]; e.claim != nil {
			e.claim.position, e.claim.content = r.firstPosition+Position(i), e.content
		}
	}
	db.seq.head = last
	db.seq.lastRecorded = r.recordedAt
	if db.opts.Durability != Sync {
		db.acknowledged.Rise(last)
	}
	return nil
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

// await waits until the append is durable.
func (r *appendRequest) await(ctx context.Context) error {
	if r.ticket == nil {
		return nil
	}
	err := r.db.eng.Wait(ctx, r.ticket)
	if err != nil {
		return r.unknown(r.db.poisoned(err))
	}
	return nil
}

// unknown wraps why nobody knows what became of an append that was handed over.
func (r *appendRequest) unknown(err error) error {
	return &CommitUnknownError{EventIDs: r.eventIDs(0, len(r.events)), Err: err}
}

// conflict answers an append whose expectation failed, once the event that shows
// it is readable: an answer must not rest on what a crash could still remove.
func (r *appendRequest) conflict(ctx context.Context) error {
	p := r.failed
	if err := r.db.awaitReadable(ctx, p.rests); err != nil {
		return err
	}
	return &ConflictError{Tenant: r.tenant.name, Stream: p.stream, Expected: p.expect, Actual: p.actual}
}

// awaitReadable waits until the event at position is readable.
func (db *DB) awaitReadable(ctx context.Context, position Position) error {
	for {
		rises := db.readable.Above(position - 1)
		if position == 0 || rises == nil {
			return nil
		}
		select {
		case <-rises:
		case <-ctx.Done():
			return ctx.Err()
		case <-db.eng.Poisoned():
			if db.readable.Load() >= position {
				return nil
			}
			return db.writable()
		}
	}
}

// poisoned turns the engine's error into ours.
func (db *DB) poisoned(err error) error {
	var p *engine.PoisonError
	if errors.As(err, &p) {
		return &PoisonedError{Err: p.Err}
	}
	return err
}

// writable returns why nothing can be written, or nil.
func (db *DB) writable() error {
	if db.opts.ReadOnly {
		return fmt.Errorf("append: %w", ErrReadOnly)
	}
	if err := db.eng.PoisonErr(); err != nil {
		return db.poisoned(err)
	}
	return nil
}
