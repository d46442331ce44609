package engine

import (
	"math/bits"

	"github.com/cockroachdb/pebble/v2"
)

// Batch is a set of writes that are applied whole or not at all. It is not safe
// for concurrent use.
type Batch struct {
	b *pebble.Batch
}

// NewBatch returns an empty batch. It must be submitted, or released.
func (e *Engine) NewBatch() Batch { return Batch{b: e.db.NewBatch()} }

// Set adds a write.
func (b Batch) Set(key, value []byte) {
	op := b.Reserve(len(key), len(value))
	copy(op.Key, key)
	copy(op.Value, value)
}

// Delete adds the removal of key. Events are never deleted; what is derived is.
func (b Batch) Delete(key []byte) {
	op := b.b.DeleteDeferred(len(key))
	copy(op.Key, key)
}

// Slot is where a reserved write's key and value stand.
type Slot struct {
	Key   []byte // to be filled by the caller, whole: it holds anything before
	Value []byte // likewise

	key, value int // where they start in the batch
}

// Reserve adds a write of the given sizes whose key and value the caller fills in.
// The slices are valid until the next write is added; [Batch.Patch] finds them
// again.
func (b Batch) Reserve(keyLen, valueLen int) Slot {
	op := b.b.SetDeferred(keyLen, valueLen)
	end := len(b.b.Repr())
	// A record ends in key, length of the value as a uvarint, value.
	s := Slot{Key: op.Key, Value: op.Value, value: end - valueLen}
	s.key = s.value - uvarintLen(uint64(valueLen)) - keyLen
	return s
}

// Patch points s at its key and value again after other writes were added. It is
// for what is known only when the batch takes its turn.
//
// REQUIRES: the batch is not submitted.
func (b Batch) Patch(s *Slot) {
	data := b.b.Repr()
	s.Key = data[s.key : s.key+len(s.Key)]
	s.Value = data[s.value : s.value+len(s.Value)]
}

// Len returns the size of the batch in bytes.
func (b Batch) Len() int { return b.b.Len() }

// Release gives up a batch that was not submitted.
func (b Batch) Release() { _ = b.b.Close() }

func uvarintLen(x uint64) int { return (bits.Len64(x|1) + 6) / 7 }
