package aggregate

import "sync/atomic"

// Stats counts what a repository did since it was made.
type Stats struct {
	Loads     uint64 // loads, those of commands and of snapshots too
	Replays   uint64 // of them, those without a snapshot
	Conflicts uint64 // times that a command was decided again

	SnapshotsTaken     uint64
	SnapshotsFailed    uint64 // could not be stored
	SnapshotsDamaged   uint64 // damaged ones that loads passed over
	SnapshotsDiscarded uint64 // those of another type or version of the state that loads passed over
	SnapshotsSkipped   uint64 // asked for while too many waited
}

// counters are what Stats counts.
type counters struct {
	loads, replays, conflicts, taken, failed, damaged, discarded, skipped atomic.Uint64
}

// Stats returns the counters.
func (r *Repository[S, C]) Stats() Stats {
	c := &r.stats
	return Stats{
		Loads: c.loads.Load(), Replays: c.replays.Load(), Conflicts: c.conflicts.Load(),
		SnapshotsTaken: c.taken.Load(), SnapshotsFailed: c.failed.Load(), SnapshotsDamaged: c.damaged.Load(),
		SnapshotsDiscarded: c.discarded.Load(), SnapshotsSkipped: c.skipped.Load(),
	}
}
