package model

import (
	"slices"

	"github.com/nexus-erp/eventstream"
)

// Crash notes that the power failed, and that the store is to be opened again: of what is
// not synced with the log of events, a later part may be gone.
func (s *Store) Crash() { s.crashed = true }

// Settle takes what a store holds, after [Verify] found nothing wrong with it, as what
// became of the appends in doubt and of the snapshots that a crash may have taken.
func (s *Store) Settle(seen *Seen) {
	for _, d := range s.doubts {
		if events := seen.tookEffect(d); events != nil {
			for _, e := range events {
				s.put(e)
			}
			s.wrote(d, events[len(events)-1].Position)
		}
	}
	s.doubts = nil
	if i := slices.IndexFunc(s.snapshots, func(state snapshots) bool { return state.like(seen.snapshots) }); i >= 0 {
		s.snapshots = []snapshots{s.snapshots[i]}
	}
	s.crashed = false
}

// Restore notes that a backup with the first events was restored, and cut back to a
// position: everything derived went with the events.
func (s *Store) Restore(head eventstream.Position) {
	s.events = slices.DeleteFunc(s.events, func(e Event) bool { return e.Position > head })
	s.writes, s.snapshots = nil, []snapshots{nil}
}

// tookEffect returns the events of an append in doubt, at the places that the store gave
// them, if it is there: not if another append took its first id.
func (seen *Seen) tookEffect(a Append) (events []Event) {
	events = proposals(a)
	first := seen.positionOf(a.Tenant, events[0].ID)
	if e, ok := seen.at(first); !ok || !sameContent(&e, &events[0]) {
		return nil
	}
	for i := range events {
		got, ok := seen.at(first + eventstream.Position(i))
		if !ok {
			return nil
		}
		events[i].Version, events[i].Position, events[i].RecordedAt = got.Version, got.Position, got.RecordedAt
		if !events[i].Given {
			events[i].OccurredAt = got.RecordedAt
		}
	}
	return events
}
