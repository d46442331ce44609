package engine

import (
	"context"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/nexus-erp/eventstream/keys"
)

// Ticket is a submitted batch whose outcome is awaited.
type Ticket struct {
	last keys.Position
	// done receives the outcome. It has room for one: the first outcome counts, and
	// who reports it never waits for a caller who went away.
	done  chan error
	batch *pebble.Batch
}

// report tells the outcome, unless one was told.
func (t *Ticket) report(err error) {
	select {
	case t.done <- err:
	default:
	}
}

// waiter owns every batch between hand-over and durability. Callers wait for their
// ticket, not inside Pebble, so that they can go away, and so that nobody is held
// by a disk that never answers. Batches arrive and become durable in log order.
type waiter struct {
	mu      sync.Mutex
	queue   []*Ticket // handed over, nobody awaits them yet
	taken   []*Ticket // being awaited
	next    int       // of taken: the first whose outcome was not told
	spare   []*Ticket
	wake    chan struct{}
	stop    chan struct{}
	stopped chan struct{}
}

func newWaiter() *waiter {
	return &waiter{
		wake:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
}

// add queues t. failed, if it returns an error, is t's outcome already.
func (w *waiter) add(t *Ticket, failed func() error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(w.queue, t)
	if err := failed(); err != nil {
		t.report(err) // fail may have passed before t was here
	}
	if len(w.queue) > 1 {
		return // whoever added the first one woke the waiter
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take moves the queue to taken.
func (w *waiter) take() []*Ticket {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.taken)
	w.spare, w.taken, w.queue, w.next = w.taken[:0], w.queue, w.spare, 0
	return w.taken
}

// tell reports the outcome of the next of taken. The caller of that ticket may use
// it again from then on, so it is out of fail's reach first.
func (w *waiter) tell(t *Ticket, err error) {
	w.mu.Lock()
	w.next++
	w.mu.Unlock()
	t.report(err)
}

// fail reports err to everyone who waits: the goroutine that awaits batches may be
// held inside Pebble.
func (w *waiter) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, tickets := range [][]*Ticket{w.taken[w.next:], w.queue} {
		for _, t := range tickets {
			t.report(err)
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
func (e *Engine) finish(t *Ticket) error {
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
	t.batch = nil
	e.Durable.Rise(t.last)
	return nil
}

// Submit hands b over to the log; nobody knows yet whether it is durable. last is
// the greatest position that b assigns, or 0. Calls must be ordered by the caller:
// the order of calls is the order in the log. Submit takes b over in any case.
//
// A failure poisons the engine, and b may then be in the log or not.
func (e *Engine) Submit(b Batch, last keys.Position) (*Ticket, error) {
	if err := e.writable(); err != nil {
		b.Release()
		return nil, err
	}
	if err := e.apply(b.b, pebble.Sync); err != nil {
		return nil, err
	}
	t, _ := e.tickets.Get().(*Ticket)
	if t == nil {
		t = &Ticket{done: make(chan error, 1)}
	}
	t.last, t.batch = last, b.b
	e.waiter.add(t, e.poison.get)
	return t, nil
}

// Write applies b without asking for a sync: it is durable with the next batch
// that is. It is for what is derived from events, and for stores that trade
// durability for speed. Otherwise it behaves as Submit does.
func (e *Engine) Write(b Batch) error {
	if err := e.writable(); err != nil {
		b.Release()
		return err
	}
	if err := e.apply(b.b, pebble.NoSync); err != nil {
		return err
	}
	_ = b.b.Close() // always nil: it only recycles the batch
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

// Wait returns once t's batch is durable, or with a [*PoisonError] if it may never
// be. If ctx ends first, Wait returns its error; the batch goes its way. Wait must
// be called once at the most, and t not used after it.
//
// It waits on t alone, not on a channel that everyone shares: many writers would
// contend for that channel's lock.
func (e *Engine) Wait(ctx context.Context, t *Ticket) error {
	var err error
	if gone := ctx.Done(); gone == nil {
		err = <-t.done
	} else {
		select {
		case err = <-t.done:
		case <-gone:
			return ctx.Err()
		}
	}
	if err == nil {
		e.tickets.Put(t) // after a failure, a second report may still come
	}
	return err
}

// Sync makes everything durable that was submitted or written before the call.
// last is the greatest position among it.
func (e *Engine) Sync(ctx context.Context, last keys.Position) error {
	b := e.db.NewBatch()
	if err := b.LogData([]byte("sync"), nil); err != nil {
		return err
	}
	t, err := e.Submit(Batch{b: b}, last)
	if err != nil {
		return err
	}
	return e.Wait(ctx, t)
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
