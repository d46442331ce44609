package eventstream

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nexus-erp/eventstream/keys"
)

// AwaitSealed waits until everything up to position is sealed, or nothing happens for
// too long.
func AwaitSealed(db *DB, position Position) bool {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for range 20_000 {
		if db.sealer.reached() >= position {
			return true
		}
		<-ticker.C
	}
	return false
}

// AwaitIndexed waits until all indexes are complete up to the head, or nothing happens for
// too long.
func AwaitIndexed(db *DB) bool {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for range 20_000 {
		if !slices.ContainsFunc(db.Indexes(), func(i IndexInfo) bool { return i.Checkpoint < db.Head() }) {
			return true
		}
		<-ticker.C
	}
	return false
}

// Waiting returns how many appends wait for their turn, and how many were handed over to the
// log and are not durable yet.
func Waiting(db *DB) (queued, inFlight int) {
	db.seq.mu.Lock()
	defer db.seq.mu.Unlock()
	return len(db.seq.queue), db.seq.inFlight
}

// WriteMark marks the durable head.
func WriteMark(db *DB) error { return db.writeMark(db.DurableHead()) }

// SnapshotRecordOf returns a copy of a snapshot's record, of the tenant "default".
func SnapshotRecordOf(db *DB, stream StreamID, version Version) []byte {
	id, _ := db.view().tenantID()
	record, _, err := db.eng.Get(nil, keys.AppendSnapshot(nil, id, stream, version))
	if err != nil {
		panic(err)
	}
	return record
}

// PutSnapshotRecord writes a snapshot's record, of the tenant "default", past all checks.
func PutSnapshotRecord(db *DB, stream StreamID, version Version, record []byte) error {
	id, _ := db.view().tenantID()
	batch := db.eng.NewBatch()
	batch.Set(keys.AppendSnapshot(nil, id, stream, version), record)
	return db.eng.WriteAndWait(batch)
}

// RecordWritesKept returns how many writes of records are remembered for updates.
func RecordWritesKept(db *DB) int {
	db.recordWrites.mu.Lock()
	defer db.recordWrites.mu.Unlock()
	db.recordWrites.forget(db.readable.Load())
	return len(db.recordWrites.writes)
}

// AppendIfOvertaken is AppendIf with something that happens after its guard was looked at
// from outside, and before its turn.
func AppendIfOvertaken(db *DB, cond Condition, stream StreamID, e NewEvent, meanwhile func()) error {
	g, err := newGuard("cond", cond)
	if err != nil {
		return err
	}
	r := db.newRequest(db.tenant)
	r.guards = []guard{g}
	defer r.release()
	ctx := context.Background()
	if err := r.prepare([]StreamAppend{{Stream: stream, Expect: Any, Events: []NewEvent{e}}}, ""); err != nil {
		return err
	}
	if err := r.checkGuards(ctx); err != nil {
		return err
	}
	meanwhile()
	for again := 0; ; again++ {
		if err := r.sequence(); err != nil {
			return err
		}
		o, _ := r.wait(ctx)
		if o.decision != decidedAgain {
			if again == 0 {
				return errors.New("the tail reached back far enough")
			}
			return errors.Join(o.err, r.answer(ctx, o.decision))
		}
		r.state.Store(stateQueued)
		if err := r.checkGuards(ctx); err != nil {
			return err
		}
	}
}

// SetLookupCost makes the planner of queries believe that looking an event up costs as much
// as reading so many in a row.
func SetLookupCost(db *DB, events uint64) { db.lookupCost = events }

// NumberTenantsFrom makes the next tenant the one numbered id.
func NumberTenantsFrom(db *DB, id TenantID) { db.tenants.greatest = id - 1 }
