package model

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/snapshot"
)

// snapshots are those of each stream, the newest first.
type snapshots map[streamOf][]snapshot.Snapshot

type streamOf struct {
	tenant string
	stream eventstream.StreamID
}

// SaveSnapshot notes a snapshot that was saved, with what the store fills in.
func (s *Store) SaveSnapshot(tenant string, snap snapshot.Snapshot, keep int) {
	e := s.Stream(tenant, snap.Stream)[snap.Version-1]
	snap.Position, snap.RecordedUntil = e.Position, e.RecordedAt
	s.changeSnapshots(tenant, snap.Stream, func(list []snapshot.Snapshot) []snapshot.Snapshot {
		list = slices.DeleteFunc(list, func(old snapshot.Snapshot) bool { return old.Version == snap.Version })
		list = append(list, snap)
		slices.SortFunc(list, func(a, b snapshot.Snapshot) int { return cmp.Compare(b.Version, a.Version) })
		return list[:min(keep, len(list))]
	})
}

// PruneSnapshots notes that all but the newest snapshots of a stream were deleted.
func (s *Store) PruneSnapshots(tenant string, stream eventstream.StreamID, keep int) {
	s.changeSnapshots(tenant, stream, func(list []snapshot.Snapshot) []snapshot.Snapshot { return list[:min(keep, len(list))] })
}

// changeSnapshots adds another state to those that a crash may leave.
func (s *Store) changeSnapshots(tenant string, stream eventstream.StreamID, change func([]snapshot.Snapshot) []snapshot.Snapshot) {
	next := maps.Clone(s.snapshots[len(s.snapshots)-1])
	if next == nil {
		next = snapshots{}
	}
	of := streamOf{tenant, stream}
	if next[of] = change(slices.Clone(next[of])); len(next[of]) == 0 {
		delete(next, of)
	}
	s.snapshots = append(s.snapshots, next)
}

// Snapshots returns those of a stream, the newest first.
func (s *Store) Snapshots(tenant string, stream eventstream.StreamID) []snapshot.Snapshot {
	return s.snapshots[len(s.snapshots)-1][streamOf{tenant, stream}]
}

// like reports whether what the store holds is this state.
func (s snapshots) like(got snapshots) bool { return maps.EqualFunc(s, got, SameSnapshots) }

// SameSnapshots reports whether snapshots are what they must be, but for when they were
// taken and how they are stored.
func SameSnapshots(a, b []snapshot.Snapshot) bool {
	return slices.EqualFunc(a, b, func(a, b snapshot.Snapshot) bool {
		return a.Stream == b.Stream && a.Version == b.Version && a.Position == b.Position && a.Codec == b.Codec && a.Fingerprint == b.Fingerprint &&
			a.OccurredUntil.Equal(b.OccurredUntil) && a.RecordedUntil.Equal(b.RecordedUntil) && bytes.Equal(a.State, b.State)
	})
}
