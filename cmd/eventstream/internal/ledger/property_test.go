package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/projection/decimal"
)

// written is an amount and one of the ways in which it may be written.
func written(t *rapid.T, n decimal.Decimal, symbol string) string {
	digits := n.Abs().String()
	whole, fraction, _ := strings.Cut(digits, ".")
	point, group := ".", ","
	if symbol == "EUR" { // written with a decimal comma throughout
		point, group = ",", "."
	}
	if fraction == "" && group == "." {
		point = "" // or it would be thousands
	}
	if rapid.Bool().Draw(t, "grouped") {
		for i := len(whole) - 3; i > 0; i -= 3 {
			whole = whole[:i] + group + whole[i:]
		}
	}
	number := whole
	if fraction != "" {
		number += point + fraction
	}
	sign := ""
	if n.Sign() < 0 {
		sign = "-"
	}
	blank := rapid.SampledFrom([]string{"", " "}).Draw(t, "blank")
	switch rapid.IntRange(0, 2).Draw(t, "form") {
	case 0:
		return sign + symbol + blank + number
	case 1:
		return symbol + blank + sign + number
	default:
		return sign + number + blank + symbol
	}
}

// However amounts are written, each posting gets its own, and the one that is left out
// what balances them.
func TestAmountsComeOutAsTheyWentIn(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		// The commas of EUR are settled by an amount that can be read in one way alone.
		text.WriteString("commodity EUR\n  format 1.000,00 EUR\n2004/05/01 P\n")
		sums := map[string]decimal.Decimal{}
		var want []string
		for i := range rapid.IntRange(1, 8).Draw(t, "postings") {
			n, err := decimal.Parse(rapid.StringMatching(`-?[1-9][0-9]{0,9}(\.[0-9]{1,30})?`).Draw(t, "number"))
			if err != nil {
				t.Fatal(err)
			}
			symbol := rapid.SampledFrom([]string{"$", "EUR", `"A 1"`, "€"}).Draw(t, "symbol")
			name := strings.Trim(symbol, `"`)
			sums[name] = sums[name].Add(n)
			fmt.Fprintf(&text, "  A%d  %s\n", i, written(t, n, symbol))
			want = append(want, fmt.Sprintf("A%d %s %s", i, n, name))
		}
		text.WriteString("  Rest\n")
		block, err := newBlocks(t, text.String()).Next()
		if err != nil {
			t.Fatalf("%v in\n%s", err, text.String())
		}
		rest := map[string]decimal.Decimal{}
		for i, r := range block.Records {
			var p postingPayload
			if err := json.Unmarshal(r.Event.Data.(codec.Encoded), &p); err != nil {
				t.Fatal(err)
			}
			if i < len(want) {
				if got := fmt.Sprintf("%s %s %s", p.Account, p.Amount, p.Commodity); got != want[i] {
					t.Fatalf("got %s, want %s, in\n%s", got, want[i], text.String())
				}
				continue
			}
			rest[p.Commodity] = p.Amount
		}
		for symbol, sum := range sums {
			if !rest[symbol].Equal(sum.Neg()) {
				t.Fatalf("the rest is %s %s, want %s, in\n%s", rest[symbol], symbol, sum.Neg(), text.String())
			}
		}
	})
}

// FuzzBlocks checks that no text breaks the reader, that what it makes of one can be
// appended, and that it makes the same of it again.
func FuzzBlocks(f *testing.F) {
	f.Add("2004/05/01=2004/05/03 * (12) Payee  ; note\n  A  $1,234.50 @ 2 EUR = $5 ; x\n  [B]  -3 X {$1} [2004/01/01] (n) @@ $4\n  (C)  1\n  D\n")
	f.Add("alias A=B\napply account X\nY2004\n05/01 P\n A  1.234,50 EUR\n B\nend apply\nP 2004/01/01 A $1\n~ x\n  A\n= x\n")
	f.Add("account A\n  alias B\n  default\ncommodity $1,000.00\n  alias USD\ncomment\nx\nend comment\nbucket A\n2004/05/01 P\n  A  \"A 1\" -3\n")
	f.Add("2004-1-1 !\n\tA:b c\t-$.5\n\t* B  = 0\n; :a:b: K: v\n")
	f.Fuzz(func(t *testing.T, text string) {
		first, second := outcome(t, text), outcome(t, text)
		if !slices.Equal(first, second) {
			t.Fatalf("got\n%q\nand then\n%q", first, second)
		}
	})
}

// outcome lists what a journal becomes.
func outcome(t *testing.T, text string) (all []string) {
	t.Helper()
	blocks := newBlocks(t, text)
	for {
		block, err := blocks.Next()
		var bad *source.BadRecord
		switch {
		case errors.Is(err, io.EOF):
			return all
		case errors.As(err, &bad):
			if bad.Line < 1 || bad.Events < 1 || bad.Reason == "" {
				t.Fatalf("a bad record that says too little: %+v", bad)
			}
		case err != nil:
			return append(all, err.Error())
		}
		if err == nil {
			checkBlock(t, block)
			for i := range block.Records {
				all = append(all, fmt.Sprintf("%+v", block.Records[i]))
			}
			continue
		}
		all = append(all, err.Error())
	}
}

// checkBlock checks that a block can be appended at once.
func checkBlock(t *testing.T, block source.Block) {
	t.Helper()
	seen, ordinals := map[eventstream.StreamID]bool{}, map[string]bool{}
	for i := range block.Records {
		r := &block.Records[i]
		if bad := source.Check(r, fields); bad != nil {
			t.Fatal(bad)
		}
		if i > 0 && block.Records[i-1].Stream != r.Stream && seen[r.Stream] {
			t.Fatalf("stream %s stands twice in a block", r.Stream)
		}
		seen[r.Stream] = true
		if id := fmt.Sprint(r.Stream, r.Ordinal); ordinals[id] {
			t.Fatalf("two records are %s", id)
		} else {
			ordinals[id] = true
		}
	}
	if n := len(block.Records); n < 1 || n > source.MaxBlockEvents {
		t.Fatalf("a block of %d events", n)
	}
}
