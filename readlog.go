package eventstream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"slices"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
)

// logCursor is how far a read of the global order got.
//
// The newest events are in memory, and those that are sealed in segments, which are
// read one after the other. Between them, and where a segment is damaged, is the log.
// It holds, under each position, the key of the event there. A page reads a run of
// positions, sorts them by event key, fetches the events in one walk, and puts them
// back in order: neighbours in a stream then cost a step each instead of a seek.
type logCursor struct {
	view    view
	opts    *readOptions
	decoder eventDecoder
	lo, hi  Position // what is still to be read, both inclusive
	budget  int      // how many positions the next page may fetch
	segment segmentCursor
}

func (v view) readAll(ctx context.Context, opts []ReadOption) iter.Seq2[Event, error] {
	o, err := newReadOptions("ReadAll", logReadOptions, opts)
	if err != nil {
		return failed[Event](err)
	}
	return func(yield func(Event, error) bool) {
		c := v.logCursor(o)
		c.hi = min(o.until, v.head)
		v.pages(ctx, o.limit, nil, c.next)(yield)
	}
}

func (v view) logCursor(o *readOptions) *logCursor {
	return &logCursor{view: v, opts: o, lo: min(o.after, keys.MaxPosition-1) + 1, budget: pageMost}
}

// next reads the events of some positions into p: at most n events, perhaps none.
func (c *logCursor) next(p *page, n int) (last bool, err error) {
	if c.lo > c.hi {
		return true, nil
	}
	if !c.opts.backward {
		if done, err := c.fromTail(p, n); done {
			return c.lo > c.hi, err
		}
	}
	if done, err := c.fromSegment(p, n); done {
		return c.lo > c.hi, err
	}
	err = c.fromLog(p, min(n, c.budget))
	return c.lo > c.hi, err
}

// fromTail reads from memory. done is false if the tail does not reach back far
// enough.
func (c *logCursor) fromTail(p *page, n int) (done bool, err error) {
	records, ok := c.view.db.tail.read(make([]record, 0, min(uint64(n), uint64(c.hi-c.lo)+1)), c.lo, c.hi)
	if !ok {
		return false, nil
	}
	for i := range records {
		r := &records[i]
		if r.tenant.name == c.view.tenant {
			id, _ := r.tenant.number()
			if err := c.take(p, id, r.stream, r.version, c.lo, r.envelope); err != nil {
				return true, err
			}
		}
		c.lo++
	}
	return true, nil
}

// take decodes the event at position and adds it to p if the options accept it.
func (c *logCursor) take(p *page, tenantID TenantID, stream StreamID, version Version, position Position, envelope []byte) error {
	env, err := codec.ParseEnvelope(envelope, tenantID, stream, version)
	if err != nil {
		return damagedEvent(stream, version, position, err)
	}
	if env.Position != position {
		return damagedEvent(stream, version, position, errElsewhere)
	}
	if !c.opts.accepts(stream, version, &env) {
		return nil
	}
	if err := c.decoder.decode(p.add(), c.view.tenant, stream, version, &env); err != nil {
		return p.drop(err)
	}
	return nil
}

var (
	errElsewhere       = errors.New("the event names another position than the one that leads to it")
	errPositionMissing = errors.New("the position is missing")
	errEventMissing    = errors.New("the event that the position leads to is missing")
)

// pointer is a position and the key of the event there.
type pointer struct {
	position Position
	key      []byte
	envelope []byte // once fetched
}

// pageScan bounds how many positions of other tenants one page passes over.
const pageScan = 16 * pageMost

// fromLog reads up to n of the tenant's events from the log.
func (c *logCursor) fromLog(p *page, n int) error {
	pointers, err := c.pointers(p, n)
	if err != nil {
		return err
	}
	fetched, err := fetch(c.view.db.eng, p, pointers, &c.budget)
	if err != nil {
		return err
	}
	// Only what was fetched has been read; the rest is read by smaller pages.
	for i := range fetched {
		f := &fetched[i]
		tenantID, stream, version, err := keys.ParseEvent(f.key)
		if err != nil {
			return &CorruptionError{What: "position pointer", Position: f.position, Err: err}
		}
		if err := c.take(p, tenantID, stream, version, f.position, f.envelope); err != nil {
			return err
		}
		c.passed(f.position)
	}
	return nil
}

func (c *logCursor) passed(position Position) {
	if c.opts.backward {
		c.hi = position - 1
	} else {
		c.lo = position + 1
	}
}

// pointers reads up to n of the tenant's pointers, and moves the cursor over those
// of other tenants in front of the first.
func (c *logCursor) pointers(p *page, n int) (found []pointer, err error) {
	id, ok := c.view.tenantID()
	if !ok {
		c.lo = c.hi + 1
		return nil, nil
	}
	lo, hi := c.segment.between(c.lo, c.hi, c.opts.backward)
	it, err := c.view.db.eng.NewIter(keys.AppendPosition(nil, lo), keys.AppendPosition(nil, hi+1))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	move, step, expected, delta := it.First, it.Next, lo, Position(1)
	if c.opts.backward {
		move, step, expected, delta = it.Last, it.Prev, hi, ^Position(0)
	}
	remaining := uint64(hi-lo) + 1
	for scanned := 0; remaining > 0 && len(found) < n && scanned < pageScan; scanned++ {
		if !move() {
			if it.Err() != nil {
				return nil, nil // Close returns it
			}
			return nil, &CorruptionError{What: "position pointer", Position: expected, Err: errPositionMissing}
		}
		move = step
		position, err := keys.ParsePosition(it.Key())
		if err != nil {
			return nil, &CorruptionError{What: "position pointer", Position: expected, Err: err}
		}
		if position != expected {
			return nil, &CorruptionError{What: "position pointer", Position: expected, Err: errPositionMissing}
		}
		expected += delta
		remaining--
		key, err := it.Value()
		if err != nil {
			return nil, err
		}
		if tenantOf(key) == id {
			found = append(found, pointer{position: position, key: p.keep(key)})
		} else if len(found) == 0 {
			c.passed(position)
		}
	}
	return found, nil
}

// tenantOf returns the tenant of an event key, or 0 if it is not one.
func tenantOf(key []byte) TenantID {
	if len(key) < keys.TenantOffset+4 || keys.Kind(key[0]) != keys.KindEvent {
		return 0
	}
	return TenantID(binary.BigEndian.Uint32(key[keys.TenantOffset:]))
}

// fetch reads the envelopes of pointers and returns the pointers that have theirs:
// all, or fewer if they are larger than a page should be. budget is set to how many
// fit.
func fetch(eng *engine.Engine, p *page, pointers []pointer, budget *int) ([]pointer, error) {
	for {
		size, err := fetchEnvelopes(eng, p, pointers)
		if err != nil {
			return nil, err
		}
		if size > 0 {
			*budget = min(max(pageBytes*len(pointers)/size, 1), pageMost)
		}
		if size <= 2*pageBytes || len(pointers) <= 1 {
			return pointers, nil
		}
		p.scratch = nil // what was fetched is too much: drop it and fetch less
		for i := range pointers {
			pointers[i].envelope = nil
		}
		pointers = pointers[:min(*budget, len(pointers)-1)]
	}
}

// fetchEnvelopes reads the envelopes of pointers in one walk, and gives up, with
// the size so far, when they take more than two pages' worth of memory.
func fetchEnvelopes(eng *engine.Engine, p *page, pointers []pointer) (size int, err error) {
	it, err := eng.NewPrefixIter([]byte{byte(keys.KindEvent)})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	var previous []byte
	for _, i := range keyOrder(len(pointers), func(i int) []byte { return pointers[i].key }) {
		ptr := &pointers[i]
		ok := follows(previous, ptr.key) && it.Next() && bytes.Equal(it.Key(), ptr.key)
		if !ok {
			ok = it.SeekGE(ptr.key) && bytes.Equal(it.Key(), ptr.key)
		}
		if !ok {
			if it.Err() != nil {
				return size, nil // Close returns it
			}
			_, stream, version, _ := keys.ParseEvent(ptr.key)
			return size, damagedEvent(stream, version, ptr.position, errEventMissing)
		}
		value, err := it.Value()
		if err != nil {
			return size, err
		}
		ptr.envelope = p.keep(value)
		if size += len(value); size > 2*pageBytes && len(pointers) > 1 {
			return size, nil
		}
		previous = ptr.key
	}
	return size, nil
}

// follows reports whether b is the key of the version after a's.
func follows(a, b []byte) bool {
	n := len(a) - keys.VersionFromEnd
	return n > 0 && len(a) == len(b) && bytes.Equal(a[:n], b[:n]) &&
		binary.BigEndian.Uint64(a[n:])+1 == binary.BigEndian.Uint64(b[n:])
}

// keyOrder returns the indices of n keys in the order of the keys, so that fetching
// them is one walk.
func keyOrder(n int, key func(int) []byte) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return bytes.Compare(key(a), key(b)) })
	return order
}
