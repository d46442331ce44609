package engine

import (
	"sync"
	"sync/atomic"

	"github.com/nexus-erp/eventstream/keys"
)

// Watermark is a position that only rises, and that can be waited for. It is safe
// for concurrent use.
type Watermark struct {
	position atomic.Uint64

	mu sync.Mutex
	ch chan struct{} // closed at the next rise; nil while nobody waits
}

// Load returns the position.
func (w *Watermark) Load() keys.Position { return keys.Position(w.position.Load()) }

// Rise lifts the position to p, unless it is there already, and wakes those who
// wait.
func (w *Watermark) Rise(p keys.Position) {
	for {
		old := w.position.Load()
		if uint64(p) <= old {
			return
		}
		if w.position.CompareAndSwap(old, uint64(p)) {
			break
		}
	}
	w.mu.Lock()
	if w.ch != nil {
		close(w.ch)
		w.ch = nil
	}
	w.mu.Unlock()
}

// Above returns nil if the position is above p already, and otherwise a channel
// that is closed when it rises next.
func (w *Watermark) Above(p keys.Position) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.Load() > p {
		return nil
	}
	if w.ch == nil {
		w.ch = make(chan struct{})
	}
	return w.ch
}
