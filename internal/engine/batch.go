package engine

import (
	"iter"

	"github.com/cockroachdb/pebble/v2"
)

// Batch is a set of writes that are applied whole or not at all. It is not safe
// for concurrent use.
type Batch struct {
	b *pebble.Batch
}

// NewBatch returns an empty batch. It must be submitted, or released.
func (e *Engine) NewBatch() Batch { return Batch{b: e.db.NewBatch()} }

// Set adds a write. Both slices are copied.
func (b Batch) Set(key, value []byte) {
	op := b.b.SetDeferred(len(key), len(value))
	copy(op.Key, key)
	copy(op.Value, value)
	_ = op.Finish() // adds it to the index, if there is one; that cannot fail
}

// Delete adds the removal of key. Events are never deleted; what is derived is.
func (b Batch) Delete(key []byte) {
	op := b.b.DeleteDeferred(len(key))
	copy(op.Key, key)
	_ = op.Finish()
}

// DeleteRange adds the removal of every key from lower up to, not including, upper.
func (b Batch) DeleteRange(lower, upper []byte) { _ = b.b.DeleteRange(lower, upper, nil) } // fails only for an index that it does not have

// Keys returns the keys of the writes and removals so far, in their order, removals of
// ranges aside. What it yields is valid until the next write.
func (b Batch) Keys() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for r := b.b.Reader(); ; {
			kind, key, _, ok, err := r.Next()
			if !ok || err != nil { // the batch was built here: there is no error
				return
			}
			if (kind == pebble.InternalKeyKindSet || kind == pebble.InternalKeyKindDelete) && !yield(key) {
				return
			}
		}
	}
}

// Len returns the size of the batch in bytes.
func (b Batch) Len() int { return b.b.Len() }

// Release gives up a batch that was not submitted.
func (b Batch) Release() { _ = b.b.Close() }

// NewIndexedBatch returns an empty batch that can be read: what it holds lies on top of
// the database. It must be submitted, or released.
func (e *Engine) NewIndexedBatch() (Batch, Reader) {
	b := e.db.NewIndexedBatch()
	return Batch{b: b}, Reader{b, e.poison}
}
