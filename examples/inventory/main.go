// Command inventory shows stock on eventstream: receive, reserve, issue, a transfer over two
// streams in one commit, two tills that sell the last unit, and the stock of a past day.
//
//	go run ./examples/inventory
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"sync"
	"time"

	"github.com/nexus-erp/eventstream"
)

func main() {
	dir, err := os.MkdirTemp("", "inventory-*")
	if err != nil {
		log.Fatal(err)
	}
	err = run(context.Background(), os.Stdout, dir, time.Now)
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		log.Fatal(err)
	}
}

// run moves some goods and tells what happens.
func run(ctx context.Context, out io.Writer, dir string, clock func() time.Time) (err error) {
	db, err := eventstream.Open(dir, &eventstream.Options{Clock: clock})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	w, err := NewWarehouse(db)
	if err != nil {
		return err
	}
	defer w.Close()

	tell := func(what string, err error) {
		said := "done"
		if err != nil {
			said = "refused: " + err.Error()
		}
		fmt.Fprintf(out, "%-40s %s\n", what, said)
	}
	tell("receive 5 lamps in Berlin", w.Do(ctx, "lamp", "berlin", Receive(5)))
	tell("reserve 3 for order 17", w.Do(ctx, "lamp", "berlin", Reserve("17", 3)))
	tell("issue 4 over the counter", w.Do(ctx, "lamp", "berlin", Issue(4)))
	tell("deliver order 17", w.Do(ctx, "lamp", "berlin", Deliver("17")))
	tell("transfer 1 to Hamburg", w.Transfer(ctx, "lamp", "berlin", "hamburg", 1))
	tell("transfer 9 to Hamburg", w.Transfer(ctx, "lamp", "berlin", "hamburg", 9))

	var wg sync.WaitGroup
	sold := make([]error, 2)
	for till := range sold {
		wg.Go(func() { sold[till] = w.Do(ctx, "lamp", "berlin", Issue(1)) })
	}
	wg.Wait()
	won := 0
	for _, err := range sold {
		if err == nil {
			won++
		}
	}
	fmt.Fprintf(out, "%-40s %d of 2 tills sold it\n", "the last lamp in Berlin", won)

	for _, place := range []string{"berlin", "hamburg"} {
		stock, err := w.Stock(ctx, "lamp", place)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%-40s %d on hand, %d reserved\n", "lamps in "+place, stock.OnHand, stock.ReservedPieces())
	}
	return nil
}
