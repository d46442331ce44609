package main

import (
	"context"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/aggregate"
	"github.com/nexus-erp/eventstream/codec"
)

// Warehouse is the stock of all items at all places: a stream for each item at each.
type Warehouse struct {
	db     *eventstream.DB
	events *codec.Registry
	items  *aggregate.Repository[Item, Command]
}

// NewWarehouse returns the stock in db.
func NewWarehouse(db *eventstream.DB) (*Warehouse, error) {
	events, err := Events()
	if err != nil {
		return nil, err
	}
	items, err := aggregate.New(db, events, Decider(), nil)
	if err != nil {
		return nil, err
	}
	return &Warehouse{db: db, events: events, items: items}, nil
}

// Close waits for what is done behind the scenes.
func (w *Warehouse) Close() { w.items.Close() }

func stream(item, place string) eventstream.StreamID {
	return eventstream.StreamID("stock-item-" + item + "_" + place)
}

// Do carries out a command on an item at a place. Of several at once each sees what the
// ones before it left: two tills do not sell the same piece.
func (w *Warehouse) Do(ctx context.Context, item, place string, c Command) error {
	_, err := w.items.Execute(ctx, stream(item, place), c)
	return err
}

// Stock returns an item at a place as it was at a point, or as it is now.
func (w *Warehouse) Stock(ctx context.Context, item, place string, at ...eventstream.ReadOption) (Item, error) {
	loaded, err := w.items.StateAt(ctx, stream(item, place), at...)
	return loaded.State, err
}

// Transfer moves pieces from one place to another, in one commit over both streams: they are
// never at both places, nor at neither.
func (w *Warehouse) Transfer(ctx context.Context, item, from, to string, pieces int64) error {
	return eventstream.RetryOnConflict(ctx, func() error {
		source, err := w.items.Load(ctx, stream(item, from))
		if err != nil {
			return err
		}
		leaves, err := Send(to, pieces)(source.State)
		if err != nil {
			return err
		}
		sent, err := w.encode(leaves[0])
		if err != nil {
			return err
		}
		arrived, err := w.encode(ArrivedFrom{from, pieces})
		if err != nil {
			return err
		}
		_, err = w.db.AppendAll(ctx, []eventstream.StreamAppend{
			{Stream: stream(item, from), Expect: eventstream.Exact(source.Version), Events: []eventstream.NewEvent{sent}},
			{Stream: stream(item, to), Expect: eventstream.Any, Events: []eventstream.NewEvent{arrived}}, // it takes any number
		})
		return err
	})
}

func (w *Warehouse) encode(v any) (eventstream.NewEvent, error) {
	p, err := w.events.Encode(v)
	return eventstream.NewEvent{Type: p.Type, SchemaVersion: p.Schema, Codec: p.Codec, Data: codec.Encoded(p.Data)}, err
}
