package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/projection"
)

// projectFigure lets a projection catch up that counts events, against reading them.
func projectFigure() figure {
	return figure{
		name: "project", baseline: "ReadAll in the same run",
		prepare: over((*bed).shortStreams, func(d *dataset, durability eventstream.Durability) (product, baseline turn) {
			return projectTurn(d, durability), readAllTurn(d, durability)
		}),
	}
}

// projectTurn lets new projections catch up, one after the other, until the turn is
// over.
func projectTurn(d *dataset, durability eventstream.Durability) turn {
	names := 0
	return func(ctx context.Context, dur time.Duration, _ *latencies) (s sample, err error) {
		db, err := openStore(d.dir, durability)
		if err != nil {
			return sample{}, err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		return measure(ctx, 1, dur, nil, func(ctx context.Context, c call) (int, error) {
			names++
			return project(ctx, db, fmt.Sprintf("count-%d", names), c.until)
		})
	}
}

// project lets a projection catch up until it has, or the time is over, but for at least one
// batch, and returns how many events took effect.
func project(ctx context.Context, db *eventstream.DB, name string, until time.Time) (events int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e := projection.New(db, nil)
	if err := e.Register(counting(name)); err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	waited := e.WaitFor(ctx, name, 1)
	if waited == nil {
		bounded, end := context.WithDeadline(ctx, until)
		waited = e.WaitFor(bounded, name, db.Head())
		end()
	}
	cancel()
	if err := <-done; err != nil && ctx.Err() == nil {
		return 0, err
	}
	if waited != nil && !errors.Is(waited, context.DeadlineExceeded) && !errors.Is(waited, context.Canceled) {
		return 0, waited
	}
	status, err := e.Status(context.WithoutCancel(ctx), name)
	return int(status.Processed), err
}

// counting is a projection that counts the events of one run: one record that every
// event changes, the least that a view can be.
func counting(name string) projection.Definition {
	var applied atomic.Uint64
	return projection.Definition{Name: name, Apply: func(_ context.Context, tx *eventstream.Tx, _ eventstream.Event) error {
		return tx.Put([]byte("count"), binary.BigEndian.AppendUint64(nil, applied.Add(1)))
	}}
}
