package eventstream

import (
	"context"
	"fmt"
)

// duplicate answers an append of which at least one id is known: with the first
// result, if all of it was recorded by one earlier append with the same content,
// and with an error otherwise. Events that came without an id are matched by their
// distance from one that came with it.
func (r *appendRequest) duplicate(ctx context.Context) error {
	anchor := -1
	for i := range r.events {
		if r.events[i].original != 0 {
			anchor = i
			break
		}
	}
	known := &r.events[anchor]
	if err := r.db.awaitReadable(ctx, known.original); err != nil {
		return err
	}
	event, err := r.db.eventAt(known.original)
	if err != nil {
		return err
	}
	first := event.CommitPosition()
	last := first + Position(event.CommitSize-1)
	for i := range r.events {
		if err := r.matchOriginal(i, anchor, first, last); err != nil {
			return err
		}
	}
	return r.adopt(event.RecordedAt.UnixNano())
}

// matchOriginal finds where event i was recorded within the earlier commit, from where
// event anchor was, and compares what it says.
func (r *appendRequest) matchOriginal(i, anchor int, first, last Position) error {
	e, known, distance := &r.events[i], &r.events[anchor], i-anchor
	refuse := func(id EventID, at Position, reason string) error {
		return &DuplicateEventError{Tenant: r.tenant.name, EventID: id, Position: at, Reason: reason}
	}
	if e.claim != nil && e.original == 0 {
		return refuse(known.id, known.original, fmt.Sprintf("but event id %s of the same append is new: send what is new in an append of its own", e.id))
	}
	if e.claim == nil {
		at := known.original + Position(distance)
		if int64(known.original)+int64(distance) < int64(first) || at > last {
			return refuse(known.id, known.original, "the first append had other events beside it")
		}
		original, err := r.db.eventAt(at)
		if err != nil {
			return err
		}
		e.id, e.original = original.ID, at
		found, content, err := r.db.findID(idKey{tenant: r.tenant, id: original.ID})
		if err != nil {
			return err
		}
		if found != at { // it is missing, or another event's
			return &CorruptionError{What: "event-id record", Position: at}
		}
		e.originalContent = content
	}
	switch {
	case e.original < first || e.original > last:
		return refuse(e.id, e.original, fmt.Sprintf("and event id %s at position %d, by another append", known.id, known.original))
	case e.originalContent != r.contentOf(i):
		return refuse(e.id, e.original, "by an event with other content")
	}
	return nil
}

// adopt makes the request's result that of the earlier append.
func (r *appendRequest) adopt(recordedAt int64) error {
	r.deduplicated = true
	r.recordedAt = recordedAt
	r.firstPosition, r.lastPosition = r.events[0].original, 0
	for i := range r.parts {
		p := &r.parts[i]
		if p.count == 0 {
			continue
		}
		events := r.events[p.first : p.first+p.count]
		p.firstPosition = events[0].original
		for j := range events {
			if e := &events[j]; e.original != p.firstPosition+Position(j) {
				return &DuplicateEventError{Tenant: r.tenant.name, EventID: e.id, Position: e.original, Reason: "by an append with other events around it"}
			}
		}
		r.firstPosition = min(r.firstPosition, p.firstPosition)
		r.lastPosition = max(r.lastPosition, p.firstPosition+Position(p.count-1))
		var err error
		if _, p.firstVersion, err = r.db.placeOf(p.firstPosition); err != nil {
			return err
		}
	}
	return nil
}
