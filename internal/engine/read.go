package engine

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/nexus-erp/eventstream/keys"
)

// Get is [Reader.Get].
func (e *Engine) Get(dst, key []byte) (value []byte, ok bool, err error) {
	return e.Reader().Get(dst, key)
}

// Iter walks keys in order. Key and Value are valid until the next move. It is not
// safe for concurrent use.
//
// A move that fails for an error is the last: all that follow return false, and Err and
// Close return it. Pebble's own iterator forgets its error at the next seek; whoever
// seeks again then goes on as if nothing had been there.
type Iter struct {
	*walk
}

// walk is what copies of an Iter share.
type walk struct {
	it     *pebble.Iterator
	poison *poison
	err    error // the first
}

// moved notes why a move found nothing.
func (w *walk) moved(ok bool) bool {
	if !ok {
		w.err = w.it.Error()
	}
	return ok
}

// NewIter is [Reader.NewIter].
func (e *Engine) NewIter(lower, upper []byte) (Iter, error) {
	return e.Reader().NewIter(lower, upper)
}

// NewPrefixIter returns an iterator over all keys that start with prefix.
func (e *Engine) NewPrefixIter(prefix []byte) (Iter, error) {
	lower, upper, err := keys.Range(prefix)
	if err != nil {
		return Iter{}, err
	}
	return e.NewIter(lower, upper)
}

// Start moves to the first key, or backward to the last.
func (i Iter) Start(backward bool) bool {
	if backward {
		return i.Last()
	}
	return i.First()
}

// Step moves to the next key, or backward to the one before.
func (i Iter) Step(backward bool) bool {
	if backward {
		return i.Prev()
	}
	return i.Next()
}

// First moves to the first key.
func (i Iter) First() bool { return i.err == nil && i.moved(i.it.First()) }

// Last moves to the last key.
func (i Iter) Last() bool { return i.err == nil && i.moved(i.it.Last()) }

// Next moves to the next key.
func (i Iter) Next() bool { return i.err == nil && i.moved(i.it.Next()) }

// Prev moves to the key before.
func (i Iter) Prev() bool { return i.err == nil && i.moved(i.it.Prev()) }

// SeekGE moves to the first key at or after key.
func (i Iter) SeekGE(key []byte) bool { return i.err == nil && i.moved(i.it.SeekGE(key)) }

// SeekLT moves to the last key before key.
func (i Iter) SeekLT(key []byte) bool { return i.err == nil && i.moved(i.it.SeekLT(key)) }

// Key returns the current key.
func (i Iter) Key() []byte { return i.it.Key() }

// Value returns the current value.
func (i Iter) Value() ([]byte, error) { return i.it.ValueAndErr() }

// Close releases the iterator and returns the first error of the walk. A move that
// returned false for an error is told from the end by it.
func (i Iter) Close() error {
	err := i.poison.release(i.it)
	if i.err != nil {
		err = i.err
	}
	if err != nil {
		return fmt.Errorf("iterate: %w", err)
	}
	return nil
}

// Err returns the first error of the walk so far.
func (i Iter) Err() error { return i.err }

// IsCorruption reports whether err is damage that Pebble found in its files.
func IsCorruption(err error) bool {
	return pebble.IsCorruptionError(err) &&
		!errors.Is(err, pebble.ErrInvalidBatch) && !errors.Is(err, pebble.ErrBatchTooLarge)
}

// DiskUsage returns the bytes on disk of all files, and of each kind of key as
// Pebble estimates it.
func (e *Engine) DiskUsage() (total uint64, byKind map[keys.Kind]uint64, err error) {
	if err := e.poison.held(); err != nil {
		return 0, nil, err
	}
	byKind = make(map[keys.Kind]uint64)
	for _, kind := range keys.Kinds() {
		lower, upper, err := keys.Range([]byte{byte(kind)})
		if err != nil {
			return 0, nil, err
		}
		n, err := e.db.EstimateDiskUsage(lower, upper)
		if err != nil {
			return 0, nil, fmt.Errorf("estimate disk usage: %w", err)
		}
		byKind[kind] = n
	}
	return e.db.Metrics().DiskSpaceUsage(), byKind, nil
}
