package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/aggregate"
	"github.com/nexus-erp/eventstream/codec"
)

// Received and Issued are what happens to an item of the stock.
type (
	Received struct{ Pieces int }
	Issued   struct{ Pieces int }
)

// Item is an item of the stock.
type Item struct{ Pieces int }

// Apply changes the item by an event.
func (i *Item) Apply(event any) {
	switch e := event.(type) {
	case Received:
		i.Pieces += e.Pieces
	case Issued:
		i.Pieces -= e.Pieces
	}
}

// Issue is a command: it returns what follows, or why it is refused.
func (i *Item) Issue(pieces int) ([]any, error) {
	if i.Pieces < pieces {
		return nil, errors.New("not enough in stock")
	}
	return []any{Issued{pieces}}, nil
}

// openExample returns a store in a directory that done removes.
func openExample(clock func() time.Time) (db *eventstream.DB, done func()) {
	dir, err := os.MkdirTemp("", "books-*")
	if err != nil {
		log.Fatal(err)
	}
	db, err = eventstream.Open(dir, &eventstream.Options{Clock: clock})
	if err != nil {
		log.Fatal(err)
	}
	return db, func() {
		if err := errors.Join(db.Close(), os.RemoveAll(dir)); err != nil {
			log.Fatal(err)
		}
	}
}

func Example() {
	ctx := context.Background()
	db, done := openExample(time.Now)
	defer done()

	events, err := codec.NewRegistry(codec.Type[Received]("Received", 1), codec.Type[Issued]("Issued", 1))
	if err != nil {
		log.Fatal(err)
	}
	items, err := aggregate.New(db, events, aggregate.Struct[Item](), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer items.Close()

	const screws = "stock-item-4711"
	receive := func(*Item) ([]any, error) { return []any{Received{10}}, nil }
	if _, err := items.Execute(ctx, screws, receive, aggregate.User("ada")); err != nil {
		log.Fatal(err)
	}
	for _, pieces := range []int{4, 7} {
		res, err := items.Execute(ctx, screws, func(i *Item) ([]any, error) { return i.Issue(pieces) })
		if err != nil {
			fmt.Println("issue", pieces, "-", err)
			continue
		}
		fmt.Println("issue", pieces, "- left", res.State.Pieces, "at version", res.Version)
	}
	// Output:
	// issue 4 - left 6 at version 2
	// issue 7 - not enough in stock
}

// What the stock was on a day, as it is known now and as it was known then.
func ExampleRepository_StateAt() {
	ctx := context.Background()
	now := time.Date(2026, 3, 31, 18, 0, 0, 0, time.UTC)
	db, done := openExample(func() time.Time { return now })
	defer done()

	events, err := codec.NewRegistry(codec.Type[Received]("Received", 1), codec.Type[Issued]("Issued", 1))
	if err != nil {
		log.Fatal(err)
	}
	items, err := aggregate.New(db, events, aggregate.Struct[Item](), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer items.Close()

	const screws = "stock-item-4711"
	received := func(*Item) ([]any, error) { return []any{Received{10}}, nil }
	issued := func(*Item) ([]any, error) { return []any{Issued{3}}, nil }
	if _, err := items.Execute(ctx, screws, received); err != nil {
		log.Fatal(err)
	}
	evening := now
	now = now.Add(14 * time.Hour) // the next morning somebody remembers
	if _, err := items.Execute(ctx, screws, issued, aggregate.OccurredAt(evening.Add(-time.Hour))); err != nil {
		log.Fatal(err)
	}

	asKnownNow, err := items.StateAt(ctx, screws, eventstream.OccurredUntil(evening))
	if err != nil {
		log.Fatal(err)
	}
	asKnownThen, err := items.StateAt(ctx, screws, eventstream.OccurredUntil(evening), eventstream.RecordedUntil(evening))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("as known now:", asKnownNow.State.Pieces)
	fmt.Println("as known then:", asKnownThen.State.Pieces)

	changes, err := items.Diff(ctx, screws, []eventstream.ReadOption{eventstream.To(1)}, nil)
	if err != nil {
		log.Fatal(err)
	}
	for _, c := range changes {
		fmt.Println(c)
	}
	// Output:
	// as known now: 7
	// as known then: 10
	// /Pieces: 10 -> 7
}

// Two functions without a side effect instead of a struct with methods.
func ExampleDecider() {
	ctx := context.Background()
	db, done := openExample(time.Now)
	defer done()

	events, err := codec.NewRegistry(codec.Type[Received]("Received", 1), codec.Type[Issued]("Issued", 1))
	if err != nil {
		log.Fatal(err)
	}
	type issue struct{ pieces int }
	stock, err := aggregate.New(db, events, aggregate.Decider[int, issue]{
		Decide: func(pieces int, c issue) ([]any, error) {
			if pieces < c.pieces {
				return nil, errors.New("not enough in stock")
			}
			return []any{Issued{c.pieces}}, nil
		},
		Evolve: func(pieces int, e aggregate.Event) int {
			switch v := e.Value.(type) {
			case Received:
				return pieces + v.Pieces
			case Issued:
				return pieces - v.Pieces
			default:
				return pieces
			}
		},
	}, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer stock.Close()
	_, err = stock.Execute(ctx, "stock-item-4711", issue{1})
	fmt.Println(err)
	// Output: not enough in stock
}

// An event of the past is brought to the present shape when it is read.
func Example_upcast() {
	type v1 struct{ Dozens int }
	events, err := codec.NewRegistry(
		codec.Type[Received]("Received", 2),
		codec.Upcast("Received", 1, 2, func(old v1) (Received, error) { return Received{12 * old.Dozens}, nil }),
		codec.Rename("Delivered", 1, codec.Target{Type: "Received", Schema: 1}),
	)
	if err != nil {
		log.Fatal(err)
	}
	values, err := events.Decode(nil, codec.Payload{Type: "Delivered", Schema: 1, Codec: codec.JSON, Data: []byte(`{"Dozens":2}`)})
	fmt.Println(values, err)
	// Output: [{24}] <nil>
}
