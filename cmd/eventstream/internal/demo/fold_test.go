package demo

import (
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/google/go-cmp/cmp"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
)

// posted makes a stored AmountPosted: the index-th of size events of a commit.
func posted(t *testing.T, account string, position eventstream.Position, index, size int, cents int64) eventstream.Event {
	t.Helper()
	data, err := codec.Encode(nil, codec.Msgpack, &Posting{Entry: "JE-1", AmountCents: cents})
	if err != nil {
		t.Fatal(err)
	}
	return eventstream.Event{
		Stream: accountStream(account), Type: typeAmountPosted, Codec: codec.Msgpack, Data: data,
		Position: position, CommitIndex: index, CommitSize: size,
	}
}

// sequence yields evs, and then err if there is one.
func sequence(err error, evs ...eventstream.Event) events {
	return func(yield func(eventstream.Event, error) bool) {
		for _, ev := range evs {
			if !yield(ev, nil) {
				return
			}
		}
		if err != nil {
			yield(eventstream.Event{}, err)
		}
	}
}

func TestTrialBalanceSumsDebitsAndCreditsApart(t *testing.T) {
	t.Parallel()
	got, err := FoldTrialBalance(sequence(nil,
		posted(t, cash, 1, 0, 3, 1190), posted(t, revenue, 2, 1, 3, -1000), posted(t, outputVAT, 3, 2, 3, -190),
		posted(t, cash, 4, 0, 2, -500), posted(t, bank, 5, 1, 2, 500),
		eventstream.Event{Stream: "finance-period-2025_01", Type: typePeriodOpened, Position: 6, CommitSize: 1},
	))
	if err != nil {
		t.Fatal(err)
	}
	want := TrialBalance{Entries: 2, Accounts: []AccountTotal{
		{Code: cash, DebitCents: 1190, CreditCents: 500},
		{Code: bank, DebitCents: 500},
		{Code: outputVAT, CreditCents: 190},
		{Code: revenue, CreditCents: 1000},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("trial balance (-want +got):\n%s", diff)
	}
	if got.Total() != 0 || got.Balance(cash) != 690 || got.Balance("9999") != 0 {
		t.Errorf("total %d, cash %d, unknown account %d; want 0, 690, 0", got.Total(), got.Balance(cash), got.Balance("9999"))
	}
}

func TestTrialBalanceNamesAnEntryThatDoesNotBalance(t *testing.T) {
	t.Parallel()
	// The two faults cancel out: the total alone would not show them.
	got, err := FoldTrialBalance(sequence(nil,
		posted(t, cash, 1, 0, 2, 100), posted(t, revenue, 2, 1, 2, -99),
		posted(t, cash, 3, 0, 2, 100), posted(t, revenue, 4, 1, 2, -101),
	))
	if err != nil {
		t.Fatal(err)
	}
	if got.Total() != 0 || len(got.Unbalanced) != 2 {
		t.Errorf("total %d, unbalanced %v; want 0 and two entries", got.Total(), got.Unbalanced)
	}
}

func TestFoldsEndWithTheReadsError(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	if _, err := FoldTrialBalance(sequence(boom)); !errors.Is(err, boom) {
		t.Errorf("FoldTrialBalance = %v, want %v", err, boom)
	}
	if _, err := FoldStock(sequence(boom)); !errors.Is(err, boom) {
		t.Errorf("FoldStock = %v, want %v", err, boom)
	}
}

func TestStockIsAskedByWhatOccurredAndByWhatWasKnown(t *testing.T) {
	t.Parallel()
	day := func(month time.Month, d int) time.Time { return time.Date(year, month, d, 12, 0, 0, 0, time.UTC) }
	b, err := openBooks("stock", day(time.May, 1), eventstream.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.db.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, m := range []struct {
		recorded, occurred time.Time
		quantity           int64
	}{
		{day(time.May, 1), day(time.May, 1), 100},
		{day(time.June, 3), day(time.June, 3), -30},
		{day(time.December, 9), day(time.May, 1), -24}, // back-dated
	} {
		b.clock.set(m.recorded)
		_, err := b.db.Append(t.Context(), itemStream("tea"), eventstream.Any, eventstream.NewEvent{
			Type: typeGoodsReceived, OccurredAt: m.occurred, Data: &StockMove{Quantity: m.quantity, ValueCents: m.quantity * 3},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, tc := range []struct {
		name      string
		at, known time.Time
		want      int64
	}{
		{"at the end of May, as known then", day(time.May, 31), day(time.May, 31), 100},
		{"at the end of May, as known in December", day(time.May, 31), day(time.December, 31), 76},
		{"in July, as known in July", day(time.July, 1), day(time.July, 1), 70},
		{"in July, as known in December", day(time.July, 1), day(time.December, 31), 46},
		{"both bounds are inclusive", day(time.May, 1), day(time.December, 9), 76},
		{"before anything occurred", day(time.April, 1), day(time.December, 31), 0},
	} {
		got, err := b.stockAt(t.Context(), "tea", tc.at, tc.known)
		if err != nil || got != (Stock{Quantity: tc.want, ValueCents: tc.want * 3}) {
			t.Errorf("%s: stock %+v (%v), want %d pieces", tc.name, got, err, tc.want)
		}
	}
}
