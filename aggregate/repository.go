package aggregate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/snapshot"
)

// Repository loads aggregates of one kind and carries out commands on them. Its methods
// are safe for concurrent use. It keeps no states: each load reads the store.
type Repository[S, C any] struct {
	db          *eventstream.DB
	tenant      *eventstream.Tenant
	events      *codec.Registry
	decider     Decider[S, C]
	opts        Options
	fingerprint codec.Fingerprint
	stats       counters
	snapshots   snapshotter
}

// New returns a repository over db, which must stay open while it is used. events knows
// all event types that the streams hold. It fails with an [*eventstream.ArgumentError],
// also if a snapshot would lose a part of the state: fields that are not exported,
// interfaces.
func New[S, C any](db *eventstream.DB, events *codec.Registry, d Decider[S, C], opts *Options) (*Repository[S, C], error) {
	o := opts.withDefaults()
	t := reflect.TypeFor[S]()
	switch {
	case db == nil:
		return nil, argument("db", "it is nil: open a store first")
	case events == nil:
		return nil, argument("events", "it is nil: build a registry of the event types first")
	case d.Evolve == nil:
		return nil, argument("Decider.Evolve", "it is required: without it there is no state")
	}
	if err := o.validate(t); err != nil {
		return nil, err
	}
	if d.Initial == nil {
		if t.Kind() == reflect.Pointer || t.Kind() == reflect.Map {
			return nil, argument("Decider.Initial", "it is required, since a zero %s is nil", t)
		}
		d.Initial = func() (zero S) { return zero }
	}
	r := &Repository[S, C]{db: db, tenant: db.Tenant(o.Tenant), events: events, decider: d, opts: o}
	if !o.NoSnapshots {
		r.fingerprint = codec.FingerprintOf(t, o.StateCodec, o.StateVersion)
	}
	r.snapshots.init(r.snapshotIfDue)
	return r, nil
}

// Loaded is a state with the version that it has: neither goes anywhere without the
// other.
type Loaded[S any] struct {
	Stream eventstream.StreamID
	// Version is that of the last event in State, and 0 of a stream without events. An
	// append that rests on State expects [eventstream.Exact] of it.
	Version eventstream.Version
	State   S // the caller's own
	// OccurredUntil and RecordedUntil are the greatest times of the events in State.
	OccurredUntil, RecordedUntil time.Time
	// Snapshot is the version of the snapshot that State rests on, and 0 if there is none;
	// Events is how many events were read on top of it.
	Snapshot eventstream.Version
	Events   int
}

// Load returns the aggregate of stream as readers see it now. A stream that does not
// exist has the initial state and version 0.
//
// A snapshot is used if it is sound and of the present type of the state; otherwise an
// older one is, or all events are read. Damage is reported, see Options.OnFault, and
// costs nothing but time.
//
// Errors: a [*FoldError] for an event that the aggregate cannot take; those of
// [eventstream.DB.ReadStream].
func (r *Repository[S, C]) Load(ctx context.Context, stream eventstream.StreamID) (Loaded[S], error) {
	f, err := r.load(ctx, stream)
	if err != nil {
		return Loaded[S]{}, err
	}
	r.offer(f)
	return f.Loaded, nil
}

// StateAt returns the aggregate of stream as it was at a point: the state that those of
// its events come to, in the order of their versions, which pass the options.
//
//	eventstream.To(v)             up to a version
//	eventstream.OccurredUntil(t)  what had happened by a time
//	eventstream.RecordedUntil(t)  as it was known at a time
//
// All bounds are inclusive, and may be combined; without any it is the state of now. An
// event that was recorded late counts from the time at which it occurred, unless
// RecordedUntil leaves it out. Version is that of the last event in the state, which does
// not say that all before it are in it.
//
// Errors are those of Load, and an [*eventstream.ArgumentError] for any other option.
func (r *Repository[S, C]) StateAt(ctx context.Context, stream eventstream.StreamID, at ...eventstream.ReadOption) (Loaded[S], error) {
	f, err := r.load(ctx, stream, at...)
	if err != nil {
		return Loaded[S]{}, err
	}
	return f.Loaded, nil
}

// load reads the newest snapshot that serves, and the events behind it.
func (r *Repository[S, C]) load(ctx context.Context, stream eventstream.StreamID, at ...eventstream.ReadOption) (*fold[S, C], error) {
	r.stats.loads.Add(1)
	f := &fold[S, C]{r: r, Loaded: Loaded[S]{Stream: stream}}
	if err := f.begin(ctx, at); err != nil {
		return nil, err
	}
	if f.Snapshot == 0 {
		r.stats.replays.Add(1)
	}
	opts := append([]eventstream.ReadOption{eventstream.From(f.Version + 1)}, at...)
	if err := f.read(ctx, opts); err != nil {
		return nil, err
	}
	return f, nil
}

// fold is an aggregate that is being loaded.
type fold[S, C any] struct {
	r *Repository[S, C]
	Loaded[S]

	taken   time.Time // when the snapshot that it rests on was taken
	damaged bool      // newer snapshots are damaged
	bytes   int64     // of the payloads that were read
	types   []string  // of the events that were read
	values  []any     // scratch
}

// begin starts from the newest snapshot that serves, or from nothing.
func (f *fold[S, C]) begin(ctx context.Context, at []eventstream.ReadOption) error {
	f.State = f.r.decider.Initial()
	if f.r.opts.NoSnapshots {
		return f.checkOptions(ctx, at)
	}
	for found, err := range f.r.tenant.Snapshots(ctx, f.Stream, at...) {
		if errors.Is(err, eventstream.ErrCorrupt) {
			f.damage(&eventstream.SnapshotCorruptError{Tenant: f.r.opts.Tenant, Stream: f.Stream, Err: err})
			return nil // the walk ends with the damage: nobody knows what lies behind it
		}
		if err != nil {
			return err
		}
		if found.Err == nil && found.Snapshot.Fingerprint != f.r.fingerprint {
			f.r.stats.discarded.Add(1)
			continue // of another type, or another version of it
		}
		if found.Err == nil {
			found.Err = f.restore(&found.Snapshot)
		}
		if found.Err == nil {
			return nil
		}
		f.damage(found.Err)
	}
	return nil
}

// checkOptions refuses the options that a read of snapshots refuses.
func (f *fold[S, C]) checkOptions(ctx context.Context, at []eventstream.ReadOption) error {
	for _, err := range f.r.tenant.Snapshots(ctx, f.Stream, append(slices.Clone(at), eventstream.To(0))...) {
		return err
	}
	return nil
}

// restore takes the state out of a snapshot.
func (f *fold[S, C]) restore(s *snapshot.Snapshot) error {
	state, err := f.r.decodeState(s.Codec, s.State)
	if err != nil {
		return &eventstream.SnapshotCorruptError{Tenant: f.r.opts.Tenant, Stream: f.Stream, Version: s.Version, Err: err}
	}
	f.State, f.Version, f.Snapshot = state, s.Version, s.Version
	f.OccurredUntil, f.RecordedUntil, f.taken = s.OccurredUntil, s.RecordedUntil, s.TakenAt
	return nil
}

// damage reports a snapshot that does not serve.
func (f *fold[S, C]) damage(err error) {
	f.damaged = true
	f.r.stats.damaged.Add(1)
	f.r.opts.Logger.Warn("a damaged snapshot was passed over", slog.String("stream", string(f.Stream)), slog.Any("error", err))
	f.r.opts.OnFault(err)
}

// read applies the events that a read of the stream yields.
func (f *fold[S, C]) read(ctx context.Context, opts []eventstream.ReadOption) error {
	for ev, err := range f.r.tenant.ReadStream(ctx, f.Stream, opts...) {
		if err != nil {
			return err
		}
		if err := f.apply(ev); err != nil {
			return &FoldError{Stream: f.Stream, Version: ev.Version, Position: ev.Position, EventID: ev.ID, Type: ev.Type, Err: err}
		}
	}
	return nil
}

// apply takes one event into the state.
func (f *fold[S, C]) apply(ev eventstream.Event) (err error) {
	if f.values, err = f.r.events.Decode(f.values[:0], ev.Payload()); err != nil {
		return err
	}
	if err := f.evolve(ev); err != nil {
		return err
	}
	f.Version = ev.Version
	if ev.OccurredAt.After(f.OccurredUntil) || f.OccurredUntil.IsZero() {
		f.OccurredUntil = ev.OccurredAt
	}
	f.RecordedUntil = ev.RecordedAt // never decreases within a stream
	f.Events++
	f.bytes += int64(len(ev.Data))
	if !slices.Contains(f.types, ev.Type) {
		f.types = append(f.types, ev.Type)
	}
	return nil
}

// evolve gives the values of an event to the aggregate. After a panic nobody knows what
// the state is.
func (f *fold[S, C]) evolve(ev eventstream.Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	for _, value := range f.values {
		f.State = f.r.decider.Evolve(f.State, Event{Event: ev, Value: value})
	}
	return nil
}

// situation is what the policy decides by. A damaged snapshot counts as none: it is to
// be replaced.
func (f *fold[S, C]) situation() snapshot.Situation {
	s := snapshot.Situation{Version: f.Version, Now: f.r.db.Now(), Bytes: f.bytes, Types: f.types}
	if !f.damaged {
		s.Last, s.LastTaken = f.Snapshot, f.taken
	}
	return s
}

// due reports whether the policy asks for a snapshot.
func (f *fold[S, C]) due() bool {
	return !f.r.opts.NoSnapshots && f.Version > f.Snapshot && f.r.opts.Policy(f.situation())
}
