package projection_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"log"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/projection"
)

// balanceOf keeps the balance of each account, in cents, and what it was before.
var balanceOf = &projection.Keyed{
	Keys: func(e eventstream.Event) ([][]byte, error) { return [][]byte{[]byte(e.Stream)}, nil },
	Fold: func(_, value []byte, e eventstream.Event) ([]byte, error) {
		var p posting
		if err := e.Decode(&p); err != nil {
			return nil, err
		}
		if value == nil {
			value = make([]byte, 8)
		}
		binary.BigEndian.PutUint64(value, binary.BigEndian.Uint64(value)+uint64(p.Cents))
		return value, nil
	},
	AsOf: true,
}

// openBooks returns a store with three postings on one account. The last one was entered
// on the 3rd of March, and belongs to the 1st.
func openBooks() *eventstream.DB {
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	db, err := eventstream.OpenMemory(&eventstream.Options{Clock: func() time.Time { return now }})
	if err != nil {
		log.Fatal(err)
	}
	first := now
	for _, p := range []struct {
		cents    int64
		occurred time.Time
	}{{cents: 100}, {cents: 20}, {cents: 3, occurred: first}} {
		e := posted(p.cents)
		e.OccurredAt = p.occurred
		if _, err := db.Append(context.Background(), "finance-account-1000", eventstream.Any, e); err != nil {
			log.Fatal(err)
		}
		now = now.AddDate(0, 0, 1)
	}
	return db
}

func ExampleEngine_ReadAsOf() {
	ctx := context.Background()
	db := openBooks()
	e := projection.New(db, nil)
	if err := e.Register(projection.Definition{Name: "balances", Keyed: balanceOf}); err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(ctx)
	ran := make(chan error, 1)
	go func() { ran <- e.Run(ctx) }()
	if err := e.WaitFor(ctx, "balances", db.Head()); err != nil {
		log.Fatal(err)
	}
	show := func(what string, at projection.AsOf) {
		err := e.ReadAsOf(ctx, "balances", at, func(r *projection.AsOfReader) error {
			value, _, err := r.Get([]byte("finance-account-1000"))
			if err == nil {
				fmt.Println(what, binary.BigEndian.Uint64(value))
			}
			return err
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	first := time.Date(2026, 3, 1, 23, 59, 59, 0, time.UTC)
	show("now:", projection.AsOf{})
	show("on the 1st:", projection.AsOf{Occurred: first})
	show("on the 1st, as it was known then:", projection.AsOf{Occurred: first, Recorded: first})
	stop()
	<-ran
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// now: 123
	// on the 1st: 103
	// on the 1st, as it was known then: 100
}

func ExampleEngine_Rebuild() {
	ctx := context.Background()
	db := openBooks()
	e := projection.New(db, nil)
	if err := e.Register(projection.Definition{Name: "balances", Version: 2, Keyed: balanceOf, PartitionedByStream: true}); err != nil {
		log.Fatal(err)
	}
	// What would the code make of the log? Nothing is written.
	try, err := e.DryRun(ctx, projection.Definition{Name: "balances", Keyed: balanceOf}, projection.DryRunOptions{Until: db.Head()})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(try.Processed, "events,", try.Added, "record added")

	err = e.Rebuild(ctx, "balances", projection.RebuildOptions{
		Workers: 2,
		Verify: func(_ context.Context, _, rebuilt projection.View) error {
			fmt.Println("generation", rebuilt.Generation, "is at", rebuilt.Checkpoint)
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	s, err := e.Status(ctx, "balances")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("generation", s.Generation, "is live,", s.Retired, "is kept")
	if err := e.SwitchBack(ctx, "balances"); err != nil {
		log.Fatal(err)
	}
	if err := db.Close(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 3 events, 1 record added
	// generation 2 is at 3
	// generation 2 is live, 1 is kept
}
