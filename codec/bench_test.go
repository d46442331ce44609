package codec_test

import (
	"testing"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/campaign"
)

type credited struct {
	Account   string `msgpack:"account" json:"account"`
	Cents     int64  `msgpack:"cents" json:"cents"`
	Currency  string `msgpack:"currency" json:"currency"`
	Document  string `msgpack:"document" json:"document"`
	Line      int    `msgpack:"line" json:"line"`
	Reversed  bool   `msgpack:"reversed" json:"reversed"`
	CostPlace string `msgpack:"cost_place" json:"cost_place"`
}

func exampleCredited() *credited {
	return &credited{
		Account: "finance-account-1000", Cents: 123_456_789, Currency: "EUR",
		Document: "INV-2026-000123", Line: 3, CostPlace: "4711",
	}
}

// The budgets are those of the encoding itself: with room in dst, and the value
// behind a pointer, msgpack needs no allocation.
func TestEncodeStaysWithinItsAllocationBudget(t *testing.T) {
	v := exampleCredited()
	dst := make([]byte, 0, 1024)
	for _, tt := range []struct {
		name   string
		id     codec.ID
		v      any
		budget float64
	}{
		{"msgpack", codec.Msgpack, v, 0},
		{"msgpack, encoded already", codec.Msgpack, codec.Encoded(mustEncode(t, codec.Msgpack, v)), 1},
		{"msgpack, of a map", codec.Msgpack, map[string]int{"a": 1, "b": 2}, 8},
		{"JSON", codec.JSON, v, 16},
		{"raw", codec.Raw, []byte("abc"), 0},
	} {
		got := campaign.Allocs(1000, tt.budget, func() {
			if _, err := codec.Encode(dst, tt.id, tt.v); err != nil {
				t.Fatal(err)
			}
		})
		if !codec.RaceEnabled && got > tt.budget {
			t.Errorf("%s: %v allocations, want at most %v", tt.name, got, tt.budget)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	v := exampleCredited()
	dst := make([]byte, 0, 1024)
	for _, id := range []codec.ID{codec.Msgpack, codec.JSON} {
		b.Run(id.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := codec.Encode(dst, id, v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("msgpack map", func(b *testing.B) {
		m := map[string]any{"account": v.Account, "cents": v.Cents, "currency": v.Currency, "document": v.Document}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := codec.Encode(dst, codec.Msgpack, m); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, id := range []codec.ID{codec.Msgpack, codec.JSON} {
		data := mustEncode(b, id, exampleCredited())
		b.Run(id.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var v credited
				if err := codec.Decode(id, "T", 1, data, &v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkTranscode(b *testing.B) {
	data := mustEncode(b, codec.Msgpack, exampleCredited())
	text, _, err := codec.ToJSON(codec.Msgpack, data)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("ToJSON", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := codec.ToJSON(codec.Msgpack, data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("FromJSON", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := codec.FromJSON(codec.Msgpack, text); err != nil {
				b.Fatal(err)
			}
		}
	})
}
