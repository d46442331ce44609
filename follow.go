package eventstream

import (
	"context"
	"iter"
)

// Follow returns the tenant's events in the store's total order, first those that
// are there, then each new one as soon as it is readable, without a gap or a repeat
// where the one meets the other. It takes After, Limit, Types and Category.
//
// It ends with an error as its last item: ctx's, [ErrClosed], or one that matches
// [ErrPoisoned] after everything readable was returned. A slow loop delays nobody:
// the follower holds one page, and what the tail in memory no longer has it reads
// from disk.
func (s streams) Follow(ctx context.Context, opts ...ReadOption) iter.Seq2[Event, error] {
	o, err := newReadOptions("Follow", followOptions, opts)
	if err != nil {
		return failed[Event](err)
	}
	return func(yield func(Event, error) bool) {
		v := s.view()
		c := v.logCursor(o)
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
