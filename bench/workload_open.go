package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nexus-erp/eventstream"
)

// openFigure opens a store that was closed cleanly.
func openFigure() figure {
	return figure{
		name: "open", unit: "opens", baseline: "raw Pebble on the same files",
		prepare: func(ctx context.Context, b *bed) (*contest, error) {
			d, err := b.shortStreams(ctx)
			if err != nil {
				return nil, err
			}
			return &contest{
				product: openTurn(func() (func() error, error) {
					db, err := openStore(d.dir, b.opts.Durability)
					if err != nil {
						return nil, err
					}
					if db.Head() != eventstream.Position(d.events()) {
						return nil, errors.Join(fmt.Errorf("store opened at position %d, want %d", db.Head(), d.events()), db.Close())
					}
					return db.Close, nil
				}),
				baseline: openTurn(func() (func() error, error) {
					r, err := openRaw(d.rawDir, false)
					if err != nil {
						return nil, err
					}
					return r.close, nil
				}),
				bytes: d.bytesPerEvent, events: d.events(),
			}, nil
		},
	}
}

// openTurn opens and closes for d, at least once. Only opening is timed.
func openTurn(open func() (closeIt func() error, err error)) turn {
	return func(_ context.Context, d time.Duration, lat *latencies) (sample, error) {
		var s sample
		for start := time.Now(); s.units == 0 || time.Since(start) < d; s.units++ {
			began := time.Now()
			closeIt, err := open()
			took := time.Since(began)
			if err != nil {
				return s, err
			}
			lat.record(0, took)
			s.busy += took
			if err := closeIt(); err != nil {
				return s, err
			}
		}
		return s, nil
	}
}
