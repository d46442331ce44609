package engine

import (
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/nexus-erp/eventstream/keys"
)

// Reader is what can be read from: the database at a moment, or with the writes of a
// batch on top.
type Reader struct {
	r      pebble.Reader
	poison *poison
}

// NewSnapshot returns the database as it is now. It must be closed. It fails if Pebble is
// dead: see pebbleLogger.Fatalf.
func (e *Engine) NewSnapshot() (Reader, error) {
	if err := e.poison.held(); err != nil {
		return Reader{}, err
	}
	return Reader{e.db.NewSnapshot(), e.poison}, nil
}

// Reader returns a reader of the database itself: each call reads it as it is then. It
// must not be closed.
func (e *Engine) Reader() Reader { return Reader{e.db, e.poison} }

// Get appends the value of key to dst. ok is false if there is none.
func (r Reader) Get(dst, key []byte) (value []byte, ok bool, err error) {
	v, closer, err := r.r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return dst, false, nil
	}
	if err != nil {
		return dst, false, fmt.Errorf("read key %x: %w", key, err)
	}
	dst = append(dst, v...)
	return dst, true, r.poison.release(closer)
}

// NewIter returns an iterator over [lower, upper), unpositioned. Both bounds are
// required: an open end would run into the keys of another kind or tenant.
func (r Reader) NewIter(lower, upper []byte) (Iter, error) {
	if len(lower) == 0 || len(upper) == 0 {
		return Iter{}, fmt.Errorf("iterate: %w", keys.ErrNoSuccessor)
	}
	it, err := r.r.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return Iter{}, fmt.Errorf("iterate: %w", err)
	}
	return Iter{&walk{it: it, poison: r.poison}}, nil
}

// Close releases a snapshot.
func (r Reader) Close() error { return r.poison.release(r.r) }
