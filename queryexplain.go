package eventstream

import (
	"context"
	"errors"

	"github.com/nexus-erp/eventstream/internal/index"
)

// The ways in which a query is run.
const (
	PlanStream = "stream" // it reads the one stream that it names
	PlanIndex  = "index"  // it looks up what indexes find, and reads the log behind them
	PlanScan   = "scan"   // it reads the log
)

// Plan is how a query would be run now.
type Plan struct {
	Method string // one of the Plan constants
	// From and To are the positions that it considers, both included.
	From, To Position
	// Stream is the stream that it reads, for PlanStream.
	Stream StreamID
	// Indexes are those that it asks, in the order in which they are asked.
	Indexes []PlannedIndex
	// IndexedTo is the position up to which the indexes are asked; the log is read from
	// there on.
	IndexedTo Position
	// Estimate is about how many events are looked up.
	Estimate uint64
	// Filtered says that events are looked at before they count: the indexes alone do not
	// tell.
	Filtered bool
}

// PlannedIndex is an index that a query asks.
type PlannedIndex struct {
	Index    Index
	Terms    []string // any of them; none for a stretch of time
	Estimate uint64   // about how many events have one
	Rough    bool     // the estimate is drawn from a part of them
}

// Explain says how q would be run now. It reads what planning reads, and no events.
func (s streams) Explain(ctx context.Context, q Query) (Plan, error) {
	v := s.view()
	if err := v.begin(ctx); err != nil {
		return Plan{}, err
	}
	defer v.end()
	c, err := v.newQueryCursor(&q)
	if err != nil {
		return Plan{}, err
	}
	if err := c.prepare(); err != nil {
		return Plan{}, err
	}
	p := Plan{Method: PlanScan, From: c.plan.lo, To: c.plan.hi, Filtered: true}
	switch {
	case c.plan.stream != "":
		p.Method, p.Stream = PlanStream, c.plan.stream
	case c.plan.root != nil:
		p.Method, p.IndexedTo, p.Estimate, p.Filtered = PlanIndex, min(c.plan.indexed, c.plan.hi), c.plan.root.estimate, !c.plan.exact
		c.plan.root.leaves(func(n *planNode) {
			p.Indexes = append(p.Indexes, PlannedIndex{Index: n.progress.index, Terms: n.terms, Estimate: n.estimate, Rough: n.rough})
		})
	}
	return p, nil
}

// Count returns how many events q finds, whatever its order. Where indexes alone tell, no
// event is read.
func (s streams) Count(ctx context.Context, q Query) (uint64, error) {
	v := s.view()
	q.backward = false
	c, err := v.newQueryCursor(&q)
	if err != nil {
		return 0, err
	}
	n, err := v.countIndexed(ctx, c)
	if err != nil {
		return 0, err
	}
	for _, err := range v.pages(ctx, int(^uint(0)>>1), nil, c.next) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}

// countIndexed counts what indexes alone tell, and moves the cursor behind it.
func (v view) countIndexed(ctx context.Context, c *queryCursor) (n uint64, err error) {
	if err := v.begin(ctx); err != nil {
		return 0, err
	}
	defer v.end()
	if err := c.prepare(); err != nil {
		return 0, err
	}
	if c.lo > c.hi || c.plan.root == nil || !c.plan.exact || c.plan.indexed < c.lo {
		return 0, nil
	}
	span := index.Span{Low: c.lo, High: min(c.hi, c.plan.indexed)}
	set, err := v.open(c.plan, c.plan.root, span)
	if err == nil {
		at := span.Low
		for at <= span.High {
			var found Position
			var ok bool
			if found, ok, err = set.Seek(at); err != nil || !ok {
				break
			}
			n++
			at = found + 1
		}
		err = errors.Join(err, set.Close())
	}
	var fault *indexFault
	if errors.As(err, &fault) {
		err = v.indexError(fault.progress, fault.err)
	}
	if errors.Is(err, errReplan) || err == nil && c.plan.usable() != nil {
		c.plan = nil
		return 0, nil // every event is looked at
	}
	if err != nil {
		return 0, err
	}
	c.passed(span.High)
	return n, nil
}

// leaves calls fn with each node that is an index.
func (n *planNode) leaves(fn func(*planNode)) {
	if n.progress != nil {
		fn(n)
	}
	for _, list := range [][]*planNode{n.all, n.any} {
		for _, c := range list {
			c.leaves(fn)
		}
	}
}
