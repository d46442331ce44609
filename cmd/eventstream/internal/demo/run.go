package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/projection"
)

// Config says how to run the demo.
type Config struct {
	// Dir is where the store goes; it must be new or empty, and is kept. Default: a
	// temporary directory, which is removed.
	Dir string
	// Seed makes the shop's year.
	Seed uint64
	// Out gets the transcript.
	Out io.Writer
	// Child returns the command whose process runs RunChild with the same dir and
	// seed and with its standard output as out.
	Child func(ctx context.Context, dir string, seed uint64) *exec.Cmd
	// Projector returns the command whose process runs RunProjector likewise.
	Projector func(ctx context.Context, dir string, seed uint64) *exec.Cmd
}

// ErrClaim is matched by the error of a run in which a claim did not hold.
var ErrClaim = errors.New("a claim of the demo does not hold")

// Run runs the demo. It fails if something goes wrong, and if a claim does not hold.
func Run(ctx context.Context, cfg Config) (err error) {
	dir, cleanUp, err := storeDir(cfg.Dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cleanUp()) }()
	started := time.Now()
	t := &transcript{out: cfg.Out}
	plan := NewPlan(cfg.Seed)
	t.printf("A shop's year %d: %s journal entries of %s events, generated from seed %d.\nThe store is %s.\n",
		year, groupInt(len(plan.Entries)), groupInt(plan.Events), cfg.Seed, dir)

	if err := run(ctx, t, cfg, plan, dir); err != nil {
		return err
	}
	t.printf("\n%d claims held, %d did not, in %.1f s.\n", t.proved, len(t.failed), time.Since(started).Seconds())
	if len(t.failed) == 0 {
		t.printf("Killed on the way, the store lost nothing that it had acknowledged, kept no entry in part and\n"+
			"none twice; %s entries over several streams each went in whole; its read models were what the\n"+
			"log says wherever they stood; and it answers what was true on a day as well as what was known\n"+
			"on it.\n", groupInt(len(plan.Entries)))
	}
	if cfg.Dir != "" {
		t.printf("The store is kept. Look around: eventstream streams -d %s\n", dir)
	}
	if len(t.failed) > 0 {
		return fmt.Errorf("%w: %s", ErrClaim, t.failed[0])
	}
	return t.err
}

// storeDir returns where the store goes, and what to call at the end.
func storeDir(dir string) (string, func() error, error) {
	if dir == "" {
		temp, err := os.MkdirTemp("", "eventstream-demo-")
		return filepath.Join(temp, "shop"), func() error { return os.RemoveAll(temp) }, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", nil, err
	}
	if len(entries) > 0 {
		return "", nil, fmt.Errorf("directory %s is not empty: name a new one", dir)
	}
	return dir, func() error { return nil }, nil
}

// run goes through the demo's steps.
func run(ctx context.Context, t *transcript, cfg Config, plan *Plan, dir string) error {
	t.heading("1. A child process keeps the books, and is killed while it appends")
	acks, err := killAfter(cfg.Child(ctx, dir, cfg.Seed), len(plan.Entries)*3/5)
	if err != nil {
		return err
	}
	err = withBooks(ctx, dir, plan.Entries[len(acks)-1].Recorded, []func(context.Context, *books) error{
		func(ctx context.Context, b *books) error { return afterKill(ctx, t, b, plan, acks) },
		func(ctx context.Context, b *books) error { return finishYear(ctx, t, b, plan) },
	})
	if err != nil {
		return err
	}
	t.heading("3. Another child keeps a trial balance and the stock as read models, and is killed as well")
	seen, err := killAfter(cfg.Projector(ctx, dir, cfg.Seed), plan.Events/shownEvery/2)
	if err != nil {
		return err
	}
	return withBooks(ctx, dir, plan.end(), []func(context.Context, *books) error{
		func(ctx context.Context, b *books) error { return afterProjectorKill(ctx, t, b, seen) },
		func(ctx context.Context, b *books) error { return balanceBooks(ctx, t, b, plan) },
		func(ctx context.Context, b *books) error { return askForMay(ctx, t, b, plan) },
		func(ctx context.Context, b *books) error { return checkStore(ctx, t, b, plan) },
	})
}

// withBooks opens the store in dir and goes through steps.
func withBooks(ctx context.Context, dir string, at time.Time, steps []func(context.Context, *books) error) (err error) {
	b, err := openBooks(dir, at, eventstream.Options{ErrorIfNotExists: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.db.Close()) }()
	for _, step := range steps {
		if err := step(ctx, b); err != nil {
			return err
		}
	}
	return nil
}

// afterKill holds the reopened store against what the parent saw.
func afterKill(ctx context.Context, t *transcript, b *books, plan *Plan, acks []ack) error {
	f, err := b.compare(ctx, plan)
	t.printf("  The child had acknowledged %s entries when it was gone; the store opens with %s entries, %s events.\n",
		groupInt(len(acks)), groupInt(f.entries), groupInt(f.events))
	t.claimNil(err, "every entry found is whole and as planned, byte for byte, in order, with nothing between")
	t.claimNil(f.holds(plan, acks), "every acknowledged entry is there, at the positions that were acknowledged")
	extra := f.entries - len(acks)
	t.claim(extra <= 1, "at most the one entry in flight is there beyond them (found: %d)", extra)
	return nil
}

// finishYear appends the whole plan again, twice.
func finishYear(ctx context.Context, t *transcript, b *books, plan *Plan) error {
	t.heading("2. The year is finished by appending all of it again, with the same event ids")
	before, err := b.compare(ctx, plan)
	if err != nil {
		return err
	}
	missing := len(plan.Entries) - before.entries
	added, err := b.appendAll(ctx, plan)
	if err != nil {
		return err
	}
	t.claim(added == missing, "%s entries were known and stayed as they were, the missing %s were added",
		groupInt(len(plan.Entries)-added), groupInt(added))
	head := b.db.Head()
	again, err := b.appendAll(ctx, plan)
	if err != nil {
		return err
	}
	t.claim(again == 0 && b.db.Head() == head, "appended once more, nothing is added: the store still ends at position %d", b.db.Head())
	after, err := b.compare(ctx, plan)
	t.claimNil(err, "all %s entries are whole, in the plan's order", groupInt(after.entries))
	return nil
}

// afterProjectorKill holds the read models against the log, as far as they came, and
// lets them go on.
func afterProjectorKill(ctx context.Context, t *transcript, b *books, seen []ack) error {
	e, err := newReadModels(b.db)
	if err != nil {
		return err
	}
	t.printf("  Both had shown everything up to position %s when it was gone.\n", group(uint64(seen[len(seen)-1].last)))
	for _, name := range []string{trialBalance, onHand} {
		found, err := readShown(e, name)
		if err != nil {
			return err
		}
		want, err := b.foldShown(ctx, name, found.at)
		if err != nil {
			return err
		}
		t.claim(maps.Equal(found.lines, want.lines),
			"%s opens at position %s, and is what reading the log up to there gives, to the cent", name, group(uint64(found.at)))
		if name == trialBalance {
			t.claim(found.cents == 0, "it sums to zero: no entry is in it by half")
		}
	}
	if err := b.project(ctx, func(ctx context.Context, e *projection.Engine) error { return waitForBoth(ctx, e, b.db.Head()) }); err != nil {
		return err
	}
	for _, name := range []string{trialBalance, onHand} {
		found, err := readShown(e, name)
		if err != nil {
			return err
		}
		want, err := b.foldShown(ctx, name, b.db.Head())
		if err != nil {
			return err
		}
		t.claim(maps.Equal(found.lines, want.lines) && found.at == b.db.Head(), "%s went on where it was, and shows all of it now", name)
	}
	return nil
}

// balanceBooks prints the trial balance, from its read model.
func balanceBooks(ctx context.Context, t *transcript, b *books, plan *Plan) error {
	t.heading(fmt.Sprintf("4. Trial balance at the end of %d", year))
	e, err := newReadModels(b.db)
	if err != nil {
		return err
	}
	view, err := readTrialBalance(e)
	if err != nil {
		return err
	}
	t.printf("  %-29s %15s %15s %15s\n", "account", "debit", "credit", "balance")
	same := len(view) == len(plan.Balances)
	var total int64
	for _, a := range view {
		t.printf("  %s %-24s %15s %15s %15s\n", a.Code, accountName(a.Code), money(a.DebitCents), money(a.CreditCents), money(a.Balance()))
		same = same && a.Balance() == plan.Balances[a.Code]
		total += a.Balance()
	}
	t.printf("  %-61s %15s\n", "total", money(total))
	t.claim(total == 0, "the balances sum to zero")
	t.claim(same, "every balance is what the generator counted without the store")
	tb, err := FoldTrialBalance(b.db.ReadAll(ctx, eventstream.Category(accountCategory)))
	if err != nil {
		return err
	}
	t.claim(slices.Equal(tb.Accounts, view), "reading all postings anew gives the same debits and credits")
	t.claim(len(tb.Unbalanced) == 0, "each of the %s entries that posted money sums to zero", groupInt(tb.Entries))
	goods, err := readShown(e, onHand)
	if err != nil {
		return err
	}
	t.claim(goods.cents == tb.Balance(inventory), "the stock is worth %s, the balance of account %s", money(goods.cents), inventory)
	refused, err := b.closedMonthRefuses(ctx)
	if err != nil {
		return err
	}
	t.claim(refused, "an entry into May, which is closed, is refused as a conflict and leaves nothing behind")
	return nil
}

// askForMay asks for a stock in the past, as known then and as known now.
func askForMay(ctx context.Context, t *transcript, b *books, plan *Plan) error {
	c := plan.Correction
	t.heading("5. The stock of " + c.Name + " on " + endOfMay().Format("2 January"))
	then, err := b.stockAt(ctx, c.SKU, endOfMay(), endOfMay())
	if err != nil {
		return err
	}
	now, err := b.stockAt(ctx, c.SKU, endOfMay(), b.clock.now())
	if err != nil {
		return err
	}
	t.printf("  A stock-take on %s found %d pieces missing from the delivery of %s.\n",
		c.Recorded.Format("2 January"), -c.Quantity, c.Occurred.Format("2 January"))
	t.claim(then.Quantity == c.BookedInMay, "as known on that day: %d pieces, as the generator counted", then.Quantity)
	t.claim(now.Quantity == c.BookedInMay+c.Quantity, "as known today: %d pieces, the %d missing ones taken off", now.Quantity, -c.Quantity)
	for _, known := range []struct {
		when string
		at   projection.AsOf
		want int64
	}{
		{"then", projection.AsOf{Occurred: endOfMay(), Recorded: endOfMay()}, then.Quantity},
		{"today", projection.AsOf{Occurred: endOfMay()}, now.Quantity},
	} {
		quantity, err := b.viewAsOf(ctx, c.SKU, known.at)
		if err != nil {
			return err
		}
		t.claim(quantity == known.want, "the read model, asked as of that day as known %s: %d pieces", known.when, quantity)
	}
	return nil
}

// checkStore runs the store's own check.
func checkStore(ctx context.Context, t *transcript, b *books, plan *Plan) error {
	t.heading("6. The store checks itself, every event and every sum")
	report, err := b.db.Check(ctx, eventstream.Deep())
	if err != nil {
		return err
	}
	for _, p := range report.Problems {
		t.printf("  %s: %s version %d, position %d: %s\n", p.Kind, p.Stream, p.Version, p.Position, p.Detail)
	}
	t.claim(report.OK(), "%s events in %s streams, %d problems", group(report.Events), group(report.Streams), len(report.Problems))
	t.claim(report.Events == uint64(plan.Events), "as many events as the plan has")
	return nil
}
