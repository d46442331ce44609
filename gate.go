package eventstream

import (
	"sync"
	"sync/atomic"
)

// gate lets calls in until it is shut, and tells when the last one has left. It
// exists because Pebble panics when it is used after Close.
type gate struct {
	// state counts the calls inside; shutting adds gateShut.
	state   atomic.Int64
	once    sync.Once // calls that are turned away may bring the count to zero again
	drained chan struct{}
}

const gateShut = int64(1) << 62

func newGate() *gate { return &gate{drained: make(chan struct{})} }

// enter reports whether the call may go on. If so, it must leave.
func (g *gate) enter() bool {
	if g.state.Add(1) < gateShut {
		return true
	}
	g.leave()
	return false
}

// join lets a goroutine in that works for calls inside, although the gate may be shut
// by now. It reports false once the last call has left.
func (g *gate) join() bool {
	for {
		n := g.state.Load()
		if n == gateShut {
			return false
		}
		if g.state.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (g *gate) leave() {
	if g.state.Add(-1) == gateShut {
		g.once.Do(func() { close(g.drained) })
	}
}

// shut turns new calls away. drained is closed once no call is inside.
//
// REQUIRES: called once.
func (g *gate) shut() {
	g.state.Add(gateShut + 1)
	g.leave()
}
