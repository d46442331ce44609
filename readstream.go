package eventstream

import (
	"context"
	"encoding/binary"
	"errors"
	"iter"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
)

// failed returns an iterator that yields err alone.
func failed[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		yield(zero, err)
	}
}

// streamCursor is how far a read of one stream got.
type streamCursor struct {
	view    view
	stream  StreamID
	opts    *readOptions
	decoder eventDecoder
	lo, hi  Version // what is still to be read, both inclusive
	prefix  []byte  // of the stream's keys, within bounds
	bounds  []byte  // of the keys that a page reads
	last    Version // the version read last, 0 at the start
}

func (v view) readStream(ctx context.Context, stream StreamID, opts []ReadOption) iter.Seq2[Event, error] {
	o, err := newReadOptions("ReadStream", streamReadOptions, opts)
	if err == nil {
		err = validStream(stream)
	}
	if err != nil {
		return failed[Event](err)
	}
	return func(yield func(Event, error) bool) {
		c := &streamCursor{view: v, stream: stream, opts: o, lo: max(o.fromVersion, 1), hi: min(o.toVersion, keys.MaxVersion-1)}
		v.pages(ctx, o.limit, nil, c.next)(yield)
	}
}

func validStream(stream StreamID) error {
	if err := stream.Validate(); err != nil {
		return &ArgumentError{Field: "stream", Reason: err.Error(), Err: err}
	}
	return nil
}

// next reads the next n events of the stream into p.
func (c *streamCursor) next(p *page, n int) (last bool, err error) {
	if c.lo > c.hi {
		return true, nil
	}
	if c.prefix == nil {
		id, ok := c.view.tenantID()
		if !ok {
			return true, nil
		}
		c.bounds = make([]byte, 0, 2*keys.EventKeyLen(c.stream))
		c.prefix = keys.AppendStream(c.bounds, id, c.stream)
	}
	// Both bounds begin with the prefix, which the first one's stays.
	end := len(c.prefix) + keys.VersionFromEnd
	c.bounds = binary.BigEndian.AppendUint64(c.prefix, uint64(c.lo))
	c.bounds = binary.BigEndian.AppendUint64(append(c.bounds, c.prefix...), uint64(c.hi)+1)
	it, err := c.view.db.eng.NewIter(c.bounds[:end:end], c.bounds[end:])
	if err != nil {
		return false, err
	}
	last, err = c.walk(it, p, n)
	return last, errors.Join(err, it.Close())
}

func (c *streamCursor) walk(it engine.Iter, p *page, n int) (last bool, err error) {
	backward := c.opts.backward
	tenantID := TenantID(binary.BigEndian.Uint32(c.prefix[keys.TenantOffset:]))
	var env codec.Envelope
	bytes := 0
	ok := it.Start(backward)
	for ; ok && len(p.events) < n && bytes < pageBytes; ok = it.Step(backward) {
		key := it.Key()
		if len(key) != len(c.prefix)+keys.VersionFromEnd {
			return false, damagedEvent(c.stream, 0, 0, keys.ErrInvalidKey)
		}
		version := Version(binary.BigEndian.Uint64(key[len(c.prefix):]))
		value, err := it.Value()
		if err != nil {
			return false, err
		}
		position, _ := codec.PositionOf(value)
		if position > c.view.head {
			if backward {
				continue
			}
			return true, nil
		}
		if err := c.advance(version); err != nil {
			return false, err
		}
		bytes += len(value)
		if err := env.Parse(value, tenantID, c.stream, version); err != nil {
			return false, damagedEvent(c.stream, version, 0, err)
		}
		if env.RecordedAt > c.opts.recordedTo && !backward {
			return true, nil // recorded-at never decreases within a stream
		}
		if !c.opts.accepts(c.stream, version, &env) {
			continue
		}
		if err := c.decoder.decode(p.add(), c.view.tenant, c.stream, version, &env); err != nil {
			return false, p.drop(err)
		}
	}
	if backward && !ok && it.Err() == nil && c.last > c.lo {
		return false, damagedEvent(c.stream, c.last-1, 0, errVersionMissing)
	}
	return !ok, nil // the iterator's error surfaces when it is closed
}

// errVersionMissing is a hole in a stream.
var errVersionMissing = errors.New("the version is missing")

// advance moves the cursor past version. A hole is damage: the events around it
// must not pass for the whole stream.
func (c *streamCursor) advance(version Version) error {
	expected := version
	switch {
	case c.last == 0 && !c.opts.backward:
		expected = c.lo
	case c.last == 0:
		// The newest version is whatever it is.
	case c.opts.backward:
		expected = c.last - 1
	default:
		expected = c.last + 1
	}
	if version != expected {
		return damagedEvent(c.stream, expected, 0, errVersionMissing)
	}
	c.last = version
	if c.opts.backward {
		c.hi = version - 1
	} else {
		c.lo = version + 1
	}
	return nil
}
