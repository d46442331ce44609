package engine

import (
	"bytes"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2"
)

// Condensed returns a batch that comes to the same as b: of the writes and removals of a
// key it has the last alone, where that stood. A view that is folded from many events
// writes some records for each of them. If all keys differ, or b removes ranges, it is b
// itself; else b is released.
func (e *Engine) Condensed(b Batch) Batch {
	last, writes, ok := b.lastWrites()
	if !ok || writes == len(last) {
		return b
	}
	condensed := e.NewBatch()
	at := 0
	for r := b.b.Reader(); ; at++ {
		kind, key, value, ok, err := r.Next()
		if !ok || err != nil { // the batch was built here: there is no error
			break
		}
		if last[xxhash.Sum64(key)].at != at {
			continue
		}
		if kind == pebble.InternalKeyKindDelete {
			condensed.Delete(key)
		} else {
			condensed.Set(key, value)
		}
	}
	b.Release()
	return condensed
}

// lastWrite is where in a batch the last write of a key stands.
type lastWrite struct {
	key []byte
	at  int
}

// lastWrites returns the last write of each key, by the key's hash, and how many writes
// there are in all. ok is false if they are not writes and removals of single keys alone,
// or if two keys have one hash.
func (b Batch) lastWrites() (last map[uint64]lastWrite, writes int, ok bool) {
	last = make(map[uint64]lastWrite)
	for r := b.b.Reader(); ; writes++ {
		kind, key, _, more, err := r.Next()
		if !more || err != nil {
			return last, writes, err == nil
		}
		if kind != pebble.InternalKeyKindSet && kind != pebble.InternalKeyKindDelete {
			return nil, 0, false
		}
		hash := xxhash.Sum64(key)
		if w, known := last[hash]; known && !bytes.Equal(w.key, key) {
			return nil, 0, false
		}
		last[hash] = lastWrite{key: key, at: writes}
	}
}
