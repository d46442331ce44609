package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nexus-erp/eventstream/internal/campaign"
)

// invoiceLine is a line of the real invoices as the test reads it from the file itself.
// Prices are in thousandths.
type invoiceLine struct {
	country, item, month string
	quantity, price      int64
}

// invoiceLines reads the file, with nothing of the product.
func invoiceLines(t *testing.T, path string) (all []invoiceLine) {
	t.Helper()
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	in := csv.NewReader(unzip(t, path))
	in.ReuseRecord = true
	for first := true; ; first = false {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if first {
			continue
		}
		at, err := time.ParseInLocation("2006-01-02 15:04:05", row[4], london)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, invoiceLine{
			country: strings.Clone(row[7]), item: strings.Clone(row[1]), month: at.UTC().Format("2006-01"),
			quantity: thousandths(t, row[3]) / 1000, price: thousandths(t, row[5]),
		})
	}
}

// thousandths reads a decimal of at most three decimals.
func thousandths(t *testing.T, text string) int64 {
	t.Helper()
	whole, fraction, _ := strings.Cut(text, ".")
	if rest := strings.TrimRight(fraction, "0"); len(rest) > 3 {
		t.Fatalf("%s has more than three decimals", text)
	} else {
		fraction = rest + strings.Repeat("0", 3-len(rest))
	}
	n, err := strconv.ParseInt(whole+fraction, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// sums is what a record of one of the two views must hold: amounts in thousandths.
type sums struct{ In, Out, Value, Count int64 }

// expectation folds lines by itself, up to a position.
type expectation struct {
	lines []invoiceLine
	at    int
	sales map[string]sums // by month or total, and country
	stock map[string]sums // by item
}

// to folds the lines up to a position and returns it: with each line, one event follows.
func (e *expectation) to(position int) {
	if position < e.at || e.sales == nil {
		e.at, e.sales, e.stock = 0, map[string]sums{}, map[string]sums{}
	}
	for ; e.at < position; e.at++ {
		l := e.lines[e.at]
		value := l.quantity * l.price
		for _, period := range []string{"", l.month} {
			s := e.sales[period+"/"+l.country]
			s.In, s.Out, s.Value, s.Count = s.In+max(value, 0), s.Out+max(-value, 0), s.Value+value, s.Count+1
			e.sales[period+"/"+l.country] = s
		}
		s := e.stock[l.item]
		s.In, s.Out, s.Value, s.Count = s.In+max(l.quantity, 0)*1000, s.Out+max(-l.quantity, 0)*1000, s.Value+value, s.Count+1
		e.stock[l.item] = s
	}
}

// killed is a projection that is killed again and again.
type killed struct {
	name string
	args []string // of its first run
	want *expectation
	read func(t *testing.T, p *program) map[string]sums
	of   func(*expectation) map[string]sums
}

// checkFold opens the store and compares the view with the fold of the log up to its
// checkpoint, which it returns.
func (k *killed) checkFold(t *testing.T, p *program) int {
	t.Helper()
	list := lines[projectionStatus](t, p.must("projection", "list"))
	checkpoint, got := 0, map[string]sums{}
	for _, s := range list {
		if s.Name == k.name {
			checkpoint, got = int(s.Checkpoint), k.read(t, p)
			if s.Processed != uint64(checkpoint) || s.Failures != 0 || s.Generation == 0 {
				t.Errorf("%s: %+v", k.name, s)
			}
		}
	}
	k.want.to(checkpoint)
	if want := k.of(k.want); !maps.Equal(want, got) {
		t.Fatalf("%s at position %d (-want +got):\n%s", k.name, checkpoint, cmp.Diff(want, got))
	}
	return checkpoint
}

func readSales(t *testing.T, p *program) map[string]sums {
	t.Helper()
	type row struct {
		Period, Account, Debit, Credit, Net string
		Postings                            int64
	}
	all := map[string]sums{}
	for _, r := range lines[row](t, p.must("projection", "inspect", "sales", "--period", "all")) {
		all[r.Period+"/"+r.Account] = sums{thousandths(t, r.Debit), thousandths(t, r.Credit), thousandths(t, r.Net), r.Postings}
	}
	return all
}

func readStock(t *testing.T, p *program) map[string]sums {
	t.Helper()
	type row struct {
		Item, Quantity, Value, In, Out string
		Moves                          int64
	}
	all := map[string]sums{}
	for _, r := range lines[row](t, p.must("projection", "inspect", "stock")) {
		s := sums{thousandths(t, r.In), thousandths(t, r.Out), thousandths(t, r.Value), r.Moves}
		if thousandths(t, r.Quantity) != s.In-s.Out {
			t.Errorf("%s: %s on hand, %s in, %s out", r.Item, r.Quantity, r.In, r.Out)
		}
		all[r.Item] = s
	}
	return all
}

// TestKilledProjectionsAreTheFoldOfTheLog kills projections over half a million real
// invoice lines at random moments. After each kill the view must be the fold of the log
// up to its checkpoint, to the last digit; at the end it must say what other tools found.
func TestKilledProjectionsAreTheFoldOfTheLog(t *testing.T) {
	t.Parallel()
	p, _ := shared.open(t)
	data := realData(t)
	rows := invoiceLines(t, retailFile(data))
	if len(rows) != retailLines {
		t.Fatalf("got %d lines, want %d", len(rows), retailLines)
	}
	seed, kills := campaign.Seed(t), campaign.Scale(t, campaign.Cases{Short: 2, PullRequest: 6, Nightly: 100})
	random := rand.New(rand.NewPCG(seed, retailLines))
	projections := []*killed{
		{
			name: "sales", want: &expectation{lines: rows}, read: readSales, of: func(e *expectation) map[string]sums { return e.sales },
			args: []string{"--kind", "balances", "--account", "data.Country", "--commodity", "'GBP'", "--quantity", "data.Quantity", "--price", "data.Price"},
		},
		{
			name: "stock", want: &expectation{lines: rows}, read: readStock, of: func(e *expectation) map[string]sums { return e.stock },
			args: []string{"--item", "data.StockCode", "--quantity", "data.Quantity", "--price", "data.Price"},
		},
	}
	const longest = 3 * time.Second
	killed, ended, behind := 0, 0, 0
	for killed < kills {
		k := projections[(killed+ended)%len(projections)]
		if runAndKill(t, p, time.Duration(random.Int64N(int64(longest))), append([]string{"projection", "run", k.name}, k.args...)...) {
			killed++
		} else {
			ended++
		}
		if t.Failed() || ended > 5*kills {
			t.Fatalf("given up after %d kills and %d runs that ended before", killed, ended)
		}
		switch at := k.checkFold(t, p); {
		case at == retailLines: // nothing is left to be killed
			checkRetailFacts(t, data, k)
			p.must("projection", "reset", k.name, "--yes")
		case at > 0:
			behind++
		}
	}
	campaign.Count(t, campaign.KillRounds, killed)
	t.Logf("%d runs ended before; %d times the view was on its way", ended, behind)
	if behind == 0 {
		t.Error("no run was killed on its way: the moments come too early or too late")
	}
	for _, k := range projections {
		p.must(append([]string{"projection", "run", k.name}, k.args...)...)
		if at := k.checkFold(t, p); at != retailLines {
			t.Errorf("%s ended at %d, want %d", k.name, at, retailLines)
		}
		checkRetailFacts(t, data, k)
	}
}

// checkRetailFacts compares what was just read, all of it, with what other tools found.
func checkRetailFacts(t *testing.T, data string, k *killed) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(data, "facts", "retail.json"))
	if err != nil {
		t.Fatal(err)
	}
	var facts struct {
		Sum        string            `json:"sum_qty_times_price"`
		StockCodes int               `json:"stock_codes"`
		Countries  map[string]string `json:"value_per_country"`
		Lines      map[string]int64  `json:"lines_per_country"`
		Top        [][2]factText     `json:"top_net_qty"`
		Lowest     [][2]factText     `json:"lowest_net_qty"`
	}
	if err := json.Unmarshal(text, &facts); err != nil {
		t.Fatal(err)
	}
	held := k.of(k.want) // the view is equal to it
	if k.name == "sales" {
		total, countries := int64(0), 0
		for key, s := range held {
			country, ok := strings.CutPrefix(key, "/")
			if !ok {
				continue
			}
			countries++
			total += s.Value
			if s.Value != thousandths(t, facts.Countries[country]) || s.Count != facts.Lines[country] {
				t.Errorf("%s: got %d thousandths of %d lines, want %s of %d", country, s.Value, s.Count, facts.Countries[country], facts.Lines[country])
			}
		}
		if total != thousandths(t, facts.Sum) || facts.Sum != "9539484.634" || countries != len(facts.Countries) {
			t.Errorf("got %d thousandths in %d countries, want %s in %d", total, countries, facts.Sum, len(facts.Countries))
		}
		return
	}
	total := int64(0)
	for _, s := range held {
		total += s.Value
	}
	if len(held) != facts.StockCodes || total != thousandths(t, facts.Sum) {
		t.Errorf("got %d stock codes worth %d thousandths, want %d worth %s", len(held), total, facts.StockCodes, facts.Sum)
	}
	for _, fact := range append(facts.Top, facts.Lowest...) {
		code, quantity := string(fact[0]), string(fact[1])
		if got := held[code].In - held[code].Out; got != thousandths(t, quantity) {
			t.Errorf("%s: got %d thousandths, want %s pieces", code, got, quantity)
		}
	}
}

// factText is a text or a number of the facts, as it is written.
type factText string

// UnmarshalJSON keeps the text.
func (f *factText) UnmarshalJSON(text []byte) error {
	*f = factText(strings.Trim(string(text), `"`))
	return nil
}
