package projection

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/nexus-erp/eventstream"
)

// DryRunOptions says over which events a definition is tried.
type DryRunOptions struct {
	// After leaves out the events up to it. Default: 0, all events are in.
	After eventstream.Position
	// Until is the last position that is in. Default: the live view's checkpoint, so that
	// what differs is what the definition makes of the same events.
	Until eventstream.Position
	// Examples is how many differences, and how many events that failed, are returned; all
	// are counted. At most 10,000. Default: 20.
	Examples int
}

// DryRun is what a definition makes of events, against the live view.
type DryRun struct {
	Until eventstream.Position // the last position that was in
	Live  eventstream.Position // the live view's checkpoint
	// Processed is how many events took effect, and Failed how many Apply did not take,
	// which are left out. Nothing is tried twice.
	Processed, Failed uint64
	Failures          []ParkedEvent // the first of them
	// How many keys have the same value in both views, are in the new one alone, in the
	// live one alone, or have another value.
	Same, Added, Removed, Changed uint64
	Differences                   []Difference // the first, in the order of their keys
}

// Difference is a key that two views do not have in common. Live and New are its values;
// nil is no record, and an empty record is not nil.
type Difference struct{ Key, Live, New []byte }

const (
	mostExamples    = 10_000
	defaultExamples = 20
)

// DryRun tries what d makes of events, in memory, and compares it with the live view of
// that name, if there is one. Nothing is written to the store: it works on one that is
// open read-only too. d need not be registered. The new view takes memory, about as much
// as it would take on disk.
func (e *Engine) DryRun(ctx context.Context, d Definition, opts DryRunOptions) (DryRun, error) {
	if d.asOf() { // nobody would ask
		keyed := *d.Keyed
		keyed.AsOf, d.Keyed = false, &keyed
	}
	d, err := d.withDefaults()
	if err != nil {
		return DryRun{}, err
	}
	if opts.Examples == 0 {
		opts.Examples = defaultExamples
	}
	head := e.db.Head()
	switch {
	case opts.Examples < 0 || opts.Examples > mostExamples:
		return DryRun{}, argument("DryRunOptions.Examples", "%d is not between 0 and %d", opts.Examples, mostExamples)
	case opts.Until > head:
		return DryRun{}, argument("DryRunOptions.Until", "%d is above the head %d", opts.Until, head)
	case opts.Until != 0 && opts.After > opts.Until:
		return DryRun{}, argument("DryRunOptions.After", "%d is above Until, %d", opts.After, opts.Until)
	}
	scratch, err := eventstream.OpenMemory(&eventstream.Options{
		Clock: e.db.Now, MemTableBytes: 16 << 20, CacheBytes: 16 << 20, TailBytes: 64 << 10, Unstable: eventstream.Unstable{RunEvents: -1},
	})
	if err != nil {
		return DryRun{}, err
	}
	t := trial{e: e, def: &d, opts: opts}
	err = t.run(ctx, scratch)
	return t.result, errors.Join(err, scratch.Close())
}

// trial is a dry run under way.
type trial struct {
	e      *Engine
	def    *Definition
	opts   DryRunOptions
	w      *writer
	result DryRun
}

func (t *trial) run(ctx context.Context, scratch *eventstream.DB) error {
	// Views belong to tenants that have events.
	if _, err := scratch.Append(ctx, "dry-run", eventstream.NoStream, eventstream.NewEvent{Type: "DryRun"}); err != nil {
		return err
	}
	t.w = &writer{
		def: t.def, tenant: scratch.Tenant(eventstream.DefaultTenant), now: t.e.db.Now, at: func(string) {},
		view: eventstream.ViewID{Projection: t.def.Name, Generation: 1}, state: progressName(t.def.Name, 1),
		progress: progress{Checkpoint: uint64(t.opts.After)},
	}
	until := t.opts.Until
	if until == 0 {
		live, err := t.checkpoint()
		if err != nil {
			return err
		}
		until = live
	}
	if err := t.catchUp(ctx, until); err != nil {
		return err
	}
	return t.e.tenant.ReadDerived(func(d *eventstream.DerivedReader) error {
		live, err := liveView(d, t.def.Name)
		if err != nil {
			return err
		}
		if t.opts.Until == 0 { // the live view went on meanwhile
			until = live.Checkpoint
			if err := t.catchUp(ctx, until); err != nil {
				return err
			}
		}
		t.result.Until, t.result.Live, t.result.Processed = until, live.Checkpoint, t.w.progress.Processed
		return t.w.tenant.ReadView(t.w.view, func(tried *eventstream.ViewReader) error {
			return t.compare(ctx, live.ViewReader, tried)
		})
	})
}

// checkpoint returns that of the live view.
func (t *trial) checkpoint() (checkpoint eventstream.Position, err error) {
	err = t.e.tenant.ReadDerived(func(d *eventstream.DerivedReader) error {
		v, err := liveView(d, t.def.Name)
		checkpoint = v.Checkpoint
		return err
	})
	return checkpoint, err
}

// catchUp applies the events up to head, without those that fail.
func (t *trial) catchUp(ctx context.Context, head eventstream.Position) error {
	commit := func(c change) error {
		if err := t.w.commit(ctx, c); err != nil {
			return err
		}
		for i := range c.events {
			if parked, ok := c.park[c.events[i].Position]; ok {
				t.result.Failed++
				if len(t.result.Failures) < t.opts.Examples {
					t.result.Failures = append(t.result.Failures, parked)
				}
			}
		}
		return nil
	}
	return t.def.readBatches(ctx, t.e.tenant, t.w.checkpoint(), head, t.def.BatchEvents, func(events []eventstream.Event, until eventstream.Position) error {
		for len(events) > 0 || t.w.checkpoint() < until {
			err := applyBatch(events, until, commit)
			var failure *Error
			if !errors.As(err, &failure) {
				return err
			}
			events = events[len(before(events, failure.commit)):]
			whole := before(events, endOfCommit(&events[0])+1)
			if err := parkCommit(whole, failure, 1, t.e.db.Now(), commit); err != nil {
				return err
			}
			events = events[len(whole):]
		}
		return nil
	})
}

// compare walks two views in the order of their keys.
func (t *trial) compare(ctx context.Context, live, tried *eventstream.ViewReader) error {
	a, stopA := walk(live)
	defer stopA()
	b, stopB := walk(tried)
	defer stopB()
	for {
		if err := errors.Join(a.err, b.err, ctx.Err()); err != nil {
			return err
		}
		order := 0
		switch {
		case !a.ok && !b.ok:
			return nil
		case !a.ok:
			order = 1
		case !b.ok:
			order = -1
		default:
			order = bytes.Compare(a.record.Key, b.record.Key)
		}
		switch {
		case order < 0:
			t.result.Removed++
			t.differs(Difference{Key: a.record.Key, Live: present(a.record.Value)})
		case order > 0:
			t.result.Added++
			t.differs(Difference{Key: b.record.Key, New: present(b.record.Value)})
		case bytes.Equal(a.record.Value, b.record.Value):
			t.result.Same++
		default:
			t.result.Changed++
			t.differs(Difference{Key: a.record.Key, Live: present(a.record.Value), New: present(b.record.Value)})
		}
		if order <= 0 {
			a.step()
		}
		if order >= 0 {
			b.step()
		}
	}
}

// differs keeps a copy of d, if there are not enough yet.
func (t *trial) differs(d Difference) {
	if len(t.result.Differences) < t.opts.Examples {
		t.result.Differences = append(t.result.Differences, Difference{Key: slices.Clone(d.Key), Live: slices.Clone(d.Live), New: slices.Clone(d.New)})
	}
}

// present is the value of a record that is there.
func present(value []byte) []byte { return record(value, true) }

// walker is a scan that is taken step by step.
type walker struct {
	next   func() (eventstream.ViewRecord, error, bool)
	record eventstream.ViewRecord
	err    error
	ok     bool
}

// walk begins a walk over all records. stop ends it.
func walk(r *eventstream.ViewReader) (w *walker, stop func()) {
	next, stop := iter.Pull2(r.Scan(nil, nil))
	w = &walker{next: next}
	w.step()
	return w, stop
}

func (w *walker) step() { w.record, w.err, w.ok = w.next() }
