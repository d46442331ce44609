package eventstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/internal/segment"
	"github.com/nexus-erp/eventstream/keys"
)

// checker walks the store in four ways: along positions, along streams, along event
// ids, and over the kinds of keys. The first proves that every position has its
// event and every event's id leads back to it. Since no two positions lead to one
// event, counting the events and the ids then shows whether there are others.
type checker struct {
	db     *DB
	deep   bool
	report Report

	previous facts  // of the position before
	scratch  []byte // payloads are encoded again to prove them well-formed
	located  uint64 // events of which the id tells the position

	// unreadable says that a part of the store cannot be read. Then nobody can tell what
	// leads nowhere, and looking for it would read the same damage for each event, which
	// takes Pebble milliseconds each time: it searches for the bit that flipped.
	unreadable bool

	// unsound says that an event is damaged: what is derived from it cannot be compared.
	unsound bool
	indexed []*indexCheck

	seal        sealCheck
	sealedUntil Position // when the check began
}

// checkBlock is how many events are checked at once: enough for their keys, once
// sorted, to lie close together.
const checkBlock = 16 * pageMost

// facts is what is kept of an event to check it against its neighbours.
type facts struct {
	pointer
	tenantID   TenantID
	stream     StreamID
	version    Version
	sound      bool
	index      uint16
	count      uint16
	recordedAt int64
	id         EventID
	content    codec.ContentHash
	hash       segment.Hash
}

func (c *checker) problem(p Problem) {
	if len(c.report.Problems) == maxProblems {
		c.report.Omitted++
		return
	}
	c.report.Problems = append(c.report.Problems, p)
}

// about reports a problem with the event that f describes.
func (c *checker) about(f *facts, kind, format string, args ...any) {
	c.problem(Problem{
		Kind: kind, Tenant: c.tenantName(f.tenantID), Stream: f.stream, Version: f.version, Position: f.position,
		Detail: fmt.Sprintf(format, args...),
	})
}

func (c *checker) tenantName(id TenantID) string {
	if tn := c.db.tenants.findID(id); tn != nil {
		return tn.name
	}
	return fmt.Sprintf("number %d", id)
}

// damaged turns an error that is damage into a problem, so that the check goes on
// elsewhere. Other errors it returns.
func (c *checker) damaged(err error) error {
	var known *CorruptionError
	if err = readError("table", err); !errors.As(err, &known) {
		return err
	}
	c.unreadable = true
	c.problem(Problem{Kind: ProblemTable, Stream: known.Stream, Version: known.Version, Position: known.Position, Detail: err.Error()})
	return nil
}

// log walks all positions up to the head.
func (c *checker) log(ctx context.Context) error {
	next := Position(1)
	for next <= c.report.Head {
		if err := ctx.Err(); err != nil {
			return err
		}
		block, err := c.pointers(&next)
		if err != nil {
			return err
		}
		if err := c.fetch(block); err != nil {
			return err
		}
		if err := c.lookUpIDs(block); err != nil {
			return err
		}
		for i := range block {
			c.neighbours(&block[i])
			c.sealed(&block[i])
		}
	}
	if f := &c.previous; f.sound && f.index+1 != f.count {
		c.about(f, ProblemCommit, "%v", errCommitCut)
	}
	return nil
}

// pointers reads the block of pointers that starts at next, and moves next behind
// it.
func (c *checker) pointers(next *Position) (block []facts, err error) {
	it, err := c.db.eng.NewIter(keys.AppendPosition(nil, *next), keys.AppendPosition(nil, c.report.Head+1))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	// A move that fails ends the loop; Close returns its error, as in every walk here.
	for ok := it.First(); ok && len(block) < checkBlock; ok = it.Next() {
		position, err := keys.ParsePosition(it.Key())
		if err != nil {
			c.problem(Problem{Kind: ProblemKey, Detail: err.Error()})
			continue
		}
		c.missing(*next, position)
		*next = position + 1
		value, err := it.Value()
		if err != nil {
			return nil, err
		}
		f := facts{pointer: pointer{position: position, key: bytes.Clone(value)}}
		if f.tenantID, f.stream, f.version, err = keys.ParseEvent(f.key); err != nil {
			c.about(&f, ProblemPosition, "leads to no event: %v", err)
			c.unsound = true
			continue
		}
		block = append(block, f)
	}
	if len(block) < checkBlock && it.Err() == nil {
		c.missing(*next, c.report.Head+1)
		*next = c.report.Head + 1
	}
	return block, nil
}

// missing reports the positions from next up to, not including, found.
func (c *checker) missing(next, found Position) {
	if next < found {
		c.unsound = true
		c.problem(Problem{Kind: ProblemPosition, Position: next, Detail: fmt.Sprintf("positions %d to %d are missing", next, found-1)})
	}
}

// fetch reads the events of a block in the order of their keys, and checks each by
// itself.
func (c *checker) fetch(block []facts) (err error) {
	it, err := c.db.eng.NewPrefixIter([]byte{byte(keys.KindEvent)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for _, i := range keyOrder(len(block), func(i int) []byte { return block[i].key }) {
		f := &block[i]
		if !it.SeekGE(f.key) || !bytes.Equal(it.Key(), f.key) {
			if it.Err() != nil {
				return nil // the deferred Close returns it
			}
			c.about(f, ProblemPosition, "%v", errEventMissing)
			c.unsound = true
			continue
		}
		value, err := it.Value()
		if err != nil {
			return err
		}
		c.event(f, value)
	}
	return nil
}

// event checks one event by itself.
func (c *checker) event(f *facts, value []byte) {
	defer func() { c.unsound = c.unsound || !f.sound }()
	env, err := codec.ParseEnvelope(value, f.tenantID, f.stream, f.version)
	if err != nil {
		c.about(f, ProblemEvent, "%v", err)
		return
	}
	if env.Position != f.position {
		c.about(f, ProblemEvent, "it names position %d", env.Position)
		return
	}
	if _, err := codec.ParseMetadata(env.Metadata); err != nil {
		c.about(f, ProblemEvent, "%v", err)
		return
	}
	f.sound = true
	c.indexTerms(f, &env)
	f.hash = c.seal.record.Record(f.tenantID, f.stream, f.version, value)
	f.index, f.count, f.recordedAt, f.id = env.Index, env.Count, env.RecordedAt, env.EventID
	if !c.deep {
		return
	}
	if !c.db.locator.Tells(f.id, f.position) {
		f.content = env.ContentHash(f.stream)
	}
	if c.scratch, err = codec.Encode(c.scratch[:0], env.Codec, codec.Encoded(env.Payload)); err != nil {
		c.about(f, ProblemPayload, "%v", err)
	}
}

// lookUpIDs checks that the event ids of a block lead to its events: by a record, if they
// do not tell the position themselves.
func (c *checker) lookUpIDs(block []facts) (err error) {
	it, err := c.db.eng.NewPrefixIter([]byte{byte(keys.KindEventID)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	var recorded []*facts
	var idKeys [][]byte
	for i := range block {
		switch f := &block[i]; {
		case !f.sound:
		case c.db.locator.Tells(f.id, f.position):
			c.located++
		default:
			recorded = append(recorded, f)
			idKeys = append(idKeys, keys.AppendEventID(nil, f.tenantID, f.id))
		}
	}
	for _, i := range keyOrder(len(recorded), func(i int) []byte { return idKeys[i] }) {
		f := recorded[i]
		if !it.SeekGE(idKeys[i]) || !bytes.Equal(it.Key(), idKeys[i]) {
			if it.Err() != nil {
				return nil // the deferred Close returns it
			}
			c.about(f, ProblemEventID, "event id %s leads nowhere", f.id)
			continue
		}
		value, err := it.Value()
		if err != nil {
			return err
		}
		position, content, ok := codec.ParseEventIDRecord(value)
		switch {
		case !ok:
			c.about(f, ProblemEventID, "the record of event id %s is malformed", f.id)
		case position != f.position:
			c.about(f, ProblemEventID, "event id %s leads to position %d", f.id, position)
		case c.deep && content != f.content:
			c.about(f, ProblemContent, "the content is not what was recorded under event id %s", f.id)
		}
	}
	return nil
}

// neighbours checks an event against the one at the position before.
func (c *checker) neighbours(f *facts) {
	p := c.previous
	c.previous = *f
	c.previous.key = nil
	if !f.sound {
		return
	}
	first := p.position == 0 && f.position == 1
	if !first && (!p.sound || p.position+1 != f.position) {
		return // the fault before is reported already
	}
	starts := f.index == 0 && (first || p.index+1 == p.count)
	goesOn := !first && f.index == p.index+1 && f.count == p.count
	if !starts && !goesOn {
		c.about(f, ProblemCommit, "it is number %d of a commit of %d, after number %d of a commit of %d", f.index+1, f.count, p.index+1, p.count)
	}
	if !first && (f.recordedAt < p.recordedAt || goesOn && f.recordedAt != p.recordedAt) {
		c.about(f, ProblemTime, "it was recorded at %d ns, the event before at %d ns", f.recordedAt, p.recordedAt)
	}
}

// appendedSince reports whether a record that was just read is of an append that came after
// the head that is checked. Beyond what the sequencer has assigned there is none: it says
// so before anybody can read what it writes.
func (c *checker) appendedSince(position Position) bool {
	return position > c.report.Head && uint64(position) <= c.db.seq.assigned.Load()
}

// streams walks all event keys: versions have no holes, and there are as many
// events as positions.
func (c *checker) streams(ctx context.Context) error {
	var last facts
	err := c.walk(ctx, keys.KindEvent, func(it engine.Iter) (err error) {
		var f facts
		if f.tenantID, f.stream, f.version, err = keys.ParseEvent(it.Key()); err != nil {
			c.problem(Problem{Kind: ProblemKey, Detail: err.Error()})
			return nil
		}
		value, err := it.Value()
		if err != nil {
			return err
		}
		if f.position, _ = codec.PositionOf(value); c.appendedSince(f.position) {
			return nil
		}
		c.report.Events++
		expected := Version(1)
		if last.stream == f.stream && last.tenantID == f.tenantID && last.version > 0 {
			expected = last.version + 1
		} else {
			c.report.Streams++
		}
		if f.version != expected {
			c.about(&f, ProblemVersion, "expected version %d", expected)
		}
		last = f
		return nil
	})
	if err != nil || c.unreadable || (c.report.OK() && c.report.Events == uint64(c.report.Head)) {
		return err
	}
	return c.walk(ctx, keys.KindEvent, c.orphanEvent)
}

// orphanEvent reports an event that its position does not lead to.
func (c *checker) orphanEvent(it engine.Iter) error {
	id, stream, version, err := keys.ParseEvent(it.Key())
	if err != nil {
		return nil // c.streams reported the malformed key
	}
	value, err := it.Value()
	if err != nil {
		return err
	}
	position, ok := codec.PositionOf(value)
	if c.appendedSince(position) {
		return nil
	}
	key, found, err := c.db.eventKeyAt(position)
	if err != nil {
		return err
	}
	if !ok || !found || !bytes.Equal(key, it.Key()) {
		c.about(&facts{pointer: pointer{position: position}, tenantID: id, stream: stream, version: version}, ProblemOrphan, "no position leads to this event")
	}
	return nil
}

// eventIDs counts the records of event ids, and names those that lead to no event, or
// that no event needs, if there are too many.
func (c *checker) eventIDs(ctx context.Context) error {
	count := uint64(0)
	err := c.walk(ctx, keys.KindEventID, func(it engine.Iter) error {
		value, err := it.Value()
		if err != nil {
			return err
		}
		if position, _, ok := codec.ParseEventIDRecord(value); !ok || !c.appendedSince(position) {
			count++
		}
		return nil
	})
	if err != nil || c.unreadable || (c.report.OK() && count+c.located == uint64(c.report.Head)) {
		return err
	}
	return c.walk(ctx, keys.KindEventID, c.orphanID)
}

// orphanID reports an event id whose position holds another event.
func (c *checker) orphanID(it engine.Iter) error {
	tenantID, id, err := keys.ParseEventIDKey(it.Key())
	if err != nil {
		c.problem(Problem{Kind: ProblemKey, Detail: err.Error()})
		return nil
	}
	value, err := it.Value()
	if err != nil {
		return err
	}
	position, _, ok := codec.ParseEventIDRecord(value)
	if ok && c.appendedSince(position) {
		return nil
	}
	detail := "leads to no event of its own"
	if ok {
		if event, err := c.db.eventAt(position); err == nil && event.ID == id {
			if !c.db.locator.Tells(id, position) {
				return nil
			}
			detail = "has a record, and tells its position itself"
		}
	}
	c.problem(Problem{Kind: ProblemOrphan, Tenant: c.tenantName(tenantID), Position: position, Detail: fmt.Sprintf("event id %s %s", id, detail)})
	return nil
}

// kinds looks for keys of no known kind.
func (c *checker) kinds(context.Context) (err error) {
	it, err := c.db.eng.NewIter([]byte{0x00}, bytes.Repeat([]byte{0xff}, 32))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	known := keys.Kinds()
	for ok := it.First(); ok; {
		kind := keys.Kind(it.Key()[0])
		if slices.Contains(known, kind) {
			_, upper, err := keys.Range([]byte{byte(kind)})
			if err != nil {
				return err
			}
			ok = it.SeekGE(upper)
			continue
		}
		c.problem(Problem{Kind: ProblemKey, Detail: fmt.Sprintf("key %x is of no known kind", it.Key())})
		ok = it.Next()
	}
	return nil
}

// walk calls visit for every key of a kind.
func (c *checker) walk(ctx context.Context, kind keys.Kind, visit func(engine.Iter) error) (err error) {
	it, err := c.db.eng.NewPrefixIter([]byte{byte(kind)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		if n++; n%pageMost == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := visit(it); err != nil {
			return err
		}
	}
	return nil
}
