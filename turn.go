package eventstream

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// turn is the lock of the sequencer. Unlike a sync.Mutex it can be waited for with
// a context: whoever has it may be held by a disk that stalls. Unlike a channel with
// one slot it is not handed from one waiter to the next in order: then every append
// would have to be parked and woken once more as soon as one has waited, which
// costs more than the turn itself.
type turn struct {
	mu      sync.Mutex // only ever tried
	waiting atomic.Int32
	freed   chan struct{} // holds one token, put there by an end that saw someone waiting
}

func newTurn() *turn { return &turn{freed: make(chan struct{}, 1)} }

// spins is how often a turn is tried before its taker is parked. A turn takes a few
// microseconds, which is about what parking costs.
const spins = 4

// take waits for the turn. It returns ctx's error if that ends first, and calls
// stopped if stop is closed first.
func (t *turn) take(ctx context.Context, stop <-chan struct{}, stopped func() error) error {
	for range spins {
		if t.mu.TryLock() {
			return nil
		}
		runtime.Gosched()
	}
	t.waiting.Add(1)
	defer t.waiting.Add(-1)
	for !t.mu.TryLock() {
		select {
		case <-t.freed:
		case <-ctx.Done():
			return ctx.Err()
		case <-stop:
			return stopped()
		}
	}
	return nil
}

// end gives the turn up. Somebody who did not wait may be faster than those who
// do; they see a new token when that one ends.
func (t *turn) end() {
	t.mu.Unlock()
	if t.waiting.Load() == 0 {
		return
	}
	select {
	case t.freed <- struct{}{}:
	default:
	}
}
