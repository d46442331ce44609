package model

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/projection"
)

// Projection is a view, and what it must show.
type Projection struct {
	Tenant     string
	Definition projection.Definition
	// Fold changes the records as an event does that the definition takes.
	Fold func(view map[string]string, e *eventstream.Event)
}

// Delivery is what one follower of a tenant got, in order, from the first event that it
// asked for.
type Delivery struct {
	Follower, Tenant string
	After            eventstream.Position // that it asked from
	Events           []eventstream.Event
}

// Violation is an invariant that a store breaks, and where.
type Violation struct {
	Invariant string // I1 to I12
	Tenant    string
	Stream    eventstream.StreamID
	Version   eventstream.Version
	Position  eventstream.Position
	Detail    string
}

// String names the invariant and the place.
func (v Violation) String() string {
	return fmt.Sprintf("%s at position %d (%s/%s@%d): %s", v.Invariant, v.Position, v.Tenant, v.Stream, v.Version, v.Detail)
}

func at(invariant string, e *eventstream.Event, format string, args ...any) Violation {
	return Violation{invariant, e.Tenant, e.Stream, e.Version, e.Position, fmt.Sprintf(format, args...)}
}

// Report is what Verify found.
type Report struct {
	Violations []Violation
	Events     int // of all tenants
	Questions  int // that were asked of indexes, and answered again from the log
}

// OK reports whether every invariant holds.
func (r Report) OK() bool { return len(r.Violations) == 0 }

// Broken returns which invariants do not hold, each once, sorted.
func (r Report) Broken() []string {
	broken := map[string]bool{}
	for _, v := range r.Violations {
		broken[v.Invariant] = true
	}
	return slices.Sorted(maps.Keys(broken))
}

// String names the first violations.
func (r Report) String() string {
	var lines []string
	for _, v := range r.Violations[:min(10, len(r.Violations))] {
		lines = append(lines, v.String())
	}
	return fmt.Sprintf("%d violations:\n\t%s", len(r.Violations), strings.Join(lines, "\n\t"))
}

// Verify compares a store that nobody writes to with what an oracle knows of it, and
// returns which invariants it breaks:
//
//	I1   what was acknowledged is there, in every byte, with its records and snapshots
//	I2   commits are whole, those in doubt too
//	I3   positions and versions run from 1 without a hole; recorded-at never goes back
//	I4   nothing is there that nobody asked for
//	I5   every index, query, list and lookup is what the log says, and so says a deep check
//	I6   answers to those who asked at once fit one order: see Store.Calls
//	I7   an id is there once; who sends it again gets the first answer, and nothing is written
//	I8   a view is the fold of the events up to its checkpoint, which is not beyond the head
//	I9   whatever fails says that it is damage; a store with Damaged is not silently shorter
//	I10  followers get each event once, in order, and none that a crash removed
//	I11  no tenant shows anything of another
//	I12  the process uses no more than Store.Bound
func Verify(ctx context.Context, db *eventstream.DB, oracle *Store) Report {
	return oracle.Judge(Look(ctx, db, oracle))
}

// Judge returns which invariants a store breaks that shows what was seen.
func (s *Store) Judge(seen *Seen) Report {
	j := judge{Store: s, seen: seen}
	j.report.Violations = slices.Clone(s.broken)
	j.failures()
	j.order()
	j.commits()
	j.expected()
	j.derived()
	for _, t := range seen.tenants {
		j.indexes(t)
		j.apart(t)
	}
	j.check()
	j.idempotency()
	j.projections()
	j.deliveries()
	if why := Linearizable(s.Calls, patience); why != "" {
		j.broken("I6", &eventstream.Event{}, "%s", why)
	}
	if b, u := s.Bound, seen.usage; b != nil && (u.Goroutines > b.Goroutines || u.Files > b.Files) {
		j.broken("I12", &eventstream.Event{}, "got %+v, want at most %+v", u, *b)
	}
	return j.report
}

// patience is how long an order of calls is looked for.
const patience = 10 * time.Second

type judge struct {
	*Store
	seen   *Seen
	report Report
}

func (j *judge) broken(invariant string, e *eventstream.Event, format string, args ...any) {
	j.report.Violations = append(j.report.Violations, at(invariant, e, format, args...))
}

// lost is I1, and in a store that was damaged I9: it ought to have said so.
func (j *judge) lost() string {
	if j.Damaged {
		return "I9"
	}
	return "I1"
}

// failures are calls that had to succeed. In a damaged store they may fail, and say so.
func (j *judge) failures() {
	for _, f := range j.seen.failed {
		if !j.Damaged || !errors.Is(f.err, eventstream.ErrCorrupt) {
			j.broken("I9", &eventstream.Event{}, "%s: got error %v", f.what, f.err)
		}
	}
}

// order is I3, and of ids I7.
func (j *judge) order() {
	var all []Event
	for _, t := range j.seen.tenants {
		versions, ids := map[eventstream.StreamID]eventstream.Version{}, map[eventstream.EventID]eventstream.Position{}
		for i := range t.log {
			e := &t.log[i]
			if i > 0 && e.Position <= t.log[i-1].Position {
				j.broken("I3", &e.Event, "it is behind position %d", t.log[i-1].Position)
			}
			if versions[e.Stream]++; e.Version != versions[e.Stream] {
				j.broken("I3", &e.Event, "want version %d", versions[e.Stream])
				versions[e.Stream] = e.Version
			}
			if p := ids[e.ID]; p != 0 {
				j.broken("I7", &e.Event, "event id %s is at position %d too", e.ID, p)
			}
			ids[e.ID] = e.Position
		}
		all = append(all, t.log...)
	}
	j.report.Events = len(all)
	slices.SortFunc(all, func(a, b Event) int { return byPosition(a, b.Position) })
	next, recorded := eventstream.Position(1), time.Time{}
	for i := range all {
		e := &all[i]
		if e.Position != next {
			j.broken("I3", &e.Event, "want position %d", next)
		}
		if e.RecordedAt.Before(recorded) {
			j.broken("I3", &e.Event, "recorded at %v, before the one in front of it", e.RecordedAt)
		}
		next, recorded = e.Position+1, e.RecordedAt
	}
	if j.seen.head != next-1 {
		j.broken("I3", &eventstream.Event{Position: j.seen.head}, "the head, and the log ends at %d", next-1)
	}
}

// commits is I2 for the log by itself.
func (j *judge) commits() {
	for _, t := range j.seen.tenants {
		for i := range t.log {
			e := &t.log[i]
			if _, ok := j.seen.commit(e.CommitPosition()); !ok {
				j.broken("I2", &e.Event, "its commit of %d is not whole", e.CommitSize)
			}
		}
	}
}

// expected is I1 for events, I4, and I2 for what is in doubt.
func (j *judge) expected() {
	attempted := map[eventstream.Position]Event{}
	for i := range j.events {
		e := &j.events[i]
		attempted[e.Position] = *e
		got, ok := j.seen.at(e.Position)
		switch {
		case !ok:
			j.broken(j.lost(), &e.Event, "event %s is missing", e.ID)
		case !same(&got, e):
			j.broken(j.lost(), &e.Event, "got %s, want %s", describe(&got), describe(e))
		}
	}
	for _, d := range j.doubts {
		events := j.seen.tookEffect(d)
		for _, e := range events {
			attempted[e.Position] = e
			if got, _ := j.seen.at(e.Position); !same(&got, &e) {
				j.broken("I2", &e.Event, "got %s, want %s, of an append in doubt", describe(&got), describe(&e))
			}
		}
	}
	for _, t := range j.seen.tenants {
		for i := range t.log {
			if e := &t.log[i]; attempted[e.Position].Position == 0 {
				j.broken("I4", &e.Event, "nobody appended %s", describe(e))
			}
		}
	}
}

// namespaces are those that updates wrote, or may have.
func (s *Store) namespaces() []namespaceOf {
	found := map[namespaceOf]bool{}
	for _, w := range s.writes {
		for _, r := range w.records {
			found[namespaceOf{w.tenant, r.Namespace}] = true
		}
	}
	for _, d := range s.doubts {
		for _, r := range d.Records {
			found[namespaceOf{d.Tenant, r.Namespace}] = true
		}
	}
	return slices.Collect(maps.Keys(found))
}

// derived is I1 for records and snapshots.
func (j *judge) derived() {
	settled := Store{events: j.events, writes: slices.Clone(j.writes)}
	for _, d := range j.doubts {
		if events := j.seen.tookEffect(d); events != nil {
			settled.wrote(d, events[len(events)-1].Position)
		}
	}
	for of, got := range j.seen.records {
		if want := settled.Records(of.tenant, of.namespace); !maps.Equal(got, want) {
			j.broken(j.lost(), &eventstream.Event{Tenant: of.tenant}, "namespace %q: got records %q, want %q", of.namespace, got, want)
		}
	}
	states := j.snapshots[len(j.snapshots)-1:]
	if j.crashed {
		states = j.snapshots
	}
	if !slices.ContainsFunc(states, func(state snapshots) bool { return state.like(j.seen.snapshots) }) {
		j.broken(j.lost(), &eventstream.Event{}, "snapshots: got %v, want one of %v", j.seen.snapshots, states)
	}
}

// indexes is I5 for one tenant.
func (j *judge) indexes(t *tenantSeen) {
	tenant := &eventstream.Event{Tenant: t.name}
	if want := slices.Clone(t.log); !sameEvents(reversed(t.backward), want) {
		j.broken("I5", tenant, "the log backward has %d events, or others than the %d of the log", len(t.backward), len(want))
	}
	if want := streamInfos(t.log); !slices.EqualFunc(t.streams, want, sameInfo) {
		j.broken("I5", tenant, "got streams %+v, want %+v", t.streams, want)
	}
	byStream := map[eventstream.StreamID][]Event{}
	for i := range t.log {
		e := &t.log[i]
		byStream[e.Stream] = append(byStream[e.Stream], *e)
	}
	for stream, want := range byStream {
		if !sameEvents(t.byStream[stream], want) {
			j.broken("I5", &want[0].Event, "the stream has %d events, or others than the %d of the log", len(t.byStream[stream]), len(want))
		}
	}
	for i := 0; i < len(t.log); i += stride(len(t.log)) {
		e := &t.log[i]
		if p := t.ids[e.ID]; p != e.Position {
			j.broken("I5", &e.Event, "event id %s leads to position %d", e.ID, p)
		}
		if !t.places[e.Position] {
			j.broken("I5", &e.Event, "nothing is found at its position")
		}
	}
	for _, a := range t.answers {
		var want []eventstream.Position
		for i := range t.log {
			if e := &t.log[i]; a.query.Matches(&e.Event) {
				want = append(want, e.Position)
			}
		}
		if a.query.Backward {
			slices.Reverse(want)
		}
		j.report.Questions++
		if !slices.Equal(a.found, want) || a.count != uint64(len(want)) {
			j.broken("I5", tenant, "query %+v: got positions %d and count %d, want %d", a.query, a.found, a.count, want)
		}
	}
}

func reversed(events []Event) []Event {
	events = slices.Clone(events)
	slices.Reverse(events)
	return events
}

func sameEvents(a, b []Event) bool {
	return slices.EqualFunc(a, b, func(a, b Event) bool { return same(&a, &b) })
}

func sameInfo(a, b eventstream.StreamInfo) bool {
	return a.Tenant == b.Tenant && a.Stream == b.Stream && a.Version == b.Version && a.FirstPosition == b.FirstPosition && a.LastPosition == b.LastPosition &&
		a.FirstRecordedAt.Equal(b.FirstRecordedAt) && a.LastRecordedAt.Equal(b.LastRecordedAt)
}

// check is what the store says of itself.
func (j *judge) check() {
	for _, p := range j.seen.check.Problems {
		j.broken("I5", &eventstream.Event{Tenant: p.Tenant, Stream: p.Stream, Version: p.Version, Position: p.Position}, "check: %s: %s", p.Kind, p.Detail)
	}
}

// apart is I11 for one tenant.
func (j *judge) apart(t *tenantSeen) {
	own := map[eventstream.Position]bool{}
	ids := map[eventstream.EventID]bool{}
	for i := range t.log {
		e := &t.log[i]
		own[e.Position], ids[e.ID] = true, true
		if e.Tenant != t.name {
			j.broken("I11", &e.Event, "tenant %s sees it in its log", t.name)
		}
	}
	for p := range t.places {
		if !own[p] {
			j.broken("I11", &eventstream.Event{Tenant: t.name, Position: p}, "it shows an event of another tenant")
		}
	}
	for id := range t.ids {
		if !ids[id] {
			j.broken("I11", &eventstream.Event{Tenant: t.name}, "it knows event id %s of another tenant", id)
		}
	}
	if !slices.Contains(j.seen.names, t.name) {
		j.broken("I11", &eventstream.Event{Tenant: t.name}, "it is not listed")
	}
}

// idempotency is I7 for what was sent again.
func (j *judge) idempotency() {
	for _, r := range j.seen.resent {
		e := &r.first
		last := e.Position + eventstream.Position(e.CommitSize) - 1
		if r.err != nil || !r.res.Deduplicated || r.res.FirstPosition != e.Position || r.res.LastPosition != last || !r.res.RecordedAt.Equal(e.RecordedAt) {
			j.broken("I7", e, "its append, sent again, got %+v and error %v, want positions %d to %d", r.res, r.err, e.Position, last)
		}
	}
}

// projections is I8.
func (j *judge) projections() {
	for _, v := range j.seen.views {
		place := &eventstream.Event{Tenant: v.projection.Tenant, Position: v.checkpoint}
		if v.checkpoint > j.seen.head || v.checkpoint > j.seen.durable {
			j.broken("I8", place, "view %q: its checkpoint is beyond the head %d, of which %d are durable", v.projection.Definition.Name, j.seen.head, j.seen.durable)
		}
		want := map[string]string{}
		for _, t := range j.seen.tenants {
			for i := range t.log {
				e := &t.log[i]
				if t.name == v.projection.Tenant && e.Position <= v.checkpoint && takes(&v.projection.Definition, &e.Event) {
					v.projection.Fold(want, &e.Event)
				}
			}
		}
		if !maps.Equal(v.records, want) {
			j.broken("I8", place, "view %q: got records %q, want %q", v.projection.Definition.Name, v.records, want)
		}
	}
}

func takes(d *projection.Definition, e *eventstream.Event) bool {
	return (len(d.Types) == 0 || slices.Contains(d.Types, e.Type)) && (d.Category == "" || e.Stream.Category() == d.Category)
}

// deliveries is I10.
func (j *judge) deliveries() {
	for _, d := range j.Delivered {
		var want []Event
		for _, t := range j.seen.tenants {
			if t.name == d.Tenant {
				want = t.log
			}
		}
		first, _ := slices.BinarySearchFunc(want, d.After+1, byPosition)
		want = want[first:]
		if len(d.Events) > len(want) {
			j.broken("I10", &d.Events[len(want)], "follower %s got %d events, and the log has %d", d.Follower, len(d.Events), len(want))
		}
		for i := range min(len(d.Events), len(want)) {
			if got := read(d.Events[i]); !same(&got, &want[i]) {
				j.broken("I10", &want[i].Event, "follower %s got %s, want %s", d.Follower, describe(&got), describe(&want[i]))
				break
			}
		}
	}
}
