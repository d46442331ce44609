package model

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/nexus-erp/eventstream"
)

// Call is what one goroutine asked of one stream, and what it was told. An append to
// several streams that went through is a call for each; one that was refused is a call
// for the stream that it was refused for.
type Call struct {
	Client       int
	Stream       string // with its tenant, if there are several
	Began, Ended int64

	// An append.
	Append   bool
	Expect   eventstream.Expected
	IDs      []eventstream.EventID
	First    eventstream.Version // of its events, if it went through
	Conflict bool                // it was refused, since the stream stood at Actual
	Actual   eventstream.Version
	Unknown  bool // nobody knows whether it went through; if Ended is 0, it still may

	// Or a read: the events that it saw.
	Saw []eventstream.EventID
}

// streamState is a stream as its events tell it: how many, and which, in order.
type streamState struct {
	version eventstream.Version
	sum     uint64
}

func (s streamState) with(ids []eventstream.EventID) streamState {
	for _, id := range ids {
		h := fnv.New64a()
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, s.sum))
		_, _ = h.Write(id[:])
		s = streamState{s.version + 1, h.Sum64()}
	}
	return s
}

// steps returns what a stream may be after a call: nothing if it cannot have been told
// this.
func steps(state streamState, c *Call) []any {
	after := state.with(c.IDs)
	switch {
	case !c.Append:
		if (streamState{}).with(c.Saw) != state {
			return nil
		}
		return []any{state}
	case c.Unknown && allows(c.Expect, state.version):
		return []any{state, after}
	case c.Unknown:
		return []any{state}
	case c.Conflict:
		if allows(c.Expect, state.version) || c.Actual != state.version {
			return nil
		}
		return []any{state}
	default:
		if !allows(c.Expect, state.version) || c.First != state.version+1 {
			return nil
		}
		return []any{after}
	}
}

// Linearizable reports whether all calls can have happened one after the other, each at a
// moment between its beginning and its end: for each stream, porcupine looks for such an
// order, as long as patience says. It returns why there is none, or "".
func Linearizable(calls []Call, patience time.Duration) string {
	machine := porcupine.NondeterministicModel{
		Init: func() []any { return []any{streamState{}} },
		Step: func(state, input, _ any) []any { return steps(state.(streamState), input.(*Call)) },
	}
	checked := machine.ToModel()
	byStream := map[string][]porcupine.Operation{}
	for i := range calls {
		c := &calls[i]
		end := c.Ended
		if c.Ended == 0 {
			end = math.MaxInt64
		}
		byStream[c.Stream] = append(byStream[c.Stream], porcupine.Operation{ClientId: c.Client, Input: c, Call: c.Began, Return: end})
	}
	for stream, history := range byStream {
		if got := porcupine.CheckOperationsTimeout(checked, history, patience); got != porcupine.Ok {
			return fmt.Sprintf("stream %s, %d calls: %s", stream, len(history), got)
		}
	}
	return ""
}
