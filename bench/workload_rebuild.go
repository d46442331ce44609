package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/projection"
)

// rebuildFigure rebuilds a view of a record for each stream with two workers, whole, from
// the first event to the switch, against one worker.
func rebuildFigure() figure {
	return figure{
		name: "project-rebuild", baseline: "one worker instead of two",
		prepare: over((*bed).fewStreams, func(d *dataset, durability eventstream.Durability) (product, baseline turn) {
			return rebuildTurn(d, durability, 2), rebuildTurn(d, durability, 1)
		}),
	}
}

// rebuildTurn rebuilds a view as often as the turn allows.
func rebuildTurn(d *dataset, durability eventstream.Durability, workers int) turn {
	return func(ctx context.Context, dur time.Duration, _ *latencies) (s sample, err error) {
		db, err := openStore(d.dir, durability)
		if err != nil {
			return sample{}, err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		name := fmt.Sprintf("balances-%d", workers)
		e := projection.New(db, nil)
		if err := e.Register(projection.Definition{Name: name, Keyed: balances, PartitionedByStream: true}); err != nil {
			return sample{}, err
		}
		return measure(ctx, 1, dur, nil, func(ctx context.Context, _ call) (int, error) {
			err := e.Rebuild(ctx, name, projection.RebuildOptions{Workers: workers})
			return d.events(), err
		})
	}
}

// balances adds the amount of each posting to the record of its stream.
var balances = &projection.Keyed{
	Keys: func(e eventstream.Event) ([][]byte, error) { return [][]byte{[]byte(e.Stream)}, nil },
	Fold: func(_, value []byte, e eventstream.Event) ([]byte, error) {
		var p Posting
		if err := e.Decode(&p); err != nil {
			return nil, err
		}
		if value == nil {
			value = make([]byte, 8)
		}
		binary.BigEndian.PutUint64(value, binary.BigEndian.Uint64(value)+uint64(p.AmountCent))
		return value, nil
	},
}
