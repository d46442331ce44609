package eventstream

import (
	"context"
	"errors"
	"iter"
	"sort"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/index"
	"github.com/nexus-erp/eventstream/keys"
)

// queryCursor is how far a query got.
//
// What the indexes are complete for, it finds through them, and looks at the events; what
// was committed since it reads from the log, with the tail in memory as a rule. So it is
// exact whatever state the indexes are in, and stands at one head from its first page to
// its last.
type queryCursor struct {
	view    view
	query   *Query
	matcher matcher
	lo, hi  Position // what is still to be read, both inclusive
	plan    *queryPlan
	log     *logCursor
	stream  *streamCursor
	decoder eventDecoder
	budget  int // how many positions the next page may fetch
	missed  int // events that were read and did not match
	at      Position
}

// newQueryCursor returns a cursor over what the query finds at the view's head.
func (v view) newQueryCursor(q *Query) (*queryCursor, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	c := &queryCursor{view: v, query: q, matcher: newMatcher(q), budget: pageMost}
	c.lo, c.hi = q.span(v.head)
	if !c.matcher.possible() {
		c.lo, c.hi = 1, 0
	}
	return c, nil
}

// possible reports whether anything could match at all.
func (m *matcher) possible() bool {
	return m.fromVersion <= m.toVersion && m.occurredFrom <= m.occurredTo && m.recordedFrom <= m.recordedTo
}

// narrow leaves out positions that were recorded before or after what the query finds:
// recorded-at never decreases, so they lie at the ends.
func (c *queryCursor) narrow() error {
	search := func(beyond func(recordedAt int64) bool) (Position, error) {
		var failed error
		n := sort.Search(int(c.hi-c.lo)+1, func(i int) bool {
			if failed != nil {
				return true
			}
			recordedAt, err := c.view.db.recordedAtPosition(c.lo + Position(i))
			if err != nil {
				failed = err
				return true
			}
			return beyond(recordedAt)
		})
		return c.lo + Position(n), failed
	}
	if c.query.recordedFrom.set && c.lo <= c.hi {
		lo, err := search(func(t int64) bool { return t >= c.matcher.recordedFrom })
		if err != nil {
			return err
		}
		c.lo = lo
	}
	if c.query.recordedTo.set && c.lo <= c.hi {
		end, err := search(func(t int64) bool { return t > c.matcher.recordedTo })
		if err != nil {
			return err
		}
		c.hi = end - 1
	}
	return nil
}

// recordedAtPosition reads when the event at position was recorded.
func (db *DB) recordedAtPosition(position Position) (int64, error) {
	if records, ok := db.tail.read(make([]record, 0, 1), position, position); ok {
		r := &records[0]
		id, _ := r.tenant.number()
		env, err := codec.ParseEnvelope(r.envelope, id, r.stream, r.version)
		if err != nil {
			return 0, damagedEvent(r.stream, r.version, position, err)
		}
		return env.RecordedAt, nil
	}
	event, err := db.eventAt(position)
	if err != nil {
		return 0, err
	}
	return event.RecordedAt.UnixNano(), nil
}

// prepare makes the plan, if there is none.
func (c *queryCursor) prepare() error {
	if c.plan != nil {
		return nil
	}
	if err := c.narrow(); err != nil {
		return err
	}
	for {
		plan, err := c.view.plan(c.query, c.lo, c.hi)
		if errors.Is(err, errReplan) {
			continue
		}
		c.plan = plan
		return err
	}
}

// next reads some events into p: at most n of them, perhaps none.
func (c *queryCursor) next(p *page, n int) (last bool, err error) {
	for {
		if c.lo > c.hi {
			return true, nil
		}
		if err := c.prepare(); err != nil {
			return false, err
		}
		lo, hi, missed := c.lo, c.hi, c.missed
		last, err = c.read(p, n)
		var fault *indexFault
		if errors.As(err, &fault) {
			err = c.view.indexError(fault.progress, fault.err)
		}
		if err == nil && c.plan.usable() != nil {
			err = errReplan // it may have been cleared while it was read
		}
		if !errors.Is(err, errReplan) {
			break
		}
		p.events, c.plan, c.log, c.stream = p.events[:0], nil, nil, nil
		c.lo, c.hi, c.missed = lo, hi, missed
	}
	if budget := c.query.budgetOrDefault(); err == nil && c.missed > budget {
		err = &BudgetError{Read: c.missed, At: c.at, Budget: budget}
	}
	return last, err
}

func (q *Query) budgetOrDefault() int {
	if q.budget == 0 {
		return defaultBudget
	}
	return q.budget
}

// read reads a page as the plan says.
func (c *queryCursor) read(p *page, n int) (last bool, err error) {
	if c.plan.lo > c.plan.hi {
		c.lo = c.hi + 1
		return true, nil
	}
	if c.plan.stream != "" {
		return c.fromStream(p, n)
	}
	if c.plan.root != nil {
		if c.query.backward && c.lo <= c.plan.indexed && c.hi <= c.plan.indexed ||
			!c.query.backward && c.lo <= c.plan.indexed {
			err = c.fromIndexes(p, n)
			return c.lo > c.hi, err
		}
	}
	err = c.fromLog(p, n)
	return c.lo > c.hi, err
}

// accept is what readers of streams and of the log ask of each event.
func (c *queryCursor) accept(stream StreamID, version Version, env *codec.Envelope) bool {
	c.at = env.Position
	if env.Position < c.lo || env.Position > c.hi {
		return false // a stream's events outside the query's positions
	}
	if c.matcher.match(stream, version, env) {
		return true
	}
	c.missed++
	return false
}

// fromStream reads the one stream that the query names.
func (c *queryCursor) fromStream(p *page, n int) (last bool, err error) {
	if c.stream == nil {
		o := readEverything()
		o.backward, o.match = c.query.backward, c.accept
		from, to := c.query.versions()
		c.stream = &streamCursor{view: c.view, stream: c.plan.stream, opts: o, lo: from, hi: min(to, keys.MaxVersion-1)}
	}
	if last, err = c.stream.next(p, n); last {
		c.lo = c.hi + 1
	}
	return last, err
}

// fromLog reads what the indexes do not have.
func (c *queryCursor) fromLog(p *page, n int) error {
	if c.log == nil {
		o := readEverything()
		o.backward, o.match = c.query.backward, c.accept
		c.log = c.view.logCursor(o)
		c.log.lo, c.log.hi = c.lo, c.hi
		if c.plan.root != nil && c.query.backward {
			c.log.lo = max(c.lo, c.plan.indexed+1)
		}
	}
	_, err := c.log.next(p, n)
	if c.query.backward {
		c.hi = c.log.hi
	} else {
		c.lo = c.log.lo
	}
	return err
}

// indexPage is how many positions a page takes from the indexes.
const indexPage = 1024

// fromIndexes looks up positions, and the events there.
func (c *queryCursor) fromIndexes(p *page, n int) error {
	span := index.Span{Low: c.lo, High: min(c.hi, c.plan.indexed), Backward: c.query.backward}
	most := indexPage
	if c.plan.exact {
		most = n
	}
	positions, err := c.positions(span, min(most, max(c.budget, 1)))
	if err != nil {
		return err
	}
	if len(positions) == 0 {
		c.passed(span.Low)
		if !c.query.backward {
			c.passed(span.High)
		}
		return nil
	}
	pointers, err := c.view.db.pointersOf(p, positions, c.query.backward)
	if err != nil {
		return err
	}
	if pointers, err = fetch(c.view.db.eng, p, pointers, &c.budget); err != nil {
		return err
	}
	for i := range pointers {
		if len(p.events) == n {
			return nil
		}
		if err := c.take(p, &pointers[i]); err != nil {
			return err
		}
		c.passed(pointers[i].position)
	}
	return nil
}

func (c *queryCursor) passed(position Position) {
	if c.query.backward {
		c.hi = position - 1
	} else {
		c.lo = position + 1
	}
}

// positions returns up to most positions from the plan's sets.
func (c *queryCursor) positions(span index.Span, most int) (found []Position, err error) {
	set, err := c.view.open(c.plan, c.plan.root, span)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, set.Close()) }()
	at := span.Low
	if span.Backward {
		at = span.High
	}
	for len(found) < most {
		position, ok, err := set.Seek(at)
		if err != nil || !ok {
			return found, err
		}
		found = append(found, position)
		if at = position + 1; span.Backward {
			at = position - 1
		}
		if at < span.Low || at > span.High {
			break
		}
	}
	return found, nil
}

// take decodes the event that a pointer leads to, if the query finds it.
func (c *queryCursor) take(p *page, f *pointer) error {
	id, stream, version, err := keys.ParseEvent(f.key)
	if err != nil || id != c.plan.tenant {
		return &CorruptionError{What: "position pointer", Position: f.position, Err: err}
	}
	env, err := codec.ParseEnvelope(f.envelope, id, stream, version)
	if err != nil {
		return damagedEvent(stream, version, f.position, err)
	}
	if env.Position != f.position {
		return damagedEvent(stream, version, f.position, errElsewhere)
	}
	if !c.accept(stream, version, &env) {
		return nil
	}
	if err := c.decoder.decode(p.add(), c.view.tenant, stream, version, &env); err != nil {
		return p.drop(err)
	}
	return nil
}

// pointersOf reads where positions lead, in the order in which they are given.
func (db *DB) pointersOf(p *page, positions []Position, backward bool) (pointers []pointer, err error) {
	it, err := db.eng.NewPrefixIter([]byte{byte(keys.KindPosition)})
	if err != nil {
		return nil, err
	}
	defer func() { err = readError("position pointer", errors.Join(err, it.Close())) }()
	pointers = make([]pointer, 0, len(positions))
	var key []byte
	before := Position(0)
	for _, position := range positions {
		next := before != 0 && position == before+1
		if backward {
			next = before != 0 && position == before-1
		}
		before = position
		key = keys.AppendPosition(key[:0], position)
		ok := next && it.Step(backward)
		if !next {
			ok = it.SeekGE(key)
		}
		if ok {
			found, err := keys.ParsePosition(it.Key())
			ok = err == nil && found == position
		}
		if !ok {
			if err := it.Err(); err != nil {
				return nil, err
			}
			return nil, &CorruptionError{What: "position pointer", Position: position, Err: errPositionMissing}
		}
		value, err := it.Value()
		if err != nil {
			return nil, err
		}
		pointers = append(pointers, pointer{position: position, key: p.keep(value)})
	}
	return pointers, nil
}

// Query returns the events that q finds, in order of position, up to the readable head
// at the call: exactly those, whatever state the indexes are in. The rest is as for
// ReadStream.
//
// Errors, each the last item: an [*ArgumentError] for a fault of q; a [*BudgetError];
// [*CorruptionError]; ctx's; [ErrClosed].
func (s streams) Query(ctx context.Context, q Query) iter.Seq2[Event, error] {
	return s.view().query(ctx, q)
}

// Query is DB.Query at the reader's head.
func (r *Reader) Query(ctx context.Context, q Query) iter.Seq2[Event, error] {
	return r.v.query(ctx, q)
}

func (v view) query(ctx context.Context, q Query) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		c, err := v.newQueryCursor(&q)
		if err != nil {
			yield(Event{}, err)
			return
		}
		v.pages(ctx, int(^uint(0)>>1), nil, c.next)(yield)
	}
}
