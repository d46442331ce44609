package eventstream

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/internal/index"
	"github.com/nexus-erp/eventstream/keys"
)

// queryPlan is how a query is run over a stretch of positions.
type queryPlan struct {
	tenant TenantID
	lo, hi Position
	stream StreamID // not "": this stream is read, and nothing else
	root   *planNode
	// indexed is the position up to which the indexes are complete; what lies above is read
	// from the log.
	indexed Position
	// exact says that whatever the indexes find matches.
	exact bool
	used  []usedIndex
}

// usedIndex is an index that a plan reads, as it was when the plan was made.
type usedIndex struct {
	progress  *indexProgress
	condemned uint64
}

// planNode is a set of positions: of terms in an index, or what all or any of others have
// in common.
type planNode struct {
	progress *indexProgress
	terms    []string // any of them
	from, to int64    // for the index of times instead of terms
	all, any []*planNode
	estimate uint64
	rough    bool // the estimate is no more than that
}

const (
	// lookupCost is how many events can be read one after the other in the time that one
	// takes that is looked up: 24 us against 0.37 with two processors and 0.65 with one, in a
	// store of a million events whose blocks are not in the cache. See the figure "query-type"
	// of the benchmark.
	lookupCost = 48
	// mostTimes is how many events a stretch of occurred-at may have for its index to be
	// used: they are sorted in memory.
	mostTimes = 200_000
)

// plan decides how to run the query from lo to hi.
func (v view) plan(q *Query, lo, hi Position) (*queryPlan, error) {
	p := &queryPlan{lo: lo, hi: hi}
	id, ok := v.tenantID()
	if !ok || lo > hi {
		p.lo, p.hi = 1, 0
		return p, nil
	}
	p.tenant = id
	size := uint64(hi-lo) + 1
	root, exact, err := v.planNode(p, q, index.Span{Low: lo, High: hi})
	if err != nil {
		return nil, err
	}
	best := size
	if root != nil && root.estimate*v.db.lookupCost < size {
		p.root, p.exact, best = root, exact, root.estimate*v.db.lookupCost
	}
	if stream, ok := q.oneStream(); ok {
		length, err := v.streamLength(id, stream, q)
		if err != nil {
			return nil, err
		}
		if length <= best {
			p.stream, p.root = stream, nil
		}
	}
	if p.root == nil {
		return p, nil
	}
	p.indexed = math.MaxInt64
	p.root.leaves(func(n *planNode) {
		p.used = append(p.used, usedIndex{n.progress, n.progress.condemned.Load()})
		p.indexed = min(p.indexed, n.progress.reached())
	})
	if p.usable() != nil {
		return v.plan(q, lo, hi) // condemned since: now it is not used
	}
	return p, nil
}

// oneStream returns the stream that all of the query's events are of, if it names one.
func (q *Query) oneStream() (StreamID, bool) {
	for i := range q.fields {
		if f := &q.fields[i]; f.field == fieldStream && len(f.values) == 1 {
			return StreamID(f.values[0]), true
		}
	}
	return "", false
}

// streamLength returns about how many events of a stream have to be read.
func (v view) streamLength(id TenantID, stream StreamID, q *Query) (uint64, error) {
	it, err := v.db.eng.NewPrefixIter(keys.AppendStream(nil, id, stream))
	if err != nil {
		return 0, err
	}
	last := Version(0)
	if it.Last() {
		_, _, last, err = keys.ParseEvent(it.Key())
	}
	if err := readError("stream", errors.Join(err, it.Close())); err != nil {
		return 0, err
	}
	from, to := q.versions()
	if to = min(to, last); from > to {
		return 0, nil
	}
	return uint64(to-from) + 1, nil
}

// usable returns which index of the plan is not what it was when the plan was made.
func (p *queryPlan) usable() *indexProgress {
	for _, u := range p.used {
		if u.progress.condemned.Load() != u.condemned || u.progress.damaged.Load() {
			return u.progress
		}
	}
	return nil
}

// planNode returns how indexes find what the query may match, or nil if none does. exact
// says that nothing else is found.
func (v view) planNode(p *queryPlan, q *Query, span index.Span) (node *planNode, exact bool, err error) {
	var parts []*planNode
	exact = len(q.where) == 0 && q.fromVersion <= 1 && q.toVersion == 0 && !q.occurredFrom.set && !q.occurredTo.set
	add := func(x Index, terms ...string) error {
		part, err := v.planTerms(p, x, terms, span)
		if part == nil {
			exact = false
			return err
		}
		parts = append(parts, part)
		return err
	}
	for i := range q.fields {
		f := &q.fields[i]
		x, ok := f.field.index()
		if !ok {
			exact = false
			continue
		}
		if err := add(x, f.values...); err != nil {
			return nil, false, err
		}
	}
	for _, t := range q.tags {
		exact = false // several entries may share a term, and events with many a single one
		if err := add(IndexTag, index.TagTerm(t.key, t.value), index.ManyTags); err != nil {
			return nil, false, err
		}
	}
	if q.occurredFrom.set || q.occurredTo.set {
		part, err := v.planTimes(p, q.occurredFrom.or(math.MinInt64), q.occurredTo.or(math.MaxInt64))
		if err != nil {
			return nil, false, err
		}
		if part != nil {
			parts = append(parts, part)
		}
	}
	for _, list := range q.alternatives {
		exact = false
		part, err := v.planAny(p, list, span)
		if err != nil {
			return nil, false, err
		}
		if part != nil {
			parts = append(parts, part)
		}
	}
	if len(q.fields) == 0 && len(q.tags) == 0 && len(parts) == 0 {
		// Nothing but the tenant tells: worth it where the others have most of the events.
		if err := add(IndexTenant, ""); err != nil {
			return nil, false, err
		}
	}
	node, whole := intersection(parts, uint64(span.High-span.Low)+1)
	return node, exact && whole, nil
}

// intersection returns what all parts have in common, as far as asking for it is cheaper
// than looking at the events. whole says that all are asked.
func intersection(parts []*planNode, size uint64) (node *planNode, whole bool) {
	slices.SortStableFunc(parts, func(a, b *planNode) int { return cmp.Compare(a.estimate, b.estimate) })
	kept := parts[:0:0]
	for i, part := range parts {
		if i == 0 || part.estimate <= size/2 {
			kept = append(kept, part)
		}
	}
	switch len(kept) {
	case 0:
		return nil, false
	case 1:
		return kept[0], len(parts) == 1
	default:
		return &planNode{all: kept, estimate: kept[0].estimate, rough: true}, len(kept) == len(parts)
	}
}

// planAny returns how indexes find what any of the queries may match.
func (v view) planAny(p *queryPlan, queries []Query, span index.Span) (*planNode, error) {
	node := &planNode{rough: true}
	for i := range queries {
		part, _, err := v.planNode(p, &queries[i], span)
		if err != nil || part == nil {
			return nil, err
		}
		node.any = append(node.any, part)
		node.estimate += part.estimate
	}
	return node, nil
}

// index returns the index that finds the field.
func (f field) index() (Index, bool) {
	switch f {
	case fieldType:
		return IndexType, true
	case fieldCategory:
		return IndexCategory, true
	case fieldCorrelation:
		return IndexCorrelation, true
	case fieldCausation:
		return IndexCausation, true
	case fieldUser:
		return IndexUser, true
	default:
		return "", false
	}
}

// planTerms returns the events with any of some terms in an index, or nil if the store
// does not have it.
func (v view) planTerms(p *queryPlan, x Index, terms []string, span index.Span) (*planNode, error) {
	s := v.db.indexer.find(x)
	if s == nil {
		return nil, nil
	}
	node := &planNode{progress: s, terms: terms}
	if span.High = min(span.High, s.reached()); span.High < span.Low {
		return node, nil // all of it is read from the log; the estimate counts nothing of that
	}
	for _, term := range terms {
		postings, err := index.Open(v.db.eng, p.tenant, s.id, term, span)
		if err != nil {
			return nil, err
		}
		n, exact, err := postings.Estimate()
		if err := errors.Join(err, postings.Close()); err != nil {
			return nil, v.indexError(s, err)
		}
		node.estimate += n
		node.rough = node.rough || !exact
	}
	return node, nil
}

// planTimes returns what occurred in a stretch of time, or nil if the store has no index
// of that, or if it is too much.
func (v view) planTimes(p *queryPlan, from, to int64) (*planNode, error) {
	s := v.db.indexer.find(IndexOccurred)
	if s == nil {
		return nil, nil
	}
	positions, err := index.Times(v.db.eng, p.tenant, from, to, mostTimes)
	if err != nil {
		return nil, v.indexError(s, err)
	}
	if len(positions) >= mostTimes {
		return nil, nil
	}
	return &planNode{progress: s, from: from, to: to, estimate: uint64(len(positions))}, nil
}

// open returns the positions of a node in a span.
func (v view) open(p *queryPlan, n *planNode, span index.Span) (set index.Set, err error) {
	var sets []index.Set
	defer func() {
		if err != nil {
			for _, s := range sets {
				err = errors.Join(err, s.Close())
			}
		}
	}()
	switch {
	case n.progress != nil && n.terms == nil:
		positions, err := index.Times(v.db.eng, p.tenant, n.from, n.to, math.MaxInt)
		if err != nil {
			return nil, &indexFault{n.progress, err}
		}
		return index.NewList(positions, span), nil
	case n.progress != nil:
		for _, term := range n.terms {
			postings, err := index.Open(v.db.eng, p.tenant, n.progress.id, term, span)
			if err != nil {
				return nil, err
			}
			sets = append(sets, &watchedSet{postings, n.progress})
		}
		return index.Union(span, sets...), nil
	}
	for _, child := range append(slices.Clip(n.all), n.any...) {
		set, err := v.open(p, child, span)
		if err != nil {
			return nil, err
		}
		sets = append(sets, set)
	}
	if n.any != nil {
		return index.Union(span, sets...), nil
	}
	return index.Intersect(span, sets...), nil
}

// watchedSet says in whose records damage was found.
type watchedSet struct {
	index.Set
	progress *indexProgress
}

func (w *watchedSet) Seek(p Position) (Position, bool, error) {
	found, ok, err := w.Set.Seek(p)
	if err != nil {
		err = &indexFault{w.progress, err}
	}
	return found, ok, err
}

// indexFault is an error in the records of an index.
type indexFault struct {
	progress *indexProgress
	err      error
}

func (f *indexFault) Error() string { return fmt.Sprintf("index %q: %v", f.progress.index, f.err) }
func (f *indexFault) Unwrap() error { return f.err }

// errReplan asks for another plan: an index of this one was found damaged.
var errReplan = errors.New("an index is damaged: plan again")

// indexError has a damaged index built anew, and returns errReplan; other errors it
// returns as they are.
func (v view) indexError(s *indexProgress, err error) error {
	if !errors.Is(err, index.ErrDamaged) && !engine.IsCorruption(err) {
		return err
	}
	v.db.indexer.condemn(s, err)
	return errReplan
}

// find returns how far an index is, or nil if the store does not have it, or not now.
func (x *indexer) find(name Index) *indexProgress {
	for _, s := range x.states {
		if s.index == name && !s.damaged.Load() {
			return s
		}
	}
	return nil
}
