package demo

import (
	"reflect"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
)

func TestTheSameSeedMakesTheSameYear(t *testing.T) {
	t.Parallel()
	if !reflect.DeepEqual(NewPlan(5), NewPlan(5)) {
		t.Error("two plans of seed 5 differ")
	}
	if reflect.DeepEqual(NewPlan(5), NewPlan(6)) {
		t.Error("seeds 5 and 6 make the same year")
	}
}

func TestEveryEntryOfThePlanIsSound(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{1, 2, 2025} {
		plan := NewPlan(seed)
		ids := map[eventstream.EventID]bool{}
		total := 0
		for i := range plan.Entries {
			e := &plan.Entries[i]
			if e.Number != i+1 {
				t.Fatalf("seed %d: entry %d has number %d", seed, i+1, e.Number)
			}
			if i > 0 && e.Recorded.Before(plan.Entries[i-1].Recorded) {
				t.Errorf("seed %d: %s is recorded before the entry ahead of it", seed, e.Name())
			}
			total += e.events()
			checkEntry(t, e, ids)
		}
		if total != plan.Events {
			t.Errorf("seed %d: plan counts %d events and has %d", seed, plan.Events, total)
		}
		if n := len(plan.Entries); n < 1500 || n > 4000 {
			t.Errorf("seed %d: %d entries, want a year of 1500 to 4000", seed, n)
		}
	}
}

// checkEntry holds an entry to double entry, to distinct streams and to distinct
// event ids.
func checkEntry(t *testing.T, e *Entry, ids map[eventstream.EventID]bool) {
	t.Helper()
	var sum int64
	accounts := map[eventstream.StreamID]bool{}
	streams := map[eventstream.StreamID]bool{}
	for _, a := range e.Appends {
		if streams[a.Stream] {
			t.Errorf("%s names stream %s twice", e.Name(), a.Stream)
		}
		streams[a.Stream] = true
		if len(a.Events) == 0 && a.Expect == eventstream.Any {
			t.Errorf("%s checks %s for nothing", e.Name(), a.Stream)
		}
		for _, ev := range a.Events {
			if ids[ev.ID] {
				t.Errorf("%s uses event id %s again", e.Name(), ev.ID)
			}
			ids[ev.ID] = true
			if p, ok := ev.Data.(*Posting); ok {
				sum += p.AmountCents
				accounts[a.Stream] = true
			}
		}
	}
	if sum != 0 {
		t.Errorf("%s posts %d cents more than nothing", e.Name(), sum)
	}
	if len(accounts) == 1 {
		t.Errorf("%s posts to one account only", e.Name())
	}
}

func TestASalePostsToAtLeastThreeAccountsOfAnOpenMonth(t *testing.T) {
	t.Parallel()
	plan := NewPlan(2025)
	sales := 0
	for i := range plan.Entries {
		e := &plan.Entries[i]
		if e.Appends[0].Events == nil || e.Appends[0].Events[0].Type != typeInvoiceIssued {
			continue
		}
		sales++
		accounts := 0
		for _, a := range e.Appends {
			if a.Stream.Category() == accountCategory {
				accounts++
			}
		}
		if accounts < 3 {
			t.Errorf("sale %s posts to %d accounts, want at least 3", e.Name(), accounts)
		}
		last := e.Appends[len(e.Appends)-1]
		if last.Stream != periodStream(e.Recorded) || last.Expect != eventstream.Exact(1) || len(last.Events) != 0 {
			t.Errorf("sale %s ends with %+v, want a check of its open month", e.Name(), last)
		}
	}
	if sales < 1000 {
		t.Errorf("%d sales in the year, want at least 1000", sales)
	}
}

func TestStockNeverFallsBelowNothing(t *testing.T) {
	t.Parallel()
	stock := map[eventstream.StreamID]Stock{}
	plan := NewPlan(2025)
	for i := range plan.Entries {
		for _, a := range plan.Entries[i].Appends {
			for _, ev := range a.Events {
				m, ok := ev.Data.(*StockMove)
				if !ok {
					continue
				}
				s := stock[a.Stream]
				s.Quantity += m.Quantity
				s.ValueCents += m.ValueCents
				stock[a.Stream] = s
				if s.Quantity < 0 || s.ValueCents < 0 || (s.Quantity == 0 && s.ValueCents != 0) {
					t.Fatalf("%s leaves %s at %+v", plan.Entries[i].Name(), a.Stream, s)
				}
			}
		}
	}
	var value int64
	for _, s := range stock {
		value += s.ValueCents
	}
	if value != plan.Balances[inventory] {
		t.Errorf("items are worth %d cents, the inventory account says %d", value, plan.Balances[inventory])
	}
}

func TestTheCorrectionIsBackDatedAndBookedOnce(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{1, 2, 3, 4, 5, 2025} {
		c := NewPlan(seed).Correction
		if c.Occurred.Month() != time.May || c.Recorded.Month() != time.December {
			t.Errorf("seed %d: correction occurred %s and was recorded %s, want May and December", seed, c.Occurred, c.Recorded)
		}
		if c.Quantity >= 0 || c.BookedInMay <= -c.Quantity {
			t.Errorf("seed %d: %d pieces missing of %d", seed, -c.Quantity, c.BookedInMay)
		}
	}
}

func TestVATIsRoundedHalfUp(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ net, want int64 }{{0, 0}, {100, 19}, {50, 10}, {2, 0}, {3, 1}, {12345, 2346}} {
		if got := vat(tc.net); got != tc.want {
			t.Errorf("vat(%d) = %d, want %d", tc.net, got, tc.want)
		}
	}
}
