package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/projection"
	"github.com/nexus-erp/eventstream/projection/balances"
	"github.com/nexus-erp/eventstream/projection/decimal"
	"github.com/nexus-erp/eventstream/projection/stock"
)

// The names of the shop's read models.
const (
	trialBalance = "trial-balance"
	onHand       = "stock"
)

// euro is what all amounts are in.
const euro = "EUR"

// itemCategory is the category of the item streams.
const itemCategory = "warehouse-item"

// newReadModels returns an engine with the shop's read models, which keep what they were.
func newReadModels(db *eventstream.DB) (*projection.Engine, error) {
	e := projection.New(db, nil)
	money := balances.Definition(trialBalance, func(ev eventstream.Event) ([]balances.Posting, error) {
		var p Posting
		if err := ev.Decode(&p); err != nil {
			return nil, err
		}
		account := strings.TrimPrefix(string(ev.Stream), accountCategory+"-")
		return []balances.Posting{{Account: account, Commodity: euro, Amount: decimal.New(p.AmountCents, 2)}}, nil
	})
	goods := stock.Definition(onHand, func(ev eventstream.Event) ([]stock.Move, error) {
		var m StockMove
		if err := ev.Decode(&m); err != nil {
			return nil, err
		}
		item := strings.TrimPrefix(string(ev.Stream), itemCategory+"-")
		return []stock.Move{{Item: item, Quantity: decimal.New(m.Quantity, 0), Value: decimal.New(m.ValueCents, 2)}}, nil
	})
	money.Category, goods.Category = accountCategory, itemCategory
	for _, d := range []*projection.Definition{&money, &goods} {
		d.Keyed.AsOf = true
		d.OnFailure = projection.Halt
		d.BatchEvents = 25 // small, so that a kill falls between many commits
		if err := e.Register(*d); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// shownEvery is how often the projecting child says how far it is, in positions.
const shownEvery = 250

// RunProjector brings the read models of the store in dir up to the end of the log, and
// writes one line to out each time that both show a few hundred events more. It goes on
// until they show everything, or until somebody kills it.
func RunProjector(ctx context.Context, dir string, seed uint64, out io.Writer) (err error) {
	plan := NewPlan(seed)
	b, err := openBooks(dir, plan.end(), eventstream.Options{ErrorIfNotExists: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.db.Close()) }()
	n, head := 0, b.db.Head()
	return b.project(ctx, func(ctx context.Context, e *projection.Engine) error {
		for at := eventstream.Position(0); at < head; {
			next := min(at+shownEvery, head)
			if err := waitForBoth(ctx, e, next); err != nil {
				return err
			}
			n++
			if _, err := fmt.Fprintf(out, ackFormat, n, at+1, next); err != nil {
				return fmt.Errorf("tell the parent: %w", err)
			}
			at = next
		}
		return nil
	})
}

// end is when the plan books its last entry.
func (p *Plan) end() time.Time { return p.Entries[len(p.Entries)-1].Recorded }

// project runs the read models while fn runs.
func (b *books) project(ctx context.Context, fn func(context.Context, *projection.Engine) error) (err error) {
	e, err := newReadModels(b.db)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	running := make(chan error, 1)
	go func() { running <- e.Run(ctx) }()
	defer func() {
		stop()
		if ended := <-running; !errors.Is(ended, context.Canceled) {
			err = errors.Join(err, ended)
		}
	}()
	return fn(ctx, e)
}

func waitForBoth(ctx context.Context, e *projection.Engine, position eventstream.Position) error {
	return errors.Join(e.WaitFor(ctx, trialBalance, position), e.WaitFor(ctx, onHand, position))
}

// shown is a read model as it was found, with the position that it shows.
type shown struct {
	at    eventstream.Position
	lines map[string]string // each record as text
	cents int64             // that all its records come to
}

// readShown reads a read model as it is.
func readShown(e *projection.Engine, name string) (shown, error) {
	var s shown
	err := e.ReadView(name, func(v projection.View) (err error) {
		s, err = showAll(v, name)
		s.at = v.Checkpoint
		return err
	})
	return s, err
}

func showAll(r projection.Reader, name string) (shown, error) {
	s := shown{lines: map[string]string{}}
	sum := decimal.Decimal{}
	if name == trialBalance {
		for line, err := range balances.Lines(r, balances.Total) {
			if err != nil {
				return s, err
			}
			sum = sum.Add(line.Value.Net())
			s.lines[line.Key.Account] = line.Value.Net().String()
		}
	} else {
		for level, err := range stock.Levels(r) {
			if err != nil {
				return s, err
			}
			sum = sum.Add(level.Value.Value)
			s.lines[level.Key.Item] = level.Value.Quantity.String() + " worth " + level.Value.Value.String()
		}
	}
	var err error
	s.cents, err = cents(sum)
	return s, err
}

// cents returns an amount in cents.
func cents(d decimal.Decimal) (int64, error) {
	whole := d.Mul(decimal.New(100, 0)).Round(0)
	if !whole.Equal(d.Mul(decimal.New(100, 0))) {
		return 0, fmt.Errorf("%s is not in whole cents", d)
	}
	return strconv.ParseInt(whole.String(), 10, 64)
}

// foldShown computes from the log, without the read models, what they show at a position.
func (b *books) foldShown(ctx context.Context, name string, at eventstream.Position) (shown, error) {
	s := shown{at: at, lines: map[string]string{}}
	money, goods := map[string]int64{}, map[string]Stock{}
	if at == 0 {
		return s, nil
	}
	for ev, err := range b.db.ReadAll(ctx, eventstream.Until(at)) {
		if err != nil {
			return s, err
		}
		switch category := ev.Stream.Category(); {
		case name == trialBalance && category == accountCategory:
			var p Posting
			if err := ev.Decode(&p); err != nil {
				return s, err
			}
			account := strings.TrimPrefix(string(ev.Stream), accountCategory+"-")
			money[account] += p.AmountCents
			s.cents += p.AmountCents
			s.lines[account] = decimal.New(money[account], 2).String()
		case name == onHand && category == itemCategory:
			var m StockMove
			if err := ev.Decode(&m); err != nil {
				return s, err
			}
			item := strings.TrimPrefix(string(ev.Stream), itemCategory+"-")
			g := goods[item]
			g.Quantity, g.ValueCents = g.Quantity+m.Quantity, g.ValueCents+m.ValueCents
			goods[item] = g
			s.cents += m.ValueCents
			s.lines[item] = fmt.Sprint(g.Quantity) + " worth " + decimal.New(g.ValueCents, 2).String()
		}
	}
	return s, nil
}

// readTrialBalance returns the accounts' totals from the read model, by code.
func readTrialBalance(e *projection.Engine) ([]AccountTotal, error) {
	var all []AccountTotal
	err := e.Read(trialBalance, func(r *eventstream.ViewReader) error {
		for line, err := range balances.Lines(r, balances.Total) {
			if err != nil {
				return err
			}
			a := AccountTotal{Code: line.Key.Account}
			if a.DebitCents, err = cents(line.Value.Debit); err != nil {
				return err
			}
			if a.CreditCents, err = cents(line.Value.Credit); err != nil {
				return err
			}
			all = append(all, a)
		}
		return nil
	})
	return all, err
}

// viewAsOf returns how many pieces of an item the read model shows as of a time.
func (b *books) viewAsOf(ctx context.Context, sku string, at projection.AsOf) (quantity int64, err error) {
	e, err := newReadModels(b.db)
	if err != nil {
		return 0, err
	}
	err = e.ReadAsOf(ctx, onHand, at, func(r *projection.AsOfReader) error {
		level, _, err := stock.Records().Get(r, stock.Key{Item: sku})
		if err != nil {
			return err
		}
		quantity, err = strconv.ParseInt(level.Quantity.String(), 10, 64)
		return err
	})
	return quantity, err
}
