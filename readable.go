package eventstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nexus-erp/eventstream/internal/engine"
)

// awaitReadable waits until the event at position is readable.
func (db *DB) awaitReadable(ctx context.Context, position Position) error {
	for {
		if position == 0 {
			return nil
		}
		rises := db.readable.Above(position - 1)
		if rises == nil {
			return nil
		}
		select {
		case <-rises:
		case <-ctx.Done():
			return ctx.Err()
		case <-db.eng.Poisoned():
			if db.readable.Load() >= position {
				return nil
			}
			return db.writable()
		}
	}
}

// AwaitAbove waits until an event above position is readable, and returns the readable
// head. It fails with ctx's error, [ErrClosed], or one that matches [ErrPoisoned] if no
// such event will come.
func (db *DB) AwaitAbove(ctx context.Context, position Position) (head Position, err error) {
	return db.view().awaitNews(ctx, position+1)
}

// poisoned turns the engine's error into ours.
func (db *DB) poisoned(err error) error {
	var p *engine.PoisonError
	if errors.As(err, &p) {
		return &PoisonedError{Err: p.Err}
	}
	return err
}

// writable returns why nothing can be written, or nil.
func (db *DB) writable() error {
	if db.opts.ReadOnly {
		return fmt.Errorf("append: %w", ErrReadOnly)
	}
	if err := db.eng.PoisonErr(); err != nil {
		return db.poisoned(err)
	}
	return nil
}
