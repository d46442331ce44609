package projection_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/projection"
)

// Sold is the payload of an event.
type Sold struct {
	Item   string `msgpack:"item"`
	Pieces int64  `msgpack:"pieces"`
}

// ItemDay is a key of two parts: the days of an item lie together.
type ItemDay struct {
	Item string
	Day  time.Time
}

// Sales is a record.
type Sales struct {
	Pieces int64 `msgpack:"pieces"`
}

// Typed views: sales of each item on each day.
func ExampleRecords() {
	view := projection.NewRecords[ItemDay, Sales]("", projection.StructKey(
		projection.Part(func(k *ItemDay) *string { return &k.Item }, projection.TextKey[string]()),
		projection.Part(func(k *ItemDay) *time.Time { return &k.Day }, projection.TimeKey()),
	))
	definition := projection.Definition{
		Name: "sales", Types: []string{"Sold"},
		Apply: func(_ context.Context, tx *eventstream.Tx, e eventstream.Event) error {
			var sold Sold
			if err := e.Decode(&sold); err != nil {
				return err
			}
			key := ItemDay{sold.Item, e.OccurredAt.Truncate(24 * time.Hour)}
			sales, _, err := view.Get(tx, key)
			if err != nil {
				return err
			}
			sales.Pieces += sold.Pieces
			return view.Put(tx, key, sales)
		},
	}

	db, err := eventstream.OpenMemory(nil)
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	engine := projection.New(db, nil)
	if err := engine.Register(definition); err != nil {
		log.Fatal(err)
	}
	running := make(chan error, 1)
	go func() { running <- engine.Run(ctx) }()

	day := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	var last eventstream.Position
	for i, sold := range []Sold{{"tea", 2}, {"cup", 1}, {"tea", 3}, {"tea", 4}} {
		res, err := db.Append(ctx, "sales-till-1", eventstream.Any, eventstream.NewEvent{
			Type: "Sold", Data: sold, OccurredAt: day.AddDate(0, 0, i/2),
		})
		if err != nil {
			log.Fatal(err)
		}
		last = res.LastPosition
	}

	// The view shows what was just appended, and its records come with their types.
	if err := engine.WaitFor(ctx, "sales", last); err != nil {
		log.Fatal(err)
	}
	err = engine.Read("sales", func(r *eventstream.ViewReader) error {
		for record, err := range view.Under(r, ItemDay{Item: "tea"}, 1) {
			if err != nil {
				return err
			}
			fmt.Println(record.Key.Day.Format(time.DateOnly), record.Value.Pieces)
		}
		return nil
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
	// 2026-03-01 2
	// 2026-03-02 7
}
