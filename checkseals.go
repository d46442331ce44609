package eventstream

import (
	"context"
	"fmt"

	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/internal/segment"
	"github.com/nexus-erp/eventstream/keys"
)

// sealCheck compares the runs of the log with their seals, and the segments with
// both.
type sealCheck struct {
	seals  []segment.Seal // sound ones, in order; those written since the check began are not looked at
	next   int            // the seal of the run that is being read
	record segment.Hasher // of single events
	hasher segment.Hasher // of that run
	read   uint32         // sound events of that run so far
}

// loadSeals reads the seals, and checks that each follows the one before.
func (c *checker) loadSeals(ctx context.Context) error {
	var chain sealChain
	defer func() {
		if chain.last.Last < c.sealedUntil {
			c.problem(Problem{Kind: ProblemSeal, Position: chain.last.Last + 1, Detail: fmt.Sprintf("the seals of positions %d to %d are missing", chain.last.Last+1, c.sealedUntil)})
		}
	}()
	return c.walk(ctx, keys.KindSeal, func(it engine.Iter) error {
		first, err := keys.ParseSeal(it.Key())
		if err != nil {
			c.problem(Problem{Kind: ProblemKey, Detail: err.Error()})
			return nil
		}
		if first > c.sealedUntil {
			return nil // sealed since
		}
		value, err := it.Value()
		if err != nil {
			return err
		}
		seal, err := segment.ParseSeal(first, value)
		if err != nil {
			c.problem(Problem{Kind: ProblemSeal, Position: first, Detail: err.Error()})
			return nil
		}
		if !chain.follows(&seal) {
			c.problem(Problem{Kind: ProblemSeal, Position: first, Detail: fmt.Sprintf("it does not follow the seal of the positions up to %d", chain.last.Last)})
		}
		chain.add(seal)
		c.seal.seals = append(c.seal.seals, seal)
		return nil
	})
}

// sealed feeds the next event of the log to the run that it is in.
func (c *checker) sealed(f *facts) {
	s := &c.seal
	for s.next < len(s.seals) && s.seals[s.next].Last < f.position {
		s.next, s.read = s.next+1, 0 // events of that run are missing, as was reported
	}
	if s.next == len(s.seals) || f.position < s.seals[s.next].First || !f.sound {
		return
	}
	if s.read == 0 {
		s.hasher = segment.Hasher{} // the run before may have ended early
	}
	s.hasher.Add(f.hash)
	s.read++
	seal := &s.seals[s.next]
	if s.read < seal.Events {
		return // not read yet, or missing or unsound, as was reported
	}
	if s.hasher.Run() != seal.Run {
		c.problem(Problem{Kind: ProblemSeal, Position: seal.First, Detail: fmt.Sprintf("positions %d to %d: %v", seal.First, seal.Last, errRunChanged)})
	}
	s.next, s.read = s.next+1, 0
}

// segments compares every segment with its seal. What is damaged or missing is packed
// again from the events meanwhile.
func (c *checker) segments(ctx context.Context) error {
	for i := range c.seal.seals {
		if err := ctx.Err(); err != nil {
			return err
		}
		seal := &c.seal.seals[i]
		value, ok, err := c.db.eng.Get(c.scratch[:0], keys.AppendSegment(nil, seal.First))
		if err != nil {
			if err := c.damaged(err); err != nil {
				return err
			}
		} else if !ok {
			err = errSegmentMissing
		} else {
			c.scratch = value
			err = segment.Verify(value, seal)
		}
		if err == nil {
			continue
		}
		c.problem(Problem{Kind: ProblemSegment, Position: seal.First, Detail: err.Error()})
		if !c.db.opts.ReadOnly {
			c.db.sealer.mend(seal.First)
		}
	}
	return nil
}

// orphanSegments looks for segments without a seal.
func (c *checker) orphanSegments(ctx context.Context) error {
	next := 0
	return c.walk(ctx, keys.KindSegment, func(it engine.Iter) error {
		first, err := keys.ParseSegment(it.Key())
		if err != nil {
			c.problem(Problem{Kind: ProblemKey, Detail: err.Error()})
			return nil
		}
		seals := c.seal.seals
		for next < len(seals) && seals[next].First < first {
			next++
		}
		if first <= c.sealedUntil && (next == len(seals) || seals[next].First != first) {
			c.problem(Problem{Kind: ProblemOrphan, Position: first, Detail: "a segment without a seal"})
		}
		return nil
	})
}
