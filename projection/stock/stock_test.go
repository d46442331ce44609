package stock_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/projection"
	"github.com/nexus-erp/eventstream/projection/decimal"
	"github.com/nexus-erp/eventstream/projection/stock"
)

// moved is the payload of an event on an item's stream. With To, it is a transfer.
type moved struct {
	From   string `msgpack:"from"`
	To     string `msgpack:"to"`
	Grams  int64  `msgpack:"grams"`
	Millis int64  `msgpack:"millis"` // its value
}

func mapping(e eventstream.Event) ([]stock.Move, error) {
	var m moved
	if err := e.Decode(&m); err != nil {
		return nil, err
	}
	quantity, value := decimal.New(m.Grams, 3), decimal.New(m.Millis, 3)
	moves := []stock.Move{{Item: string(e.Stream), Location: m.From, Quantity: quantity, Value: value}}
	if m.To != "" {
		moves[0].Quantity, moves[0].Value = quantity.Neg(), value.Neg()
		moves = append(moves, stock.Move{Item: string(e.Stream), Location: m.To, Quantity: quantity, Value: value})
	}
	return moves, nil
}

// run applies all events of db and calls fn with the view.
func run(t *testing.T, db *eventstream.DB, def projection.Definition, fn func(e *projection.Engine, r *eventstream.ViewReader) error) {
	t.Helper()
	e := projection.New(db, nil)
	if err := e.Register(def); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	}()
	if err := e.WaitFor(ctx, def.Name, db.Head()); err != nil {
		t.Fatal(err)
	}
	if err := e.Read(def.Name, func(r *eventstream.ViewReader) error { return fn(e, r) }); err != nil {
		t.Fatal(err)
	}
}

func TestStockIsTheFoldOfTheLog(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	rng := rand.New(rand.NewPCG(3, 0))
	type level struct{ Grams, Millis, In, Out, Moves, LastAt int64 }
	want := map[stock.Key]level{}
	add := func(item, location string, grams, millis int64, at time.Time) {
		l := want[stock.Key{Item: item, Location: location}]
		l.Grams, l.Millis, l.Moves = l.Grams+grams, l.Millis+millis, l.Moves+1
		l.In, l.Out = l.In+max(grams, 0), l.Out+max(-grams, 0)
		l.LastAt = max(l.LastAt, at.UnixNano())
		want[stock.Key{Item: item, Location: location}] = l
	}
	for range 400 {
		item, m := fmt.Sprintf("warehouse-item-%d", rng.IntN(5)), moved{From: fmt.Sprint("bin-", rng.IntN(3)), Grams: rng.Int64N(5000), Millis: rng.Int64N(90000)}
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(rng.Int64N(1000)) * time.Hour) // not in their order
		switch rng.IntN(3) {
		case 0:
			add(item, m.From, m.Grams, m.Millis, at)
		case 1:
			m.Grams, m.Millis = -m.Grams, -m.Millis
			add(item, m.From, m.Grams, m.Millis, at)
		default:
			m.To = "shop"
			add(item, m.From, -m.Grams, -m.Millis, at)
			add(item, m.To, m.Grams, m.Millis, at)
		}
		if _, err := db.Append(t.Context(), eventstream.StreamID(item), eventstream.Any, eventstream.NewEvent{Type: "Moved", OccurredAt: at, Data: m}); err != nil {
			t.Fatal(err)
		}
	}
	run(t, db.DB, stock.Definition("stock", mapping), func(_ *projection.Engine, r *eventstream.ViewReader) error {
		got := map[stock.Key]level{}
		thousandths := func(d decimal.Decimal) (n int64) {
			if _, err := fmt.Sscan(d.Mul(decimal.New(1000, 0)).Round(0).String(), &n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		for record, err := range stock.Levels(r) {
			if err != nil {
				return err
			}
			l := record.Value
			got[record.Key] = level{thousandths(l.Quantity), thousandths(l.Value), thousandths(l.In), thousandths(l.Out), int64(l.Moves), int64(l.LastAt)}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("stock (-want +got):\n%s", diff)
		}
		var places []string
		for record, err := range stock.Item(r, "warehouse-item-3") {
			if err != nil {
				return err
			}
			places = append(places, record.Key.Location)
		}
		if got := strings.Join(places, " "); got != "bin-0 bin-1 bin-2 shop" {
			t.Errorf("an item lies at %s", got)
		}
		return nil
	})
}

func TestAnEventThatDoesNotSayWhatItMovesIsNotPassedOver(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	m, err := stock.Fields{Item: "id", Quantity: "data.pieces"}.Mapping()
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range []any{map[string]any{"pieces": 3}, map[string]any{}, map[string]any{"pieces": "x"}, map[string]any{"pieces": -1}} {
		if _, err := db.Append(t.Context(), "warehouse-item-cup", eventstream.Any, eventstream.NewEvent{Type: "Moved", Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	def := stock.Definition("stock", m)
	def.OnFailure, def.Attempts = projection.Park, 1
	run(t, db.DB, def, func(e *projection.Engine, r *eventstream.ViewReader) error {
		parked, err := e.Parked("stock")
		if err != nil || len(parked) != 2 || !strings.Contains(parked[0].Error, "data.pieces: the event has none") || !strings.Contains(parked[1].Error, "is no number") {
			t.Errorf("parked: %+v, %v", parked, err)
		}
		l, ok, err := stock.Records().Get(r, stock.Key{Item: "cup"})
		if err != nil || !ok || l.Quantity.String() != "2" || l.Moves != 2 {
			t.Errorf("got %+v, %v, %v; want 2 pieces of 2 moves", l, ok, err)
		}
		return nil
	})
	nameless := stock.Definition("nameless", func(eventstream.Event) ([]stock.Move, error) { return []stock.Move{{}}, nil })
	if _, err := nameless.Keyed.Keys(eventstream.Event{}); !errors.Is(err, eventstream.ErrInvalidArgument) {
		t.Errorf("a move without an item: got %v, want an argument error", err)
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	data, err := codec.Encode(nil, codec.JSON, codec.Encoded(`{"StockCode":"85123A","Quantity":"-6","Price":"2.55","where":"W1","cents":-1530}`))
	if err != nil {
		t.Fatal(err)
	}
	e := eventstream.Event{Stream: "warehouse-item-cup", Codec: codec.JSON, Data: data}
	for _, tc := range []struct {
		fields stock.Fields
		want   string
	}{
		{stock.Fields{Item: "data.StockCode", Quantity: "data.Quantity"}, "85123A@ -6 0"},
		{stock.Fields{Item: "id", Location: "data.where", Quantity: "data.Quantity", Price: "data.Price"}, "cup@W1 -6 -15.30"},
		{stock.Fields{Item: "id", Quantity: "data.Quantity", Value: "data.cents", Decimals: 2}, "cup@ -6 -15.30"},
	} {
		m, err := tc.fields.Mapping()
		if err != nil {
			t.Fatal(err)
		}
		moves, err := m(e)
		if err != nil || len(moves) != 1 {
			t.Fatalf("%+v: got %v, %v", tc.fields, moves, err)
		}
		if got := fmt.Sprintf("%s@%s %s %s", moves[0].Item, moves[0].Location, moves[0].Quantity, moves[0].Value); got != tc.want {
			t.Errorf("%+v: got %q, want %q", tc.fields, got, tc.want)
		}
	}
	for _, tc := range []struct {
		field  string
		fields stock.Fields
	}{
		{"Item", stock.Fields{Quantity: "data.a"}},
		{"Quantity", stock.Fields{Item: "id"}},
		{"Value", stock.Fields{Item: "id", Quantity: "data.a", Value: "data.b", Price: "data.c"}},
		{"Decimals", stock.Fields{Item: "id", Quantity: "data.a", Decimals: 101}},
		{"Location", stock.Fields{Item: "id", Quantity: "data.a", Location: "here"}},
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
	key, err := stock.Records().EncodeKey(stock.Key{Item: "cup", Location: "W1"})
	if want := "cup\x00\x01W1\x00\x01"; err != nil || string(key) != want {
		t.Errorf("got key %q, %v, want %q", key, err, want)
	}
	value, err := stock.Records().EncodeValue(stock.Level{Quantity: decimal.New(2, 0), Moves: 1, LastAt: 7})
	if want := "\x86\xa2in\xa10\xa7last_at\x07\xa5moves\x01\xa3out\xa10\xa8quantity\xa12\xa5value\xa10"; err != nil || string(value) != want {
		t.Errorf("got value %q, %v, want %q", value, err, want)
	}
}
