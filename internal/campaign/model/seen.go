package model

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/projection"
)

// Seen is what a look at a store found: all that Verify judges by.
type Seen struct {
	head, durable eventstream.Position
	names         []string
	tenants       []*tenantSeen
	check         eventstream.Report
	snapshots     snapshots
	records       map[namespaceOf]map[string]string
	views         []viewSeen
	resent        []resent
	usage         Usage
	failed        []failure
}

// tenantSeen is what a tenant shows.
type tenantSeen struct {
	name     string
	log      []Event
	backward []Event
	streams  []eventstream.StreamInfo
	byStream map[eventstream.StreamID][]Event
	ids      map[eventstream.EventID]eventstream.Position // of events of all tenants
	places   map[eventstream.Position]bool                // at which it shows an event
	answers  []answer
}

type namespaceOf struct{ tenant, namespace string }

// answer is what a question about a tenant's events found.
type answer struct {
	query Query
	found []eventstream.Position
	count uint64
}

// viewSeen is a view of a projection.
type viewSeen struct {
	projection *Projection
	checkpoint eventstream.Position
	records    map[string]string
}

// resent is an append that was acknowledged, and sent once more.
type resent struct {
	first eventstream.Event // of the append
	res   eventstream.CommitResult
	err   error
}

// failure is a call that had to succeed.
type failure struct {
	what string
	err  error
}

// probes is about how many events of a store are looked up one by one, and how many
// appends are sent again: all of a small store, and the same share everywhere of a large
// one.
const probes = 500

// stride returns the distance between those of n that are tried.
func stride(n int) int { return 1 + n/probes }

// Look reads a store that nobody writes to. It sends appends that are there already once
// more, which must write nothing, unless the store is read-only.
func Look(ctx context.Context, db *eventstream.DB, oracle *Store) *Seen {
	l := looker{ctx: ctx, db: db, oracle: oracle, seen: &Seen{
		names: db.Tenants(), snapshots: snapshots{}, records: map[namespaceOf]map[string]string{},
	}}
	for _, tenant := range l.seen.names {
		l.log(tenant)
	}
	for _, t := range l.seen.tenants {
		l.lookups(t)
		l.questions(t)
		l.snapshotsOf(t)
	}
	l.namespaces()
	l.views()
	l.sendAgain()
	var err error
	if l.seen.check, err = db.Check(ctx, eventstream.Deep()); err != nil {
		l.fail("check", err)
	}
	l.seen.head, l.seen.durable = db.Head(), db.DurableHead()
	l.seen.usage = Used()
	return l.seen
}

// looker looks at a store.
type looker struct {
	ctx    context.Context
	db     *eventstream.DB
	oracle *Store
	seen   *Seen
}

func (l *looker) fail(what string, err error) {
	l.seen.failed = append(l.seen.failed, failure{what, err})
}

// collect returns what a read yields up to its first error.
func collect[T any](l *looker, what string, seq iter.Seq2[T, error]) (items []T) {
	for item, err := range seq {
		if err != nil {
			l.fail(what, err)
			break
		}
		items = append(items, item)
	}
	return items
}

func (l *looker) events(what string, seq iter.Seq2[eventstream.Event, error]) (events []Event) {
	for _, e := range collect(l, what, seq) {
		events = append(events, read(e))
	}
	return events
}

// log reads the events of a tenant.
func (l *looker) log(name string) {
	db := l.db.Tenant(name)
	t := &tenantSeen{name: name, byStream: map[eventstream.StreamID][]Event{}, ids: map[eventstream.EventID]eventstream.Position{}, places: map[eventstream.Position]bool{}}
	t.log = l.events(name+": log", db.ReadAll(l.ctx))
	t.backward = l.events(name+": log backward", db.ReadAll(l.ctx, eventstream.Backward()))
	t.streams = collect(l, name+": streams", db.Streams(l.ctx, ""))
	for _, info := range streamInfos(t.log) {
		t.byStream[info.Stream] = l.events(fmt.Sprintf("%s: stream %q", name, info.Stream), db.ReadStream(l.ctx, info.Stream))
	}
	l.seen.tenants = append(l.seen.tenants, t)
}

// lookups asks a tenant for the events of all tenants, by id and by position.
func (l *looker) lookups(t *tenantSeen) {
	db := l.db.Tenant(t.name)
	for _, of := range l.seen.tenants {
		for i := 0; i < len(of.log); i += stride(len(of.log)) {
			e := &of.log[i]
			switch got, err := db.Event(l.ctx, e.ID); {
			case err == nil:
				t.ids[e.ID] = got.Position
			case !errors.Is(err, eventstream.ErrEventNotFound):
				l.fail(fmt.Sprintf("%s: event %s", t.name, e.ID), err)
			}
			switch _, err := db.EventAt(l.ctx, e.Position); {
			case err == nil:
				t.places[e.Position] = true
			case !errors.Is(err, eventstream.ErrEventNotFound):
				l.fail(fmt.Sprintf("%s: position %d", t.name, e.Position), err)
			}
		}
	}
}

// questions asks for each value that an event of the tenant has.
func (l *looker) questions(t *tenantSeen) {
	db := l.db.Tenant(t.name)
	for _, q := range questions(t.log) {
		a := answer{query: q}
		for _, e := range collect(l, fmt.Sprintf("%s: query %+v", t.name, q), db.Query(l.ctx, q.Build())) {
			a.found = append(a.found, e.Position)
		}
		var err error
		if a.count, err = db.Count(l.ctx, q.Build()); err != nil {
			l.fail(fmt.Sprintf("%s: count %+v", t.name, q), err)
		}
		t.answers = append(t.answers, a)
	}
}

// questions are those whose answers together show all that an index holds.
func questions(log []Event) []Query {
	found := map[string]Query{"all": {}, "all backward": {Backward: true}}
	for i := range log {
		e := &log[i]
		found["type "+e.Type] = Query{Types: []string{e.Type}}
		found["stream "+string(e.Stream)] = Query{Streams: []eventstream.StreamID{e.Stream}, Backward: true}
		if c := e.Stream.Category(); c != "" {
			found["category "+c] = Query{Categories: []string{c}}
		}
		if e.CorrelationID != "" {
			found["correlation "+e.CorrelationID] = Query{Correlations: []string{e.CorrelationID}}
		}
		if e.CausationID != "" {
			found["causation "+e.CausationID] = Query{Causations: []string{e.CausationID}}
		}
		if e.UserID != "" {
			found["user "+e.UserID] = Query{Users: []string{e.UserID}, Types: []string{e.Type}}
		}
		for key, value := range e.Metadata {
			found["tag "+key+" "+value] = Query{Tags: map[string]string{key: value}}
		}
		if i%stride(len(log)) == 0 && i%8 == 0 {
			found[fmt.Sprint("since ", e.Position)] = Query{OccurredSince: e.OccurredAt, RecordedUntil: e.RecordedAt}
		}
	}
	keys := slices.Sorted(maps.Keys(found))
	var all []Query
	for i := 0; i < len(keys); i += stride(len(keys)) {
		all = append(all, found[keys[i]])
	}
	return all
}

// snapshotsOf reads the snapshots of a tenant.
func (l *looker) snapshotsOf(t *tenantSeen) {
	db := l.db.Tenant(t.name)
	for _, stream := range collect(l, t.name+": streams with snapshots", db.SnapshotStreams(l.ctx, "")) {
		for _, found := range collect(l, fmt.Sprintf("%s: snapshots of %q", t.name, stream), db.Snapshots(l.ctx, stream)) {
			if found.Err != nil {
				l.fail(fmt.Sprintf("%s: snapshot of %q", t.name, stream), found.Err)
				continue
			}
			of := streamOf{t.name, stream}
			l.seen.snapshots[of] = append(l.seen.snapshots[of], found.Snapshot)
		}
	}
}

// namespaces reads the records of all namespaces that updates wrote, or may have.
func (l *looker) namespaces() {
	for _, of := range l.oracle.namespaces() {
		records, err := ReadRecords(l.ctx, l.db.Tenant(of.tenant), of.namespace)
		if err != nil {
			l.fail(fmt.Sprintf("%s: namespace %q", of.tenant, of.namespace), err)
		}
		l.seen.records[of] = records
	}
}

// ReadRecords returns the records of a namespace, by key.
func ReadRecords(ctx context.Context, tenant *eventstream.Tenant, namespace string) (map[string]string, error) {
	records := map[string]string{}
	_, err := tenant.Update(ctx, func(tx *eventstream.UpdateTx) error {
		for record, err := range tx.Records(namespace).Scan(nil, nil) {
			if err != nil {
				return err
			}
			records[string(record.Key)] = string(record.Value)
		}
		return nil
	})
	return records, err
}

// views reads the views of the projections.
func (l *looker) views() {
	for i := range l.oracle.Projections {
		p := &l.oracle.Projections[i]
		v := viewSeen{projection: p, records: map[string]string{}}
		engine := projection.New(l.db, &projection.Options{Tenant: p.Tenant})
		err := engine.Register(p.Definition)
		if err == nil {
			err = engine.ReadView(p.Definition.Name, func(view projection.View) error {
				v.checkpoint = view.Checkpoint
				for record, err := range view.Scan(nil, nil) {
					if err != nil {
						return err
					}
					v.records[string(record.Key)] = string(record.Value)
				}
				return nil
			})
		}
		if err != nil {
			l.fail(fmt.Sprintf("%s: view %q", p.Tenant, p.Definition.Name), err)
		}
		l.seen.views = append(l.seen.views, v)
	}
}

// sendAgain sends appends once more, as the log tells them, and expects streams that do
// not exist: what is known is answered whatever is expected.
func (l *looker) sendAgain() {
	if l.oracle.Damaged {
		return // it is to be left as it is
	}
	for _, t := range l.seen.tenants {
		for i := 0; i < len(t.log); i += stride(len(t.log)) {
			if t.log[i].CommitIndex > 0 {
				continue
			}
			commit, ok := l.seen.commit(t.log[i].Position)
			if !ok {
				continue // that is found otherwise
			}
			r := resent{first: t.log[i].Event}
			r.res, r.err = l.db.Tenant(t.name).AppendAll(l.ctx, entriesOf(commit))
			if errors.Is(r.err, eventstream.ErrReadOnly) || errors.Is(r.err, eventstream.ErrPoisoned) {
				return
			}
			l.seen.resent = append(l.seen.resent, r)
		}
	}
}

// entriesOf is the append that wrote a commit.
func entriesOf(commit []Event) (entries []eventstream.StreamAppend) {
	for i := range commit {
		e := &commit[i]
		if n := len(entries); n == 0 || entries[n-1].Stream != e.Stream {
			entries = append(entries, eventstream.StreamAppend{Stream: e.Stream, Expect: eventstream.NoStream})
		}
		last := &entries[len(entries)-1]
		last.Events = append(last.Events, again(e))
	}
	return entries
}

// at returns the event at a position, of whatever tenant.
func (seen *Seen) at(p eventstream.Position) (Event, bool) {
	for _, t := range seen.tenants {
		if i, ok := slices.BinarySearchFunc(t.log, p, byPosition); ok {
			return t.log[i], true
		}
	}
	return Event{}, false
}

// positionOf returns where the log of a tenant has an id, or 0.
func (seen *Seen) positionOf(tenant string, id eventstream.EventID) eventstream.Position {
	for _, t := range seen.tenants {
		if t.name != tenant {
			continue
		}
		for i := range t.log {
			if t.log[i].ID == id {
				return t.log[i].Position
			}
		}
	}
	return 0
}

// commit returns the events that one append wrote, from the position of the first one.
// ok is false if they are not all there.
func (seen *Seen) commit(first eventstream.Position) (events []Event, ok bool) {
	e, ok := seen.at(first)
	if !ok || e.CommitIndex != 0 {
		return nil, false
	}
	for i := range e.CommitSize {
		member, ok := seen.at(first + eventstream.Position(i))
		if !ok || member.CommitIndex != i || member.CommitSize != e.CommitSize || member.Tenant != e.Tenant || !member.RecordedAt.Equal(e.RecordedAt) {
			return nil, false
		}
		events = append(events, member)
	}
	return events, true
}

// again returns what to append so that it is this event.
func again(e *Event) eventstream.NewEvent {
	n := eventstream.NewEvent{
		ID: e.ID, Type: e.Type, SchemaVersion: e.SchemaVersion, Codec: e.Codec,
		CorrelationID: e.CorrelationID, CausationID: e.CausationID, UserID: e.UserID, Metadata: e.Metadata,
	}
	if len(e.Data) > 0 {
		n.Data = codec.Encoded(e.Data)
	}
	if e.Given {
		n.OccurredAt = e.OccurredAt
	}
	return n
}
