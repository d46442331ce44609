package balances_test

import (
	"context"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/projection"
	"github.com/nexus-erp/eventstream/projection/balances"
	"github.com/nexus-erp/eventstream/projection/decimal"
)

// amounts is the payload of an event that posts several amounts to the account of its
// stream.
type amounts struct {
	Amounts []amount `msgpack:"amounts"`
}

type amount struct {
	Commodity string          `msgpack:"commodity"`
	Amount    decimal.Decimal `msgpack:"amount"`
}

func mapping(e eventstream.Event) ([]balances.Posting, error) {
	var a amounts
	if err := e.Decode(&a); err != nil {
		return nil, err
	}
	var postings []balances.Posting
	for _, x := range a.Amounts {
		postings = append(postings, balances.Posting{Account: string(e.Stream), Commodity: x.Commodity, Amount: x.Amount})
	}
	return postings, nil
}

// entry is a journal entry over two to four accounts in one or two commodities, which
// sums to zero in each, and occurred somewhere in three months.
func entry(rng *rand.Rand) []eventstream.StreamAppend {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rng.Int64N(90*24)) * time.Hour)
	n, first := 2+rng.IntN(3), rng.IntN(6)
	lines := make([][]amount, n)
	for _, commodity := range []string{"EUR", "$"}[:1+rng.IntN(2)] {
		sum := decimal.Decimal{}
		for i := range n - 1 {
			x := decimal.New(rng.Int64N(2_000_000)-1_000_000, rng.IntN(5))
			sum = sum.Add(x)
			lines[i] = append(lines[i], amount{commodity, x})
		}
		lines[n-1] = append(lines[n-1], amount{commodity, sum.Neg()})
	}
	var appends []eventstream.StreamAppend
	for i, line := range lines {
		appends = append(appends, eventstream.StreamAppend{
			Stream: eventstream.StreamID(fmt.Sprintf("finance-account-%d", first+i)), Expect: eventstream.Any,
			Events: []eventstream.NewEvent{{Type: "Posted", OccurredAt: at, Data: amounts{line}}},
		})
	}
	return appends
}

// start runs an engine with the projections until the test ends.
func start(t *testing.T, db *eventstream.DB, defs ...projection.Definition) *projection.Engine {
	t.Helper()
	e := projection.New(db, nil)
	for _, d := range defs {
		if err := e.Register(d); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	})
	return e
}

func waitFor(t *testing.T, e *projection.Engine, name string, position eventstream.Position) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := e.WaitFor(ctx, name, position); err != nil {
		t.Fatal(err)
	}
}

// fold computes with fractions what the view must hold.
func fold(t *testing.T, db *eventstream.DB) map[balances.Key]string {
	t.Helper()
	type sums struct {
		debit, credit big.Rat
		n             int
	}
	all := map[balances.Key]*sums{}
	for e, err := range db.ReadAll(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		var a amounts
		if err := e.Decode(&a); err != nil {
			t.Fatal(err)
		}
		for _, x := range a.Amounts {
			for _, period := range []balances.Period{balances.Total, balances.Period(e.OccurredAt.Format("2006-01"))} {
				key := balances.Key{Period: period, Account: string(e.Stream), Commodity: x.Commodity}
				if all[key] == nil {
					all[key] = &sums{}
				}
				n, _ := new(big.Rat).SetString(x.Amount.String())
				if n.Sign() < 0 {
					all[key].credit.Sub(&all[key].credit, n)
				} else {
					all[key].debit.Add(&all[key].debit, n)
				}
				all[key].n++
			}
		}
	}
	texts := map[balances.Key]string{}
	for key, s := range all {
		texts[key] = fmt.Sprint(s.debit.RatString(), " ", s.credit.RatString(), " ", s.n)
	}
	return texts
}

func rational(t *testing.T, d decimal.Decimal) string {
	t.Helper()
	n, ok := new(big.Rat).SetString(d.String())
	if !ok {
		t.Fatalf("%s is no number", d)
	}
	return n.RatString()
}

func TestBalancesAreTheFoldOfTheLog(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	rng := rand.New(rand.NewPCG(7, 0))
	var last eventstream.Position
	for range 300 {
		res, err := db.AppendAll(t.Context(), entry(rng))
		if err != nil {
			t.Fatal(err)
		}
		last = res.LastPosition
	}
	e := start(t, db.DB, balances.Definition("balances", mapping))
	waitFor(t, e, "balances", last)
	err := e.Read("balances", func(r *eventstream.ViewReader) error {
		got := map[balances.Key]string{}
		for record, err := range balances.Records().All(r) {
			if err != nil {
				return err
			}
			b := record.Value
			got[record.Key] = fmt.Sprint(rational(t, b.Debit), " ", rational(t, b.Credit), " ", b.Postings)
			if !b.Net().Equal(b.Debit.Sub(b.Credit)) {
				t.Errorf("%v: net is %s", record.Key, b.Net())
			}
		}
		want := fold(t, db.DB)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("balances (-want +got):\n%s", diff)
		}

		var lines, months, account int
		for line, err := range balances.Lines(r, balances.Total) {
			if err != nil || line.Key.Period != balances.Total {
				t.Errorf("the trial balance has %v, %v", line, err)
			}
			lines++
		}
		for line, err := range balances.Lines(r, "2026-02") {
			if err != nil || line.Key.Period != "2026-02" {
				t.Errorf("February has %v, %v", line, err)
			}
			months++
		}
		for line, err := range balances.Account(r, balances.Total, "finance-account-3") {
			if err != nil || line.Key.Account != "finance-account-3" {
				t.Errorf("the account has %v, %v", line, err)
			}
			account++
		}
		if lines != 18 || months != 18 || account != 2 {
			t.Errorf("got %d lines, %d of February, %d of an account; want 18, 18, 2", lines, months, account)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A trial balance as of a day is the fold of what had occurred by then, also of entries
// that were recorded in another order than they occurred in, and as far as they were
// known.
func TestATrialBalanceAsOfADay(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	rng := rand.New(rand.NewPCG(11, 0))
	var half time.Time
	for n := range 200 {
		if n == 100 {
			half = db.Clock.Now()
		}
		db.Clock.Advance(time.Minute)
		if _, err := db.AppendAll(t.Context(), entry(rng)); err != nil {
			t.Fatal(err)
		}
	}
	def := balances.Definition("balances", mapping)
	def.Keyed.AsOf = true
	e := start(t, db.DB, def)
	waitFor(t, e, "balances", db.Head())
	for day := range 10 {
		at := projection.AsOf{Occurred: time.Date(2026, 1, 1+9*day, 12, 0, 0, 0, time.UTC)}
		if day%2 == 1 {
			at.Recorded = half
		}
		want := map[string]decimal.Decimal{}
		for ev, err := range db.ReadAll(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if ev.OccurredAt.After(at.Occurred) || !at.Recorded.IsZero() && ev.RecordedAt.After(at.Recorded) {
				continue
			}
			postings, err := mapping(ev)
			if err != nil {
				t.Fatal(err)
			}
			for _, p := range postings {
				want[p.Account+" "+p.Commodity] = want[p.Account+" "+p.Commodity].Add(p.Amount)
			}
		}
		err := e.ReadAsOf(t.Context(), "balances", at, func(r *projection.AsOfReader) error {
			lines := 0
			for line, err := range balances.Lines(r, balances.Total) {
				if err != nil {
					return err
				}
				lines++
				if sum, ok := want[line.Key.Account+" "+line.Key.Commodity]; !ok || !sum.Equal(line.Value.Net()) {
					t.Errorf("as of %+v, %v: got %s, want %s", at, line.Key, line.Value.Net(), sum)
				}
			}
			if lines != len(want) || day > 0 && lines == 0 {
				t.Errorf("as of %+v: got %d lines, want %d", at, lines, len(want))
			}
			sums, err := balances.Sums(r, balances.Total)
			for commodity, sum := range sums {
				if !sum.Net().IsZero() {
					t.Errorf("as of %+v: the books are off by %s %s", at, sum.Net(), commodity)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Whoever reads a trial balance while entries are appended sees books that balance, in
// each commodity and each month.
func TestNobodySeesATrialBalanceThatDoesNotBalance(t *testing.T) {
	t.Parallel()
	const writers, entries = 4, 150
	db := estest.Open(t)
	def := balances.Definition("balances", mapping)
	def.BatchEvents = 2 // less than most entries have
	e := start(t, db.DB, def)
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 0))
			for range entries {
				if _, err := db.AppendAll(context.Background(), entry(rng)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	written := make(chan struct{})
	go func() { writing.Wait(); close(written) }()

	seen := map[uint64]bool{} // states of the view, by their postings
	look := func() {
		err := e.Read("balances", func(r *eventstream.ViewReader) error {
			for _, period := range []balances.Period{balances.Total, "2026-01", "2026-02", "2026-03"} {
				sums, err := balances.Sums(r, period)
				if err != nil {
					return err
				}
				for commodity, sum := range sums {
					if !sum.Net().IsZero() {
						t.Errorf("the books of %q are off by %s %s", period, sum.Net(), commodity)
					}
				}
				if period == balances.Total {
					seen[sums["EUR"].Postings] = true
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	for running := true; running; {
		select {
		case <-written:
			running = false
		default:
		}
		look()
	}
	// The last events are looked at one commit after the other.
	for range 20 {
		res, err := db.AppendAll(t.Context(), entry(rand.New(rand.NewPCG(99, 0))))
		if err != nil {
			t.Fatal(err)
		}
		waitFor(t, e, "balances", res.LastPosition)
		look()
	}
	if len(seen) < 20 {
		t.Errorf("%d states of the view were seen, want at least the last 20", len(seen))
	}
	t.Logf("%d states of the view were seen while %d entries were appended", len(seen), writers*entries)
}

func TestAnEventThatDoesNotSayWhatItPostsIsNotPassedOver(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	fields := balances.Fields{Account: "id", Commodity: "'EUR'", Amount: "data.cents", Decimals: 2}
	byFields, err := fields.Mapping()
	if err != nil {
		t.Fatal(err)
	}
	empty := func(eventstream.Event) ([]balances.Posting, error) { return []balances.Posting{{}}, nil }
	parking, halting, noAccount := balances.Definition("parking", byFields), balances.Definition("halting", byFields), balances.Definition("no-account", empty)
	parking.OnFailure, parking.Attempts = projection.Park, 1
	halting.OnFailure, halting.Attempts = projection.Halt, 1
	noAccount.OnFailure, noAccount.Attempts = projection.Halt, 1
	e := start(t, db.DB, parking, halting, noAccount)
	var last eventstream.Position
	for _, data := range []any{map[string]any{"cents": 150}, map[string]any{"cent": 150}, map[string]any{"cents": 1.5}, map[string]any{"cents": "-5"}} {
		res, err := db.Append(t.Context(), "finance-account-1000", eventstream.Any, eventstream.NewEvent{Type: "Posted", Data: data})
		if err != nil {
			t.Fatal(err)
		}
		last = res.LastPosition
	}
	waitFor(t, e, "parking", last)
	parked, err := e.Parked("parking")
	if err != nil || len(parked) != 2 || !strings.Contains(parked[0].Error, "data.cents: the event has none") || !strings.Contains(parked[1].Error, "binary float") {
		t.Errorf("parked: %+v, %v", parked, err)
	}
	err = e.Read("parking", func(r *eventstream.ViewReader) error {
		b, ok, err := balances.Records().Get(r, balances.Key{Account: "1000", Commodity: "EUR"})
		if err != nil || !ok || b.Net().String() != "1.45" || b.Postings != 2 {
			t.Errorf("got %+v, %v, %v; want 1.45 of 2 postings", b, ok, err)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"halting": "field data.cents: the event has none", "no-account": "Posting.Account"} {
		if err := e.WaitFor(t.Context(), name, last); !errors.Is(err, projection.ErrHalted) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want it halted for %q", name, err, want)
		}
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	data, err := codec.Encode(nil, codec.JSON, codec.Encoded(`{"account":"Assets:Cash","amount":"-53.66000","commodity":"$","quantity":-3,"price":"2.10","cents":105}`))
	if err != nil {
		t.Fatal(err)
	}
	e := eventstream.Event{Stream: "finance-account-1000", Type: "PostingImported", Codec: codec.JSON, Data: data}
	for _, tc := range []struct {
		fields balances.Fields
		want   string
	}{
		{balances.Ledger(), "Assets:Cash -53.66000 $"},
		{balances.Fields{Account: "id", Amount: "data.cents", Decimals: 2}, "1000 1.05 "},
		{balances.Fields{Account: "'sales'", Commodity: "'GBP'", Quantity: "data.quantity", Price: "data.price"}, "sales -6.30 GBP"},
	} {
		m, err := tc.fields.Mapping()
		if err != nil {
			t.Fatal(err)
		}
		postings, err := m(e)
		if err != nil || len(postings) != 1 {
			t.Fatalf("%+v: got %v, %v", tc.fields, postings, err)
		}
		p := postings[0]
		if got := fmt.Sprintf("%s %s %s", p.Account, p.Amount, p.Commodity); got != tc.want {
			t.Errorf("%+v: got %q, want %q", tc.fields, got, tc.want)
		}
	}
	for _, tc := range []struct {
		field  string
		fields balances.Fields
	}{
		{"Account", balances.Fields{Amount: "data.a"}},
		{"Amount", balances.Fields{Account: "id"}},
		{"Amount", balances.Fields{Account: "id", Quantity: "data.a"}},
		{"Amount", balances.Fields{Account: "id", Amount: "data.a", Price: "data.b"}},
		{"Decimals", balances.Fields{Account: "id", Amount: "data.a", Decimals: -1}},
		{"Commodity", balances.Fields{Account: "id", Amount: "data.a", Commodity: "EUR"}},
		{"Price", balances.Fields{Account: "id", Quantity: "data.a", Price: "data"}},
	} {
		var fault *eventstream.ArgumentError
		if _, err := tc.fields.Mapping(); !errors.As(err, &fault) || fault.Field != tc.field {
			t.Errorf("%+v: got %v, want an error of %s", tc.fields, err, tc.field)
		}
	}
}

// The stored form is on disk.
func TestRecordsArePinned(t *testing.T) {
	t.Parallel()
	key, err := balances.Records().EncodeKey(balances.Key{Period: "2026-03", Account: "1000", Commodity: "EUR"})
	if want := "2026-03\x00\x011000\x00\x01EUR\x00\x01"; err != nil || string(key) != want {
		t.Errorf("got key %q, %v, want %q", key, err, want)
	}
	value, err := balances.Records().EncodeValue(balances.Balance{Debit: decimal.New(150, 2), Postings: 1})
	if want := "\x83\xa6credit\xa10\xa5debit\xa41.50\xa8postings\x01"; err != nil || string(value) != want {
		t.Errorf("got value %q, %v, want %q", value, err, want)
	}
}
