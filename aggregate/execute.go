package aggregate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
)

// Result is what became of a command.
type Result[S any] struct {
	// Loaded is the aggregate after the command, as a load at this version gives it.
	Loaded[S]
	// Append says where the command's events stand. It is zero if nothing followed from
	// the command. Append.Deduplicated says that the command was carried out before.
	Append eventstream.AppendResult
	// Attempts is how often it was decided: once, and once more after each conflict.
	Attempts int
}

// Option says more about the events of a command.
type Option func(*execution)

// execution is one command on its way.
type execution struct {
	id                      eventstream.EventID
	correlation, cause, who string
	metadata                map[string]string
	occurredAt              time.Time
}

// Correlation sets the CorrelationID of the command's events.
func Correlation(id string) Option { return func(x *execution) { x.correlation = id } }

// Causation sets the CausationID of the command's events.
func Causation(id string) Option { return func(x *execution) { x.cause = id } }

// User sets the UserID of the command's events.
func User(id string) Option { return func(x *execution) { x.who = id } }

// Metadata adds to the metadata of the command's events. It is copied.
func Metadata(m map[string]string) Option {
	m = maps.Clone(m)
	return func(x *execution) { x.metadata = m }
}

// OccurredAt sets when the command's events happened. Default: when they are recorded.
func OccurredAt(t time.Time) Option { return func(x *execution) { x.occurredAt = t } }

// CommandID makes the command idempotent: the first of its events gets this id, and a
// command whose id is in the store is not decided again, but answered with where its
// events stand. A command that led to no event is.
func CommandID(id eventstream.EventID) Option { return func(x *execution) { x.id = id } }

// Execute loads the aggregate of stream, lets it decide, and appends the events that
// follow at the version that was loaded. After a conflict it reads the events that it
// missed, and decides again, until ctx ends. If the policy asks for a snapshot, it is
// taken afterwards by another goroutine.
//
// Errors: Decide's, as it is; those of Load and of [eventstream.DB.Append]; an error of
// the codec for an event of a Go type that is not registered. Nothing was appended then,
// but for a [*eventstream.CommitUnknownError], and for an error after the append, with
// which the result names where the events stand.
func (r *Repository[S, C]) Execute(ctx context.Context, stream eventstream.StreamID, command C, opts ...Option) (Result[S], error) {
	var x execution
	for _, opt := range opts {
		opt(&x)
	}
	if r.decider.Decide == nil {
		return Result[S]{}, argument("Decider.Decide", "it is required to execute commands")
	}
	if done, ok, err := r.executed(ctx, stream, &x); ok || err != nil {
		return done, err
	}
	f, err := r.load(ctx, stream)
	if err != nil {
		return Result[S]{}, err
	}
	var (
		result  Result[S]
		refused error // by Decide: it is no conflict of ours, whatever it matches
	)
	err = eventstream.RetryOnConflict(ctx, func() error {
		if result.Attempts++; result.Attempts > 1 {
			r.stats.conflicts.Add(1)
			if err := f.read(ctx, []eventstream.ReadOption{eventstream.From(f.Version + 1)}); err != nil {
				return err
			}
		}
		var values []any
		if values, refused = r.decider.Decide(f.State, command); refused != nil || len(values) == 0 {
			return nil
		}
		events, err := r.encode(values, &x)
		if err != nil {
			return err
		}
		result.Append, err = r.tenant.Append(ctx, stream, eventstream.Exact(f.Version), events...)
		return err
	})
	if taken, ok := errors.AsType[*eventstream.DuplicateEventError](err); ok && taken.EventID == x.id {
		if done, ok, err := r.executed(ctx, stream, &x); ok || err != nil { // meanwhile, by another
			return done, err
		}
	}
	if refused != nil {
		return Result[S]{}, refused
	}
	if err != nil {
		return Result[S]{}, err
	}
	err = r.finish(ctx, f, &result)
	result.Loaded = f.Loaded
	return result, err
}

// finish takes the events that were appended into the state. They are read back, so
// that the state is that of a load.
func (r *Repository[S, C]) finish(ctx context.Context, f *fold[S, C], result *Result[S]) error {
	if result.Append.LastVersion > f.Version {
		opts := []eventstream.ReadOption{eventstream.From(f.Version + 1), eventstream.To(result.Append.LastVersion)}
		if err := f.read(context.WithoutCancel(ctx), opts); err != nil {
			return fmt.Errorf("the command's events were appended, up to version %d, but: %w", result.Append.LastVersion, err)
		}
	}
	r.offer(f)
	return nil
}

// executed answers a command that was carried out before.
func (r *Repository[S, C]) executed(ctx context.Context, stream eventstream.StreamID, x *execution) (done Result[S], ok bool, err error) {
	if x.id.IsZero() {
		return Result[S]{}, false, nil
	}
	first, err := r.tenant.Event(ctx, x.id)
	if errors.Is(err, eventstream.ErrEventNotFound) {
		return Result[S]{}, false, nil
	}
	if err != nil {
		return Result[S]{}, false, err
	}
	if first.Stream != stream || first.CommitIndex != 0 {
		return Result[S]{}, false, &eventstream.DuplicateEventError{
			Tenant: r.opts.Tenant, EventID: x.id, Position: first.Position,
			Reason: fmt.Sprintf("it is that of an event of stream %q, not of a command on %q", first.Stream, stream),
		}
	}
	done.Append = eventstream.AppendResult{
		Stream: stream, FirstVersion: first.Version, FirstPosition: first.Position, RecordedAt: first.RecordedAt, Deduplicated: true,
	}
	for ev, err := range r.tenant.ReadStream(ctx, stream, eventstream.From(first.Version)) {
		if err != nil {
			return Result[S]{}, false, err
		}
		if ev.CommitPosition() != first.Position {
			break
		}
		done.Append.EventIDs = append(done.Append.EventIDs, ev.ID)
		done.Append.LastVersion, done.Append.LastPosition = ev.Version, ev.Position
	}
	f, err := r.load(ctx, stream, eventstream.To(done.Append.LastVersion))
	if err != nil {
		return Result[S]{}, false, err
	}
	done.Loaded = f.Loaded
	return done, true, nil
}

// encode makes events of what Decide returned.
func (r *Repository[S, C]) encode(values []any, x *execution) ([]eventstream.NewEvent, error) {
	events := make([]eventstream.NewEvent, len(values))
	for i, value := range values {
		e, whole := value.(eventstream.NewEvent)
		if !whole {
			e.Data = value
		}
		if e.Type != "" || e.SchemaVersion != 0 || e.Codec != 0 {
			return nil, argument(fmt.Sprintf("events[%d]", i), "a NewEvent that is decided has its value in Data, and no Type, SchemaVersion or Codec: they are those of the registry")
		}
		p, err := r.events.Encode(e.Data)
		if err != nil {
			return nil, fmt.Errorf("events[%d]: %w", i, err)
		}
		e.Type, e.SchemaVersion, e.Codec, e.Data = p.Type, p.Schema, p.Codec, codec.Encoded(p.Data)
		x.describe(&e, i)
		events[i] = e
	}
	return events, nil
}

// describe fills in what the command's options say, where the event does not say it.
func (x *execution) describe(e *eventstream.NewEvent, index int) {
	if index == 0 && e.ID.IsZero() {
		e.ID = x.id
	}
	for _, label := range [...]struct {
		field *string
		value string
	}{
		{&e.CorrelationID, x.correlation}, {&e.CausationID, x.cause}, {&e.UserID, x.who},
	} {
		if *label.field == "" {
			*label.field = label.value
		}
	}
	if e.OccurredAt.IsZero() {
		e.OccurredAt = x.occurredAt
	}
	if len(x.metadata) > 0 {
		merged := maps.Clone(x.metadata)
		maps.Copy(merged, e.Metadata)
		e.Metadata = merged
	}
}
