package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/nexus-erp/eventstream/keys"
)

// Reporter is told the outcome of a batch: nil once it is durable, or the failure of
// the log, after which nobody knows. Of several calls the first counts: a failure may
// be told again. Report must not block. Reporters are compared with ==.
type Reporter interface {
	Report(err error)
}

// ticket is a batch whose outcome is to be told.
type ticket struct {
	last     keys.Position
	batch    *pebble.Batch
	reporter Reporter
}

// waiter owns every batch from its hand-over until its outcome is told. Those who
// wait do so outside of Pebble, so that they can go away, and so that nobody is held
// by a disk that never answers. Batches arrive and become durable in log order.
type waiter struct {
	mu       sync.Mutex
	applying []Reporter // of the batches that are being handed over
	queue    []ticket   // handed over, nobody awaits them yet
	taken    []ticket   // being awaited
	next     int        // of taken: the first whose outcome was not told
	spare    []ticket
	wake     chan struct{}
	stop     chan struct{}
	stopped  chan struct{}
}

func newWaiter() *waiter {
	return &waiter{
		wake:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
}

// begin notes whose batch is about to be applied, in case it never returns. If the
// log failed meanwhile, fail may have passed already: then nothing may be applied.
func (e *Engine) begin(r Reporter) error {
	e.waiter.mu.Lock()
	e.waiter.applying = append(e.waiter.applying, r)
	e.waiter.mu.Unlock()
	err := e.poison.get()
	if err != nil {
		e.waiter.end(r, nil)
	}
	return err
}

// end notes that r's batch was applied. With a ticket, it is to be awaited.
func (w *waiter) end(r Reporter, t *ticket) {
	w.mu.Lock()
	i := slices.Index(w.applying, r)
	w.applying = slices.Delete(w.applying, i, i+1)
	first := len(w.queue) == 0
	if t != nil {
		w.queue = append(w.queue, *t)
	}
	w.mu.Unlock()
	if t == nil || !first {
		return // whoever added the first one wakes the waiter
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take moves the queue to taken.
func (w *waiter) take() []ticket {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.taken)
	w.spare, w.taken, w.queue, w.next = w.taken[:0], w.queue, w.spare, 0
	return w.taken
}

// tell reports the outcome of the next of taken, which is out of fail's reach first:
// a batch that is durable did not fail.
func (w *waiter) tell(t ticket, err error) {
	w.mu.Lock()
	w.next++
	w.mu.Unlock()
	t.reporter.Report(err)
}

// fail tells everyone who waits: the goroutines that hand over and await batches may
// be held inside Pebble.
func (w *waiter) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range w.applying {
		r.Report(err)
	}
	for _, tickets := range [][]ticket{w.taken[w.next:], w.queue} {
		for _, t := range tickets {
			t.reporter.Report(err)
		}
	}
}

func (w *waiter) idle() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) == 0
}

// await waits for the log's sync of one batch after the other, and lifts the
// durable head.
func (e *Engine) await() {
	w := e.waiter
	defer close(w.stopped)
	for stopping := false; ; {
		for _, t := range w.take() {
			w.tell(t, e.finish(t))
		}
		if w.idle() {
			if stopping {
				return
			}
			select {
			case <-w.wake:
			case <-w.stop:
				stopping = true
			}
		}
	}
}

// finish waits until t's batch is durable. A sync that succeeds covers all of the
// log before it: there is one log, and its rotation syncs the old file first.
func (e *Engine) finish(t ticket) error {
	err := t.batch.SyncWait()
	if err == nil {
		// After a failed sync of an earlier batch, later ones must not count: the log
		// before them may have a hole.
		err = e.poison.get()
	}
	if err != nil {
		return e.poison.set(err)
	}
	_ = t.batch.Close() // always nil: it only recycles the batch
	e.Durable.Rise(t.last)
	return nil
}

// Submit hands b over to the log, and has reporter told once it is durable, perhaps
// before the call returns. last is the greatest position that b assigns, or 0. Calls
// must be ordered by the caller: the order of calls is the order in the log. Submit
// takes b over in any case. It may be held inside Pebble, while writes stall or, after
// a failure, for good: only goroutines that nobody waits for may call it.
//
// An error says that nothing was handed over, and nothing is told.
func (e *Engine) Submit(b Batch, last keys.Position, reporter Reporter) error {
	if err := e.writable(); err != nil {
		b.Release()
		return err
	}
	if err := e.begin(reporter); err != nil {
		b.Release()
		return err
	}
	if err := e.apply(b.b, pebble.Sync); err != nil {
		e.waiter.end(reporter, nil)
		reporter.Report(err)
		return nil
	}
	e.waiter.end(reporter, &ticket{last: last, batch: b.b, reporter: reporter})
	return nil
}

// Write applies b without asking for a sync, and has reporter told that it is
// applied: it is durable with the next batch that is. It is for what is derived from
// events, and for stores that trade durability for speed. Otherwise it behaves as
// Submit does.
func (e *Engine) Write(b Batch, reporter Reporter) error {
	if err := e.writable(); err != nil {
		b.Release()
		return err
	}
	if err := e.begin(reporter); err != nil {
		b.Release()
		return err
	}
	err := e.apply(b.b, pebble.NoSync)
	e.waiter.end(reporter, nil)
	if err == nil {
		_ = b.b.Close() // always nil: it only recycles the batch
	}
	reporter.Report(err)
	return nil
}

// apply is the one place where anything is written. Whatever goes wrong in it
// poisons the engine: Pebble's commit pipeline does not recover.
func (e *Engine) apply(b *pebble.Batch, opts *pebble.WriteOptions) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = e.recovered(r)
		}
	}()
	if opts.Sync {
		err = e.db.ApplyNoSyncWait(b, opts)
	} else {
		err = e.db.Apply(b, opts)
	}
	if err != nil {
		return e.poison.set(err)
	}
	return nil
}

// recovered turns a panic of Pebble into poison. Pebble may still hold its locks,
// so nothing calls its write path again.
func (e *Engine) recovered(r any) error {
	switch r := r.(type) {
	case fatalSignal:
		return e.poison.get()
	case error:
		return e.poison.set(r)
	default:
		return e.poison.set(fmt.Errorf("pebble: panic: %v", r))
	}
}

// outcome is a Reporter for one who waits.
type outcome chan error

// Report implements Reporter.
func (o outcome) Report(err error) {
	select {
	case o <- err:
	default:
	}
}

// SubmitAndWait hands b over and waits until it is durable. If ctx ends first, it
// returns ctx's error; the batch goes its way. The caller is never held inside
// Pebble, as Submit's may be.
func (e *Engine) SubmitAndWait(ctx context.Context, b Batch, last keys.Position) error {
	o := make(outcome, 1)
	go func() {
		if err := e.Submit(b, last, o); err != nil {
			o.Report(err)
		}
	}()
	select {
	case err := <-o:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// WriteAndWait is Write for one who waits, and who is not held inside Pebble if the log
// fails.
func (e *Engine) WriteAndWait(b Batch) error {
	o := make(outcome, 1)
	go func() {
		if err := e.Write(b, o); err != nil {
			o.Report(err)
		}
	}()
	return <-o
}

// Sync makes everything durable that was submitted or written before the call.
// last is the greatest position among it.
func (e *Engine) Sync(ctx context.Context, last keys.Position) error {
	b, err := e.syncBatch()
	if err != nil {
		return err
	}
	return e.SubmitAndWait(ctx, Batch{b: b}, last)
}

// syncNow is Sync once nobody waits for the log any more, and nothing is submitted.
func (e *Engine) syncNow() error {
	b, err := e.syncBatch()
	if err != nil {
		return err
	}
	if err := e.apply(b, pebble.Sync); err != nil {
		return err
	}
	return e.finish(ticket{batch: b})
}

// syncBatch returns a batch that writes nothing but to the log.
func (e *Engine) syncBatch() (*pebble.Batch, error) {
	b := e.db.NewBatch()
	return b, b.LogData([]byte("sync"), nil)
}

// writable returns why nothing can be written, or nil.
func (e *Engine) writable() error {
	if err := e.poison.get(); err != nil {
		return err
	}
	if e.readOnly {
		return pebble.ErrReadOnly
	}
	return nil
}
