package demo

import (
	"bytes"
	"context"
	"fmt"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
)

// found is what a comparison of the store with the plan found.
type found struct {
	entries int // that are in the store, whole
	events  int
	lasts   []eventstream.Position // of each entry, the position of its last event
}

// compare reads the whole store and holds it against the plan. The store must hold
// the plan's first entries, each one whole and as planned, in order and nothing
// else; how many is for the caller to judge.
func (b *books) compare(ctx context.Context, plan *Plan) (found, error) {
	var f found
	want := expectedEvents(plan)
	for ev, err := range b.db.ReadAll(ctx) {
		if err != nil {
			return f, err
		}
		if f.events == len(want) {
			return f, fmt.Errorf("position %d holds an event that is not in the plan", ev.Position)
		}
		w := &want[f.events]
		if err := w.matches(&ev); err != nil {
			return f, fmt.Errorf("position %d: %w", ev.Position, err)
		}
		f.events++
		if w.index == w.size-1 {
			f.entries++
			f.lasts = append(f.lasts, ev.Position)
		}
	}
	if f.events > 0 && f.events < len(want) {
		if w := &want[f.events]; w.index > 0 {
			return f, fmt.Errorf("entry %s has only %d of its %d events", entryName(w.entry), w.index, w.size)
		}
	}
	return f, nil
}

// expected is an event of the plan and its place in the store.
type expected struct {
	entry       int
	index, size int // place in the entry
	position    eventstream.Position
	stream      eventstream.StreamID
	version     eventstream.Version
	event       *eventstream.NewEvent
}

// expectedEvents lays the plan out event by event.
func expectedEvents(plan *Plan) []expected {
	all := make([]expected, 0, plan.Events)
	versions := map[eventstream.StreamID]eventstream.Version{}
	for i := range plan.Entries {
		e := &plan.Entries[i]
		index, size := 0, e.events()
		for _, a := range e.Appends {
			for j := range a.Events {
				versions[a.Stream]++
				all = append(all, expected{
					entry: e.Number, index: index, size: size, position: eventstream.Position(len(all) + 1),
					stream: a.Stream, version: versions[a.Stream], event: &a.Events[j],
				})
				index++
			}
		}
	}
	return all
}

// matches compares a stored event with the plan, payload included.
func (w *expected) matches(ev *eventstream.Event) error {
	data, err := codec.Encode(nil, ev.Codec, w.event.Data)
	if err != nil {
		return err
	}
	switch {
	case ev.ID != w.event.ID:
		return fmt.Errorf("event id is %s, want %s", ev.ID, w.event.ID)
	case ev.Stream != w.stream || ev.Version != w.version:
		return fmt.Errorf("event is %s version %d, want %s version %d", ev.Stream, ev.Version, w.stream, w.version)
	case ev.Position != w.position:
		return fmt.Errorf("event is at position %d, want %d", ev.Position, w.position)
	case ev.CommitIndex != w.index || ev.CommitSize != w.size:
		return fmt.Errorf("event is %d of %d in its commit, want %d of %d", ev.CommitIndex, ev.CommitSize, w.index, w.size)
	case ev.Type != w.event.Type || !ev.OccurredAt.Equal(w.event.OccurredAt):
		return fmt.Errorf("event is %s of %s, want %s of %s", ev.Type, ev.OccurredAt, w.event.Type, w.event.OccurredAt)
	case !bytes.Equal(ev.Data, data):
		return fmt.Errorf("payload of %s differs from the plan", ev.ID)
	}
	return nil
}

// holds reports the first acknowledgement that f does not bear out.
func (f *found) holds(plan *Plan, acks []ack) error {
	for _, a := range acks {
		if a.entry > f.entries {
			return fmt.Errorf("entry %s was acknowledged and is not in the store", entryName(a.entry))
		}
		first := f.lasts[a.entry-1] - eventstream.Position(plan.Entries[a.entry-1].events()) + 1
		if a.last != f.lasts[a.entry-1] || a.first != first {
			return fmt.Errorf("entry %s was acknowledged at %d to %d and lies at %d to %d",
				entryName(a.entry), a.first, a.last, first, f.lasts[a.entry-1])
		}
	}
	return nil
}
