package projection_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/projection"
)

// write is an event that says what it does to the view.
type write struct {
	Key    string `msgpack:"key"`
	Delete bool   `msgpack:"delete"`
	Value  []byte `msgpack:"value"`
}

// obey does what a write says, on top of what is there.
func obey(_ context.Context, tx *eventstream.Tx, e eventstream.Event) error {
	var w write
	if err := e.Decode(&w); err != nil {
		return err
	}
	if w.Delete {
		return tx.Delete([]byte(w.Key))
	}
	value, _, err := tx.Get([]byte(w.Key))
	if err != nil {
		return err
	}
	return tx.Put([]byte(w.Key), append(value[max(len(value)-20, 0):], w.Value...))
}

// randomWrite writes to a key of its stream, with bytes in it that need escaping.
func randomWrite(rng *rand.Rand, stream int) write {
	key := fmt.Sprintf("%c\x00%d\x00\xff%s", 'a'+rng.IntN(3), stream, bytes.Repeat([]byte{0}, rng.IntN(3)))
	return write{Key: key, Delete: rng.IntN(5) == 0, Value: []byte{byte(rng.Uint32())}}
}

// Several workers make the view that one makes, byte by byte; and whatever key two of
// them wrote is found, wherever in the log the writes are, also if one of them only
// deleted it, or the rebuild was interrupted between them.
func TestWorkersMakeTheSameViewOrFindTheSharedKey(t *testing.T) {
	t.Parallel()
	rounds := 60
	if testing.Short() {
		rounds = 12
	}
	found, clean, harmless := 0, 0, 0
	for round := range rounds {
		db := estest.Open(t)
		rng := rand.New(rand.NewPCG(uint64(round), 30))
		workers, streams, events := 2+rng.IntN(4), 3+rng.IntN(10), 150+rng.IntN(150)
		name := func(n int) eventstream.StreamID { return eventstream.StreamID(fmt.Sprintf("stock-item-%d", n)) }
		var intruder int
		shared := write{Key: "shared \x00 key", Value: []byte("x")}
		at := map[int]eventstream.StreamID{} // where it is written, by whom
		if round%2 == 1 {
			intruder = rng.IntN(streams)
			at[rng.IntN(events)] = name(intruder)
			at[rng.IntN(events)] = name((intruder + 1 + rng.IntN(streams-1)) % streams)
		}
		for i := range events {
			stream := rng.IntN(streams)
			id, w := name(stream), randomWrite(rng, stream)
			if by, ok := at[i]; ok {
				id, w = by, shared
				w.Delete = rng.IntN(2) == 0
			}
			if _, err := db.Append(context.Background(), id, eventstream.Any, eventstream.NewEvent{Type: "Wrote", Data: w}); err != nil {
				t.Fatal(err)
			}
		}
		parts := map[int]bool{}
		for _, id := range at {
			parts[projection.PartOf(id, workers)] = true
		}
		def := projection.Definition{Name: "parts", Apply: obey, BatchEvents: 1 + rng.IntN(20), PartitionedByStream: true}
		sequential := def
		sequential.Name = "whole"
		e := projection.New(db.DB, nil)
		register(t, e, def, sequential)
		rebuild(t, e, "whole", projection.RebuildOptions{})
		if rng.IntN(2) == 0 { // interrupted, then gone on with, with another number of workers
			stop := newStopPoint(e, 1+rng.IntN(20))
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			stop.armed.Store(true)
			go func() {
				done <- e.Rebuild(ctx, "parts", projection.RebuildOptions{Workers: workers})
			}()
			select {
			case <-stop.reached:
				cancel()
				close(stop.release)
				<-done
				db = estest.Crash(t, db)
				e = projection.New(db.DB, nil)
				register(t, e, def, sequential)
			case err := <-done:
				done <- err
			}
			cancel()
		}
		err := e.Rebuild(context.Background(), "parts", projection.RebuildOptions{Workers: workers})
		what := fmt.Sprintf("round %d, %d workers, %d streams", round, workers, streams)
		var violation *projection.SharedKeyError
		switch {
		case len(parts) == 2 && (!errors.As(err, &violation) || string(violation.Key) != shared.Key || violation.Projection != "parts"):
			t.Errorf("%s: two workers wrote %q, got %v", what, shared.Key, err)
		case len(parts) == 2:
			found++
			if s := status(t, e, "parts"); s.Generation != 1 || s.Rebuild != nil {
				t.Errorf("%s: what two workers wrote is still there: %+v", what, s)
			}
			noLeftovers(t, db, "parts")
			continue
		case err != nil:
			t.Errorf("%s: %v", what, err)
			continue
		case len(parts) == 1:
			harmless++
		default:
			clean++
		}
		rebuild(t, e, "whole", projection.RebuildOptions{}) // a crash may have lost it
		sameRecords(t, what, records(t, e, "parts"), records(t, e, "whole"))
		p, w := status(t, e, "parts"), status(t, e, "whole")
		if p.Processed != w.Processed || p.Checkpoint != w.Checkpoint || p.Rebuild != nil {
			t.Errorf("%s: %+v and %+v", what, p, w)
		}
		noLeftovers(t, db, "parts")
	}
	t.Logf("%d found, %d without one, %d within one worker", found, clean, harmless)
	if found < rounds/4 || clean < rounds/4 {
		t.Errorf("%d found, %d without one: the test shows little", found, clean)
	}
}

// A key that two workers share may be what an event fails on. It is named then, and not
// tried for ever.
func TestASharedKeyIsNamedWhenItMakesEventsFail(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	append1 := func(stream string) {
		if _, err := db.Append(context.Background(), eventstream.StreamID(stream), eventstream.Any, posted(1)); err != nil {
			t.Fatal(err)
		}
	}
	streams := []string{"finance-account-1"} // and one of the other part
	for n := 2; len(streams) < 2; n++ {
		if stream := fmt.Sprintf("finance-account-%d", n); projection.PartOf(eventstream.StreamID(stream), 2) != projection.PartOf("finance-account-1", 2) {
			streams = append(streams, stream)
		}
	}
	for range 100 {
		append1(streams[0])
		append1(streams[1])
	}
	for _, policy := range []projection.Policy{projection.Retry, projection.Halt, projection.Park} {
		e := projection.New(db.DB, nil)
		register(t, e, projection.Definition{
			Name: "turns-" + policy.String(), OnFailure: policy, Attempts: 1, Backoff: 1, BatchEvents: 4, PartitionedByStream: true,
			Apply: func(_ context.Context, tx *eventstream.Tx, ev eventstream.Event) error {
				last, ok, err := tx.Get([]byte("last"))
				if err != nil {
					return err
				}
				if ok && string(last) == string(ev.Stream) {
					return errors.New("it is the other's turn")
				}
				return tx.Put([]byte("last"), []byte(ev.Stream))
			},
		})
		err := e.Rebuild(context.Background(), "turns-"+policy.String(), projection.RebuildOptions{Workers: 2})
		var shared *projection.SharedKeyError
		if !errors.As(err, &shared) || string(shared.Key) != "last" {
			t.Errorf("%v: got %v", policy, err)
		}
		noLeftovers(t, db, "turns-"+policy.String())
	}
}

// noLeftovers checks that nothing is stored of a projection but its generations.
func noLeftovers(t testing.TB, db *estest.DB, name string) {
	t.Helper()
	tenant := db.Tenant(eventstream.DefaultTenant)
	live := map[string]bool{}
	for s, err := range tenant.DerivedStates(name) {
		if err != nil {
			t.Fatal(err)
		}
		live[s.Name] = true
	}
	for generation := range uint64(9) {
		view := eventstream.ViewID{Projection: name, Generation: generation + 1}
		known := live[fmt.Sprintf("%s/progress/%020d", name, generation+1)]
		count := func(r *eventstream.ViewReader) (n int) {
			for _, err := range r.Scan(nil, nil) {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			return n
		}
		err := tenant.ReadView(view, func(r *eventstream.ViewReader) error {
			if n := count(r) + count(r.Beside("history")); n > 0 && !known {
				t.Errorf("%v has %d records, with states %v", view, n, slices.Sorted(maps.Keys(live)))
			}
			if n := count(r.Beside("owners")); n > 0 {
				t.Errorf("%d owners of keys of %v are left", n, view)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestWorkersNeedADeclaration(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	enterMany(t, db.DB, rand.New(rand.NewPCG(17, 0)), 3)
	e := projection.New(db.DB, nil)
	register(t, e, projection.Definition{Name: "whole", Apply: balance}, projection.Definition{Name: "parts", Apply: balance, PartitionedByStream: true})
	for _, tt := range []struct {
		name    string
		workers int
	}{{"whole", 2}, {"parts", -1}, {"parts", 65}} {
		err := e.Rebuild(context.Background(), tt.name, projection.RebuildOptions{Workers: tt.workers})
		if !errors.Is(err, eventstream.ErrInvalidArgument) {
			t.Errorf("%d workers for %s: got %v", tt.workers, tt.name, err)
		}
	}
	if err := e.Rebuild(context.Background(), "other", projection.RebuildOptions{}); !errors.Is(err, projection.ErrUnknown) {
		t.Errorf("got %v", err)
	}
	rebuild(t, e, "parts", projection.RebuildOptions{Workers: 64})
	sameSums(t, "with more workers than events", sums(t, e, "parts"), fold(t, db.DB, db.Head()))
}

// Which part a stream is in must not change: a rebuild may be gone on with by a later
// version.
func TestStreamsStayInTheirParts(t *testing.T) {
	t.Parallel()
	for stream, want := range map[eventstream.StreamID][3]int{
		"": {1, 5, 37}, "finance-account-1000": {1, 7, 7}, "stock-item-äöü": {1, 7, 39},
	} {
		got := [3]int{projection.PartOf(stream, 2), projection.PartOf(stream, 8), projection.PartOf(stream, 64)}
		if got != want {
			t.Errorf("%q: got parts %v, want %v", stream, got, want)
		}
	}
}
