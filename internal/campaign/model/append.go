package model

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nexus-erp/eventstream"
)

// Decide tells what must come of an append that nothing else happens beside, at a time of
// the store's clock: its answer, in which ids that the store makes are zero, or an error
// of the kind that it must have. Nothing is changed: see Acknowledge.
func (s *Store) Decide(a Append, now time.Time) (eventstream.CommitResult, error) {
	if err := check(a); err != nil {
		return eventstream.CommitResult{}, err
	}
	if known, ok := s.firstKnown(a); ok {
		return s.again(a, known)
	}
	for _, e := range a.Entries {
		version := eventstream.Version(len(s.Stream(a.Tenant, e.Stream)))
		if !allows(e.Expect, version) {
			return eventstream.CommitResult{}, &eventstream.ConflictError{Tenant: a.Tenant, Stream: e.Stream, Expected: e.Expect, Actual: version}
		}
	}
	if a.Unless != nil {
		q := *a.Unless
		q.After = a.After
		if len(s.Find(a.Tenant, q)) > 0 {
			return eventstream.CommitResult{}, &eventstream.GuardError{Tenant: a.Tenant}
		}
	}
	return s.fresh(a, now), nil
}

// check refuses what no store takes.
func check(a Append) error {
	ids, streams, events := map[eventstream.EventID]bool{}, map[eventstream.StreamID]bool{}, 0
	double := false
	for _, e := range a.Entries {
		if e.Expect == 0 || len(e.Events) == 0 && e.Expect == eventstream.Any || streams[e.Stream] || len(a.Records) > 0 && e.Expect == eventstream.Any {
			return eventstream.ErrInvalidArgument
		}
		streams[e.Stream] = true
		events += len(e.Events)
		for _, n := range e.Events {
			double = double || !n.ID.IsZero() && ids[n.ID]
			ids[n.ID] = true
		}
	}
	switch {
	case events == 0:
		return eventstream.ErrInvalidArgument
	case double:
		return eventstream.ErrDuplicateEvent
	default:
		return nil
	}
}

// allows reports whether an expectation holds for a stream at a version.
func allows(e eventstream.Expected, v eventstream.Version) bool {
	switch e {
	case eventstream.Any:
		return true
	case eventstream.StreamExists:
		return v > 0
	default:
		return e == eventstream.Exact(v)
	}
}

// proposals are the events of an append, in order.
func proposals(a Append) (events []Event) {
	for _, entry := range a.Entries {
		for i := range entry.Events {
			events = append(events, proposed(a.Tenant, entry.Stream, &entry.Events[i]))
		}
	}
	for i := range events {
		events[i].CommitIndex, events[i].CommitSize = i, len(events)
	}
	return events
}

// firstKnown returns the index of the first event of the append whose id is taken.
func (s *Store) firstKnown(a Append) (index int, ok bool) {
	index = slices.IndexFunc(proposals(a), func(e Event) bool {
		_, taken := s.ByID(a.Tenant, e.ID)
		return taken && !e.ID.IsZero()
	})
	return index, index >= 0
}

// again answers an append of which the event at index known is in the store: with the
// first answer if one earlier append wrote all of it, with the same content.
func (s *Store) again(a Append, known int) (eventstream.CommitResult, error) {
	events := proposals(a)
	original, _ := s.ByID(a.Tenant, events[known].ID)
	var found []Event
	for i, e := range events {
		first, ok := s.ByID(a.Tenant, e.ID)
		if e.ID.IsZero() { // it stands where it stood beside the one that is known
			first, ok = s.At(original.Position + eventstream.Position(i) - eventstream.Position(known))
		}
		if !ok || first.CommitPosition() != original.CommitPosition() || !sameContent(&e, &first) {
			return eventstream.CommitResult{}, eventstream.ErrDuplicateEvent
		}
		found = append(found, first)
	}
	res := eventstream.CommitResult{RecordedAt: original.RecordedAt, Deduplicated: true}
	for _, entry := range a.Entries {
		mine := found[:len(entry.Events)]
		found = found[len(entry.Events):]
		for i := range mine {
			if mine[i].Position != mine[0].Position+eventstream.Position(i) {
				return eventstream.CommitResult{}, eventstream.ErrDuplicateEvent
			}
		}
		res.Streams = append(res.Streams, part(entry.Stream, mine, original.RecordedAt, true))
	}
	return whole(res), nil
}

// fresh is the answer to an append that goes through.
func (s *Store) fresh(a Append, now time.Time) eventstream.CommitResult {
	recorded := now.UTC()
	if n := len(s.events); n > 0 && recorded.Before(s.events[n-1].RecordedAt) {
		recorded = s.events[n-1].RecordedAt
	}
	res := eventstream.CommitResult{RecordedAt: recorded}
	position := s.Head()
	for _, entry := range a.Entries {
		version := eventstream.Version(len(s.Stream(a.Tenant, entry.Stream)))
		var mine []Event
		for i := range entry.Events {
			e := proposed(a.Tenant, entry.Stream, &entry.Events[i])
			version++
			position++
			e.Version, e.Position = version, position
			mine = append(mine, e)
		}
		res.Streams = append(res.Streams, part(entry.Stream, mine, recorded, false))
	}
	return whole(res)
}

// part is the answer about one stream.
func part(stream eventstream.StreamID, events []Event, recorded time.Time, again bool) eventstream.AppendResult {
	res := eventstream.AppendResult{Stream: stream, RecordedAt: recorded, Deduplicated: again}
	for i, e := range events {
		if i == 0 {
			res.FirstVersion, res.FirstPosition = e.Version, e.Position
		}
		res.LastVersion, res.LastPosition = e.Version, e.Position
		res.EventIDs = append(res.EventIDs, e.ID)
	}
	return res
}

// whole fills in where the answer about all streams begins and ends.
func whole(res eventstream.CommitResult) eventstream.CommitResult {
	for _, p := range res.Streams {
		if len(p.EventIDs) == 0 {
			continue
		}
		if res.FirstPosition == 0 || p.FirstPosition < res.FirstPosition {
			res.FirstPosition = p.FirstPosition
		}
		res.LastPosition = max(res.LastPosition, p.LastPosition)
	}
	return res
}

// Acknowledge notes an append that was answered: what the answer says must be there from
// now on.
func (s *Store) Acknowledge(a Append, res eventstream.CommitResult) {
	events := proposals(a)
	for _, p := range res.Streams {
		for i, id := range p.EventIDs {
			e := events[0]
			events = events[1:]
			if !e.ID.IsZero() && e.ID != id {
				s.broken = append(s.broken, at("I7", &e.Event, "the answer names event %s for event %s", id, e.ID))
			}
			e.ID = id
			e.Version, e.Position = p.FirstVersion+eventstream.Version(i), p.FirstPosition+eventstream.Position(i)
			e.RecordedAt = res.RecordedAt
			if !e.Given {
				e.OccurredAt = res.RecordedAt
			}
			s.put(e)
		}
	}
	if res.Deduplicated {
		s.settled(a, res.LastPosition)
		return
	}
	s.wrote(a, res.LastPosition)
	s.snapshots = s.snapshots[len(s.snapshots)-1:] // there is one log: its sync made them durable
}

// wrote notes the records of an update.
func (s *Store) wrote(a Append, last eventstream.Position) {
	if len(a.Records) == 0 {
		return
	}
	s.writes = append(s.writes, recordWrites{at: last, tenant: a.Tenant, records: a.Records})
	slices.SortStableFunc(s.writes, func(a, b recordWrites) int { return cmp.Compare(a.at, b.at) })
}

// Doubt notes an append of which nobody knows whether it took effect. Its events have
// ids.
func (s *Store) Doubt(a Append) { s.doubts = append(s.doubts, a) }

// settled takes an append off the list of those in doubt, since an answer tells that it
// took effect, up to a position.
func (s *Store) settled(a Append, last eventstream.Position) {
	id := proposals(a)[0].ID
	s.doubts = slices.DeleteFunc(s.doubts, func(d Append) bool {
		took := d.Tenant == a.Tenant && proposals(d)[0].ID == id
		if took {
			s.wrote(d, last)
		}
		return took
	})
}

// SameAnswer tells how an answer differs from what it must be, or "". Ids that want does
// not have may be any.
func SameAnswer(got eventstream.CommitResult, gotErr error, want eventstream.CommitResult, wantErr error) string {
	if gotErr != nil || wantErr != nil {
		return sameRefusal(gotErr, wantErr)
	}
	g, w := normal(got, want), normal(want, want)
	if g != w {
		return fmt.Sprintf("got answer %s, want %s", g, w)
	}
	return ""
}

// normal writes an answer down without the ids that want leaves open.
func normal(res, want eventstream.CommitResult) string {
	text := fmt.Sprintf("%d-%d at %d again %v", res.FirstPosition, res.LastPosition, res.RecordedAt.UnixNano(), res.Deduplicated)
	for i, p := range res.Streams {
		text += fmt.Sprintf("; %s@%d-%d:%d-%d at %d again %v ids", p.Stream, p.FirstVersion, p.LastVersion, p.FirstPosition, p.LastPosition, p.RecordedAt.UnixNano(), p.Deduplicated)
		for j, id := range p.EventIDs {
			made := i < len(want.Streams) && j < len(want.Streams[i].EventIDs) && want.Streams[i].EventIDs[j].IsZero()
			switch {
			case made && !id.IsZero(), made && want.Streams[i].EventIDs[j] == id:
				text += " made"
			default:
				text += " " + id.String()
			}
		}
	}
	return text
}

// kinds are the errors of appends that callers tell apart.
var kinds = []error{eventstream.ErrInvalidArgument, eventstream.ErrDuplicateEvent, eventstream.ErrConflict}

func sameRefusal(got, want error) string {
	differ := fmt.Sprintf("got error %v, want %v", got, want)
	if got == nil || want == nil {
		return differ
	}
	for _, kind := range kinds {
		if errors.Is(got, kind) != errors.Is(want, kind) {
			return differ
		}
	}
	w, stale := errors.AsType[*eventstream.ConflictError](want)
	g, ok := errors.AsType[*eventstream.ConflictError](got)
	if stale != ok || stale && *g != *w {
		return differ
	}
	return ""
}
