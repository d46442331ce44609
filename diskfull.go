package eventstream

import (
	"errors"
	"fmt"
	"time"

	"github.com/nexus-erp/eventstream/internal/engine"
)

// DiskFullError is a write that was refused, or a store that was not opened, since the
// disk has too little room to go on safely. Nothing was written, and the store is as
// sound as before: once there is room again, the same call goes through.
type DiskFullError struct {
	Path   string // the store's directory
	Free   uint64 // bytes that are free
	Needed uint64 // bytes that must be
	Err    error  // more about it, or nil
}

// Error names both amounts and the mend.
func (e *DiskFullError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("eventstream: disk of %s is full: %d bytes are free, %d are needed: %v", e.Path, e.Free, e.Needed, e.Err)
	}
	return fmt.Sprintf("eventstream: disk of %s is full: %d bytes are free, %d are needed: free some space", e.Path, e.Free, e.Needed)
}

// Is matches [ErrDiskFull].
func (e *DiskFullError) Is(target error) bool { return isKind(target, ErrDiskFull) }

// Unwrap returns what more there is to say.
func (e *DiskFullError) Unwrap() error { return e.Err }

// diskError turns the engine's refusal into ours.
func diskError(err error) error {
	if full, ok := errors.AsType[*engine.DiskFullError](err); ok {
		return &DiskFullError{Path: full.Path, Free: full.Free, Needed: full.Needed, Err: full.Err}
	}
	return err
}

// admit allows n bytes to be handed over, or returns a [*DiskFullError].
func (db *DB) admit(n int64) error { return diskError(db.eng.Admit(n)) }

// derivedFree is how large a commit of derived data may be that is never refused: a
// checkpoint, a lease.
const derivedFree = 4 << 10

// admitDerived is admit for derived data.
func (db *DB) admitDerived(batch engine.Batch) error {
	if n := batch.Len(); n > derivedFree {
		return db.admit(int64(n))
	}
	return nil
}

// greatestBatch is the most bytes of events that one batch holds.
func greatestBatch(o *Options) int64 { return max(o.MaxAppendBytes, groupBytes) }

// DiskLevel says how full the disk is.
type DiskLevel = engine.DiskLevel

// The levels of a disk.
const (
	// DiskUnknown: the file system does not tell how much is free, as Pebble's in
	// memory. Nothing is refused.
	DiskUnknown = engine.DiskUnknown
	// DiskOK: there is room.
	DiskOK = engine.DiskOK
	// DiskLow: less is free than DiskStats.LowBelow. Nothing big should begin.
	DiskLow = engine.DiskLow
	// DiskFull: less is free than DiskStats.FullBelow, or an operation found no room.
	// Appends are refused with a [*DiskFullError]; reads go on.
	DiskFull = engine.DiskFull
)

// DiskStats is how the disk does.
type DiskStats struct {
	Level     DiskLevel
	Free      uint64 // bytes
	LowBelow  uint64 // the soft mark, in bytes: twice the hard one
	FullBelow uint64 // the hard mark: 3 logs, 2 of the greatest appends, 2 tables
	Ballast   int64  // bytes set aside, which are released when an operation finds no room

	Failures       uint64        // attempts of flushes and compactions that failed
	FailuresInARow int           // of them, since the last one that did not
	Stalls         uint64        // how often Pebble held writes, since flushes did not keep up
	StalledFor     time.Duration // since when it holds them; 0 if it does not
}

func (db *DB) diskStats() DiskStats {
	h := db.eng.Health()
	return DiskStats{
		Level: h.Level, Free: h.Free, LowBelow: h.Soft, FullBelow: h.Hard, Ballast: h.Ballast,
		Failures: h.Failures, FailuresInARow: h.InARow, Stalls: h.Stalls, StalledFor: h.StalledFor,
	}
}
