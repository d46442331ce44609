package main

import (
	"errors"
	"fmt"
	"maps"

	"github.com/nexus-erp/eventstream/aggregate"
	"github.com/nexus-erp/eventstream/codec"
)

// What happens to an item at a place. Pieces are whole numbers.
type (
	Received struct {
		Pieces int64 `msgpack:"pieces"`
	}
	Issued struct {
		Pieces int64 `msgpack:"pieces"`
	}
	Reserved struct {
		Order  string `msgpack:"order"`
		Pieces int64  `msgpack:"pieces"`
	}
	Delivered struct {
		Order string `msgpack:"order"`
	}
	SentTo struct {
		Place  string `msgpack:"place"`
		Pieces int64  `msgpack:"pieces"`
	}
	ArrivedFrom struct {
		Place  string `msgpack:"place"`
		Pieces int64  `msgpack:"pieces"`
	}
)

// Item is an item at a place.
type Item struct {
	OnHand   int64            `msgpack:"on_hand"`
	Reserved map[string]int64 `msgpack:"reserved"` // by order
}

// ReservedPieces is how many pieces wait for their orders.
func (i *Item) ReservedPieces() (n int64) {
	for _, pieces := range i.Reserved {
		n += pieces
	}
	return n
}

// Free is how many pieces may leave.
func (i *Item) Free() int64 { return i.OnHand - i.ReservedPieces() }

// ErrShort is a move of more than there is.
var ErrShort = errors.New("not enough in stock")

// ErrPieces is a move of nothing.
var ErrPieces = errors.New("pieces must be more than none")

// evolve returns the item after an event.
func evolve(i Item, e aggregate.Event) Item {
	switch v := e.Value.(type) {
	case Received:
		i.OnHand += v.Pieces
	case ArrivedFrom:
		i.OnHand += v.Pieces
	case Issued:
		i.OnHand -= v.Pieces
	case SentTo:
		i.OnHand -= v.Pieces
	case Reserved:
		i.Reserved = maps.Clone(i.Reserved)
		if i.Reserved == nil {
			i.Reserved = map[string]int64{}
		}
		i.Reserved[v.Order] += v.Pieces
	case Delivered:
		i.OnHand -= i.Reserved[v.Order]
		i.Reserved = maps.Clone(i.Reserved)
		delete(i.Reserved, v.Order)
	}
	return i
}

// Command is what somebody wants of an item.
type Command func(Item) ([]any, error)

// Decider is the rules of an item.
func Decider() aggregate.Decider[Item, Command] {
	return aggregate.Decider[Item, Command]{
		Decide: func(i Item, c Command) ([]any, error) { return c(i) },
		Evolve: evolve,
	}
}

// take refuses what is not there.
func take(i Item, pieces int64, event any) ([]any, error) {
	switch {
	case pieces <= 0:
		return nil, ErrPieces
	case pieces > i.Free():
		return nil, fmt.Errorf("%w: %d are free, %d are wanted", ErrShort, i.Free(), pieces)
	}
	return []any{event}, nil
}

// Receive adds pieces.
func Receive(pieces int64) Command {
	return func(Item) ([]any, error) {
		if pieces <= 0 {
			return nil, ErrPieces
		}
		return []any{Received{pieces}}, nil
	}
}

// Issue takes pieces that nobody reserved.
func Issue(pieces int64) Command {
	return func(i Item) ([]any, error) { return take(i, pieces, Issued{pieces}) }
}

// Reserve keeps pieces for an order.
func Reserve(order string, pieces int64) Command {
	return func(i Item) ([]any, error) { return take(i, pieces, Reserved{order, pieces}) }
}

// Deliver takes what was reserved for an order.
func Deliver(order string) Command {
	return func(i Item) ([]any, error) {
		if i.Reserved[order] == 0 {
			return nil, fmt.Errorf("%w: nothing is reserved for order %s", ErrShort, order)
		}
		return []any{Delivered{order}}, nil
	}
}

// Send takes pieces for another place.
func Send(to string, pieces int64) Command {
	return func(i Item) ([]any, error) { return take(i, pieces, SentTo{to, pieces}) }
}

// Events are the event types of items.
func Events() (*codec.Registry, error) {
	return codec.NewRegistry(
		codec.Type[Received]("Received", 1), codec.Type[Issued]("Issued", 1), codec.Type[Reserved]("Reserved", 1),
		codec.Type[Delivered]("Delivered", 1), codec.Type[SentTo]("SentTo", 1), codec.Type[ArrivedFrom]("ArrivedFrom", 1),
	)
}
