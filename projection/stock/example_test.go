package stock_test

import (
	"context"
	"fmt"
	"log"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/projection"
	"github.com/nexus-erp/eventstream/projection/stock"
)

// The stock on hand, of events that say in their payloads what moved.
func Example() {
	db, err := eventstream.OpenMemory(nil)
	if err != nil {
		log.Fatal(err)
	}
	mapping, err := stock.Fields{Item: "id", Location: "data.bin", Quantity: "data.pieces", Price: "data.price"}.Mapping()
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	engine := projection.New(db, nil)
	if err := engine.Register(stock.Definition("stock", mapping)); err != nil {
		log.Fatal(err)
	}
	running := make(chan error, 1)
	go func() { running <- engine.Run(ctx) }()

	var last eventstream.Position
	for _, move := range []map[string]any{
		{"bin": "A1", "pieces": 240, "price": "4.10"},
		{"bin": "B7", "pieces": 60, "price": "4.10"},
		{"bin": "A1", "pieces": -3, "price": "4.10"},
	} {
		res, err := db.Append(ctx, "warehouse-item-cup", eventstream.Any, eventstream.NewEvent{Type: "Moved", Data: move})
		if err != nil {
			log.Fatal(err)
		}
		last = res.LastPosition
	}
	if err := engine.WaitFor(ctx, "stock", last); err != nil {
		log.Fatal(err)
	}
	err = engine.Read("stock", func(r *eventstream.ViewReader) error {
		for record, err := range stock.Item(r, "cup") {
			if err != nil {
				return err
			}
			fmt.Println(record.Key.Item, record.Key.Location, record.Value.Quantity, "worth", record.Value.Value)
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
	// cup A1 237 worth 971.70
	// cup B7 60 worth 246.00
}
