package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/projection"
)

// booksJournal has postings in two months and two commodities.
const booksJournal = `2004/05/01 Opening
  Assets:Bank  $1,000.00
  Equity

2004/05/20 Shop
  Expenses:Tea  $12.50
  Assets:Bank

2004/06/02 Shares
  Assets:Stock  3 X @ $20
  Assets:Bank
`

// newBooks returns the program with a store that holds the journal.
func newBooks(t *testing.T) *program {
	t.Helper()
	p := newStore(t)
	imported(p, exitOK, p.file("books.ledger", booksJournal))
	return p
}

// inspected shows the records of a balances projection as "account net commodity".
func inspected(t *testing.T, p *program, args ...string) string {
	t.Helper()
	type row struct{ Period, Account, Commodity, Net string }
	var all []string
	for _, r := range lines[row](t, p.must(append([]string{"projection", "inspect"}, args...)...)) {
		all = append(all, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", r.Period, r.Account, r.Net, r.Commodity)))
	}
	return strings.Join(all, ", ")
}

const booksBalances = "Assets:Bank 927.50 $, Assets:Stock 3 X, Equity -1000.00 $, Expenses:Tea 12.50 $"

func TestProjectionRun(t *testing.T) {
	t.Parallel()
	p := newBooks(t)
	if out := p.must("projection", "list"); out != "" {
		t.Errorf("got %s, want no projections", out)
	}
	out := p.must("projection", "run", "balances", "--preset", "ledger")
	const fixed = "name status generation checkpoint head lag_events lag_seconds processed failures last_error lock"
	if got := keysOf(t, out); !strings.HasPrefix(got, fixed+" ") {
		t.Errorf("run: got fields %s, want %s first", got, fixed)
	}
	ran := decode[ranProjection](t, out)
	if ran.Status != "idle" || ran.Checkpoint != 6 || ran.Head != 6 || ran.Processed != 6 || ran.Kind != "balances" || ran.Lock != nil || ran.LagEvents != 0 {
		t.Errorf("got %+v", ran)
	}
	if got := inspected(t, p, "balances"); got != booksBalances {
		t.Errorf("got %s", got)
	}
	if got := keysOf(t, p.must("projection", "status", "balances")); !strings.HasPrefix(got, fixed+" ") {
		t.Errorf("status: got fields %s, want %s first", got, fixed)
	}
	p.must("append", "ledger-account-x", "PostingImported", "--data", `{"account":"Equity","amount":"0.01","commodity":"$"}`)
	if s := decode[projectionStatus](t, p.must("projection", "status", "balances")); s.LagEvents != 1 || s.Checkpoint != 6 || s.Head != 7 {
		t.Errorf("behind: got %+v", s)
	}
	if again := decode[ranProjection](t, p.must("projection", "run", "balances")); again.Processed != 7 || again.Generation != 1 {
		t.Errorf("the second run: got %+v", again)
	}
	if got := inspected(t, p, "balances", "Equity"); got != "Equity -999.99 $" {
		t.Errorf("got %s", got)
	}
	p.must("projection", "run", "directory")
	list := lines[projectionStatus](t, p.must("projection", "list"))
	if len(list) != 2 || list[0].Name != "balances" || list[1].Kind != "directory" || list[1].Processed != 7 {
		t.Errorf("got list %+v", list)
	}
	if got := p.must("projection", "list", "-o", "table"); !strings.HasPrefix(got, "NAME       KIND       STATUS") {
		t.Errorf("got table %s", got)
	}
}

func TestProjectionInspect(t *testing.T) {
	t.Parallel()
	p := newBooks(t)
	p.must("projection", "run", "balances", "--preset", "ledger", "--history")
	for _, tc := range []struct{ args, want string }{
		{"balances Assets:Bank", "Assets:Bank 927.50 $"},
		{"balances --period 2004-06", "2004-06 Assets:Bank -60 $, 2004-06 Assets:Stock 3 X"},
		{"balances --period all Assets:Bank", "Assets:Bank 927.50 $, 2004-05 Assets:Bank 987.50 $, 2004-06 Assets:Bank -60 $"},
		{"balances --as-of 2004-05-20", "Assets:Bank 987.50 $, Equity -1000.00 $, Expenses:Tea 12.50 $"},
		{"balances --as-of 2004-05-19T23:59:59Z", "Assets:Bank 1000.00 $, Equity -1000.00 $"},
		{"balances --as-of 2", "Assets:Bank 1000.00 $, Equity -1000.00 $"},
		{"balances --as-known-at 2026-02-28", ""},
		{"balances --as-of 2004-05-20 --as-known-at 2026-03-01 Equity", "Equity -1000.00 $"},
	} {
		if got := inspected(t, p, strings.Fields(tc.args)...); got != tc.want {
			t.Errorf("inspect %s: got %s, want %s", tc.args, got, tc.want)
		}
	}
	p.fails(exitNotFound, "projection balances has none of \"Cash\"", "projection", "inspect", "balances", "Cash")
	p.fails(exitUsage, `--period "May" is no month`, "projection", "inspect", "balances", "--period", "May")
	p.fails(exitUsage, "--as-of: position 0", "projection", "inspect", "balances", "--as-of", "0")
	p.fails(exitUsage, "--as-of: \"May\" is no time", "projection", "inspect", "balances", "--as-of", "May")
	p.fails(exitError, "the view is at position 6, and 99 is asked for", "projection", "inspect", "balances", "--as-of", "99")

	p.must("projection", "run", "shares", "--kind", "stock", "--item", "data.commodity", "--location", "data.account", "--quantity", "data.amount")
	if got, want := p.must("projection", "inspect", "shares", "X"), `{"item":"X","location":"Assets:Stock","quantity":"3","value":"0","in":"3","out":"0","moves":1,"last_at":"2004-06-02T00:00:00Z"}`+"\n"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	p.fails(exitUsage, "--period is for balances", "projection", "inspect", "shares", "--period", "all")
	p.fails(exitUsage, "keeps no history", "projection", "inspect", "shares", "--as-of", "3")

	p.must("projection", "run", "directory")
	stream := string(lines[streamRecord](t, p.must("streams"))[0].Stream)
	want := `{"stream":"` + stream + `","category":"ledger-account","first_position":1,"last_position":6,"version":3,"events":3,"last_type":"PostingImported",` +
		`"first_occurred_at":"2004-05-01T00:00:00Z","last_occurred_at":"2004-06-02T00:00:00Z","last_recorded_at":"2026-03-01T12:00:00Z"}` + "\n"
	if got := p.must("projection", "inspect", "directory", stream); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := p.must("projection", "inspect", "directory", "-o", "table"); !strings.HasPrefix(got, "STREAM ") || strings.Contains(got, "CATEGORY") {
		t.Errorf("got table %s", got)
	}
}

func TestProjectionsAreRebuilt(t *testing.T) {
	t.Parallel()
	p := newBooks(t)
	p.must("projection", "run", "balances", "--preset", "ledger")

	// Another mapping does not go on with the view of the first.
	narrow := p.file("narrow.yaml", "types: [PostingImported]\naccount: data.account\ncommodity: \"'all'\"\namount: data.amount\n")
	p.fails(exitError, "it was built with another mapping", "projection", "run", "balances", "--map", narrow)
	if got := inspected(t, p, "balances"); got != booksBalances {
		t.Errorf("got %s", got)
	}
	dry := decode[dryRunReport](t, p.must("projection", "rebuild", "balances", "--map", narrow, "--dry-run"))
	if dry.Until != 6 || dry.Processed != 6 || dry.Failed != 0 || dry.Same != 0 || dry.Added != 9 || dry.Removed != 9 || len(dry.Differences) != 18 {
		t.Errorf("dry run: got %d processed, %d failed, %d same, %d added, %d removed, %d differences",
			dry.Processed, dry.Failed, dry.Same, dry.Added, dry.Removed, len(dry.Differences))
	}
	if d := dry.Differences[0]; string(d.Live) != `{"period":"","account":"Assets:Bank","commodity":"$","debit":"1000.00","credit":"72.50","net":"927.50","postings":3}` || string(d.New) != "null" {
		t.Errorf("dry run: got the difference %s, %s", d.Live, d.New)
	}
	failing := p.run("projection", "rebuild", "balances", "--account", "data.nowhere", "--amount", "data.amount", "--dry-run")
	if report := decode[dryRunReport](t, failing.stdout); failing.code != exitWarnings || report.Failed != 6 || len(report.Failures) != 6 || !strings.Contains(report.Failures[0].Error, "data.nowhere") {
		t.Errorf("a dry run that fails: got exit code %d and %+v", failing.code, report)
	}
	if s := decode[projectionStatus](t, p.must("projection", "status", "balances")); s.Generation != 1 || s.Processed != 6 {
		t.Errorf("a dry run changed the view: %+v", s)
	}

	rebuilt := decode[projectionStatus](t, p.must("projection", "rebuild", "balances", "--map", narrow))
	if rebuilt.Generation != 2 || rebuilt.Retired != 1 || rebuilt.Status != "idle" || rebuilt.Checkpoint != 6 {
		t.Errorf("got %+v", rebuilt)
	}
	if got := inspected(t, p, "balances"); got != "Assets:Bank 927.50 all, Assets:Stock 3 all, Equity -1000.00 all, Expenses:Tea 12.50 all" {
		t.Errorf("got %s", got)
	}
	p.must("projection", "run", "balances") // its mapping is known by now
	p.fails(exitError, "the view is outdated", "projection", "switch-back", "balances")
	if back := decode[projectionStatus](t, p.must("projection", "switch-back", "balances", "--preset", "ledger")); back.Generation != 1 || back.Retired != 2 {
		t.Errorf("got %+v", back)
	}
	if got := inspected(t, p, "balances"); got != booksBalances {
		t.Errorf("got %s", got)
	}
	p.must("projection", "run", "directory")
	p.fails(exitNotFound, "no earlier view is kept", "projection", "switch-back", "directory")
	if s := decode[projectionStatus](t, p.must("projection", "rebuild", "directory", "--workers", "3")); s.Generation != 2 || s.Processed != 6 {
		t.Errorf("by three workers: got %+v", s)
	}
	p.fails(exitUsage, "RebuildOptions.Workers", "projection", "rebuild", "balances", "--workers", "3")

	// A history is kept from a rebuild on.
	p.fails(exitUsage, "keeps no history", "projection", "inspect", "balances", "--as-of", "2")
	p.must("projection", "rebuild", "balances", "--history")
	if got := inspected(t, p, "balances", "--as-of", "2"); got != "Assets:Bank 1000.00 $, Equity -1000.00 $" {
		t.Errorf("got %s", got)
	}
}

func TestProjectionsAreReset(t *testing.T) {
	t.Parallel()
	p := newBooks(t)
	p.must("projection", "run", "balances", "--preset", "ledger")
	p.fails(exitUsage, "nobody agreed", "projection", "reset", "balances")
	p.env.stdinTTY = true
	p.fails(exitUsage, "nobody agreed", "projection", "reset", "balances")
	if r := p.with("n\n").fails(exitUsage, "nobody agreed", "projection", "reset", "balances"); !strings.Contains(r.stderr, "Go on? [y/N]") {
		t.Errorf("nobody was asked: %s", r.stderr)
	}
	if got := inspected(t, p, "balances"); got != booksBalances {
		t.Errorf("got %s", got)
	}
	if s := decode[projectionStatus](t, p.with("yes\n").must("projection", "reset", "balances")); s.Checkpoint != 0 || s.Processed != 0 {
		t.Errorf("got %+v", s)
	}
	if got := inspected(t, p, "balances"); got != "" {
		t.Errorf("got %s", got)
	}
	p.must("projection", "run", "balances")
	if got := inspected(t, p, "balances"); got != booksBalances {
		t.Errorf("got %s", got)
	}
	p.env.stdinTTY = false
	p.must("projection", "reset", "balances", "--yes")
	p.must("projection", "run", "balances", "--account", "'all'", "--commodity", "data.commodity", "--amount", "data.amount") // an empty view takes any mapping
	if got := inspected(t, p, "balances"); got != "all -60.00 $, all 3 X" {
		t.Errorf("got %s", got)
	}
}

func TestProjectionsArePaused(t *testing.T) {
	t.Parallel()
	p := newBooks(t)
	p.must("projection", "run", "balances", "--preset", "ledger")
	if s := decode[projectionStatus](t, p.must("projection", "pause", "balances")); s.Status != "paused" {
		t.Errorf("got %+v", s)
	}
	p.must("append", "x-y-1", "Other")
	p.fails(exitUsage, "is paused", "projection", "run", "balances")
	if s := decode[projectionStatus](t, p.must("projection", "status", "balances")); s.Status != "paused" || s.LagEvents != 1 {
		t.Errorf("got %+v", s)
	}
	if s := decode[projectionStatus](t, p.must("projection", "resume", "balances")); s.Status != "idle" {
		t.Errorf("got %+v", s)
	}
	if ran := decode[ranProjection](t, p.must("projection", "run", "balances")); ran.Checkpoint != 7 || ran.Processed != 6 {
		t.Errorf("got %+v", ran)
	}
}

func TestAnEventThatCannotBeAppliedHaltsOrIsParked(t *testing.T) {
	t.Parallel()
	p := newBooks(t)
	p.must("append", "ledger-account-x", "PostingImported", "--data", `{"account":"Equity","commodity":"$"}`)
	p.must("append", "ledger-account-x", "PostingImported", "--data", `{"account":"Equity","amount":"5","commodity":"$"}`)
	r := p.fails(exitError, "data.amount: the event has none", "projection", "run", "balances", "--preset", "ledger")
	if !strings.Contains(r.stderr, "projection resume") {
		t.Errorf("got stderr %s, want what to do", r.stderr)
	}
	halted := decode[projectionStatus](t, p.must("projection", "status", "balances"))
	if halted.Status != "halted" || halted.Checkpoint != 6 || halted.Failures != 1 || !strings.Contains(halted.LastError, "data.amount") {
		t.Errorf("got %+v", halted)
	}
	p.fails(exitError, "halted", "projection", "run", "balances")
	p.must("projection", "resume", "balances")
	p.fails(exitError, "data.amount: the event has none", "projection", "run", "balances")
	p.must("projection", "resume", "balances")

	parked := p.run("projection", "run", "balances", "--on-failure", "park")
	if ran := decode[ranProjection](t, parked.stdout); parked.code != exitWarnings || ran.Parked != 1 || ran.Checkpoint != 8 || ran.Processed != 7 {
		t.Errorf("got exit code %d and %+v", parked.code, ran)
	}
	if got := inspected(t, p, "balances", "Equity"); got != "Equity -995.00 $" {
		t.Errorf("got %s", got)
	}
	list := lines[parkedEvent](t, p.must("projection", "parked", "list", "balances"))
	if len(list) != 1 || list[0].Position != 7 || list[0].Stream != "ledger-account-x" || !strings.Contains(list[0].Error, "data.amount") || list[0].Attempts != 1 {
		t.Errorf("got %+v", list)
	}
	p.fails(exitUsage, "say who decides it, and why", "projection", "parked", "apply", "balances", "7")
	p.fails(exitUsage, `"x" is no position`, "projection", "parked", "apply", "balances", "x", "--by", "ann", "--reason", "r")
	p.fails(exitNotFound, "not parked", "projection", "parked", "drop", "balances", "6", "--by", "ann", "--reason", "r", "--yes")
	p.fails(exitError, "data.amount: the event has none", "projection", "parked", "apply", "balances", "7", "--by", "ann", "--reason", "again")
	if list := lines[parkedEvent](t, p.must("projection", "parked", "list", "balances")); len(list) != 1 || list[0].Attempts != 2 {
		t.Errorf("got %+v, want a second attempt", list)
	}
	p.fails(exitUsage, "nobody agreed", "projection", "parked", "drop", "balances", "7", "--by", "ann", "--reason", "no amount")
	if s := decode[projectionStatus](t, p.must("projection", "parked", "drop", "balances", "7", "--by", "ann", "--reason", "no amount", "--yes")); s.Parked != 0 {
		t.Errorf("got %+v", s)
	}
	audit := lines[auditRecord](t, p.must("projection", "parked", "audit", "balances"))
	if len(audit) != 1 || audit[0].Action != "dropped" || audit[0].By != "ann" || audit[0].Reason != "no amount" || audit[0].Position != 7 {
		t.Errorf("got %+v", audit)
	}
	p.must("projection", "run", "balances")
}

func TestProjectionRefuses(t *testing.T) {
	t.Parallel()
	p := newBooks(t)
	typo := p.file("typo.yaml", "kind: balances\nacount: data.account\n")
	for _, tc := range []struct {
		name string
		code int
		want string
		args string
	}{
		{"an unknown projection", exitNotFound, `the store holds nothing of projection "nobody"`, "status nobody"},
		{"an unknown one to be paused", exitNotFound, "the store holds nothing", "pause nobody"},
		{"a name that is none", exitUsage, "Definition.Name", "run Big --kind directory"},
		{"nothing said of it", exitUsage, "say what projection sales is", "run sales"},
		{"nothing said of one that is called like a kind", exitUsage, "say what projection balances is", "run balances"},
		{"no kind", exitUsage, `kind: "" is none of balances, stock, directory`, "run sales --account id --amount data.a"},
		{"a mapping with a mistake", exitUsage, `unknown field "acount"`, "run sales --map " + typo},
		{"a file that is not there", exitError, "no such file", "run sales --map " + typo + "x"},
		{"two mappings", exitUsage, "not both", "run balances --map " + typo + " --preset ledger"},
		{"an unknown preset", exitUsage, `there is no preset "x" of balances`, "run balances --preset x"},
		{"a preset of another kind", exitUsage, `there is no preset "ledger" of stock`, "run stock --preset ledger"},
		{"a path that is none", exitUsage, "Account", "run balances --account account --amount data.a"},
		{"a field of another kind", exitUsage, "item: a projection of the kind balances has none", "run balances --account id --amount data.a --item data.i"},
		{"a required field", exitUsage, "Quantity: it is required", "run stock --item id"},
		{"an unknown policy", exitUsage, `"skip" is none of halt, park, retry`, "run directory --on-failure skip"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := *p
			p.t = t
			p.fails(tc.code, tc.want, append([]string{"projection"}, strings.Fields(tc.args)...)...)
		})
	}
	if out := p.must("projection", "list"); out != "" {
		t.Errorf("got %s, want nothing left behind", out)
	}
}

func TestATenantHasProjectionsOfItsOwn(t *testing.T) {
	t.Parallel()
	p := newBooks(t)
	p.must("projection", "run", "balances", "--preset", "ledger")
	empty := decode[ranProjection](t, p.must("projection", "run", "balances", "--preset", "ledger", "--tenant", "acme"))
	if empty.Processed != 0 || empty.Checkpoint != 0 {
		t.Errorf("a tenant without events: got %+v", empty)
	}
	p.fails(exitNotFound, "has no events", "projection", "rebuild", "balances", "--tenant", "acme")
	p.must("append", "a-b-1", "PostingImported", "--data", `{"account":"Cash","amount":"5","commodity":"$"}`, "--tenant", "acme")
	if ran := decode[ranProjection](t, p.must("projection", "run", "balances", "--tenant", "acme")); ran.Processed != 1 || ran.Checkpoint != 7 {
		t.Errorf("got %+v", ran)
	}
	if got := inspected(t, p, "balances", "--tenant", "acme"); got != "Cash 5 $" {
		t.Errorf("got %s", got)
	}
	if got := inspected(t, p, "balances"); got != booksBalances {
		t.Errorf("got %s", got)
	}
}

// A projection of another program is looked after, but not run.
func TestAProjectionOfAnotherProgram(t *testing.T) {
	t.Parallel()
	p := newBooks(t)
	db, err := eventstream.Open(p.dir, &eventstream.Options{Clock: p.env.now})
	if err != nil {
		t.Fatal(err)
	}
	texts := projection.NewRecords[string, map[string]int]("", projection.TextKey[string]())
	e := projection.New(db, nil)
	err = e.Register(projection.Definition{
		Name: "other", Version: 3, OnFailure: projection.Park, Attempts: 1,
		Apply: func(_ context.Context, tx *eventstream.Tx, ev eventstream.Event) error {
			switch ev.Position {
			case 2:
				return errors.New("not this one")
			case 3:
				return tx.Put([]byte{0xff}, []byte{0xc1}) // neither text nor MessagePack
			}
			return texts.Put(tx, string(ev.Stream), map[string]int{"version": int(ev.Version)})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	running := make(chan error, 1)
	go func() { running <- e.Run(ctx) }()
	if err := e.WaitFor(ctx, "other", 6); err != nil {
		t.Fatal(err)
	}
	cancel()
	<-running
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	list := lines[projectionStatus](t, p.must("projection", "list"))
	if len(list) != 1 || list[0].Name != "other" || list[0].Kind != "" || list[0].Status != "idle" || list[0].Checkpoint != 6 || list[0].Parked != 1 {
		t.Errorf("got %+v", list)
	}
	p.fails(exitUsage, "belongs to another program", "projection", "run", "other")
	p.fails(exitUsage, "belongs to another program", "projection", "rebuild", "other")
	p.fails(exitUsage, "belongs to another program", "projection", "inspect", "other", "--as-of", "2")
	p.fails(exitUsage, "belongs to another program", "projection", "parked", "apply", "other", "2", "--by", "ann", "--reason", "r")
	out := p.must("projection", "inspect", "other")
	for _, want := range []string{`"value":{"version":3}`, `"key_base64":"/w==","value":null,"value_base64":"wQ=="`} {
		if !strings.Contains(out, want) {
			t.Errorf("got %s, want %s in it", out, want)
		}
	}
	if s := decode[projectionStatus](t, p.must("projection", "pause", "other")); s.Status != "paused" {
		t.Errorf("got %+v", s)
	}
	p.must("projection", "resume", "other")
	p.must("projection", "parked", "drop", "other", "2", "--by", "ann", "--reason", "r", "--yes")
	if s := decode[projectionStatus](t, p.must("projection", "status", "other")); s.Status != "idle" || s.Parked != 0 {
		t.Errorf("got %+v", s)
	}
}

func TestAProjectionShowsProgressToAPersonOnly(t *testing.T) {
	t.Parallel()
	p := newBooks(t)
	if r := p.run("projection", "run", "directory"); r.stderr != "" {
		t.Errorf("got stderr %q, want nothing", r.stderr)
	}
	p.env.stderrTTY = true
	p.must("append", "x-y-1", "Other")
	if r := p.run("projection", "run", "directory"); !strings.Contains(r.stderr, "applying") {
		t.Errorf("on a terminal: got stderr %q, want a bar", r.stderr)
	}
	if r := p.run("projection", "rebuild", "directory"); !strings.Contains(r.stderr, "rebuilding") {
		t.Errorf("on a terminal: got stderr %q, want a bar", r.stderr)
	}
}
