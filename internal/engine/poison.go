package engine

import (
	"fmt"
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

// get returns the failure, or nil while the log is sound.
func (p *poison) get() error {
	if err := p.err.Load(); err != nil {
		return err
	}
	return nil
}
