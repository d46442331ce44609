package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
	"github.com/nexus-erp/eventstream/codec"
)

// fatal is what tests and properties have in common.
type fatal interface {
	Helper()
	Fatal(args ...any)
}

func newBlocks(t fatal, text string) *Blocks {
	t.Helper()
	category, err := source.ParseCategory(DefaultCategory)
	if err != nil {
		t.Fatal(err)
	}
	return NewBlocks(strings.NewReader(text), category)
}

// describe shows what a journal becomes: a block for each transaction, as
// [A 1.00 EUR | B -1.00 EUR], a bad record as (line 2: amount: why), and what ends the
// file early as !line 3: why.
func describe(t testing.TB, text string) string {
	t.Helper()
	blocks := newBlocks(t, text)
	var out []string
	for {
		block, err := blocks.Next()
		var bad *source.BadRecord
		switch {
		case errors.Is(err, io.EOF):
			return strings.Join(out, " ")
		case errors.As(err, &bad):
			out = append(out, fmt.Sprintf("(%v)", bad))
			continue
		case err != nil:
			return strings.Join(append(out, "!"+err.Error()), " ")
		}
		var postings []string
		for _, r := range block.Records {
			postings = append(postings, show(t, r))
		}
		out = append(out, "["+strings.Join(postings, " | ")+"]")
	}
}

func show(t testing.TB, r source.Record) string {
	t.Helper()
	data := r.Event.Data.(codec.Encoded)
	if r.Event.Type == PriceType {
		var q quotePayload
		if err := json.Unmarshal(data, &q); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%s costs %s %s at %s", q.Commodity, q.Price.Amount, q.Price.Commodity, r.Event.OccurredAt.Format("2006-01-02 15:04:05"))
	}
	var p postingPayload
	if err := json.Unmarshal(data, &p); err != nil {
		t.Fatal(err)
	}
	text := strings.TrimSpace(fmt.Sprintf("%s %s %s", p.Account, p.Amount, p.Commodity))
	if p.Virtual != "" {
		text += " " + p.Virtual
	}
	return text
}

func TestAmountsAndBalances(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, postings, want string }{
		{"two postings", "A  $10.00\n B  $-10.00", "[A 10.00 $ | B -10.00 $]"},
		{"an amount that is left out", "A  $10.00\n B", "[A 10.00 $ | B -10.00 $]"},
		{"one that is left out between others", "A  $10.00\n B\n C  $5", "[A 10.00 $ | B -15.00 $ | C 5 $]"},
		{"one that stands for two commodities", "A  $10.00\n A  3 AAPL\n B\n C  $1.00", "[A 10.00 $ | A 3 AAPL | B -11.00 $ | B -3 AAPL | C 1.00 $]"},
		{"one that follows from nothing left", "A  $5\n B  $-5\n C", "[A 5 $ | B -5 $ | C 0 $]"},
		{"one that follows from nothing at all", "A\n", "(line 2: amount: there is none that it could follow from)"},
		{"two that are left out", "A  $1\n B\n C", "(line 4: amount: is the second that is left out: one can follow from the rest (two blanks or a tab must stand between an account and its amount))"},
		{"the sign before and behind a symbol", "A  -$10\n B  $-5\n C  $ 15", "[A -10 $ | B -5 $ | C 15 $]"},
		{"a symbol behind the number", "A  10 EUR\n B  -10EUR", "[A 10 EUR | B -10 EUR]"},
		{"a symbol in quotes", "A  10 \"DE 000\"\n B  \"DE 000\" -10", "[A 10 DE 000 | B -10 DE 000]"},
		{"a symbol that is not ASCII", "A  €10\n B  -10 €", "[A 10 € | B -10 €]"},
		{"no symbol", "A  10\n B  -10", "[A 10 | B -10]"},
		{"thousands", "A  $1,234,567.89\n B  $-1,234,567.89", "[A 1234567.89 $ | B -1234567.89 $]"},
		{"thousands without decimals", "A  $1,234\n B  $-1234", "[A 1234 $ | B -1234 $]"},
		{"a decimal comma", "A  1.234,50 EUR\n B  -1234,5 EUR", "[A 1234.50 EUR | B -1234.5 EUR]"},
		{"a comma with one decimal", "A  $-1,2\n B  $1,20", "[A -1.2 $ | B 1.20 $]"},
		{"a comma that was a decimal comma before", "A  1,5 EUR\n B  1,234 EUR\n C", "[A 1.5 EUR | B 1.234 EUR | C -2.734 EUR]"},
		{"28 decimals", "A  1 X @ $53.6599999999999999998612221219\n B", "[A 1 X | B -53.6599999999999999998612221219 $]"},
		{"wrong groups", "A  $1,23,456\n B", `(line 2: amount: "1,23,456" is grouped wrongly: thousands have three digits each)`},
		{"two points", "A  $1.2.3\n B", `(line 2: amount: "1.2.3" has two decimal points)`},
		{"two signs", "A  -$-1\n B", "(line 2: amount: the amount has two signs)"},
		{"no digits", "A  $\n B", `(line 2: amount: a number is expected behind "$")`},
		{"too many digits", "A  " + strings.Repeat("9", 101) + "\n B", `(line 2: amount: "` + strings.Repeat("9", 101) + `" decimal: invalid: "` + strings.Repeat("9", 40) + `" has more than 100 digits before or behind the point)`},
		{"an expression", "A  ($1 + $2)\n B", "(line 2: amount: is an expression, which is not computed: write the amount)"},
		{"something behind the amount", "A  $1 + $2\n B", `(line 2: amount: '+' is not expected behind the amount)`},
		{"one blank before the amount", "A $1\n B", "(line 3: amount: is the second that is left out: one can follow from the rest (two blanks or a tab must stand between an account and its amount))"},
		{"a tab before the amount", "A\t$1\n B", "[A 1 $ | B -1 $]"},
		{"an account with a blank", "A b c  $1\n B", "[A b c 1 $ | B -1 $]"},

		{"what does not balance", "A  $10.00\n B  $-9.98", "(line 1: balance: the transaction does not balance: 0.02 $ remain)"},
		{"what does not balance in several commodities", "A  $10.00\n B  3 X\n C  4 Y", "(line 1: balance: the transaction does not balance: 10.00 $ and 3 X and 4 Y remain)"},
		{"less than what is shown is no difference", "A  3 X @ $3.333\n B  $-10.00", "[A 3 X | B -10.00 $]"},
		{"half of it is one", "A  3 X @ $3.335\n B  $-10.00", "(line 1: balance: the transaction does not balance: 0.005 $ remain)"},
		{"a settlement of the rounded price", "A  0.5 X @ $3.99\n B  0.5 Y @ $3.99\n C  $-4.00", "[A 0.5 X | B 0.5 Y | C -4.00 $]"},
		{"an exchange whose price follows", "A  866.231000 G\n B  $-17,783.72", "[A 866.231000 G | B -17783.72 $]"},
		{"an exchange of one direction", "A  1 G\n B  $2", "(line 1: balance: the transaction does not balance: 1 G and 2 $ remain)"},
		{"a bare number must be zero", "A  1\n B  -1.0001", "(line 1: balance: the transaction does not balance: -0.0001 remain)"},

		{"a price", "A  3 X @ $2.50\n B  $-7.50", "[A 3 X | B -7.50 $]"},
		{"a total price", "A  -3 X @@ $7.51\n B  $7.51", "[A -3 X | B 7.51 $]"},
		{"a price that is fixed, and one that is not noted", "A  3 X @ =$2\n B  3 Y (@) $2\n C  3 Y (@@) $6\n D  $-18", "[A 3 X | B 3 Y | C 3 Y | D -18 $]"},
		{"a negative price", "A  3 X @ $-2\n B", "(line 2: price: -2 $ is negative: the sign belongs to the amount)"},
		{"a price in its own commodity", "A  3 X @ 2 X\n B", "(line 2: price: 2 X is of the commodity that it is the price of)"},

		{"a lot", "A  3 X {$2.50} [2004/05/01] (first)\n B  $-7.50", "[A 3 X | B -7.50 $]"},
		{"a lot of a total price", "A  3 X {{$7.51}}\n B  $-7.51", "[A 3 X | B -7.51 $]"},
		{"a lot that moves keeps its price", "A  -3 X {$2.50}\n B", "[A -3 X | B 3 X]"},
		{"a lot sold at another price, with the gain", "A  -3 X {$2} @ $5\n B  $15\n C  $-9", "[A -3 X | B 15 $ | C -9 $]"},
		{"without the gain", "A  -3 X {$2} @ $5\n B  $15", "(line 1: balance: the transaction does not balance: 9 $ remain)"},
		{"a lot for less than it cost", "A  3 X {$2}\n B  $-5", "(line 1: balance: the transaction does not balance: 3 X and -5 $ remain)"},
		{"a lot of its own kind", "A  3 X {$2}\n B  -2 X", "(line 1: balance: the transaction does not balance: 3 X and -2 X remain)"},
		{"lots that are split", "A  -1 X {$70}\n A  10 X {$7}\n", "[A -1 X | A 10 X]"},
		{"two lot prices", "A  3 X {$2} {$3}\n B", "(line 2: lot: the amount has two lot prices)"},
		{"a lot without its end", "A  3 X {$2\n B", "(line 2: lot: the lot price does not end with })"},
		{"a lot valued by an expression", "A  3 X ((s))\n B", "(line 2: lot: values a lot by an expression, which is not computed: leave it out)"},

		{"a virtual posting", "A  $1\n B  $-1\n (C)  $99", "[A 1 $ | B -1 $ | C 99 $ unbalanced]"},
		{"balanced virtual postings", "A  $1\n B\n [C]  $5\n [D]", "[A 1 $ | B -1 $ | C 5 $ balanced | D -5 $ balanced]"},
		{"that do not balance", "A  $1\n B\n [C]  $5\n [D]  $-6", "(line 1: balance: the postings in [brackets] do not balance: -1 $ remain)"},
		{"they balance among themselves", "A  $1\n [B]  $-1", "(line 1: balance: the transaction does not balance: 1 $ remain)"},
		{"a virtual posting without an amount", "A  $1\n B\n (C)", "(line 4: amount: a virtual posting that stands outside the balance needs an amount)"},
		{"a deferred posting", "A  $1\n <B>", "(line 3: account: <B> is a deferred posting, which is not supported: write it as a real one)"},
		{"no account", "  ; only a comment\n *\n B", "(line 3: account: the posting has none)"},
		{"an empty account", "()  $1", "(line 2: account: its name is empty)"},
		{"an expression about it", "assert amount > 0\n B", "(line 2: assert: is an expression about the transaction, which is not computed: remove the line)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := describe(t, "2004/05/01 Payee\n "+tc.postings); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestBalanceAssertions(t *testing.T) {
	t.Parallel()
	const opening = "2004/05/01 Opening\n A  $100.00\n A  3 X\n O\n\n2004/05/02 Next\n "
	const opened = "[A 100.00 $ | A 3 X | O -100.00 $ | O -3 X] "
	for _, tc := range []struct{ name, postings, want string }{
		{"a balance that is right", "A  $-20 = $80\n B", "[A -20 $ | B 20 $]"},
		{"that is right in another commodity", "A  $-20 = 3 X\n B", "[A -20 $ | B 20 $]"},
		{"that is wrong", "A  $-20 = $81\n B", "(line 7: balance: A holds 80.00 $ here, not 81 $)"},
		{"a posting of the same transaction counts", "A  $-20\n A  $5 = $85\n B", "[A -20 $ | A 5 $ | B 15 $]"},
		{"a balance that is assigned", "A  = $60\n B", "[A -40.00 $ | B 40.00 $]"},
		{"assigned to an account without one", "C  = $60\n B", "[C 60 $ | B -60 $]"},
		{"assigned and held already", "A  = $100\n B  $0", "[A 0 $ | B 0 $]"},
		{"zero of everything", "A  $-100 = 0\n B", "(line 7: balance: A holds 3 X here, not 0)"},
		{"zero assigned to several commodities", "A  = 0\n B", "(line 7: balance: A holds several commodities: name the one to be brought to 0)"},
		{"zero assigned to one", "A  -3 X\n A  = 0\n B", "[A -3 X | A -100.00 $ | B 3 X | B 100.00 $]"},
		{"virtual postings are apart", "(A)  $5 = $5\n B  $0\n C", "[A 5 $ unbalanced | B 0 $ | C 0 $]"},
		{"no amount behind the sign", "A  $1 =\n B", "(line 7: balance: an amount is expected at the end of the line)"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := describe(t, opening+tc.postings); got != opened+tc.want {
				t.Errorf("got  %s\nwant %s", got, opened+tc.want)
			}
		})
	}
}

func TestDirectives(t *testing.T) {
	t.Parallel()
	const entry = "\n2004/05/01 P\n A  $1\n B\n"
	const posted = "[A 1 $ | B -1 $]"
	for _, tc := range []struct{ name, text, want string }{
		{"comments", "; one\n# two\n* three\n| four\n% five\n  ; six\n   \n" + entry, posted},
		{"blocks of comments", "comment\n2004/05/01 X\n A\nend comment\ntest x\n include\nend test\n" + entry, posted},
		{"a block without an end", "comment\n" + entry, `!line 1: comment: has no end: a line "end comment"`},
		{"declarations", "account A\n  note savings\n  ; x\ncommodity $\n  note dollars\n  nomarket\n  default\npayee P\ntag T\nN $" + entry, posted},
		{"an account's alias", "account Assets:Cash\n  alias A" + entry, "[Assets:Cash 1 $ | B -1 $]"},
		{"an alias", "alias A=Assets:Cash" + entry, "[Assets:Cash 1 $ | B -1 $]"},
		{"an alias of the first part", "alias A=Assets\n2004/05/01 P\n A:x  $1\n B", "[Assets:x 1 $ | B -1 $]"},
		{"an alias that is none", "alias A" + entry, `!line 1: alias: "A" is not of the form ALIAS=ACCOUNT`},
		{"an alias of itself", "alias A=A" + entry, `!line 1: alias: "A" is no other name of A`},
		{"accounts below another one", "apply account X\napply account Y" + entry + "end apply account\n2004/05/01 P\n A  $1\n B\nend apply", "[X:Y:A 1 $ | X:Y:B -1 $] [X:A 1 $ | X:B -1 $]"},
		{"an alias below another account", "apply account X\nalias A=C" + entry + "end apply", "[X:C 1 $ | X:B -1 $]"},
		{"an end without a beginning", "end apply account" + entry, "!line 1: end apply: ends nothing: no apply stands before it"},
		{"the wrong end", "apply account X\nend apply tag" + entry, `!line 2: end apply: "tag" does not end the apply account of line 1`},
		{"no end", "\napply tag X" + entry, posted + " !line 2: apply tag: has no end apply"},
		{"a default account", "bucket Assets:Bank\n2004/05/01 P\n A  $1", "[A 1 $ | Assets:Bank -1 $]"},
		{"a default account in short", "A Assets:Bank\n2004/05/01 P\n A  $1", "[A 1 $ | Assets:Bank -1 $]"},
		{"an account that is the default", "account Assets:Bank\n  default\n2004/05/01 P\n A  $1", "[A 1 $ | Assets:Bank -1 $]"},
		{"a default year", "Y2003\n05/01 P\n A  $1\n B", posted},
		{"a year that ends", "apply year 2003\n05/01 P\n A  $1\n B\nend apply year\n05/01 P\n A  $1\n B", posted + ` (line 6: date: "05/01" has no year, and no directive "Y 2004" stands before it)`},
		{"a year that is none", "year next" + entry, `!line 1: year: "next" is no year as 2004`},
		{"a commodity's alias", "commodity $\n  alias USD\n2004/05/01 P\n A  1 USD\n B", posted},
		{"a commodity's format", "commodity EUR\n  format 1.000,00 EUR\n2004/05/01 P\n A  1,234 EUR\n B", "[A 1.234 EUR | B -1.234 EUR]"},
		{"a format in one line", "commodity 1.000,00 EUR\ncommodity $1,000.00\n2004/05/01 P\n A  1,234 EUR\n B", "[A 1.234 EUR | B -1.234 EUR]"},
		{"a format of another commodity", "commodity EUR\n  format $1" + entry, `!line 2: format: "$1" is of $, not of EUR`},
		{"the format says what is negligible", "D $1,000.00\n2004/05/01 P\n A  $1.0049\n B  $-1.00", "[A 1.0049 $ | B -1.00 $]"},
		{"a price", "P 2004/06/21 02:18:01 FOO $22.00\nP 2004/06/22 \"B 1\" 3,50 EUR ; x" + entry, "[FOO costs 22.00 $ at 2004-06-21 02:18:01] [B 1 costs 3.50 EUR at 2004-06-22 00:00:00] " + posted},
		{"a price that is none", "P 2004/06/21 FOO\nP 2004/06/21 25:00 FOO $1\nP x FOO $1" + entry, `(line 1: P: an amount is expected at the end of the line) (line 2: P: "25:00" is no time as 15:04:05) (line 3: P: "x" is no date as 2004/05/01) ` + posted},
		{"a periodic transaction", "~ Monthly\n  A  $5\n  B" + entry, "(line 1: periodic transaction: is a budget, which posts nothing: remove it, or leave it out with --skip-bad) " + posted},
		{"an automated transaction", "= /Food/\n  (X)  1" + entry, "!line 1: =: is an automated transaction, whose postings only ledger can make: write them into the transactions"},
		{"another file", "include x.dat" + entry, "!line 1: include: reads another file: import each file by itself, or join them to one"},
		{"another file in the old way", "!include x.dat" + entry, "!line 1: include: reads another file: import each file by itself, or join them to one"},
		{"units", "C 1.00 Kb = 1024 b" + entry, "!line 1: C: converts units, which is not supported: write the amounts in one unit"},
		{"a timeclock", "i 2004/05/01 09:00:00 A" + entry, "!line 1: i: is a timeclock entry, which is not supported: write transactions"},
		{"an option", "--strict" + entry, "!line 1: -: is an option of ledger: remove it"},
		{"a fixed rate", "apply fixed X $1" + entry, "!line 1: apply fixed: fixes the price of a commodity: write {=price} behind the amounts"},
		{"a check", "account A\n  check amount > 0" + entry, "!line 2: account check: is not supported: remove it"},
		{"a payee's other name", "payee P\n  alias Q" + entry, "!line 2: payee alias: is not supported: remove it"},
		{"a definition", "define x = 1" + entry, "!line 1: define: defines an expression, which is not computed: remove it"},
		{"an unknown directive", "frobnicate x" + entry, "!line 1: frobnicate: is no directive that is known"},
		{"a directive without its text", "account" + entry, "!line 1: account: says nothing more"},
		{"a posting without a transaction", "  A  $1" + entry, "!line 1: line: is indented, but belongs to nothing above it"},
		{"a byte-order mark and CRLF", "\ufeff2004/05/01 P\r\n A  $1\r\n B\r\n\r\n", posted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := describe(t, tc.text); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestBadTransactionsAreLeftOutWhole(t *testing.T) {
	t.Parallel()
	const good = "2004/05/01 P\n A  $1\n B\n"
	for _, tc := range []struct{ name, text, want string }{
		{"a date that is none", "2004/13/01 P\n A  $1\n B\n\n" + good, `(line 1: date: "2004/13/01" is a day that no calendar has) [A 1 $ | B -1 $]`},
		{"the day before March", "2003/02/29 P\n A  $1\n B\n\n2004/02/29 P\n A  $1\n B\n", `(line 1: date: "2003/02/29" is a day that no calendar has) [A 1 $ | B -1 $]`},
		{"other dates", "2004-5-1=5/2 P\n A  $1\n B\n\n2004.05.01 P\n A  $1\n B", "[A 1 $ | B -1 $] [A 1 $ | B -1 $]"},
		{"a year beyond the store's", "1500/01/01 P\n A  $1\n B\n\n" + good, "(line 2: date: 1500-01-01T00:00:00Z lies outside the years 1678 to 2261) [A 1 $ | B -1 $]"},
		{"a code without its end", "2004/05/01 (12 P\n A  $1\n B\n\n" + good, "(line 1: code: does not end with )) [A 1 $ | B -1 $]"},
		{"no postings", "2004/05/01 P\n\n" + good, "(line 1: transaction: has no postings) [A 1 $ | B -1 $]"},
		{"a bad posting ends nothing else", "2004/05/01 P\n A  $x\n B\n C\n" + good, `(line 2: amount: a number is expected behind "$x") [A 1 $ | B -1 $]`},
		{"text that is none", "2004/05/01 P\xff\n A  $1\n B\n\n2004/05/01 P\n A\xff  $1\n B\n\n" + good, "(line 1: text: is not valid UTF-8: convert the file, for example with iconv) (line 6: text: is not valid UTF-8: convert the file, for example with iconv) [A 1 $ | B -1 $]"},
		{"more than an append takes", "2004/05/01 P\n" + strings.Repeat(" A  $0\n", maxPostings+1) + good, "(line 1002: transaction: has more than 1000 postings, which is what one append takes: make several of it) [A 1 $ | B -1 $]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := describe(t, tc.text); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
	bad := badRecord(t, "2004/05/01 P\n A  $x\n B\n ; note\n C\n")
	if bad.Events != 3 {
		t.Errorf("a bad transaction of 3 postings stands for %d events", bad.Events)
	}
	if bad := badRecord(t, "2004/05/01 P\n"+strings.Repeat(" ; "+strings.Repeat("x", 1<<19)+"\n", 9)+" A  $1\n B\n"); !strings.Contains(bad.Reason, "more than 4 MiB") {
		t.Errorf("a transaction of 4.5 MiB: %v", bad)
	}
	long := badRecord(t, "2004/05/01 P\n ; "+strings.Repeat("x", 200<<10)+"\n"+strings.Repeat(" A  $0\n", 100))
	if !strings.Contains(long.Reason, "more than 8 MiB as events") || long.Events != 100 {
		t.Errorf("a transaction of 20 MiB as events: %v", long)
	}
}

func badRecord(t *testing.T, text string) *source.BadRecord {
	t.Helper()
	_, err := newBlocks(t, text).Next()
	var bad *source.BadRecord
	if !errors.As(err, &bad) {
		t.Fatalf("got %v, want a bad record", err)
	}
	return bad
}

func TestALineWithoutEndIsRefused(t *testing.T) {
	t.Parallel()
	_, err := newBlocks(t, strings.Repeat("x", maxLineBytes+1)).Next()
	var syntax *source.SyntaxError
	if !errors.As(err, &syntax) || syntax.Line != 1 || !strings.Contains(syntax.Reason, "longer than 1024 KiB") {
		t.Errorf("got %v, want a line that is too long", err)
	}
}

// What is written stays: every part of a transaction is in its events.
func TestPayloads(t *testing.T) {
	t.Parallel()
	blocks := newBlocks(t, `apply tag project: x
2004/05/01=2004/05/03 ! (12-b) Some Payee  ; the note
  ; Receipt: 4711
  ; :urgent:paid:
  Assets:Stock  1,000.50 "DE 1" {=$2.50} [2004/04/30] (first) @ =$3.0000 = 1,000.50 "DE 1"  ; [2004/05/04=2004/05/05] moved
  * Assets:Cash
  (Budget)  = $5
end apply tag
`)
	block, err := blocks.Next()
	if err != nil {
		t.Fatal(err)
	}
	const transaction = `"transaction":{"number":1,"date":"2004-05-01","aux_date":"2004-05-03","state":"pending","code":"12-b","payee":"Some Payee",` +
		`"note":"the note\nReceipt: 4711\n:urgent:paid:","tags":{"Receipt":"4711","paid":"","project":"x","urgent":""}}}`
	for i, want := range []struct{ stream, at, data string }{
		{
			"ledger-account-assets_stock-", "2004-05-04",
			`{"account":"Assets:Stock","amount":"1000.50","commodity":"DE 1","price":{"amount":"3.0000","commodity":"$"},"price_fixed":true,` +
				`"lot":{"price":{"amount":"2.50","commodity":"$"},"price_fixed":true,"date":"2004-04-30","note":"first"},` +
				`"balance":{"amount":"1000.50","commodity":"DE 1"},"date":"2004-05-04","aux_date":"2004-05-05","state":"pending","note":"[2004/05/04=2004/05/05] moved",` + transaction,
		},
		{
			"ledger-account-assets_cash-", "2004-05-01",
			`{"account":"Assets:Cash","amount":"-2501.2500","commodity":"$","elided":true,"date":"2004-05-01","aux_date":"2004-05-03","state":"cleared",` + transaction,
		},
		{
			"ledger-account-budget-", "2004-05-01",
			`{"account":"Budget","amount":"5","commodity":"$","virtual":"unbalanced","assigned":true,"balance":{"amount":"5","commodity":"$"},` +
				`"date":"2004-05-01","aux_date":"2004-05-03","state":"pending",` + transaction,
		},
	} {
		r := block.Records[i]
		if got := string(r.Event.Data.(codec.Encoded)); got != want.data {
			t.Errorf("posting %d: got\n%s\nwant\n%s", i, got, want.data)
		}
		if got := r.Event.OccurredAt.Format("2006-01-02"); got != want.at {
			t.Errorf("posting %d occurred at %s, want %s", i, got, want.at)
		}
		if account := r.Event.Metadata["case"]; !strings.HasPrefix(string(r.Stream), want.stream) || !strings.Contains(want.data, `{"account":"`+account+`"`) {
			t.Errorf("posting %d is in stream %s with the case %q", i, r.Stream, account)
		}
	}
}

// A transaction that is mended changes the place of no other.
func TestOrdinalsCountBadTransactions(t *testing.T) {
	t.Parallel()
	ordinals := func(text string) (all []int) {
		blocks := newBlocks(t, text)
		for {
			block, err := blocks.Next()
			if errors.Is(err, io.EOF) {
				return all
			}
			for _, r := range block.Records {
				all = append(all, r.Ordinal)
			}
		}
	}
	const rest = "\n2004/05/01 P\n A  $1\n B\n"
	bad, good := ordinals("2004/05/01 P\n A  $x\n"+rest), ordinals("2004/05/01 P\n A  $1\n B  $1\n C\n"+rest)
	if len(bad) != 2 || len(good) != 5 || bad[0] != good[3] || bad[1] != good[4] {
		t.Errorf("ordinals with a bad transaction %v, without it %v", bad, good)
	}
}
