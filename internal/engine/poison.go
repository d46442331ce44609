package engine

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

// PoisonError is the first failure of the log. Every write after it fails with it.
type PoisonError struct{ Err error }

// Error shows the failure.
func (e *PoisonError) Error() string { return fmt.Sprintf("log failed: %v", e.Err) }

// Unwrap returns the failure.
func (e *PoisonError) Unwrap() error { return e.Err }

// poison remembers the first failure and tells everyone who waits.
type poison struct {
	once sync.Once
	err  atomic.Pointer[PoisonError]
	ch   chan struct{}
	tell func(error) // called once, with the failure

	dead atomic.Bool // Pebble goes no further, and may hold its lock for good; set before err is
}

func newPoison(tell func(error)) *poison {
	return &poison{ch: make(chan struct{}), tell: tell}
}

// set records err unless an earlier failure stands, and returns the one that does.
func (p *poison) set(err error) *PoisonError {
	p.once.Do(func() {
		p.err.Store(&PoisonError{Err: err})
		close(p.ch)
		p.tell(p.err.Load())
	})
	return p.err.Load()
}

// held returns the failure if Pebble may hold its lock for good, or nil: whoever is
// about to wait for that lock asks first.
func (p *poison) held() error {
	if !p.dead.Load() {
		return nil
	}
	<-p.ch // it is told at once
	return p.get()
}

// release closes what Pebble handed out to read from. That may take its lock, so it is
// left open if Pebble may hold that for good: nothing can be written any more, and what
// was read is right.
func (p *poison) release(c io.Closer) error {
	if p.dead.Load() {
		return nil
	}
	return c.Close()
}

// get returns the failure, or nil while the log is sound.
func (p *poison) get() error {
	if err := p.err.Load(); err != nil {
		return err
	}
	return nil
}
