package projection

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/nexus-erp/eventstream"
)

// RebuildOptions says how to rebuild a view.
type RebuildOptions struct {
	// Workers is how many goroutines apply events, each those of its own streams. More
	// than one needs [Definition.PartitionedByStream]. At most 64. Default: 1.
	Workers int
	// StartOver drops what an unfinished rebuild left, instead of going on with it.
	StartOver bool
	// Verify is asked before the new view takes the old one's place, and keeps it from it
	// by an error, which Rebuild returns as one that matches [ErrNotVerified]; the new view
	// is kept as that of an unfinished rebuild. Both are read at one moment. If the
	// projection runs, they are at the same checkpoint; if it is paused or halted, fails,
	// or does not run, the old one may be behind. Default: nothing is asked.
	Verify func(ctx context.Context, old, rebuilt View) error
	// Progress is told how far the rebuild is, after each commit, by one goroutine at a
	// time. It delays the rebuild. Default: nobody is told.
	Progress func(RebuildProgress)
}

// RebuildProgress is how far a rebuild is.
type RebuildProgress struct {
	Generation uint64
	Checkpoint eventstream.Position // everything up to it took effect
	Head       eventstream.Position
	Events     uint64        // that took effect, those of earlier calls included
	Rate       float64       // events a second since this call began; 0 if no time has passed
	ETA        time.Duration // until Checkpoint reaches Head, at the pace so far; 0 if that is not known yet
	Failures   uint64
	LastError  string
}

const mostWorkers = 64

func (o RebuildOptions) withDefaults(d *Definition) (RebuildOptions, error) {
	if o.Workers == 0 {
		o.Workers = 1
	}
	if o.Progress == nil {
		o.Progress = func(RebuildProgress) {}
	}
	switch {
	case o.Workers < 0 || o.Workers > mostWorkers:
		return o, argument("RebuildOptions.Workers", "%d is not between 1 and %d", o.Workers, mostWorkers)
	case o.Workers > 1 && !d.PartitionedByStream:
		return o, argument("RebuildOptions.Workers", "%d workers need a definition that declares PartitionedByStream", o.Workers)
	default:
		return o, nil
	}
}

// Rebuild builds the view of a projection anew, from the first event on, as a new
// generation beside the live one, which readers go on seeing and which goes on following
// the log. Once the new one has reached it, one durable commit puts it in its place: no
// reader sees an older checkpoint than before, and the projection goes on from the new
// one's. The old one is kept for [Engine.SwitchBack]; the one before it is dropped.
//
// A rebuild that ends early, by ctx, an error or a crash, has left the live view as it
// was. Calling Rebuild again goes on where it ended, however many workers it has now,
// unless the definition has another [Definition.Version]: then, or with StartOver, what
// was left is dropped. Nothing goes on by itself after a restart.
//
// An event that fails is treated by the projection's policy, for the new generation
// alone. [Retry]: it is tried again until ctx ends. [Park]: it is put aside; events that
// are parked belong to a generation, and [Engine.Parked] shows those of the live one.
// [Halt]: Rebuild returns its [*Error].
//
// The engine need not run. A halt ends with the switch, since it belongs to the view that
// could not go on; a pause stays.
//
// Errors: [*LockedError] if another engine holds the projection's lease, or a rebuild is
// under way in this one; [*SharedKeyError] if several workers wrote a key, and the new
// generation is dropped; [ErrLeaseLost]; [*eventstream.ArgumentError]; those of reading
// and writing the store.
func (e *Engine) Rebuild(ctx context.Context, name string, opts RebuildOptions) error {
	return e.withJob(ctx, name, func(j *job) error { return j.rebuild(opts) })
}

func (j *job) rebuild(opts RebuildOptions) error {
	opts, err := opts.withDefaults(&j.r.def)
	if err != nil {
		return err
	}
	b, err := j.openRebuild(opts)
	if err != nil {
		return err
	}
	if err := j.inParts(b); err != nil {
		return err
	}
	b.see()
	if opts.Verify != nil {
		if err := j.verify(b, opts.Verify); err != nil {
			return err
		}
	}
	return j.takeOver(b.whole, b.teller(b.whole, 0))
}

// building is a generation under construction.
type building struct {
	j      *job
	opts   RebuildOptions
	record rebuild
	whole  *writer
	parts  []*writer // while its streams are in parts

	telling sync.Mutex
	seen    []progress // of the parts, or of the whole; telling guards it
	from    uint64     // the checkpoint when the call began
}

// teller returns what a writer of the rebuild calls when it made progress: the writer of
// the part with that number, or of the whole, which is part 0.
func (b *building) teller(w *writer, part int) func() {
	return func() {
		b.telling.Lock()
		defer b.telling.Unlock()
		b.seen[part] = w.progress
		b.tellLocked()
	}
}

// see notes how far the writers are, none of which is at work.
func (b *building) see() {
	b.telling.Lock()
	defer b.telling.Unlock()
	b.seen = []progress{b.whole.progress}
	if b.parts != nil {
		b.seen = b.seen[:0]
		for _, w := range b.parts {
			b.seen = append(b.seen, w.progress)
		}
	}
}

// tellLocked tells how far the rebuild is.
//
// REQUIRES: b.telling is held.
func (b *building) tellLocked() {
	sum := joined(b.seen)
	p := RebuildProgress{
		Generation: b.record.Generation, Checkpoint: eventstream.Position(sum.Checkpoint), Head: b.j.r.e.db.Head(),
		Events: sum.Processed, Failures: sum.Failures, LastError: sum.LastError,
	}
	b.j.r.mu.Lock()
	took := b.j.beat.Sub(b.j.began)
	p.Rate = b.j.rateLocked()
	b.j.r.mu.Unlock()
	if done := sum.Checkpoint - b.from; done > 0 && p.Head > p.Checkpoint {
		p.ETA = time.Duration(min(float64(took)*float64(p.Head-p.Checkpoint)/float64(done), math.MaxInt64/2))
	}
	b.opts.Progress(p)
}

// rateLocked returns how many events a second took effect since the job began.
//
// REQUIRES: j.r.mu is held.
func (j *job) rateLocked() float64 {
	if took := j.beat.Sub(j.began); took > 0 {
		return float64(j.done) / took.Seconds()
	}
	return 0
}

// openRebuild goes on with the rebuild that is not finished, or begins one.
func (j *job) openRebuild(opts RebuildOptions) (*building, error) {
	b := &building{j: j, opts: opts}
	left, err := stored(j.r.e.tenant.DerivedState).read(rebuildName(j.r.def.Name), &b.record)
	if err != nil {
		return nil, err
	}
	goesOn := false
	if left && !opts.StartOver {
		if goesOn, err = b.load(); err != nil {
			return nil, err
		}
	}
	if !goesOn {
		if err := b.begin(left); err != nil {
			return nil, err
		}
	}
	b.see()
	b.from = joined(b.seen).Checkpoint
	j.r.show(func() { j.generation = b.record.Generation })
	return b, nil
}

// load reads how far the rebuild came, and reports whether it can go on.
func (b *building) load() (bool, error) {
	r := b.j.r
	p, err := stored(r.e.tenant.DerivedState).progress(r.def.Name, b.record.Generation)
	if err != nil {
		return false, err
	}
	if !p.builtBy(&r.def) || b.record.Parts > 1 && !r.def.PartitionedByStream {
		return false, nil
	}
	b.whole = r.writer(b.record.Generation, p, b.j.lease.Check)
	if b.record.Parts == 1 {
		return true, nil
	}
	b.parts = make([]*writer, b.record.Parts)
	for i := range b.parts {
		if b.parts[i], err = b.j.partWriter(b.record.Generation, i); err != nil {
			return false, err
		}
	}
	return true, nil
}

// begin makes a new generation, and drops what an earlier rebuild left.
func (b *building) begin(left bool) error {
	r, old := b.j.r, b.record.Generation
	now := r.e.db.Now().UnixNano()
	d := eventstream.Derivation{View: r.viewOf(1), Guard: b.j.lease.Check}
	if left {
		d.Clear = []eventstream.ViewID{r.viewOf(old)}
	}
	set, err := r.commitSettings(d, func(s *settings) error {
		s.Newest++
		return nil
	}, func(tx *eventstream.Tx, s settings) error {
		if left {
			if err := r.dropStates(tx, old); err != nil {
				return err
			}
		}
		var p progress
		p.begin(&r.def)
		b.record = rebuild{Generation: s.Newest, Parts: 1, StartedAt: now}
		return errors.Join(setState(tx, progressName(r.def.Name, s.Newest), p), setState(tx, rebuildName(r.def.Name), b.record))
	})
	if err != nil {
		return err
	}
	r.show(func() { r.set = set })
	b.whole, err = b.j.writer(b.record.Generation)
	return err
}

// approach applies events to w until what the live view shows and w does not is at most
// a batch, or does not become less.
func (j *job) approach(w *writer, told func()) error {
	for gap := eventstream.Position(math.MaxInt64); ; {
		if err := j.catchUp(w, j.r.e.db.Head(), told); err != nil {
			return err
		}
		live := j.r.place().checkpoint
		left := max(live, w.checkpoint()) - w.checkpoint()
		if left <= eventstream.Position(j.r.def.BatchEvents) || left >= gap {
			return nil
		}
		gap = left
	}
}

// reach applies to w what the live view shows and w does not.
//
// REQUIRES: j.r.commit is held, so that the live view stands still.
func (j *job) reach(w *writer) error {
	commit := func(c change) error { return w.commit(j.ctx, c) }
	live := j.r.place().checkpoint
	if w.checkpoint() >= live {
		return nil
	}
	return j.r.def.readBatches(j.ctx, j.r.e.tenant, w.checkpoint(), live, j.r.def.BatchEvents, func(events []eventstream.Event, until eventstream.Position) error {
		return applyBatch(events, until, commit)
	})
}

// verify asks whether the new view may take the old one's place.
func (j *job) verify(b *building, ask func(ctx context.Context, old, rebuilt View) error) error {
	for {
		if err := j.approach(b.whole, b.teller(b.whole, 0)); err != nil {
			return err
		}
		if err := j.r.awaitRunning(j.ctx, b.whole.checkpoint()); err != nil {
			return err
		}
		again, err := j.verifyOnce(b, ask)
		if !again {
			return err
		}
	}
}

// verifyOnce asks once. again says that an event failed which the live view passed
// meanwhile: then it is treated by policy first.
func (j *job) verifyOnce(b *building, ask func(ctx context.Context, old, rebuilt View) error) (again bool, err error) {
	r := j.r
	r.commit.Lock()
	unlock := sync.OnceFunc(r.commit.Unlock)
	defer unlock()
	if err := j.reach(b.whole); err != nil {
		var failure *Error
		return errors.As(err, &failure), err
	}
	return false, r.e.tenant.ReadDerived(func(d *eventstream.DerivedReader) error {
		unlock()
		old, err := viewAt(d, r.def.Name, r.place().generation)
		if err != nil {
			return err
		}
		rebuilt, err := viewAt(d, r.def.Name, b.record.Generation)
		if err != nil {
			return err
		}
		if err := ask(j.ctx, old, rebuilt); err != nil {
			return fmt.Errorf("%w: projection %q, generation %d: %w", ErrNotVerified, r.def.Name, b.record.Generation, err)
		}
		return nil
	})
}

// awaitRunning waits until the live view has reached checkpoint, as long as the runner
// brings it on.
func (r *runner) awaitRunning(ctx context.Context, checkpoint eventstream.Position) error {
	for {
		r.mu.Lock()
		comes := r.state == StatusRunning && r.stoppedLocked() == "" && r.placeLocked().checkpoint < checkpoint
		changed := r.changed
		r.mu.Unlock()
		if !comes {
			return nil
		}
		if err := await(ctx, changed, true); err != nil {
			return err
		}
	}
}
