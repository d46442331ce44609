// Command ledger shows a general ledger on eventstream: a chart of accounts, journal entries
// that are posted whole or not at all, a reversal that names what it reverses, a period
// that is closed, and a trial balance of any day.
//
//	go run ./examples/ledger
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/nexus-erp/eventstream"
)

func main() {
	dir, err := os.MkdirTemp("", "ledger-*")
	if err != nil {
		log.Fatal(err)
	}
	err = run(context.Background(), os.Stdout, dir, nil)
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		log.Fatal(err)
	}
}

// run keeps the books of a small shop for two months and tells what happens.
func run(ctx context.Context, out io.Writer, dir string, opts *eventstream.Options) (err error) {
	db, err := eventstream.Open(dir, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	book := Book{DB: db}

	for _, a := range []struct{ number, name string }{
		{"1000", "Cash"}, {"1400", "Inventory"}, {"3000", "Equity"}, {"4000", "Sales"}, {"5000", "Cost of sales"},
	} {
		if err := book.OpenAccount(ctx, a.number, a.name); err != nil {
			return err
		}
	}
	for _, month := range []string{"2026-01", "2026-02"} {
		if err := book.OpenPeriod(ctx, month); err != nil {
			return err
		}
	}
	post := func(id, date, text string, lines ...Line) error {
		err := book.Post(ctx, Entry{ID: id, Date: day(date), Text: text, Lines: lines})
		fmt.Fprintf(out, "%s  %-26s %v\n", date, text, verdict(err))
		return err
	}
	if err := errors.Join(
		post("e1", "2026-01-02", "owner pays in", Line{"1000", 500_000}, Line{"3000", -500_000}),
		post("e2", "2026-01-05", "goods bought", Line{"1400", 120_000}, Line{"1000", -120_000}),
		post("e3", "2026-01-20", "a sale", Line{"1000", 59_900}, Line{"4000", -59_900}, Line{"5000", 30_000}, Line{"1400", -30_000}),
	); err != nil {
		return err
	}
	_ = post("e4", "2026-01-21", "a slip of the pen", Line{"1000", 100}, Line{"4000", -1_000})
	_ = post("e5", "2026-01-22", "an account nobody opened", Line{"1000", 100}, Line{"9999", -100})

	err = book.Reverse(ctx, "e3", "e6", day("2026-01-25"), "the customer brings it back")
	fmt.Fprintf(out, "2026-01-25  reversal of e3             %v\n", verdict(err))
	err = book.Reverse(ctx, "e3", "e7", day("2026-01-26"), "again")
	fmt.Fprintf(out, "2026-01-26  the same once more         %v\n", verdict(err))

	if err := book.ClosePeriod(ctx, "2026-01"); err != nil {
		return err
	}
	_ = post("e8", "2026-01-31", "forgotten in January", Line{"1000", 700}, Line{"4000", -700})
	if err := post("e8", "2026-02-01", "booked in February then", Line{"1000", 700}, Line{"4000", -700}); err != nil {
		return err
	}
	for _, date := range []string{"2026-01-24", "2026-02-28"} {
		balance, err := book.TrialBalance(ctx, day(date).Add(24*time.Hour-1))
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "\ntrial balance of %s\n%s", date, balance)
	}
	return nil
}

func verdict(err error) string {
	if err != nil {
		return "refused: " + err.Error()
	}
	return "posted"
}

func day(text string) time.Time {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err) // the texts are in this file
	}
	return t
}
