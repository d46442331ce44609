package eventstream

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"sync"
	"time"

	"github.com/nexus-erp/eventstream/cursor"
)

// secretCursors is the name under which the store keeps the keys of its page tokens.
const secretCursors = "cursor"

// cursorKeys are the keys of page tokens: the user's, or those in the store's directory,
// which are made when it is first opened for writing.
type cursorKeys struct {
	mu   sync.Mutex
	ring *cursor.Ring
}

// cursorRing returns the ring that signs the store's page tokens.
func (db *DB) cursorRing() (*cursor.Ring, error) {
	if db.opts.CursorKeys != nil {
		return db.opts.CursorKeys, nil
	}
	db.cursors.mu.Lock()
	defer db.cursors.mu.Unlock()
	if db.cursors.ring != nil {
		return db.cursors.ring, nil
	}
	ring, err := db.readCursorKeys()
	if err != nil {
		return nil, err
	}
	db.cursors.ring = ring
	return ring, nil
}

// readCursorKeys reads the keys from the store's directory. Without any, or with keys that
// are damaged, new ones are made: tokens that were signed before end with them, and nothing
// else is lost.
func (db *DB) readCursorKeys() (*cursor.Ring, error) {
	text, err := db.dir.ReadSecret(secretCursors)
	if err == nil {
		ring, parsed := cursor.ParseRing(text)
		if parsed == nil {
			return ring, nil
		}
		db.log.Warn("the keys of page tokens are damaged, and made anew", slog.Any("error", parsed))
	} else if !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("read the keys of page tokens: %w", err)
	}
	ring, err := cursor.NewRing(cursor.NewKey(1))
	if err != nil {
		return nil, err
	}
	return ring, db.writeCursorKeys(ring)
}

// writeCursorKeys stores the ring; a store that is only read keeps it in memory.
func (db *DB) writeCursorKeys(ring *cursor.Ring) error {
	if db.opts.ReadOnly {
		return nil
	}
	text, err := ring.MarshalText()
	if err != nil {
		return err
	}
	if err := db.dir.WriteSecret(secretCursors, text); err != nil {
		return fmt.Errorf("write the keys of page tokens: %w", err)
	}
	return nil
}

// RotateCursorKey makes a new key for page tokens. Those signed with the one before are
// accepted until accept has passed. It fails with [ErrReadOnly] or [ErrClosed], and with
// an [*ArgumentError] if the keys are the caller's own, who then rotates the ring.
func (db *DB) RotateCursorKey(accept time.Duration) error {
	if !db.gate.enter() {
		return ErrClosed
	}
	defer db.gate.leave()
	switch {
	case db.opts.CursorKeys != nil:
		return &ArgumentError{Field: "Options.CursorKeys", Reason: "the keys are the caller's: rotate that ring"}
	case db.opts.ReadOnly:
		return fmt.Errorf("rotate the keys of page tokens: %w", ErrReadOnly)
	}
	ring, err := db.cursorRing()
	if err != nil {
		return err
	}
	db.cursors.mu.Lock()
	defer db.cursors.mu.Unlock()
	now := db.cursorNow()
	ring.Rotate(now.Add(accept), now)
	return db.writeCursorKeys(ring)
}

// cursorNow is the time by which tokens end: it never goes back behind what was recorded.
func (db *DB) cursorNow() time.Time {
	last := int64(math.MinInt64)
	if head := db.readable.Load(); head > 0 {
		if ns, err := db.recordedAtPosition(head); err == nil {
			last = ns
		}
	}
	return time.Unix(0, notBefore(last, db.opts.Clock()))
}
