package balances

import (
	"iter"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/projection"
	"github.com/nexus-erp/eventstream/projection/decimal"
)

// Posting is an amount that an event posts to an account.
type Posting struct {
	Account   string          // required
	Commodity string          // a currency, or whatever is counted; "" is one too
	Amount    decimal.Decimal // debits are positive, credits negative
}

// Mapping returns what an event posts; nothing, if it posts nothing. An event that should
// post something and does not say what is an error, which the projection's policy
// handles. A Mapping depends on the event alone, and does not change it.
type Mapping func(e eventstream.Event) ([]Posting, error)

// Period is a month, as "2026-03", or [Total].
type Period string

// Total is the period of everything.
const Total Period = ""

// MonthOf returns the month of t, in UTC.
func MonthOf(t time.Time) Period { return Period(t.UTC().Format("2006-01")) }

// Key is the key of a record. Records sort by period, account and commodity.
type Key struct {
	Period    Period
	Account   string
	Commodity string
}

// Balance is what was posted to an account in a commodity and a period. A month holds
// what occurred in it, whenever it was recorded.
type Balance struct {
	Debit    decimal.Decimal `msgpack:"debit"`    // the sum of what is not negative
	Credit   decimal.Decimal `msgpack:"credit"`   // the sum of what is, without its sign
	Postings uint64          `msgpack:"postings"` // how many there were
}

// Net returns debits less credits.
func (b Balance) Net() decimal.Decimal { return b.Debit.Sub(b.Credit) }

func (b *Balance) add(amount decimal.Decimal) {
	if amount.Sign() < 0 {
		b.Credit = b.Credit.Sub(amount)
	} else {
		b.Debit = b.Debit.Add(amount)
	}
	b.Postings++
}

// Records returns how the records of a balances projection are read.
func Records() projection.Records[Key, Balance] {
	return projection.NewRecords[Key, Balance]("", projection.StructKey(
		projection.Part(func(k *Key) *Period { return &k.Period }, projection.TextKey[Period]()),
		projection.Part(func(k *Key) *string { return &k.Account }, projection.TextKey[string]()),
		projection.Part(func(k *Key) *string { return &k.Commodity }, projection.TextKey[string]()),
	))
}

// Definition returns a projection called name of what m says. Whoever registers it may
// narrow it to types or a category, and choose what becomes of an event that m refuses.
func Definition(name string, m Mapping) projection.Definition {
	keys := func(e eventstream.Event) ([]Key, error) {
		postings, err := m(e)
		if err != nil {
			return nil, err
		}
		month := MonthOf(e.OccurredAt)
		all := make([]Key, 0, 2*len(postings))
		for _, p := range postings {
			if p.Account == "" {
				return nil, &eventstream.ArgumentError{Field: "Posting.Account", Reason: "it is empty: a posting needs an account"}
			}
			all = append(all, Key{Total, p.Account, p.Commodity}, Key{month, p.Account, p.Commodity})
		}
		return all, nil
	}
	fold := func(k Key, before *Balance, e eventstream.Event) (*Balance, error) {
		postings, err := m(e)
		if err != nil {
			return nil, err
		}
		var b Balance
		if before != nil {
			b = *before
		}
		for _, p := range postings {
			if p.Account == k.Account && p.Commodity == k.Commodity {
				b.add(p.Amount)
			}
		}
		return &b, nil
	}
	return projection.Definition{Name: name, Keyed: Records().Keyed(keys, fold)}
}

// Lines returns the balances of a period, by account and commodity: with [Total], the
// trial balance. An error is the last item.
func Lines(r projection.Reader, p Period) iter.Seq2[projection.Record[Key, Balance], error] {
	return Records().Under(r, Key{Period: p}, 1)
}

// Account returns the balances of an account in a period, by commodity. An error is the
// last item.
func Account(r projection.Reader, p Period, account string) iter.Seq2[projection.Record[Key, Balance], error] {
	return Records().Under(r, Key{Period: p, Account: account}, 2)
}

// Sums returns what all accounts together hold in a period, by commodity. In books that
// balance, each is zero.
func Sums(r projection.Reader, p Period) (map[string]Balance, error) {
	sums := map[string]Balance{}
	for line, err := range Lines(r, p) {
		if err != nil {
			return nil, err
		}
		sum := sums[line.Key.Commodity]
		sum.Debit = sum.Debit.Add(line.Value.Debit)
		sum.Credit = sum.Credit.Add(line.Value.Credit)
		sum.Postings += line.Value.Postings
		sums[line.Key.Commodity] = sum
	}
	return sums, nil
}
