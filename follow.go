package eventstream

import (
	"context"
	"fmt"
	"iter"
)

// AheadError refuses a follower that says it has seen a position which the store never
// gave. What it saw is missing from the end of the store, as after a power failure under a
// durability other than [Sync], after a restore as of an earlier point, or if the directory
// was put back to an older copy; or it saw another store. Other events will take, or have
// taken, the positions that it passes over.
type AheadError struct {
	Position Position // that the follower has seen
	Head     Position // the newest that the store has given
}

// Error says what it may mean.
func (e *AheadError) Error() string {
	return fmt.Sprintf("eventstream: position %d was never given by this store, which ends at %d: what the caller has seen beyond it is lost "+
		"(after a power failure without sync, a restore, a rollback) or of another store: compare them, and start over from %d", e.Position, e.Head, e.Head)
}

// Is matches [ErrAhead].
func (e *AheadError) Is(target error) bool { return isKind(target, ErrAhead) }

// Follow returns the tenant's events in the store's total order, first those that
// are there, then each new one as soon as it is readable, without a gap or a repeat
// where the one meets the other. It takes After, Limit, Types and Category.
//
// It ends with an error as its last item: ctx's, [ErrClosed], or one that matches
// [ErrPoisoned] after everything readable was returned. A slow loop delays nobody:
// the follower holds one page, and what the tail in memory no longer has it reads
// from disk. A follower after a position that the store never gave gets an [*AheadError]
// instead of waiting for events that are not those that it expects.
func (s streams) Follow(ctx context.Context, opts ...ReadOption) iter.Seq2[Event, error] {
	o, err := newReadOptions("Follow", followOptions, opts)
	if err != nil {
		return failed[Event](err)
	}
	return func(yield func(Event, error) bool) {
		v := s.view()
		c := v.logCursor(o)
		if head := max(v.db.acknowledged.Load(), v.db.readable.Load()); v.err == nil && c.lo > head+1 {
			yield(Event{}, &AheadError{Position: c.lo - 1, Head: head})
			return
		}
		ready := func() (err error) {
			c.hi, err = v.awaitNews(ctx, c.lo)
			return err
		}
		v.pages(ctx, o.limit, ready, func(p *page, n int) (last bool, err error) {
			_, err = c.next(p, n)
			return false, err
		})(yield)
	}
}

// awaitNews waits until position next is readable, and returns the readable head.
func (v view) awaitNews(ctx context.Context, next Position) (Position, error) {
	if v.err != nil {
		return 0, v.err
	}
	for {
		rises := v.db.readable.Above(next - 1)
		if rises == nil {
			return v.db.readable.Load(), nil
		}
		select {
		case <-rises:
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-v.db.closing:
			return 0, ErrClosed
		case <-v.db.eng.Poisoned():
			if head := v.db.readable.Load(); head >= next {
				return head, nil
			}
			return 0, v.db.poisoned(v.db.eng.PoisonErr())
		}
	}
}
