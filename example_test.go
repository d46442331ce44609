package eventstream_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/nexus-erp/eventstream"
)

// openExample returns a store in a directory that done removes.
func openExample(opts *eventstream.Options) (db *eventstream.DB, done func()) {
	dir, err := os.MkdirTemp("", "books-*")
	if err != nil {
		log.Fatal(err)
	}
	db, err = eventstream.Open(dir, opts)
	if err != nil {
		log.Fatal(err)
	}
	return db, func() {
		if err := db.Close(); err != nil {
			log.Fatal(err)
		}
		if err := os.RemoveAll(dir); err != nil {
			log.Fatal(err)
		}
	}
}

// Posted is an amount in cents on an account.
type Posted struct {
	Debit, Credit int64
	Text          string
}

func Example() {
	ctx := context.Background()
	db, done := openExample(nil)
	defer done()

	// One journal entry over two accounts, in one commit, if the period is open.
	_, err := db.Append(ctx, "finance-period-2026_11", eventstream.NoStream, eventstream.NewEvent{Type: "PeriodOpened"})
	if err != nil {
		log.Fatal(err)
	}
	res, err := db.AppendAll(ctx, []eventstream.StreamAppend{
		{Stream: "finance-account-1000", Expect: eventstream.Any, Events: []eventstream.NewEvent{
			{Type: "Posted", Data: Posted{Debit: 11900, Text: "Till 3"}},
		}},
		{Stream: "finance-account-4000", Expect: eventstream.Any, Events: []eventstream.NewEvent{
			{Type: "Posted", Data: Posted{Credit: 11900, Text: "Till 3"}},
		}},
		{Stream: "finance-period-2026_11", Expect: eventstream.Exact(1)}, // only checked
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("positions", res.FirstPosition, "to", res.LastPosition)

	for ev, err := range db.ReadStream(ctx, "finance-account-1000") {
		if err != nil {
			log.Fatal(err)
		}
		var p Posted
		if err := ev.Decode(&p); err != nil {
			log.Fatal(err)
		}
		fmt.Println(ev.Stream, "version", ev.Version, ev.Type, p.Debit, p.Text)
	}
	// Output:
	// positions 2 to 3
	// finance-account-1000 version 1 Posted 11900 Till 3
}

// Appending again with the same id writes nothing and returns the first result, so
// a command whose outcome is unknown can simply be sent again.
func ExampleDB_Append_idempotent() {
	ctx := context.Background()
	db, done := openExample(nil)
	defer done()
	first, err := db.Append(ctx, "stock-item-4711", eventstream.NoStream, eventstream.NewEvent{Type: "Received", Data: 12})
	if err != nil {
		log.Fatal(err)
	}
	again, err := db.Append(ctx, "stock-item-4711", eventstream.NoStream, eventstream.NewEvent{ID: first.EventIDs[0], Type: "Received", Data: 12})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(again.Deduplicated, again.LastVersion, db.Head())
	// Output: true 1 1
}

// Two tills sell the last piece. One of them wins; the other sees the conflict,
// reads again and decides anew.
func ExampleRetryOnConflict() {
	ctx := context.Background()
	db, done := openExample(nil)
	defer done()
	const item = "stock-item-4711"
	errSoldOut := errors.New("sold out")
	sell := func() error {
		return eventstream.RetryOnConflict(ctx, func() error {
			stock, version := 0, eventstream.Version(0)
			for ev, err := range db.ReadStream(ctx, item) {
				if err != nil {
					return err
				}
				var pieces int
				if err := ev.Decode(&pieces); err != nil {
					return err
				}
				stock, version = stock+pieces, ev.Version
			}
			if stock == 0 {
				return errSoldOut
			}
			_, err := db.Append(ctx, item, eventstream.Exact(version), eventstream.NewEvent{Type: "Sold", Data: -1})
			return err
		})
	}
	if _, err := db.Append(ctx, item, eventstream.NoStream, eventstream.NewEvent{Type: "Received", Data: 1}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(sell())
	fmt.Println(sell())
	// Output:
	// <nil>
	// sold out
}

// What was true on a day, as it was known on another: a correction that was
// recorded later is left out.
func ExampleRecordedUntil() {
	ctx := context.Background()
	now := time.Date(2026, 6, 1, 8, 0, 0, 0, time.UTC)
	db, done := openExample(&eventstream.Options{Clock: func() time.Time { now = now.Add(time.Hour); return now }})
	defer done()
	may := time.Date(2026, 5, 12, 0, 0, 0, 0, time.UTC)
	res, err := db.Append(ctx, "stock-item-4711", eventstream.NoStream, eventstream.NewEvent{Type: "Received", Data: 24, OccurredAt: may})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := db.Append(ctx, "stock-item-4711", eventstream.Exact(1), eventstream.NewEvent{Type: "Corrected", Data: -2, OccurredAt: may}); err != nil {
		log.Fatal(err)
	}
	sum := func(opts ...eventstream.ReadOption) (total int) {
		for ev, err := range db.ReadStream(ctx, "stock-item-4711", opts...) {
			if err != nil {
				log.Fatal(err)
			}
			var pieces int
			if err := ev.Decode(&pieces); err != nil {
				log.Fatal(err)
			}
			total += pieces
		}
		return total
	}
	fmt.Println("as known then:", sum(eventstream.OccurredUntil(may), eventstream.RecordedUntil(res.RecordedAt)))
	fmt.Println("as known now:", sum(eventstream.OccurredUntil(may)))
	// Output:
	// as known then: 24
	// as known now: 22
}

// Follow catches up and then waits for what comes. A limit ends it here.
func ExampleDB_Follow() {
	ctx := context.Background()
	db, done := openExample(nil)
	defer done()
	go func() {
		for _, s := range []eventstream.StreamID{"sales-order-1", "sales-order-2"} {
			if _, err := db.Append(ctx, s, eventstream.NoStream, eventstream.NewEvent{Type: "Placed"}); err != nil {
				log.Print(err)
			}
		}
	}()
	for ev, err := range db.Follow(ctx, eventstream.Limit(2)) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(ev.Position, ev.Stream)
	}
	// Output:
	// 1 sales-order-1
	// 2 sales-order-2
}

// The same stream name in two tenants is two streams.
func ExampleDB_Tenant() {
	ctx := context.Background()
	db, done := openExample(nil)
	defer done()
	for _, name := range []string{"acme", "zeta"} {
		res, err := db.Tenant(name).Append(ctx, "finance-account-1000", eventstream.NoStream, eventstream.NewEvent{Type: "Opened"})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(name, "version", res.LastVersion, "position", res.LastPosition)
	}
	// Output:
	// acme version 1 position 1
	// zeta version 1 position 2
}
