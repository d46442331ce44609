package engine

import (
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
}

// Delete adds the removal of key. Events are never deleted; what is derived is.
func (b Batch) Delete(key []byte) {
	op := b.b.DeleteDeferred(len(key))
	copy(op.Key, key)
}

// Release gives up a batch that was not submitted.
func (b Batch) Release() { _ = b.b.Close() }
