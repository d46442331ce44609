package stock

import (
	"iter"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/projection"
	"github.com/nexus-erp/eventstream/projection/decimal"
)

// Move is what an event adds to, or takes from, the stock of an item at a location. A
// transfer is two.
type Move struct {
	Item     string          // required
	Location string          // "" where there is only one
	Quantity decimal.Decimal // what comes in is positive, what goes out negative
	Value    decimal.Decimal // with the same sign; 0 if nobody keeps it
}

// Mapping returns what an event moves; nothing, if it moves nothing. An event that should
// move something and does not say what is an error, which the projection's policy
// handles. A Mapping depends on the event alone, and does not change it.
type Mapping func(e eventstream.Event) ([]Move, error)

// Key is the key of a record. Records sort by item and location.
type Key struct {
	Item     string
	Location string
}

// Level is the stock of an item at a location.
type Level struct {
	Quantity decimal.Decimal `msgpack:"quantity"` // on hand: what came in less what went out
	Value    decimal.Decimal `msgpack:"value"`
	In       decimal.Decimal `msgpack:"in"`      // all that ever came in
	Out      decimal.Decimal `msgpack:"out"`     // all that ever went out, without its sign
	Moves    uint64          `msgpack:"moves"`   // how many there were
	LastAt   projection.Time `msgpack:"last_at"` // when the latest of them occurred
}

func (l *Level) add(m Move, at time.Time) {
	l.Quantity, l.Value = l.Quantity.Add(m.Quantity), l.Value.Add(m.Value)
	if m.Quantity.Sign() < 0 {
		l.Out = l.Out.Sub(m.Quantity)
	} else {
		l.In = l.In.Add(m.Quantity)
	}
	l.Moves++
	if t := projection.TimeOf(at); l.Moves == 1 || t > l.LastAt {
		l.LastAt = t
	}
}

// Records returns how the records of a stock projection are read.
func Records() projection.Records[Key, Level] {
	return projection.NewRecords[Key, Level]("", projection.StructKey(
		projection.Part(func(k *Key) *string { return &k.Item }, projection.TextKey[string]()),
		projection.Part(func(k *Key) *string { return &k.Location }, projection.TextKey[string]()),
	))
}

// Definition returns a projection called name of what m says. Whoever registers it may
// narrow it to types or a category, and choose what becomes of an event that m refuses.
func Definition(name string, m Mapping) projection.Definition {
	keys := func(e eventstream.Event) ([]Key, error) {
		moves, err := m(e)
		if err != nil {
			return nil, err
		}
		all := make([]Key, 0, len(moves))
		for _, move := range moves {
			if move.Item == "" {
				return nil, &eventstream.ArgumentError{Field: "Move.Item", Reason: "it is empty: a move needs an item"}
			}
			all = append(all, Key{move.Item, move.Location})
		}
		return all, nil
	}
	fold := func(k Key, before *Level, e eventstream.Event) (*Level, error) {
		moves, err := m(e)
		if err != nil {
			return nil, err
		}
		var l Level
		if before != nil {
			l = *before
		}
		for _, move := range moves {
			if move.Item == k.Item && move.Location == k.Location {
				l.add(move, e.OccurredAt)
			}
		}
		return &l, nil
	}
	return projection.Definition{Name: name, Keyed: Records().Keyed(keys, fold)}
}

// Levels returns the stock of everything, by item and location. An error is the last
// item.
func Levels(r projection.Reader) iter.Seq2[projection.Record[Key, Level], error] {
	return Records().All(r)
}

// Item returns the stock of an item, by location. An error is the last item.
func Item(r projection.Reader, item string) iter.Seq2[projection.Record[Key, Level], error] {
	return Records().Under(r, Key{Item: item}, 1)
}
