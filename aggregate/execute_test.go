package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/aggregate"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/snapshot"
)

func TestACommandAppendsItsEvents(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	r := newAccounts(t, db, nil)
	res, err := r.Execute(ctx, stream, func(*account) ([]any, error) {
		return []any{opened{"Ada"}, &posted{100, "a"}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if res.Version != 2 || res.State.Balance != 100 || res.Attempts != 1 || res.Append.FirstVersion != 1 || res.Append.LastPosition != 2 || len(res.Append.EventIDs) != 2 {
		t.Errorf("got %+v", res)
	}
	sameState(t, "result", res.Loaded, replayed(t, db, stream))
	if res, err = r.Execute(ctx, stream, withdraw(40)); err != nil || res.State.Balance != 60 || res.Version != 3 {
		t.Errorf("got %+v, %v", res, err)
	}
	sameState(t, "result", res.Loaded, replayed(t, db, stream))
}

func TestACommandWithoutEventsAppendsNothing(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	r := newAccounts(t, db, nil)
	mustPost(t, r, stream, 2)
	res, err := r.Execute(ctx, stream, func(*account) ([]any, error) { return nil, nil })
	if err != nil || res.Version != 2 || res.State.Postings != 2 || res.Append.LastVersion != 0 || db.Head() != 2 {
		t.Errorf("got %+v, %v, head %d", res, err, db.Head())
	}
}

// What Decide returns is returned as it is. An error that matches a conflict is not one
// of ours: the command may have tried something else.
func TestARefusalIsReturnedAsItIs(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	r := newAccounts(t, db, nil)
	mustPost(t, r, stream, 1)
	_, err := r.Execute(ctx, stream, withdraw(2))
	if !errors.Is(err, errOverdrawn) || err.Error() != "overdrawn: 2 of 1" {
		t.Errorf("got %v", err)
	}
	calls := 0
	foreign := fmt.Errorf("elsewhere: %w", eventstream.ErrConflict)
	res, err := r.Execute(ctx, stream, func(*account) ([]any, error) { calls++; return []any{posted{}}, foreign })
	if err != foreign || calls != 1 || res.Version != 0 {
		t.Errorf("got %+v, %v after %d calls", res, err, calls)
	}
	if db.Head() != 1 {
		t.Errorf("head %d, want 1", db.Head())
	}
}

func TestCommandsAreRefused(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	r := newAccounts(t, db, nil)
	events := func(values ...any) aggregate.Command[account] {
		return func(*account) ([]any, error) { return values, nil }
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	for _, tt := range []struct {
		name    string
		ctx     context.Context
		stream  eventstream.StreamID
		command aggregate.Command[account]
		opts    []aggregate.Option
		is      error
		want    string
	}{
		{"an event of a type that is not registered", ctx, stream, events(posted{}, 5), nil, codec.ErrCodec, "events[1]: codec: Go type int is not registered"},
		{"nil", ctx, stream, events(nil), nil, codec.ErrCodec, "events[0]: codec: nil is no event"},
		{"a NewEvent with a type", ctx, stream, events(eventstream.NewEvent{Type: "Posted", Data: posted{}}), nil, eventstream.ErrInvalidArgument, "events[0]"},
		{"a NewEvent with a schema version", ctx, stream, events(eventstream.NewEvent{SchemaVersion: 1, Data: posted{}}), nil, eventstream.ErrInvalidArgument, "no Type, SchemaVersion or Codec"},
		{"a NewEvent without data", ctx, stream, events(eventstream.NewEvent{}), nil, codec.ErrCodec, "nil is no event"},
		{"no stream", ctx, "", events(posted{}), nil, eventstream.ErrInvalidArgument, "stream"},
		{"a cancelled context", cancelled, stream, events(posted{}), nil, context.Canceled, "canceled"},
		{"a user that cannot be", ctx, stream, events(posted{}), []aggregate.Option{aggregate.User("a\nb")}, eventstream.ErrInvalidArgument, "UserID"},
		{"a time that cannot be", ctx, stream, events(posted{}), []aggregate.Option{aggregate.OccurredAt(time.Date(1500, 1, 1, 0, 0, 0, 0, time.UTC))}, eventstream.ErrInvalidArgument, "OccurredAt"},
	} {
		res, err := r.Execute(tt.ctx, tt.stream, tt.command, tt.opts...)
		if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) || res.Version != 0 {
			t.Errorf("%s: got %+v, %v, want %q", tt.name, res, err, tt.want)
		}
	}
	if db.Head() != 0 {
		t.Errorf("head %d, want 0: something was written", db.Head())
	}
	reader, err := aggregate.New(db.DB, accountEvents(t), deciderOf[account](), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reader.Execute(ctx, stream, 5); !errors.Is(err, eventstream.ErrInvalidArgument) || !strings.Contains(err.Error(), "Decider.Decide") {
		t.Errorf("without Decide: got %v", err)
	}
}

// After a conflict the missed events are applied to the state that is there; it is not
// loaded from the first event again.
func TestAConflictIsRetriedWithTheMissedEvents(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	var evolved atomic.Int64
	d := aggregate.Struct[account]()
	apply := d.Evolve
	d.Evolve = func(a *account, e aggregate.Event) *account {
		evolved.Add(1)
		return apply(a, e)
	}
	r, err := aggregate.New(db.DB, accountEvents(t), d, &aggregate.Options{NoSnapshots: true})
	if err != nil {
		t.Fatal(err)
	}
	mustPost(t, r, stream, 20)
	evolved.Store(0)
	var seen []int64
	res, err := r.Execute(ctx, stream, func(a *account) ([]any, error) {
		seen = append(seen, a.Balance)
		if len(seen) <= 3 { // somebody else is faster, three times
			mustAppend(t, db, stream, eventstream.NewEvent{Type: "Posted", Data: posted{1000, "else"}})
		}
		return []any{posted{-a.Balance, "all"}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{210, 1210, 2210, 3210}, seen); diff != "" {
		t.Errorf("states that were decided on (-want +got):\n%s", diff)
	}
	if res.Attempts != 4 || res.Version != 24 || res.State.Balance != 0 || r.Stats().Conflicts != 3 {
		t.Errorf("got %+v, %+v", res, r.Stats())
	}
	if got := evolved.Load(); got != 20+3+1 {
		t.Errorf("%d events were applied, want 24: 20 loaded, 3 missed, 1 appended", got)
	}
	sameState(t, "result", res.Loaded, replayed(t, db, stream))
}

func TestAConflictIsRetriedUntilTheContextEnds(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	r := newAccounts(t, db, nil)
	limited, cancel := context.WithCancel(ctx)
	calls := 0
	_, err := r.Execute(limited, stream, func(*account) ([]any, error) {
		mustAppend(t, db, stream, eventstream.NewEvent{Type: "Posted", Data: posted{1, "else"}})
		if calls++; calls == 3 {
			defer cancel()
		}
		return []any{posted{}}, nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if got := replayed(t, db, stream).State.Postings; got != calls {
		t.Errorf("%d events, want %d: a command went through", got, calls)
	}
}

// Many at once on one aggregate: each command takes effect once, on a state that it saw.
func TestCommandsAtOnceTakeEffectOneAfterTheOther(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	r := newAccounts(t, db, &aggregate.Options{Policy: snapshot.EveryN(7), Keep: 2})
	const workers, each = 8, 10
	if _, err := r.Execute(ctx, stream, post(workers*each/2, "start")); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var refused atomic.Int64
	for range workers {
		all.Go(func() {
			for range each {
				switch _, err := r.Execute(ctx, stream, withdraw(1)); {
				case errors.Is(err, errOverdrawn):
					refused.Add(1)
				case err != nil:
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	mustWait(t, r)
	got := mustLoad(t, r, stream)
	if got.State.Balance != 0 || refused.Load() != workers*each/2 || got.Version != workers*each/2+1 {
		t.Errorf("balance %d after %d refusals at version %d, want 0, %d, %d", got.State.Balance, refused.Load(), got.Version, workers*each/2, workers*each/2+1)
	}
	sameState(t, "state", got, replayed(t, db, stream))
}

func TestOptionsDescribeTheEvents(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	r := newAccounts(t, db, nil)
	metadata := map[string]string{"till": "3", "shop": "12"}
	yesterday := db.Clock.Now().Add(-24 * time.Hour)
	own := eventstream.EventID{15: 7}
	opts := []aggregate.Option{
		aggregate.Correlation("order-1"), aggregate.Causation("message-2"), aggregate.User("ada"),
		aggregate.Metadata(metadata), aggregate.OccurredAt(yesterday),
	}
	metadata["till"] = "4" // it was copied
	_, err := r.Execute(ctx, stream, func(*account) ([]any, error) {
		return []any{
			opened{"Ada"},
			eventstream.NewEvent{
				ID: own, Data: posted{5, "a"}, CorrelationID: "own", CausationID: "cause", UserID: "eve",
				Metadata: map[string]string{"till": "9"}, OccurredAt: yesterday.Add(time.Hour),
			},
		}, nil
	}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	var got []eventstream.Event
	for ev, err := range db.ReadStream(ctx, stream) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, ev)
	}
	type labels struct {
		Type, Correlation, Causation, User string
		Metadata                           map[string]string
		OccurredAt                         time.Time
	}
	want := []labels{
		{"Opened", "order-1", "message-2", "ada", map[string]string{"till": "3", "shop": "12"}, yesterday},
		{"Posted", "own", "cause", "eve", map[string]string{"till": "9", "shop": "12"}, yesterday.Add(time.Hour)},
	}
	for i, e := range got {
		if diff := cmp.Diff(want[i], labels{e.Type, e.CorrelationID, e.CausationID, e.UserID, e.Metadata, e.OccurredAt}); diff != "" {
			t.Errorf("event %d (-want +got):\n%s", i, diff)
		}
	}
	if got[1].ID != own {
		t.Errorf("got id %s, want %s", got[1].ID, own)
	}
}

// The same command sent twice, or by two at once, takes effect once.
func TestACommandWithAnIDTakesEffectOnce(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	r := newAccounts(t, db, nil)
	mustPost(t, r, stream, 3)
	id := eventstream.EventID{15: 1}
	calls := 0
	command := func(a *account) ([]any, error) {
		calls++
		return []any{posted{a.Balance, "double"}, posted{1, "and one"}}, nil
	}
	first, err := r.Execute(ctx, stream, command, aggregate.CommandID(id))
	if err != nil {
		t.Fatal(err)
	}
	mustPost(t, r, stream, 2)
	again, err := r.Execute(ctx, stream, command, aggregate.CommandID(id))
	if err != nil || calls != 1 || !again.Append.Deduplicated || first.Append.Deduplicated {
		t.Fatalf("got %+v, %v after %d calls", again, err, calls)
	}
	sameState(t, "the state right after it", again.Loaded, first.Loaded)
	again.Append.Deduplicated = false
	if diff := cmp.Diff(first.Append, again.Append); diff != "" {
		t.Errorf("where its events stand (-first +again):\n%s", diff)
	}
	if got := mustLoad(t, r, stream).Version; got != 7 {
		t.Errorf("version %d, want 7", got)
	}

	// Nothing followed: it is decided again.
	nothing := func(*account) ([]any, error) { calls++; return nil, nil }
	for range 2 {
		if _, err := r.Execute(ctx, stream, nothing, aggregate.CommandID(eventstream.EventID{15: 2})); err != nil {
			t.Fatal(err)
		}
	}
	if calls != 3 {
		t.Errorf("%d calls, want 3", calls)
	}

	// The id of something else.
	for _, tt := range []struct {
		stream eventstream.StreamID
		id     eventstream.EventID
	}{
		{"finance-account-2", id},          // of a command on another stream
		{stream, first.Append.EventIDs[1]}, // of a later event of a command
	} {
		_, err := r.Execute(ctx, tt.stream, command, aggregate.CommandID(tt.id))
		if e := errAs[*eventstream.DuplicateEventError](t, err); e.EventID != tt.id || e.Position == 0 {
			t.Errorf("got %+v", e)
		}
	}
}

func TestACommandWithAnIDTakesEffectOnceWhoeverSendsIt(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	r := newAccounts(t, db, nil)
	for n := range 20 {
		var all sync.WaitGroup
		var fresh atomic.Int64
		for range 4 {
			all.Go(func() {
				res, err := r.Execute(ctx, stream, func(a *account) ([]any, error) {
					return []any{posted{a.Balance + 1, "x"}, posted{0, "y"}}, nil
				}, aggregate.CommandID(eventstream.EventID{1, 15: byte(n)}))
				if err != nil {
					t.Error(err)
				}
				if !res.Append.Deduplicated {
					fresh.Add(1)
				}
				if want := eventstream.Version(2 * (n + 1)); res.Append.LastVersion != want || res.Version != want {
					t.Errorf("round %d: got versions %d and %d, want %d", n, res.Append.LastVersion, res.Version, want)
				}
			})
		}
		all.Wait()
		if fresh.Load() != 1 {
			t.Errorf("round %d: %d of 4 took effect, want 1", n, fresh.Load())
		}
	}
}

// The decider style: states are values, commands a type of their own, and the event's
// times are at hand.
func TestADecider(t *testing.T) {
	t.Parallel()
	type stock struct {
		Pieces  int
		Counted time.Time
	}
	type received struct{ Pieces int }
	type issued struct{ Pieces int }
	type (
		receive struct{ pieces int }
		issue   struct{ pieces int }
	)
	errShort := errors.New("not enough")
	events, err := codec.NewRegistry(codec.Type[received]("Received", 1), codec.Type[issued]("Issued", 1))
	if err != nil {
		t.Fatal(err)
	}
	db := estest.Open(t)
	r, err := aggregate.New(db.DB, events, aggregate.Decider[stock, any]{
		Decide: func(s stock, command any) ([]any, error) {
			switch c := command.(type) {
			case receive:
				return []any{received{c.pieces}}, nil
			case issue:
				if s.Pieces < c.pieces {
					return nil, errShort
				}
				return []any{issued{c.pieces}}, nil
			default:
				return nil, fmt.Errorf("unknown command %T", command)
			}
		},
		Evolve: func(s stock, e aggregate.Event) stock {
			switch v := e.Value.(type) {
			case received:
				s.Pieces += v.Pieces
			case issued:
				s.Pieces -= v.Pieces
			}
			s.Counted = e.OccurredAt
			return s
		},
	}, &aggregate.Options{Policy: snapshot.EveryN(2)})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i, step := range []struct {
		command any
		want    int
		err     error
	}{
		{receive{10}, 10, nil}, {issue{4}, 6, nil}, {issue{7}, 0, errShort}, {issue{6}, 0, nil},
	} {
		db.Clock.Advance(time.Hour)
		res, err := r.Execute(ctx, "stock-item-1", step.command)
		if !errors.Is(err, step.err) || res.State.Pieces != step.want {
			t.Errorf("step %d: got %+v, %v, want %d, %v", i, res.State, err, step.want, step.err)
		}
		mustWait(t, r)
	}
	got := mustLoad(t, r, "stock-item-1")
	if want := (stock{0, db.Clock.Now()}); got.State != want || got.Snapshot != 2 {
		t.Errorf("got %+v from a snapshot at %d, want %+v", got.State, got.Snapshot, want)
	}
}
