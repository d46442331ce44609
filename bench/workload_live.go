package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/projection"
)

// liveFigure appends one event after the other while a projection follows, and measures
// how long after the append returned the view shows the event. Its latencies are that
// time alone, its rates count append and wait.
func liveFigure() figure {
	return figure{
		name: "project-live", writers: 1, batch: 1,
		baseline: "a follower that is handed the event",
		prepare: func(ctx context.Context, b *bed) (*contest, error) {
			t, err := newAppendTest(ctx, b)
			if err != nil {
				return nil, err
			}
			return &contest{product: t.viewTurn(), baseline: t.followTurn(), bytes: t.bytesPerEvent}, nil
		},
	}
}

// seen waits until what is at position was seen.
type seen func(ctx context.Context, position eventstream.Position) error

// viewTurn waits for each event until the view of a projection that counts shows it.
func (t *appendTest) viewTurn() turn {
	return t.latencyTurn("view", func(ctx context.Context, db *eventstream.DB) (seen, func() error, error) {
		e := projection.New(db, nil)
		if err := e.Register(counting("count")); err != nil {
			return nil, nil, err
		}
		stop := inBackground(ctx, e.Run)
		wait := func(ctx context.Context, position eventstream.Position) error {
			return e.WaitFor(ctx, "count", position)
		}
		if err := wait(ctx, db.Head()); err != nil { // what warmed the store up
			return nil, nil, errors.Join(err, stop())
		}
		return wait, stop, nil
	})
}

// followTurn waits for each event until a follower has it.
func (t *appendTest) followTurn() turn {
	return t.latencyTurn("follow", func(ctx context.Context, db *eventstream.DB) (seen, func() error, error) {
		got := make(chan eventstream.Position, 1)
		after := db.Head()
		stop := inBackground(ctx, func(ctx context.Context) error {
			for e, err := range db.Follow(ctx, eventstream.After(after)) {
				if err != nil {
					return err
				}
				select {
				case got <- e.Position:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
		wait := func(ctx context.Context, position eventstream.Position) error {
			for {
				select {
				case p := <-got:
					if p >= position {
						return nil
					}
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		}
		return wait, stop, nil
	})
}

// latencyTurn appends to a new store and waits until each event was seen by what begin
// started.
func (t *appendTest) latencyTurn(name string, begin func(context.Context, *eventstream.DB) (seen, func() error, error)) turn {
	return func(ctx context.Context, d time.Duration, lat *latencies) (s sample, err error) {
		dir := filepath.Join(t.dir, name)
		db, err := openStore(dir, t.durability)
		if err != nil {
			return sample{}, err
		}
		defer func() { err = errors.Join(err, t.weigh(dir, db), os.RemoveAll(dir)) }()
		if err := t.warm(ctx, db); err != nil {
			return sample{}, err
		}
		wait, stop, err := begin(ctx, db)
		if err != nil {
			return sample{}, err
		}
		defer func() { err = errors.Join(err, stop()) }()
		return measure(ctx, 1, d, lat, func(ctx context.Context, c call) (int, error) {
			p := &t.proposals[c.i%len(t.proposals)]
			res, err := db.Append(ctx, p.stream, eventstream.Any, p.event)
			if err != nil {
				return 0, err
			}
			began := time.Now()
			err = wait(ctx, res.LastPosition)
			*c.took = time.Since(began)
			return 1, err
		})
	}
}

// inBackground runs what ends with its ctx. stop ends it.
func inBackground(ctx context.Context, run func(context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	return func() error {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	}
}
