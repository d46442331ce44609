package main

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
)

const transcript = `receive 5 lamps in Berlin                done
reserve 3 for order 17                   done
issue 4 over the counter                 refused: not enough in stock: 2 are free, 4 are wanted
deliver order 17                         done
transfer 1 to Hamburg                    done
transfer 9 to Hamburg                    refused: not enough in stock: 1 are free, 9 are wanted
the last lamp in Berlin                  1 of 2 tills sold it
lamps in berlin                          0 on hand, 0 reserved
lamps in hamburg                         1 on hand, 0 reserved
`

func TestTheExampleTellsWhatItDid(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(context.Background(), &out, t.TempDir(), time.Now); err != nil {
		t.Fatal(err)
	}
	if out.String() != transcript {
		t.Errorf("got\n%s", out.String())
	}
}

func TestAnItemsRules(t *testing.T) {
	t.Parallel()
	events, err := Events()
	if err != nil {
		t.Fatal(err)
	}
	item := estest.Aggregate(t, events, Decider())
	item.Given(Received{5}).When(Issue(5)).Then(Issued{5})
	item.Given(Received{5}).When(Issue(6)).ThenError(ErrShort)
	item.Given(Received{5}, Reserved{"a", 4}).When(Issue(2)).ThenError(ErrShort)
	item.Given(Received{5}, Reserved{"a", 4}).When(Deliver("a")).Then(Delivered{"a"}).ThenState(Item{OnHand: 1, Reserved: map[string]int64{}})
	item.Given(Received{5}).When(Deliver("a")).ThenError(ErrShort)
	item.Given().When(Receive(0)).ThenError(ErrPieces)
	item.Given(Received{5}, SentTo{"b", 2}, ArrivedFrom{"c", 1}).When(Reserve("o", 4)).Then(Reserved{"o", 4})
}

// Twenty tills want the last seven: seven get one each, and transfers meanwhile lose nothing.
func TestTheLastUnitsAreSoldOnce(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := estest.Open(t)
	w, err := NewWarehouse(db.DB)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Do(ctx, "lamp", "a", Receive(10)); err != nil {
		t.Fatal(err)
	}
	var sold, moved atomic.Int64
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			err := w.Do(ctx, "lamp", "a", Issue(1))
			if err == nil {
				sold.Add(1)
			} else if !errors.Is(err, ErrShort) {
				t.Error(err)
			}
		})
		if i < 3 {
			wg.Go(func() {
				err := w.Transfer(ctx, "lamp", "a", "b", 1)
				if err == nil {
					moved.Add(1)
				} else if !errors.Is(err, ErrShort) {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	a, errA := w.Stock(ctx, "lamp", "a")
	b, errB := w.Stock(ctx, "lamp", "b")
	if errA != nil || errB != nil || a.OnHand != 0 || b.OnHand != moved.Load() || sold.Load()+moved.Load() != 10 {
		t.Errorf("%d were sold and %d moved of 10; %+v and %+v are left, %v, %v", sold.Load(), moved.Load(), a, b, errA, errB)
	}
}

// The stock of a past day, as it was known then, is another one than as it is known now.
func TestTheStockOfAPastDay(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	db := estest.Open(t)
	w, err := NewWarehouse(db.DB)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if err := w.Do(ctx, "lamp", "a", Receive(10)); err != nil {
		t.Fatal(err)
	}
	evening := db.Clock.Now()
	db.Clock.Advance(24 * time.Hour)
	late, err := w.encode(Issued{4})
	if err != nil {
		t.Fatal(err)
	}
	late.OccurredAt = evening.Add(-time.Minute) // before the goods came, even
	if _, err := db.Append(ctx, stream("lamp", "a"), eventstream.Exact(1), late); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		at   []eventstream.ReadOption
		want int64
	}{
		"now":           {nil, 6},
		"as known now":  {[]eventstream.ReadOption{eventstream.OccurredUntil(evening)}, 6},
		"as known then": {[]eventstream.ReadOption{eventstream.OccurredUntil(evening), eventstream.RecordedUntil(evening)}, 10},
	} {
		if got, err := w.Stock(ctx, "lamp", "a", tt.at...); err != nil || got.OnHand != tt.want {
			t.Errorf("%s: got %+v, %v, want %d", name, got, err, tt.want)
		}
	}
}
