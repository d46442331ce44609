package demo

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nexus-erp/eventstream"
)

// clock is the store's clock in the demo: it shows when the plan books the entry
// that is appended next, so that the whole year passes in a few seconds.
type clock struct{ ns atomic.Int64 }

func (c *clock) set(t time.Time) { c.ns.Store(t.UnixNano()) }
func (c *clock) now() time.Time  { return time.Unix(0, c.ns.Load()).UTC() }

// books is an open store, and the clock that it reads.
type books struct {
	db    *eventstream.DB
	clock *clock
}

// openBooks opens the store in dir, at a time of the plan.
func openBooks(dir string, at time.Time, opts eventstream.Options) (*books, error) {
	c := &clock{}
	c.set(at)
	opts.Clock = c.now
	db, err := eventstream.Open(dir, &opts)
	if err != nil {
		return nil, err
	}
	return &books{db: db, clock: c}, nil
}

// append appends one entry, when the plan says.
func (b *books) append(ctx context.Context, e *Entry) (eventstream.CommitResult, error) {
	if b.clock.now().Before(e.Recorded) {
		b.clock.set(e.Recorded)
	}
	res, err := b.db.AppendAll(ctx, e.Appends)
	if err != nil {
		return res, fmt.Errorf("book %s: %w", e.Name(), err)
	}
	return res, nil
}

// appendAll appends every entry of the plan and returns how many were new.
func (b *books) appendAll(ctx context.Context, plan *Plan) (added int, err error) {
	for i := range plan.Entries {
		res, err := b.append(ctx, &plan.Entries[i])
		if err != nil {
			return added, err
		}
		if !res.Deduplicated {
			added++
		}
	}
	return added, nil
}

// closedMonthRefuses reports whether the store refuses an entry into a month that
// is closed, and wrote nothing of it.
func (b *books) closedMonthRefuses(ctx context.Context) (bool, error) {
	before := b.db.Head()
	may := time.Date(year, 5, 12, 9, 0, 0, 0, time.UTC)
	late := func(account string, cents int64) eventstream.StreamAppend {
		return eventstream.StreamAppend{
			Stream: accountStream(account), Expect: eventstream.Any,
			Events: []eventstream.NewEvent{{
				Type: typeAmountPosted, OccurredAt: may,
				Data: &Posting{Entry: "late", AmountCents: cents, Text: "too late"},
			}},
		}
	}
	_, err := b.db.AppendAll(ctx, []eventstream.StreamAppend{
		late(cash, 100), late(revenue, -100),
		{Stream: periodStream(may), Expect: periodIsOpen()},
	})
	if err != nil && !errors.Is(err, eventstream.ErrConflict) {
		return false, err
	}
	return err != nil && b.db.Head() == before, nil
}
