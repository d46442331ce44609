package demo

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/nexus-erp/eventstream"
)

// events is what the store's reads return.
type events = iter.Seq2[eventstream.Event, error]

// AccountTotal is one line of a trial balance.
type AccountTotal struct {
	Code        string
	DebitCents  int64
	CreditCents int64 // not negative
}

// Balance returns debits less credits.
func (a AccountTotal) Balance() int64 { return a.DebitCents - a.CreditCents }

// TrialBalance is the accounts' totals, by code.
type TrialBalance struct {
	Accounts []AccountTotal
	Entries  int // commits that posted something
	// Unbalanced are the entries whose own postings do not sum to zero. There should
	// be none.
	Unbalanced []string
}

// Total returns the sum of all balances, which double entry keeps at zero.
func (t TrialBalance) Total() int64 {
	var sum int64
	for _, a := range t.Accounts {
		sum += a.Balance()
	}
	return sum
}

// Balance returns an account's balance, 0 if nothing was posted to it.
func (t TrialBalance) Balance(code string) int64 {
	for _, a := range t.Accounts {
		if a.Code == code {
			return a.Balance()
		}
	}
	return 0
}

// FoldTrialBalance sums up the postings among seq, which comes in the global order.
func FoldTrialBalance(seq events) (TrialBalance, error) {
	totals := map[string]*AccountTotal{}
	var t TrialBalance
	var entry string // of the present commit
	var sum int64    // of its postings so far
	var at eventstream.Position
	finish := func() {
		if sum != 0 {
			t.Unbalanced = append(t.Unbalanced, entry)
		}
		sum = 0
	}
	for ev, err := range seq {
		if err != nil {
			return TrialBalance{}, err
		}
		if ev.Type != typeAmountPosted {
			continue
		}
		var p Posting
		if err := ev.Decode(&p); err != nil {
			return TrialBalance{}, err
		}
		if commit := ev.CommitPosition(); commit != at {
			finish()
			at, entry = commit, p.Entry
			t.Entries++
		}
		sum += p.AmountCents
		code := strings.TrimPrefix(string(ev.Stream), accountCategory+"-")
		a := totals[code]
		if a == nil {
			a = &AccountTotal{Code: code}
			totals[code] = a
		}
		if p.AmountCents >= 0 {
			a.DebitCents += p.AmountCents
		} else {
			a.CreditCents -= p.AmountCents
		}
	}
	finish()
	for _, a := range totals {
		t.Accounts = append(t.Accounts, *a)
	}
	slices.SortFunc(t.Accounts, func(a, b AccountTotal) int { return cmp.Compare(a.Code, b.Code) })
	return t, nil
}

// FoldStock sums up the stock moves among seq, the events of one item's stream.
func FoldStock(seq events) (Stock, error) {
	var s Stock
	for ev, err := range seq {
		if err != nil {
			return Stock{}, err
		}
		var m StockMove
		if err := ev.Decode(&m); err != nil {
			return Stock{}, err
		}
		s.Quantity += m.Quantity
		s.ValueCents += m.ValueCents
	}
	return s, nil
}

// stockAt returns an item's stock at a time, as far as it was recorded by known.
func (b *books) stockAt(ctx context.Context, sku string, at, known time.Time) (Stock, error) {
	s, err := FoldStock(b.db.ReadStream(ctx, itemStream(sku),
		eventstream.OccurredUntil(at), eventstream.RecordedUntil(known)))
	if err != nil {
		return Stock{}, fmt.Errorf("stock of %s at %s: %w", sku, at.Format(time.DateOnly), err)
	}
	return s, nil
}
