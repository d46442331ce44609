package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/keys"
)

// shortStream and longStream are the lengths of the streams that the load figures
// read.
const (
	shortStream = 10
	longStream  = 10_000
)

// shortLoadFigure loads streams of ten events, each picked anew among all.
func shortLoadFigure() figure {
	return loadFigure("stream-load-10", "raw Pebble on the same files: a new iterator and ten steps", shortStream, (*bed).shortStreams)
}

// longLoadFigure loads streams of ten thousand events.
func longLoadFigure() figure {
	return loadFigure("stream-load-10k", "raw Pebble on the same files: an iterator over the same keys", longStream, (*bed).longStreams)
}

func loadFigure(name, baseline string, length int, data func(*bed, context.Context) (*dataset, error)) figure {
	return figure{
		name: name, baseline: baseline,
		prepare: func(ctx context.Context, b *bed) (*contest, error) {
			d, err := data(b, ctx)
			if err != nil {
				return nil, err
			}
			return &contest{
				product:  loadTurn(d, b.opts.Durability, b.opts.Seed),
				baseline: rawLoadTurn(d, b.opts.Seed),
				bytes:    d.bytesPerEvent,
				events:   d.events(),
			}, nil
		},
	}
}

func (d *dataset) bytesPerEvent() (float64, error) {
	return float64(d.bytes) / float64(d.events()), nil
}

// loadTurn reads whole streams into events.
func loadTurn(d *dataset, durability eventstream.Durability, seed uint64) turn {
	rng := rand.New(rand.NewPCG(seed, 1))
	return func(ctx context.Context, dur time.Duration, lat *latencies) (s sample, err error) {
		db, err := openStore(d.dir, durability)
		if err != nil {
			return sample{}, err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		return measure(ctx, 1, dur, lat, func(ctx context.Context, _ call) (int, error) {
			stream := d.stream(rng.Uint64())
			var events, bytes int
			for ev, err := range db.ReadStream(ctx, stream) {
				if err != nil {
					return events, err
				}
				events++
				bytes += len(ev.Data)
			}
			return events, d.checkLoad(stream, events, bytes)
		})
	}
}

// rawLoadTurn iterates over the keys of whole streams.
func rawLoadTurn(d *dataset, seed uint64) turn {
	rng := rand.New(rand.NewPCG(seed, 1)) // the same sequence as the product's
	return func(ctx context.Context, dur time.Duration, lat *latencies) (s sample, err error) {
		r, err := openRaw(d.rawDir, false)
		if err != nil {
			return sample{}, err
		}
		defer func() { err = errors.Join(err, r.close()) }()
		var prefix []byte
		return measure(ctx, 1, dur, lat, func(_ context.Context, _ call) (int, error) {
			stream := d.stream(rng.Uint64())
			prefix = keys.AppendStream(prefix[:0], 1, stream)
			iter, err := r.prefixIter(prefix)
			if err != nil {
				return 0, err
			}
			var events, bytes int
			for ok := iter.First(); ok; ok = iter.Next() {
				events++
				bytes += len(iter.Value())
			}
			return events, errors.Join(iter.Close(), d.checkLoad(stream, events, bytes))
		})
	}
}

// checkLoad holds both sides to the whole stream.
func (d *dataset) checkLoad(stream eventstream.StreamID, events, bytes int) error {
	if events != d.perStream || bytes == 0 {
		return fmt.Errorf("load of %q gave %d events of %d bytes, want %d events", stream, events, bytes, d.perStream)
	}
	return nil
}

// readAllFigure scans the global order.
func readAllFigure() figure {
	return figure{
		name: "read-all", baseline: "raw Pebble with the envelopes under their positions alone: one iterator",
		prepare: func(ctx context.Context, b *bed) (*contest, error) {
			d, err := b.shortStreams(ctx)
			if err != nil {
				return nil, err
			}
			dir, err := b.positionStore(ctx, d)
			if err != nil {
				return nil, err
			}
			return &contest{
				product: readAllTurn(d, b.opts.Durability), baseline: rawScanTurn(dir, scanBodies),
				bytes: d.bytesPerEvent, events: d.events(),
			}, nil
		},
	}
}

// readAllSeekFigure scans the global order, against what a store without segments
// does.
func readAllSeekFigure() figure {
	return figure{
		name: "read-all-seek", baseline: "raw Pebble on the same files: an iterator over the positions, and a seek for each event",
		prepare: over((*bed).shortStreams, func(d *dataset, durability eventstream.Durability) (product, baseline turn) {
			return readAllTurn(d, durability), rawScanTurn(d.rawDir, scanSeeking)
		}),
	}
}

// scanClockEvery is how many events a scan reads between two looks at the clock.
const scanClockEvery = 256

// slice counts the events of the part of a scan that falls into one turn. The next
// turn goes on where it ended.
type slice struct {
	until         time.Time
	events, bytes int
}

// add counts one event and reports whether the slice is over.
func (s *slice) add(bytes int) (over bool) {
	s.events++
	s.bytes += bytes
	return s.events%scanClockEvery == 0 && !time.Now().Before(s.until)
}

// readAllTurn reads the global order, over and over. Nothing is recorded in lat: a
// scan has no operations to time.
func readAllTurn(d *dataset, durability eventstream.Durability) turn {
	var after eventstream.Position
	return func(ctx context.Context, dur time.Duration, _ *latencies) (s sample, err error) {
		db, err := openStore(d.dir, durability)
		if err != nil {
			return sample{}, err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		return measure(ctx, 1, dur, nil, func(ctx context.Context, c call) (int, error) {
			sl := &slice{until: c.until}
			for ev, err := range db.ReadAll(ctx, eventstream.After(after)) {
				if err != nil {
					return sl.events, err
				}
				after = ev.Position
				if sl.add(len(ev.Data)) {
					return sl.events, nil
				}
			}
			if after != eventstream.Position(d.events()) {
				return sl.events, fmt.Errorf("scan ended at position %d, want %d", after, d.events())
			}
			after = 0
			return sl.events, nil
		})
	}
}

// scan reads from the position key at on, until the slice is over, and returns the
// position key to go on from; nil: from the start.
type scan func(r *raw, at []byte, sl *slice) (next []byte, err error)

// rawScanTurn runs a raw scan, over and over.
func rawScanTurn(dir string, run scan) turn {
	var at []byte
	return func(ctx context.Context, dur time.Duration, _ *latencies) (s sample, err error) {
		r, err := openRaw(dir, false)
		if err != nil {
			return sample{}, err
		}
		defer func() { err = errors.Join(err, r.close()) }()
		return measure(ctx, 1, dur, nil, func(_ context.Context, c call) (int, error) {
			sl := &slice{until: c.until}
			next, err := run(r, at, sl)
			at = next
			return sl.events, err
		})
	}
}

// positionsFrom returns an iterator over the position keys, at the key at.
func positionsFrom(r *raw, at []byte) (iter *pebble.Iterator, ok bool, err error) {
	iter, err = r.kindIter(keys.KindPosition)
	if err != nil {
		return nil, false, err
	}
	if at == nil {
		return iter, iter.First(), nil
	}
	return iter, iter.SeekGE(at), nil
}

// scanBodies reads envelopes that lie under their positions.
func scanBodies(r *raw, at []byte, sl *slice) (next []byte, err error) {
	iter, ok, err := positionsFrom(r, at)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, iter.Close()) }()
	for ; ok; ok = iter.Next() {
		if sl.add(len(iter.Value())) {
			return append(at[:0], iter.Key()...), nil
		}
	}
	return nil, nil
}

// scanSeeking reads positions, and seeks each one's event. One iterator serves all
// seeks.
func scanSeeking(r *raw, at []byte, sl *slice) (next []byte, err error) {
	iter, ok, err := positionsFrom(r, at)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, iter.Close()) }()
	events, err := r.kindIter(keys.KindEvent)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, events.Close()) }()
	for ; ok; ok = iter.Next() {
		if !events.SeekGE(iter.Value()) {
			return nil, fmt.Errorf("position key %x points at no event", iter.Key())
		}
		if sl.add(len(events.Value())) {
			return append(at[:0], iter.Key()...), nil
		}
	}
	return nil, nil
}

// positionStore returns a raw store of d's envelopes under their positions.
func (b *bed) positionStore(ctx context.Context, d *dataset) (string, error) {
	dir := filepath.Join(filepath.Dir(d.rawDir), "positions")
	if isDir(dir) {
		return dir, nil
	}
	return dir, d.positionStore(ctx, dir)
}
