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
	// done receives the outcome once. It has room for it, so that the waiter never
	// waits for a caller who went away.
	done  chan error
	batch *pebble.Batch
}

// waiter owns every batch between hand-over and durability. Callers wait for their
// ticket, not inside Pebble, so that they can go away, and so that nobody is held
// by a disk that never answers. Batches arrive and become durable in log order.
type waiter struct {
	mu      sync.Mutex
	queue   []*Ticket
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

func (w *waiter) add(t *Ticket) {
	w.mu.Lock()
	w.queue = append(w.queue, t)
	first := len(w.queue) == 1
	w.mu.Unlock()
	if !first {
		return // whoever added the first one woke the waiter
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// take returns all waiting tickets. The slice is valid until the next call.
func (w *waiter) take() []*Ticket {
	w.mu.Lock()
	defer w.mu.Unlock()
	taken := w.queue
	clear(w.spare)
	w.queue, w.spare = w.spare[:0], taken
	return taken
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
			t.done <- e.finish(t)
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
	e.waiter.add(t)
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
func (e *Engine) Wait(ctx context.Context, t *Ticket) error {
	select {
	case err := <-t.done:
		e.tickets.Put(t)
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-e.poison.ch:
		// The outcome may be there already.
		select {
		case err := <-t.done:
			return err
		default:
			return e.poison.get()
		}
	}
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
