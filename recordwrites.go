package eventstream

import "sync"

// recordKey is a record of a namespace that [Tenant.Update] writes.
type recordKey struct {
	tenant         *tenant
	namespace, key string
}

// recordWrite is a record that the commit ending at position wrote.
type recordWrite struct {
	recordKey
	position Position
}

// recordWrites remembers which records were written lately, so that the sequencer can
// tell from memory alone whether what an update read is still so. It goes back as far as
// the oldest update under way, and to what is not readable yet, which an update that
// begins now would not have seen.
type recordWrites struct {
	mu     sync.Mutex
	begun  map[*UpdateTx]Position // the readable head when it began
	writes []recordWrite          // in order of position
}

func newRecordWrites() *recordWrites {
	return &recordWrites{begun: make(map[*UpdateTx]Position)}
}

// begin notes an update before it reads anything, and returns the head that it reads at.
func (w *recordWrites) begin(tx *UpdateTx) Position {
	w.mu.Lock()
	defer w.mu.Unlock()
	head := tx.streams.db.readable.Load()
	w.begun[tx] = head
	return head
}

func (w *recordWrites) end(tx *UpdateTx) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.begun, tx)
	w.forget(tx.streams.db.readable.Load())
}

// note adds what a commit writes.
func (w *recordWrites) note(tx *UpdateTx, position Position) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget(tx.streams.db.readable.Load())
	for _, r := range tx.records {
		for key := range r.written {
			w.writes = append(w.writes, recordWrite{recordKey{tx.tenant, r.name, key}, position})
		}
	}
}

// forget drops what nobody can have missed.
func (w *recordWrites) forget(readable Position) {
	floor := readable
	for _, head := range w.begun {
		floor = min(floor, head)
	}
	n := 0
	for n < len(w.writes) && w.writes[n].position <= floor {
		n++
	}
	if n == len(w.writes) {
		w.writes = nil
		return
	}
	if n > len(w.writes)/2 { // else the array moves later
		w.writes = append([]recordWrite(nil), w.writes[n:]...)
	}
}

// changed returns the newest write of a record that tx read, behind the head that it
// read at.
func (w *recordWrites) changed(tx *UpdateTx) (recordWrite, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	head := w.begun[tx]
	for i := len(w.writes) - 1; i >= 0 && w.writes[i].position > head; i-- {
		write := w.writes[i]
		if r := tx.records[write.namespace]; write.tenant == tx.tenant && r != nil && r.hasRead(write.key) {
			return write, true
		}
	}
	return recordWrite{}, false
}
