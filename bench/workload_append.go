package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/keys"
)

// appendFigures returns the figure "append" for each number of writers.
func appendFigures(writers []int) []figure {
	var figures []figure
	for _, n := range writers {
		figures = append(figures, figure{
			name: "append", writers: n, batch: 1,
			baseline: "raw Pebble, one key with the same envelope bytes, the same sync",
			prepare: func(ctx context.Context, b *bed) (*contest, error) {
				t, err := newAppendTest(ctx, b)
				if err != nil {
					return nil, err
				}
				return &contest{product: t.productTurn(n, 1), baseline: t.rawTurn(n, 1), bytes: t.bytesPerEvent}, nil
			},
		})
	}
	return figures
}

// batchFigures returns the figure "append-batch" for each size of batch.
func batchFigures(writers int, batches []int) []figure {
	var figures []figure
	for _, n := range batches {
		figures = append(figures, figure{
			name: "append-batch", writers: writers, batch: n,
			baseline: "raw Pebble, one batch of as many keys with the same envelope bytes, the same sync",
			prepare: func(ctx context.Context, b *bed) (*contest, error) {
				t, err := newAppendTest(ctx, b)
				if err != nil {
					return nil, err
				}
				return &contest{product: t.productTurn(writers, n), baseline: t.rawTurn(writers, n), bytes: t.bytesPerEvent}, nil
			},
		})
	}
	return figures
}

// lockedFigure returns the figure "append-locked": the store against a store that
// would hold its lock across the sync.
//
// The variant is the most favourable one to itself: raw Pebble with the three keys
// that the store writes for an event, envelopes encoded beforehand, no checks; the
// lock covers only what assigns the position, the write and its sync. So the ratio
// is what sharing the sync is worth, less all else that the store does.
func lockedFigure(writers int) figure {
	return figure{
		name: "append-locked", writers: writers, batch: 1,
		baseline: "a variant with one lock held across the sync: raw Pebble, the same two keys for an event, encoded beforehand",
		prepare: func(ctx context.Context, b *bed) (*contest, error) {
			t, err := newAppendTest(ctx, b)
			if err != nil {
				return nil, err
			}
			return &contest{product: t.productTurn(writers, 1), baseline: t.lockedTurn(writers), bytes: t.bytesPerEvent}, nil
		},
	}
}

// sealerFigure returns the figure "append-sealer": what it costs appends that their runs
// are sealed and packed meanwhile. Its time ends when the sealer has caught up.
func sealerFigure(writers int) figure {
	return figure{
		name: "append-sealer", writers: writers, batch: 1,
		baseline: "the store with the sealer off",
		prepare: func(ctx context.Context, b *bed) (*contest, error) {
			t, err := newAppendTest(ctx, b)
			if err != nil {
				return nil, err
			}
			off := *t
			t.sealer, off.sealer = sealerAwaited, sealerOff
			return &contest{product: t.productTurn(writers, 1), baseline: off.productTurn(writers, 1), bytes: t.bytesPerEvent}, nil
		},
	}
}

// sealerMode is what the store's sealer does in a turn.
type sealerMode int

const (
	sealerOn      sealerMode = iota // as always
	sealerAwaited                   // the turn ends when it has caught up
	sealerOff
)

// appendTest is what both sides of an appending figure share: the same events, as
// proposals and as the store stores them. Every turn starts from an empty directory,
// so that no side pays, or is paid for, compactions of an earlier turn.
type appendTest struct {
	*eventPool
	durability eventstream.Durability
	dir        string
	sealer     sealerMode
	indexed    bool // with the default indexes, and the turn ends when they have caught up
	serials    *serials
	stored     float64 // bytes for each event, from the product's last turn
}

func newAppendTest(ctx context.Context, b *bed) (*appendTest, error) {
	pool, err := b.eventPool(ctx)
	if err != nil {
		return nil, err
	}
	dir, err := b.subdir("append")
	if err != nil {
		return nil, err
	}
	return &appendTest{eventPool: pool, durability: b.opts.Durability, dir: dir, serials: new(serials)}, nil
}

// productTurn appends batch events at a time through the store. A batch goes to
// one stream.
func (t *appendTest) productTurn(writers, batch int) turn {
	return func(ctx context.Context, d time.Duration, lat *latencies) (s sample, err error) {
		dir := filepath.Join(t.dir, "product")
		opts := storeOptions(t.durability)
		if t.sealer == sealerOff {
			opts.Unstable.RunEvents = -1
		}
		if t.indexed {
			opts.Indexes = nil
		}
		db, err := eventstream.Open(dir, opts)
		if err != nil {
			return sample{}, err
		}
		defer func() { err = errors.Join(err, t.weigh(dir, db), os.RemoveAll(dir)) }()
		if err := t.warm(ctx, db); err != nil {
			return sample{}, err
		}
		events := make([][]eventstream.NewEvent, writers)
		for w := range events {
			events[w] = make([]eventstream.NewEvent, batch)
		}
		s, err = measure(ctx, writers, d, lat, func(ctx context.Context, c call) (int, error) {
			at := t.start(c.worker, writers) + c.i*batch
			mine := events[c.worker]
			for j := range mine {
				mine[j] = t.proposals[(at+j)%len(t.proposals)].event
			}
			_, err := db.Append(ctx, t.proposals[at%len(t.proposals)].stream, eventstream.Any, mine...)
			return batch, err
		})
		if err != nil || t.sealer != sealerAwaited && !t.indexed {
			return s, err
		}
		began, cpu := time.Now(), processorTime()
		if t.indexed {
			err = awaitIndexed(ctx, db)
		} else {
			err = awaitSealed(ctx, db)
		}
		s.busy, s.cpu = s.busy+time.Since(began), s.cpu+processorTime()-cpu
		return s, err
	}
}

// warm appends to every stream of the pool once, many in one append. A process that
// has run for a while knows the versions of the streams it writes to; without this,
// a short turn would mostly look them up.
func (t *appendTest) warm(ctx context.Context, db *eventstream.DB) error {
	var appends []eventstream.StreamAppend
	seen := make(map[eventstream.StreamID]bool, len(t.proposals))
	for i, p := range t.proposals {
		if !seen[p.stream] {
			seen[p.stream] = true
			appends = append(appends, eventstream.StreamAppend{
				Stream: p.stream, Expect: eventstream.Any, Events: []eventstream.NewEvent{p.event},
			})
		}
		if len(appends) == maxBatch || (i == len(t.proposals)-1 && len(appends) > 0) {
			if _, err := db.AppendAll(ctx, appends); err != nil {
				return err
			}
			appends = appends[:0]
		}
	}
	return nil
}

// rawTurn writes the same events as one key each.
func (t *appendTest) rawTurn(writers, batch int) turn {
	return func(ctx context.Context, d time.Duration, lat *latencies) (s sample, err error) {
		r, err := openRaw(filepath.Join(t.dir, "raw"), true)
		if err != nil {
			return sample{}, err
		}
		defer func() { err = errors.Join(err, r.close(), os.RemoveAll(r.dir)) }()
		wo := writeOptions(t.durability)
		bufs := make([][]byte, writers)
		return measure(ctx, writers, d, lat, func(_ context.Context, c call) (int, error) {
			at, serial := t.start(c.worker, writers)+c.i*batch, t.serials.take(batch)
			if batch == 1 {
				rec := t.records[at%len(t.records)]
				bufs[c.worker] = rec.withSerial(bufs[c.worker], serial)
				return 1, r.db.Set(bufs[c.worker], rec.value, wo)
			}
			b := r.db.NewBatch()
			first := t.records[at%len(t.records)] // as in the store, a batch goes to one stream
			for j := range batch {
				bufs[c.worker] = first.withSerial(bufs[c.worker], serial+uint64(j))
				if err := b.Set(bufs[c.worker], t.records[(at+j)%len(t.records)].value, nil); err != nil {
					return 0, errors.Join(err, b.Close())
				}
			}
			return batch, errors.Join(b.Commit(wo), b.Close())
		})
	}
}

// lockedTurn writes event and position in one batch, and holds one lock
// from the assignment of the position until the batch is synced.
func (t *appendTest) lockedTurn(writers int) turn {
	return func(ctx context.Context, d time.Duration, lat *latencies) (s sample, err error) {
		r, err := openRaw(filepath.Join(t.dir, "locked"), true)
		if err != nil {
			return sample{}, err
		}
		defer func() { err = errors.Join(err, r.close(), os.RemoveAll(r.dir)) }()
		wo := writeOptions(t.durability)
		bufs := make([]lockedBuffers, writers)
		var lock sync.Mutex
		return measure(ctx, writers, d, lat, func(_ context.Context, c call) (int, error) {
			rec, buf := t.records[(t.start(c.worker, writers)+c.i)%len(t.records)], &bufs[c.worker]
			b := r.db.NewBatch()
			lock.Lock()
			defer lock.Unlock()
			if err := buf.add(b, rec, t.serials.take(1)); err != nil {
				return 0, errors.Join(err, b.Close())
			}
			return 1, errors.Join(b.Commit(wo), b.Close())
		})
	}
}

// lockedBuffers is one worker's memory for keys.
type lockedBuffers struct{ event, position []byte }

// add writes the two keys of one event into b.
func (l *lockedBuffers) add(b *pebble.Batch, rec record, position uint64) error {
	l.event = rec.withSerial(l.event, position)
	l.position = keys.AppendPosition(l.position[:0], keys.Position(position))
	return errors.Join(b.Set(l.event, rec.value, nil), b.Set(l.position, l.event, nil))
}

// weigh closes the product and notes how large its tables are for each event,
// flushed and not compacted. The log, which a short turn leaves behind whole, does
// not count.
func (t *appendTest) weigh(dir string, db *eventstream.DB) error {
	events := db.Head()
	if err := db.Close(); err != nil {
		return err
	}
	size, err := tableBytes(dir)
	if events > 0 {
		t.stored = float64(size) / float64(events)
	}
	return err
}

func (t *appendTest) bytesPerEvent() (float64, error) { return t.stored, nil }
