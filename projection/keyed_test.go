package projection_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/projection"
)

// byStream adds each posting to the record of its stream.
var byStream = &projection.Keyed{
	Keys: func(e eventstream.Event) ([][]byte, error) { return [][]byte{[]byte(e.Stream)}, nil },
	Fold: func(_, value []byte, e eventstream.Event) ([]byte, error) {
		var p posting
		if err := e.Decode(&p); err != nil {
			return nil, err
		}
		n := p.Cents
		if value != nil {
			n += int64(binary.BigEndian.Uint64(value))
		}
		return binary.BigEndian.AppendUint64(nil, uint64(n)), nil
	},
}

// move is an event that bears on several records.
type move struct {
	Keys   []string `msgpack:"keys"`
	Factor byte     `msgpack:"factor"`
}

// chain is a keyed projection whose result depends on the order of events: each appends
// to the record, empties it or deletes it.
var chain = &projection.Keyed{
	Keys: func(e eventstream.Event) (keys [][]byte, err error) {
		var m move
		if err := e.Decode(&m); err != nil {
			return nil, err
		}
		for _, key := range m.Keys {
			keys = append(keys, []byte(key))
		}
		return keys, nil
	},
	Fold: func(key, value []byte, e eventstream.Event) ([]byte, error) {
		var m move
		if err := e.Decode(&m); err != nil {
			return nil, err
		}
		return chainOn(key, value, m.Factor), nil
	},
}

// chainOn is the fold of chain. It uses the memory of value, as a fold may.
func chainOn(key, value []byte, factor byte) []byte {
	switch {
	case factor%7 == 0:
		return nil
	case factor%7 == 1:
		return []byte{}
	case value == nil:
		return append([]byte("new "+string(key)), factor)
	case len(value) > 12:
		return append(value[:0], value[3:]...)
	default:
		return append(value, factor)
	}
}

// randomMove bears on up to four keys, some of them twice.
func randomMove(rng *rand.Rand) move {
	m := move{Factor: byte(rng.Uint32())}
	for range rng.IntN(5) {
		m.Keys = append(m.Keys, fmt.Sprintf("key-%d", rng.IntN(8)))
	}
	return m
}

// fold applies m to a view in memory.
func (m move) fold(view map[string][]byte) {
	keys := slices.Compact(slices.Sorted(slices.Values(m.Keys)))
	for _, key := range keys {
		value := chainOn([]byte(key), bytes.Clone(view[key]), m.Factor)
		if value == nil {
			delete(view, key)
		} else {
			view[key] = value
		}
	}
}

// records returns what a view holds.
func records(t testing.TB, e *projection.Engine, name string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := e.Read(name, func(r *eventstream.ViewReader) error {
		for record, err := range r.Scan(nil, nil) {
			if err != nil {
				return err
			}
			all[string(record.Key)] = append([]byte{}, record.Value...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func sameRecords(t testing.TB, what string, got, want map[string][]byte) {
	t.Helper()
	if !maps.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// Each record is the fold of the events that bear on it, in their order, also across
// batches; nil deletes, an empty record stays one, and a key that is named twice counts
// once.
func TestAKeyedRecordIsTheFoldOfItsEvents(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	rng := rand.New(rand.NewPCG(9, 0))
	e := projection.New(db.DB, nil)
	register(t, e, projection.Definition{Name: "chain", Keyed: chain, BatchEvents: 17})
	want := map[string][]byte{}
	append1 := func() eventstream.Position {
		m := randomMove(rng)
		m.fold(want)
		res, err := db.Append(context.Background(), eventstream.StreamID(fmt.Sprintf("stock-move-%d", rng.IntN(5))), eventstream.Any, eventstream.NewEvent{Type: "Moved", Data: m})
		if err != nil {
			t.Fatal(err)
		}
		return res.LastPosition
	}
	var last eventstream.Position
	for range 400 {
		last = append1()
	}
	start(t, e)
	empty, deleted := 0, 0
	for range 100 {
		waitFor(t, e, "chain", last)
		got := records(t, e, "chain")
		sameRecords(t, fmt.Sprintf("at position %d", last), got, want)
		for _, value := range got {
			if len(value) == 0 {
				empty++
			}
		}
		deleted += 8 - len(got)
		last = append1()
	}
	if empty == 0 || deleted == 0 {
		t.Errorf("%d empty records and %d deleted ones were seen: the test shows little", empty, deleted)
	}
}

// What Keys or Fold cannot take is an event that fails: the others of its keys are not
// changed by it either.
func TestAKeyedProjectionParksTheWholeEvent(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	refuse := errors.New("no such account")
	e := projection.New(db.DB, nil)
	keyed := &projection.Keyed{
		Keys: func(ev eventstream.Event) ([][]byte, error) {
			if ev.Position == 2 {
				return nil, refuse
			}
			return [][]byte{[]byte("a"), []byte("b"), []byte("c")}, nil
		},
		Fold: func(key, value []byte, ev eventstream.Event) ([]byte, error) {
			switch {
			case ev.Position == 4 && string(key) == "b":
				return nil, refuse
			case ev.Position == 5 && string(key) == "c":
				panic("no such account")
			}
			return append(value, byte('0'+ev.Position)), nil
		},
	}
	register(t, e, projection.Definition{Name: "digits", Keyed: keyed, OnFailure: projection.Park, Attempts: 1, Backoff: time.Millisecond})
	start(t, e)
	var last eventstream.Position
	for range 6 {
		res, err := db.Append(context.Background(), "finance-account-1", eventstream.Any, posted(1))
		if err != nil {
			t.Fatal(err)
		}
		last = res.LastPosition
	}
	waitFor(t, e, "digits", last)
	sameRecords(t, "without 2, 4 and 5", records(t, e, "digits"), map[string][]byte{"a": []byte("136"), "b": []byte("136"), "c": []byte("136")})
	parked, err := e.Parked("digits")
	if err != nil || len(parked) != 3 {
		t.Errorf("got %+v, %v", parked, err)
	}
}
