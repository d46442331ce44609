package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/ledger"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
	"github.com/nexus-erp/eventstream/internal/campaign"
)

// The real journal: what ledger itself says of it.
const (
	journalTransactions = 1347
	journalPostings     = 2925
	journalAccounts     = 85
)

func journalFile(data string) string {
	return filepath.Join(data, "accounting", "ledger_standard.dat.gz")
}

// balances is what accounts hold: account, commodity, amount.
type balances map[string]map[string]*big.Rat

func (b balances) add(account, commodity string, n *big.Rat) {
	if b[account] == nil {
		b[account] = map[string]*big.Rat{}
	}
	if b[account][commodity] == nil {
		b[account][commodity] = new(big.Rat)
	}
	b[account][commodity].Add(b[account][commodity], n)
}

// text shows what is not zero, as fractions, which have one form.
func (b balances) text() map[string]string {
	all := map[string]string{}
	for account, held := range b {
		for commodity, n := range held {
			if n.Sign() != 0 {
				all[account+" "+commodity] = n.RatString()
			}
		}
	}
	return all
}

var balanceLine = regexp.MustCompile(`^ *(\$-?[0-9,.]+|-?[0-9,.]+ [A-Z]+)(?:  (\S+))?$`)

// ledgerBalances reads what "ledger bal --flat" printed: the amounts of an account, one
// a line, the last with its name; below the line, the total.
func ledgerBalances(t *testing.T, data string) (accounts, total balances) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(data, "facts", "ledger_standard.balance_by_account.txt"))
	if err != nil {
		t.Fatal(err)
	}
	sum, err := os.ReadFile(filepath.Join(data, "facts", "ledger_standard.grand_total.txt"))
	if err != nil {
		t.Fatal(err)
	}
	accounts, total = balances{}, balances{}
	read := func(text string, name func(account string, amounts []string)) {
		var amounts []string
		for line := range strings.Lines(text) {
			m := balanceLine.FindStringSubmatch(strings.TrimRight(line, "\n"))
			if m == nil {
				t.Fatalf("no balance: %q", line)
			}
			amounts = append(amounts, m[1])
			if m[2] != "" {
				name(m[2], amounts)
				amounts = nil
			}
		}
		name("", amounts)
	}
	read(string(text), func(account string, amounts []string) {
		for _, a := range amounts {
			accounts.add(account, splitAmount(t, a), splitNumber(t, a))
		}
	})
	_, below, _ := strings.Cut(string(sum), "--------------------\n")
	read(strings.TrimRight(below, "\n"), func(_ string, amounts []string) {
		for _, a := range amounts {
			total.add("", splitAmount(t, a), splitNumber(t, a))
		}
	})
	return accounts, total
}

func splitAmount(t *testing.T, text string) (commodity string) {
	t.Helper()
	if strings.HasPrefix(text, "$") {
		return "$"
	}
	_, commodity, _ = strings.Cut(text, " ")
	return commodity
}

func splitNumber(t *testing.T, text string) *big.Rat {
	t.Helper()
	number, _, _ := strings.Cut(strings.TrimPrefix(text, "$"), " ")
	n, ok := new(big.Rat).SetString(strings.ReplaceAll(number, ",", ""))
	if !ok {
		t.Fatalf("no number: %q", text)
	}
	return n
}

// journalEvent is what an export says of a posting.
type journalEvent struct {
	Commit uint64
	Data   struct {
		Account, Amount, Commodity string
		Transaction                struct{ Number int }
	}
}

func journalEvents(t *testing.T, exported string) (all []journalEvent) {
	t.Helper()
	for line := range strings.Lines(exported) {
		var ev journalEvent
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			t.Fatal(err)
		}
		all = append(all, ev)
	}
	return all
}

// checkJournal compares all that a store holds with what ledger says of the journal.
func checkJournal(t *testing.T, p *program, data string) (exported string) {
	t.Helper()
	exported = p.must("export")
	accounts, total := balances{}, balances{}
	transactions := map[int]uint64{}
	events := journalEvents(t, exported)
	for _, ev := range events {
		n, ok := new(big.Rat).SetString(ev.Data.Amount)
		if !ok {
			t.Fatalf("no amount in %+v", ev)
		}
		accounts.add(ev.Data.Account, ev.Data.Commodity, n)
		total.add("", ev.Data.Commodity, n)
		if commit, ok := transactions[ev.Data.Transaction.Number]; ok && commit != ev.Commit {
			t.Errorf("transaction %d lies in the commits %d and %d", ev.Data.Transaction.Number, commit, ev.Commit)
		}
		transactions[ev.Data.Transaction.Number] = ev.Commit
	}
	if len(events) != journalPostings || len(transactions) != journalTransactions || len(accounts) != journalAccounts {
		t.Errorf("got %d postings, %d transactions, %d accounts; want %d, %d, %d",
			len(events), len(transactions), len(accounts), journalPostings, journalTransactions, journalAccounts)
	}
	wantAccounts, wantTotal := ledgerBalances(t, data)
	if diff := cmp.Diff(wantAccounts.text(), accounts.text()); diff != "" {
		t.Errorf("balances (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantTotal.text(), total.text()); diff != "" {
		t.Errorf("the total (-want +got):\n%s", diff)
	}
	if got := len(lines[streamRecord](t, p.must("streams"))); got != journalAccounts {
		t.Errorf("got %d streams, want %d", got, journalAccounts)
	}
	want := fmt.Sprintf(`{"ok":true,"events":%d,"streams":%d,"problems":[]`, journalPostings, journalAccounts)
	if got := p.must("verify", "--deep"); !strings.HasPrefix(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	return exported
}

func TestTheRealJournal(t *testing.T) {
	t.Parallel()
	data := realData(t)
	p := newStore(t)
	p.env.now = time.Now
	file := journalFile(data)
	checkCounts(t, "dry run", imported(p, exitOK, "--format", "ledger", file, "--dry-run"), journalPostings, journalAccounts, 0, 0)
	checkCounts(t, "first run", imported(p, exitOK, "--format", "ledger", file), journalPostings, journalAccounts, 0, 0)
	exported := checkJournal(t, p, data)
	checkCounts(t, "second run", imported(p, exitOK, "--format", "ledger", file), 0, journalAccounts, 0, journalPostings)
	if again := p.must("export"); again != exported {
		t.Error("the second run changed the store")
	}
	checkTrialBalance(t, p, data)
	q := newStore(t)
	checkCounts(t, "its export", imported(q, exitOK, q.file("export.jsonl", exported)), journalPostings, journalAccounts, 0, 0)
	if second := checkJournal(t, q, data); unrecorded.ReplaceAllString(exported, "") != unrecorded.ReplaceAllString(second, "") {
		t.Error("an export of the import of an export differs in more than recorded_at")
	}
}

// checkTrialBalance compares the trial balance of the projection with what ledger
// prints.
func checkTrialBalance(t *testing.T, p *program, data string) {
	t.Helper()
	p.must("projection", "run", "balances", "--preset", "ledger")
	type row struct {
		Account, Commodity, Net string
		Postings                int
	}
	accounts, total, postings := balances{}, balances{}, 0
	for _, r := range lines[row](t, p.must("projection", "inspect", "balances")) {
		n, ok := new(big.Rat).SetString(r.Net)
		if !ok {
			t.Fatalf("no number: %+v", r)
		}
		accounts.add(r.Account, r.Commodity, n)
		total.add("", r.Commodity, n)
		postings += r.Postings
	}
	wantAccounts, wantTotal := ledgerBalances(t, data)
	if diff := cmp.Diff(wantAccounts.text(), accounts.text()); diff != "" {
		t.Errorf("trial balance (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantTotal.text(), total.text()); diff != "" {
		t.Errorf("its total (-want +got):\n%s", diff)
	}
	if postings != journalPostings || len(accounts) != journalAccounts {
		t.Errorf("got %d postings on %d accounts, want %d on %d", postings, len(accounts), journalPostings, journalAccounts)
	}
}

// TestAKilledImportOfAJournalIsFinished kills imports of the real journal at random
// moments. After each kill the store must open and hold transactions whole or not at
// all, so the balances of what it holds are those of the journal so far.
func TestAKilledImportOfAJournalIsFinished(t *testing.T) {
	t.Parallel()
	data := realData(t)
	seed := campaign.Seed(t)
	random := rand.New(rand.NewPCG(seed, journalPostings))
	file := journalFile(data)
	sizes := transactionSizes(t, file)
	begin := time.Now()
	imported(newStore(t), exitOK, "--format", "ledger", file)
	longest := 50*time.Millisecond + time.Since(begin)
	p := newStore(t)
	ended, left := 0, 0
	const runs = kills / 2
	for range runs {
		if !runAndKill(t, p, time.Duration(random.Int64N(int64(longest))), "import", "--format", "ledger", file) {
			ended++
			checkWholeTransactions(t, p, sizes)
			p = newStore(t) // nothing is left to be killed
			continue
		}
		left = max(left, checkWholeTransactions(t, p, sizes))
	}
	campaign.Count(t, campaign.KillRounds, runs-ended)
	t.Logf("of %d runs, at most after %d transactions", runs, left)
	if ended == runs {
		t.Error("no run was killed: the moments come too late")
	}
	last := imported(p, exitOK, "--format", "ledger", file)
	t.Logf("they had appended %d events, the last run appended %d", last.Duplicates, last.Events)
	checkJournal(t, p, data)
}

// transactionSizes reads how many postings each transaction of a journal has.
func transactionSizes(t *testing.T, path string) []int {
	t.Helper()
	category, err := source.ParseCategory(ledger.DefaultCategory)
	if err != nil {
		t.Fatal(err)
	}
	blocks := ledger.NewBlocks(unzip(t, path), category)
	var sizes []int
	for {
		block, err := blocks.Next()
		if errors.Is(err, io.EOF) {
			return sizes
		}
		if err != nil {
			t.Fatal(err)
		}
		sizes = append(sizes, len(block.Records))
	}
}

// checkWholeTransactions opens the store after a kill: it must hold the journal's first
// transactions, each one whole. It returns how many.
func checkWholeTransactions(t *testing.T, p *program, sizes []int) int {
	t.Helper()
	have := map[int]int{}
	for _, ev := range journalEvents(t, p.must("export")) {
		have[ev.Data.Transaction.Number]++
	}
	for i, size := range sizes {
		n, ok := have[i+1]
		if !ok && i == len(have) {
			break
		}
		if n != size {
			t.Fatalf("transaction %d has %d of its %d postings, %d transactions are there", i+1, n, size, len(have))
		}
	}
	return len(have)
}

func TestImportOfAJournal(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	const good = "2004/05/01 * One\n  A  $1.00\n  B\n\n"
	const bad = "2004/05/02 Two\n  A  $1.00\n  B  $-1.01\n\n"
	file := p.file("books.journal", good+bad+good)
	p.fails(exitError, file+":5: balance: the transaction does not balance: -0.01 $ remain", "import", file)
	if got := p.must("all"); got != "" {
		t.Errorf("got %s, want an empty store", got)
	}
	r := p.run("import", file, "--skip-bad", "--source", "books")
	checkCounts(t, "skipping", decode[importResult](t, r.stdout), 4, 2, 2, 0)
	if !strings.Contains(r.stderr, "skipped: "+file+":5: balance") {
		t.Errorf("got stderr %s, want the bad transaction", r.stderr)
	}
	mended := p.file("mended.journal", good+strings.Replace(bad, "-1.01", "-1.00", 1)+good)
	checkCounts(t, "mended", imported(p, exitOK, mended, "--source", "books"), 2, 2, 0, 4)
	checkCounts(t, "mended again", imported(p, exitOK, mended, "--source", "books"), 0, 2, 0, 6)
	if got := lines[streamRecord](t, p.must("streams"))[0].Stream; !strings.HasPrefix(string(got), "ledger-account-a") {
		t.Errorf("got stream %s, want ledger-account-a…", got)
	}
	checkCounts(t, "under another category", imported(p.with(good), exitOK, "-", "--format", "ledger", "--category", "books-account"), 2, 2, 0, 0)

	p.fails(exitUsage, "is where market prices go", "import", file, "--category", "books-commodity")
	including := p.file("main.ledger", good+"include other.ledger\n")
	p.fails(exitError, including+":5: include: reads another file", "import", including)
	p.fails(exitError, including+":5: include: reads another file", "import", including, "--skip-bad")
}
