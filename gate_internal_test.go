package eventstream

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func TestAGateIsDrainedWhenTheLastCallLeft(t *testing.T) {
	t.Parallel()
	g := newGate()
	for range 2 {
		if !g.enter() {
			t.Fatal("an open gate turned a call away")
		}
	}
	g.leave()
	g.shut()
	if g.enter() {
		t.Error("a shut gate let a call in")
	}
	if isClosed(g.drained) {
		t.Error("drained while a call is inside")
	}
	g.leave()
	if !isClosed(g.drained) {
		t.Error("not drained although the last call has left")
	}
	if g.enter() {
		t.Error("a drained gate let a call in")
	}
}

func TestAGoroutineJoinsAShutGateWhileACallIsInside(t *testing.T) {
	t.Parallel()
	g := newGate()
	if !g.enter() {
		t.Fatal("an open gate turned a call away")
	}
	g.shut()
	if !g.join() {
		t.Fatal("a gate with a call inside turned its helper away")
	}
	g.leave()
	if isClosed(g.drained) {
		t.Error("drained while the helper is inside")
	}
	g.leave()
	if !isClosed(g.drained) {
		t.Error("not drained although everyone has left")
	}
	if g.join() {
		t.Error("a drained gate let a helper in")
	}
}

func TestAnEmptyGateIsDrainedAtOnce(t *testing.T) {
	t.Parallel()
	g := newGate()
	if g.enter() {
		g.leave()
	}
	if isClosed(g.drained) {
		t.Error("drained before it was shut")
	}
	g.shut()
	if !isClosed(g.drained) {
		t.Error("not drained although no call is inside")
	}
}

// Calls come and go while the gate is shut: whoever was let in finds what the gate
// guards, and it goes away only after the last of them.
func TestAGateKeepsWhatItGuardsUntilItIsDrained(t *testing.T) {
	t.Parallel()
	for range 100 {
		g := newGate()
		var inside atomic.Int64
		var gone atomic.Bool
		var wg sync.WaitGroup
		entered := make(chan struct{}, 16)
		for range 16 {
			wg.Go(func() {
				for first := true; g.enter(); first = false {
					inside.Add(1)
					if gone.Load() {
						t.Error("inside after the gate was drained")
					}
					if first {
						entered <- struct{}{}
					}
					inside.Add(-1)
					g.leave()
					runtime.Gosched() // let others in between
				}
			})
		}
		<-entered
		g.shut()
		<-g.drained
		gone.Store(true)
		if n := inside.Load(); n != 0 {
			t.Errorf("drained with %d calls inside", n)
		}
		wg.Wait()
	}
}
