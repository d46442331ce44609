package eventstream

import (
	"errors"
	"sync/atomic"
)

// Stats counts what the store did since it was opened, and what it takes on disk.
type Stats struct {
	Appends      uint64   // appends that committed
	Events       uint64   // events that they wrote
	EventBytes   uint64   // bytes of their envelopes
	Deduplicated uint64   // appends that were answered from an earlier one
	Conflicts    uint64   // appends whose expectation failed
	Failures     uint64   // appends that failed in another way
	EventsRead   uint64   // events that reads returned
	Sealed       Position // the last position that is sealed
	Rebuilt      uint64   // segments that were damaged and built again from their events
	Snapshots    uint64   // snapshots that were saved
	// SnapshotsDamaged counts the damaged snapshots that reads came across.
	SnapshotsDamaged uint64
	BytesOnDisk      uint64            // all of Pebble's files
	KindBytes        map[string]uint64 // by kind of key, as estimated from the files
	Disk             DiskStats
}

// counters are what Stats counts. They are safe for concurrent use.
type counters struct {
	appends, events, eventBytes, deduplicated, conflicts, failures, eventsRead, segmentsRebuilt, snapshots, snapshotsDamaged atomic.Uint64
}

func (c *counters) appended(r *appendRequest) {
	if r.deduplicated {
		c.deduplicated.Add(1)
		return
	}
	c.appends.Add(1)
	c.events.Add(uint64(len(r.events)))
	c.eventBytes.Add(uint64(r.size))
}

func (c *counters) failed(err error) {
	if errors.Is(err, ErrConflict) {
		c.conflicts.Add(1)
		return
	}
	c.failures.Add(1)
}

// Stats returns the counters and sizes. What lies in memory alone is not part of
// the sizes yet.
func (db *DB) Stats() (Stats, error) {
	if !db.gate.enter() {
		return Stats{}, ErrClosed
	}
	defer db.gate.leave()
	c := &db.stats
	s := Stats{
		Appends:      c.appends.Load(),
		Events:       c.events.Load(),
		EventBytes:   c.eventBytes.Load(),
		Deduplicated: c.deduplicated.Load(),
		Conflicts:    c.conflicts.Load(),
		Failures:     c.failures.Load(),
		EventsRead:   c.eventsRead.Load(),
		Sealed:       db.sealer.reached(),
		Rebuilt:      c.segmentsRebuilt.Load(),
		Snapshots:    c.snapshots.Load(),
		KindBytes:    make(map[string]uint64),
		Disk:         db.diskStats(),
	}
	s.SnapshotsDamaged = c.snapshotsDamaged.Load()
	total, byKind, err := db.eng.DiskUsage()
	if err != nil {
		return Stats{}, db.poisoned(err)
	}
	s.BytesOnDisk = total
	for kind, n := range byKind {
		s.KindBytes[kind.String()] = n
	}
	return s, nil
}
