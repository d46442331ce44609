package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
)

const transcript = `2026-01-02  owner pays in              posted
2026-01-05  goods bought               posted
2026-01-20  a sale                     posted
2026-01-21  a slip of the pen          refused: debit and credit differ by -900 cents
2026-01-22  an account nobody opened   refused: there is no such account: 9999
2026-01-25  reversal of e3             posted
2026-01-26  the same once more         refused: the entry was reversed already
2026-01-31  forgotten in January       refused: the period is not open
2026-02-01  booked in February then    posted

trial balance of 2026-01-24
  1000      4399.00
  1400       900.00
  3000     -5000.00
  4000      -599.00
  5000       300.00
  sum          0.00

trial balance of 2026-02-28
  1000      3807.00
  1400      1200.00
  3000     -5000.00
  4000        -7.00
  5000         0.00
  sum          0.00
`

func TestTheExampleTellsWhatItDid(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(context.Background(), &out, t.TempDir(), nil); err != nil {
		t.Fatal(err)
	}
	if out.String() != transcript {
		t.Errorf("got\n%s", out.String())
	}
}

func newBook(t *testing.T) (*Book, *estest.DB) {
	t.Helper()
	db := estest.Open(t)
	b := &Book{DB: db.DB}
	ctx := context.Background()
	if err := errors.Join(b.OpenAccount(ctx, "1", "a"), b.OpenAccount(ctx, "2", "b"), b.OpenPeriod(ctx, "2026-01")); err != nil {
		t.Fatal(err)
	}
	return b, db
}

// A reversal names the entry as its cause, in all its events.
func TestAReversalNamesItsCause(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b, db := newBook(t)
	if err := errors.Join(
		b.Post(ctx, Entry{"e1", day("2026-01-05"), "x", []Line{{"1", 5}, {"2", -5}}}),
		b.Reverse(ctx, "e1", "e2", day("2026-01-06"), "y"),
	); err != nil {
		t.Fatal(err)
	}
	original := ""
	for ev, err := range db.ReadStream(ctx, "finance-entry-e1", eventstream.To(1)) {
		if err != nil {
			t.Fatal(err)
		}
		original = ev.ID.String()
	}
	n := 0
	for ev, err := range db.Query(ctx, eventstream.Query{}.Causations(original)) {
		if err != nil {
			t.Fatal(err)
		}
		n++
		if !ev.OccurredAt.Equal(day("2026-01-06")) {
			t.Errorf("got %+v", ev)
		}
	}
	if n != 4 { // the entry, two lines, the mark
		t.Errorf("%d events name the entry as their cause, want 4", n)
	}
}

// Of many who reverse an entry, close its period and post meanwhile, the books stay balanced:
// the entry is reversed at most once, and nothing is booked after the period was closed.
func TestTheBooksBalanceWhoeverIsFaster(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	b, db := newBook(t)
	if err := b.Post(ctx, Entry{"e1", day("2026-01-05"), "x", []Line{{"1", 500}, {"2", -500}}}); err != nil {
		t.Fatal(err)
	}
	var reversed, posted atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			switch err := b.Reverse(ctx, "e1", fmt.Sprint("r", i), day("2026-01-06"), "y"); {
			case err == nil:
				reversed.Add(1)
			case !errors.Is(err, ErrReversed) && !errors.Is(err, ErrPeriodClosed):
				t.Error(err)
			}
		})
		wg.Go(func() {
			for n := range 10 {
				err := b.Post(ctx, Entry{fmt.Sprintf("p%d-%d", i, n), day("2026-01-07"), "z", []Line{{"1", 1}, {"2", -1}}})
				switch {
				case err == nil:
					posted.Add(1)
				case !errors.Is(err, ErrPeriodClosed):
					t.Error(err)
				}
				balance, err := b.TrialBalance(ctx, day("2026-02-01"))
				if err != nil || balance.Sum() != 0 {
					t.Errorf("a trial balance of %d, %v", balance.Sum(), err)
				}
				if i == 0 && n == 5 {
					if err := b.ClosePeriod(ctx, "2026-01"); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if reversed.Load() > 1 {
		t.Errorf("the entry was reversed %d times", reversed.Load())
	}
	closed := eventstream.Position(0)
	for ev, err := range db.ReadAll(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if ev.Type == "PeriodClosed" {
			closed = ev.Position
		} else if closed > 0 {
			t.Errorf("%s at position %d was booked after the period was closed at %d", ev.Type, ev.Position, closed)
		}
	}
	if err := b.ClosePeriod(ctx, "2026-01"); !errors.Is(err, ErrPeriodClosed) {
		t.Errorf("closed twice: got %v", err)
	}
	if balance, err := b.TrialBalance(ctx, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)); err != nil || len(balance) != 2 {
		t.Errorf("got %v, %v", balance, err)
	}
}
