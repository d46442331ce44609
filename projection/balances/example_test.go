package balances_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/projection"
	"github.com/nexus-erp/eventstream/projection/balances"
	"github.com/nexus-erp/eventstream/projection/decimal"
)

// Posted is an amount in cents; the stream's name says on which account.
type Posted struct {
	Cents int64 `msgpack:"cents"`
}

// A trial balance that follows the log.
func Example() {
	db, err := eventstream.OpenMemory(nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	engine := projection.New(db, nil)
	definition := balances.Definition("trial-balance", func(e eventstream.Event) ([]balances.Posting, error) {
		var posted Posted
		if err := e.Decode(&posted); err != nil {
			return nil, err
		}
		account := string(e.Stream[len("finance-account-"):])
		return []balances.Posting{{Account: account, Commodity: "EUR", Amount: decimal.New(posted.Cents, 2)}}, nil
	})
	definition.Category = "finance-account"
	if err := engine.Register(definition); err != nil {
		log.Fatal(err)
	}
	running := make(chan error, 1)
	go func() { running <- engine.Run(ctx) }()

	post := func(account eventstream.StreamID, cents int64, at time.Time) eventstream.StreamAppend {
		return eventstream.StreamAppend{Stream: account, Expect: eventstream.Any, Events: []eventstream.NewEvent{
			{Type: "Posted", Data: Posted{cents}, OccurredAt: at},
		}}
	}
	march := time.Date(2026, 3, 9, 0, 0, 0, 0, time.UTC)
	res, err := db.AppendAll(ctx, []eventstream.StreamAppend{
		post("finance-account-1000", 11900, march), post("finance-account-4000", -10000, march), post("finance-account-2200", -1900, march),
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := engine.WaitFor(ctx, "trial-balance", res.LastPosition); err != nil {
		log.Fatal(err)
	}
	err = engine.Read("trial-balance", func(r *eventstream.ViewReader) error {
		for line, err := range balances.Lines(r, balances.MonthOf(march)) {
			if err != nil {
				return err
			}
			fmt.Println(line.Key.Account, line.Value.Net(), line.Key.Commodity)
		}
		sums, err := balances.Sums(r, balances.Total)
		fmt.Println("all accounts", sums["EUR"].Net())
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	stop()
	<-running
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 1000 119.00 EUR
	// 2200 -19.00 EUR
	// 4000 -100.00 EUR
	// all accounts 0.00
}
