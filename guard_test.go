package eventstream_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/internal/campaign"
)

// decide reads what a query finds, lets fn make of it the event to append, and appends it
// if nothing was committed meanwhile that the query finds, again as long as something is.
func decide(db *eventstream.DB, stream eventstream.StreamID, q eventstream.Query, fn func([]eventstream.Event) (eventstream.NewEvent, error)) error {
	return eventstream.RetryOnConflict(ctx, func() error {
		var events []eventstream.Event
		var head eventstream.Position
		err := db.Read(ctx, func(r *eventstream.Reader) (err error) {
			head = r.Head()
			events, err = collect(r.Query(ctx, q))
			return err
		})
		if err != nil {
			return err
		}
		next, err := fn(events)
		if err != nil {
			return err
		}
		_, err = db.AppendIf(ctx, eventstream.Condition{Query: q, After: head}, []eventstream.StreamAppend{
			{Stream: stream, Expect: eventstream.Any, Events: []eventstream.NewEvent{next}},
		})
		return err
	})
}

func tagged(eventType string, data any, tags ...string) eventstream.NewEvent {
	e := eventstream.NewEvent{Type: eventType, Data: data, Metadata: map[string]string{}}
	for i := 0; i < len(tags); i += 2 {
		e.Metadata[tags[i]] = tags[i+1]
	}
	return e
}

// Each of a thousand numbers is claimed by two of 64 writers at once: one gets it.
func TestANumberIsTakenOnce(t *testing.T) {
	t.Parallel()
	const writers, numbers = 64, 1000
	db := estest.Open(t, estest.Options(func(o *eventstream.Options) { o.Indexes = append(eventstream.DefaultIndexes(), eventstream.IndexTag) }))
	claims := make([]int, 0, 2*numbers)
	for n := range numbers {
		claims = append(claims, n, n)
	}
	rand.New(rand.NewPCG(3, 0)).Shuffle(len(claims), func(i, j int) { claims[i], claims[j] = claims[j], claims[i] })
	var next atomic.Int64
	var taken, refused atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(len(claims)) {
					return
				}
				number := fmt.Sprint(claims[i])
				_, err := db.AppendIf(ctx, eventstream.Condition{Query: eventstream.Query{}.Types("InvoiceIssued").Tag("number", number)}, []eventstream.StreamAppend{
					{Stream: eventstream.StreamID(fmt.Sprintf("sales-invoice-%d", w)), Expect: eventstream.Any, Events: []eventstream.NewEvent{tagged("InvoiceIssued", nil, "number", number)}},
				})
				var guard *eventstream.GuardError
				switch {
				case err == nil:
					taken.Add(1)
				case errors.As(err, &guard) && errors.Is(err, eventstream.ErrConflict):
					refused.Add(1)
					e, err := db.EventAt(ctx, guard.Position)
					if err != nil || e.Metadata["number"] != number {
						t.Errorf("number %s: refused for %+v, %v", number, e, err)
					}
				default:
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if taken.Load() != numbers || refused.Load() != numbers {
		t.Errorf("%d were taken and %d refused, want %d each", taken.Load(), refused.Load(), numbers)
	}
	equal(t, "events", db.Head(), numbers)
}

// What writers read and append under guards is as if they had come one after the other.
func TestGuardedAppendsAreLinearizable(t *testing.T) {
	t.Parallel()
	type op struct {
		key      int
		append   bool
		expected int
	}
	type result struct {
		count int
		ok    bool
	}
	model := porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			byKey := map[int][]porcupine.Operation{}
			for _, o := range history {
				byKey[o.Input.(op).key] = append(byKey[o.Input.(op).key], o)
			}
			var parts [][]porcupine.Operation
			for _, part := range byKey {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() any { return 0 },
		Step: func(state, input, output any) (bool, any) {
			n, in, out := state.(int), input.(op), output.(result)
			switch {
			case !in.append:
				return out.count == n, n
			case out.ok:
				return in.expected == n, n + 1
			default:
				return in.expected != n, n
			}
		},
	}
	const clients, rounds, keys = 6, 15, 3
	histories := campaign.Scale(t, campaign.Cases{Short: 10, PullRequest: 30, Nightly: 300})
	for h := range histories {
		t.Run(fmt.Sprint(h), func(t *testing.T) {
			db := estest.Open(t, estest.Seed(uint64(h)))
			var mu sync.Mutex
			var history []porcupine.Operation
			began := time.Now()
			var wg sync.WaitGroup
			for c := range clients {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(h), uint64(c)))
					do := func(in op, call func() (result, error)) result {
						at := time.Since(began).Nanoseconds()
						out, err := call()
						end := time.Since(began).Nanoseconds()
						if err != nil {
							t.Error(err)
						}
						mu.Lock()
						defer mu.Unlock()
						history = append(history, porcupine.Operation{ClientId: c, Input: in, Call: at, Output: out, Return: end})
						return out
					}
					for range rounds {
						key := rng.IntN(keys)
						q := eventstream.Query{}.Types("Claimed").Correlations(fmt.Sprint(key))
						var head eventstream.Position
						seen := do(op{key: key}, func() (out result, err error) {
							err = db.Read(ctx, func(r *eventstream.Reader) error {
								head = r.Head()
								events, err := collect(r.Query(ctx, q))
								out.count = len(events)
								return err
							})
							return out, err
						})
						do(op{key: key, append: true, expected: seen.count}, func() (result, error) {
							_, err := db.AppendIf(ctx, eventstream.Condition{Query: q, After: head}, []eventstream.StreamAppend{{
								Stream: eventstream.StreamID(fmt.Sprintf("s-s-%d", c)), Expect: eventstream.Any,
								Events: []eventstream.NewEvent{{Type: "Claimed", CorrelationID: fmt.Sprint(key)}},
							}})
							if errors.Is(err, eventstream.ErrConflict) {
								return result{}, nil
							}
							return result{ok: true}, err
						})
					}
				})
			}
			wg.Wait()
			if got := porcupine.CheckOperationsTimeout(model, history, 10*time.Second); got != porcupine.Ok {
				t.Errorf("history %d of %d operations: %v", h, len(history), got)
			}
		})
	}
	campaign.Count(t, campaign.Histories, histories)
}

func TestAGuardThatIsNotSound(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	entry := []eventstream.StreamAppend{{Stream: "s", Expect: eventstream.Any, Events: []eventstream.NewEvent{withID(id(1), "X")}}}
	for name, cond := range map[string]eventstream.Condition{
		"a fault":       {Query: eventstream.Query{}.Types()},
		"a bounded one": {Query: eventstream.Query{}.Until(7)},
	} {
		if _, err := db.AppendIf(ctx, cond, entry); !errors.Is(err, eventstream.ErrInvalidArgument) {
			t.Errorf("%s: got %v", name, err)
		}
		_, err := db.Update(ctx, func(tx *eventstream.UpdateTx) error {
			_ = tx.Guard(cond.Query)
			return tx.Append("s", eventstream.NoStream, event("X"))
		})
		if !errors.Is(err, eventstream.ErrInvalidArgument) {
			t.Errorf("%s in an update: got %v", name, err)
		}
	}
	never := eventstream.Condition{Query: eventstream.Query{}.Types("X")}
	for i := range 2 { // the second is the first, sent again
		res, err := db.AppendIf(ctx, never, entry)
		if err != nil || res.Deduplicated != (i == 1) || res.LastPosition != 1 {
			t.Errorf("got %+v, %v", res, err)
		}
	}
	entry[0].Events[0].ID = id(2)
	_, err := db.AppendIf(ctx, never, entry)
	wantErr(t, err, eventstream.ErrConflict)
	equal(t, "position", errAs[*eventstream.GuardError](t, err).Position, 1)
	never.After = 1
	if _, err := db.AppendIf(ctx, never, entry); err != nil {
		t.Errorf("behind the event: %v", err)
	}
	if _, err := db.Tenant("acme").AppendIf(ctx, eventstream.Condition{Query: eventstream.Query{}}, entry); err != nil {
		t.Errorf("another tenant's events: %v", err)
	}
	for range 200 {
		mustAppend(t, db, "t", eventstream.Any, event("Y"))
	}
	costly := eventstream.Condition{Query: eventstream.Query{}.Where("data.amount", eventstream.Equal, 7).Budget(50)}
	if _, err := db.AppendIf(ctx, costly, []eventstream.StreamAppend{{Stream: "s", Expect: eventstream.Any, Events: []eventstream.NewEvent{event("Z")}}}); !errors.Is(err, eventstream.ErrBudget) {
		t.Errorf("a spent budget: got %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := db.AppendIf(ended, never, entry); !errors.Is(err, context.Canceled) {
		t.Errorf("a ctx that has ended: got %v", err)
	}
}

// An update is guarded from its head on.
func TestAnUpdateIsGuardedFromItsHeadOn(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	q := eventstream.Query{}.Types("X")
	mustAppend(t, db, "a", eventstream.NoStream, event("X"))
	for i, meanwhile := range []string{"Y", "X"} {
		_, err := db.Update(ctx, func(tx *eventstream.UpdateTx) error {
			if err := tx.Guard(q); err != nil {
				return err
			}
			mustAppend(t, db, "b", eventstream.Any, event(meanwhile))
			return tx.Append(eventstream.StreamID(fmt.Sprint("c", i)), eventstream.NoStream, event("Z"))
		})
		if conflict := errors.Is(err, eventstream.ErrConflict); conflict != (meanwhile == "X") {
			t.Errorf("%s meanwhile: got %v", meanwhile, err)
		}
	}
}

// A guard that the newest events in memory do not reach back to is looked at from outside
// again.
func TestAGuardThatReachesBehindTheTail(t *testing.T) {
	t.Parallel()
	db := estest.Open(t, estest.Options(func(o *eventstream.Options) { o.TailBytes = 64 << 10 }))
	large := eventstream.NewEvent{Type: "Large", Data: make([]byte, 48<<10)}
	q := eventstream.Query{}.Types("X")
	for i, forbidden := range []bool{false, true} {
		head := db.Head()
		err := eventstream.AppendIfOvertaken(db.DB, eventstream.Condition{Query: q, After: head}, eventstream.StreamID(fmt.Sprint("s", i)), event("X"), func() {
			if forbidden {
				mustAppend(t, db, "other", eventstream.Any, event("X"))
			}
			for range 6 {
				mustAppend(t, db, "large", eventstream.Any, large)
			}
		})
		if errors.Is(err, eventstream.ErrConflict) != forbidden || err != nil && !forbidden {
			t.Errorf("forbidden %v: got %v", forbidden, err)
		}
	}
}

// While the event that a guard finds waits for its sync, nobody is told of it; and an
// event of another tenant is none that it finds.
func TestAGuardIsAnsweredOnceItsEventIsDurable(t *testing.T) {
	t.Parallel()
	db, gate, _ := openGated(t)
	for _, tenant := range []string{eventstream.DefaultTenant, "acme"} {
		mustAppend(t, db.Tenant(tenant), "s", eventstream.NoStream, event("Y"))
	}
	guarded := func(ctx context.Context, tenant string) error {
		_, err := db.Tenant(tenant).AppendIf(ctx, eventstream.Condition{Query: eventstream.Query{}.Types("X")}, []eventstream.StreamAppend{
			{Stream: "t", Expect: eventstream.Any, Events: []eventstream.NewEvent{event("Z")}},
		})
		return err
	}
	gate.close()
	appended, refused, passed := make(chan error, 1), make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := db.Append(ctx, "s", eventstream.Exact(1), event("X"))
		appended <- err
	}()
	<-gate.held
	go func() { refused <- guarded(ctx, eventstream.DefaultTenant) }()
	go func() { passed <- guarded(ctx, "acme") }()
	impatient, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if err := guarded(impatient, eventstream.DefaultTenant); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, eventstream.ErrConflict) {
		t.Errorf("with a deadline: got %v, want the deadline alone", err)
	}
	select {
	case err := <-refused:
		t.Errorf("the guard was answered before its event was durable: %v", err)
		refused <- err // for whoever asks below
	default:
	}
	gate.open(nil)
	if err := <-appended; err != nil {
		t.Fatal(err)
	}
	wantErr(t, <-refused, eventstream.ErrConflict)
	if err := <-passed; err != nil {
		t.Errorf("another tenant's guard: %v", err)
	}
	mustClose(t, db)
}
