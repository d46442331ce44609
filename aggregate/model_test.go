package aggregate_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/aggregate"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/snapshot"
)

// randomPolicy is any policy, or several of them put together.
func randomPolicy(rng *rand.Rand) snapshot.Policy {
	n := 1 + rng.Uint64N(20)
	simple := []snapshot.Policy{
		snapshot.EveryN(n), snapshot.ByBytes(int64(20 * n)), snapshot.ByAge(time.Duration(n) * time.Minute),
		snapshot.AfterTypes("Opened", "Closed"), snapshot.Never(),
	}
	some := func() snapshot.Policy { return simple[rng.IntN(len(simple))] }
	switch rng.IntN(4) {
	case 0:
		return snapshot.All(some(), some())
	case 1:
		return snapshot.Any(some(), some(), some())
	default:
		return some()
	}
}

// randomAccounts is a repository over accounts. They all differ in how they keep
// snapshots, and some do not take those of others.
func randomAccounts(t *testing.T, db *estest.DB, rng *rand.Rand) *accounts {
	t.Helper()
	return newAccounts(t, db, &aggregate.Options{
		Policy: randomPolicy(rng), Keep: 1 + rng.IntN(4), Uncompressed: rng.IntN(2) == 0, NoSnapshots: rng.IntN(6) == 0,
		StateVersion: eventstream.SchemaVersion(1 + rng.IntN(2)), StateCodec: []codec.ID{codec.Msgpack, codec.JSON}[rng.IntN(2)],
		Algorithm: []snapshot.Algorithm{snapshot.XXHash64, snapshot.SHA256}[rng.IntN(2)],
	})
}

// order is a command that was sent, and what came of it.
type order struct {
	id      eventstream.EventID
	stream  eventstream.StreamID
	cents   int64               // negative: to be withdrawn
	rival   eventstream.EventID // of a posting that comes in between when it is first decided; or zero
	rivaled bool                // it did
	result  aggregate.Result[*account]
	refused bool
}

func (o *order) send(t *testing.T, db *estest.DB, r *accounts) {
	t.Helper()
	command := post(o.cents, o.id.String())
	if o.cents < 0 {
		command = withdraw(-o.cents)
	}
	decide := func(a *account) ([]any, error) {
		if !o.rival.IsZero() && !o.rivaled {
			o.rivaled = true
			mustAppend(t, db, o.stream, eventstream.NewEvent{ID: o.rival, Type: "Posted", Data: posted{1, o.rival.String()}})
		}
		return command(a)
	}
	var err error
	o.result, err = r.Execute(ctx, o.stream, decide, aggregate.CommandID(o.id))
	if o.refused = errors.Is(err, errOverdrawn); err != nil && !o.refused {
		t.Errorf("command %s on %s: %v", o.id, o.stream, err)
	}
}

// Several goroutines send commands to the same few accounts, through repositories that
// keep snapshots in different ways, and send some again. What the log holds is each
// command that was not refused, once; every account is the fold of its events, and never
// was overdrawn; each sender was told the state right behind its command.
func TestCommandsFollowAModel(t *testing.T) {
	t.Parallel()
	cases, conflicts, again := 0, 0, 0
	for _, seed := range campaign.Seeds(t, campaign.Scale(t, campaign.Cases{Short: 3, PullRequest: 15, Nightly: 1000})) {
		rng := campaign.Rand(t, seed)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			db := estest.Open(t, estest.Seed(seed), estest.Options(unsynced))
			sent := make([][]order, 4)
			var all sync.WaitGroup
			for worker := range sent {
				r := randomAccounts(t, db, rng)
				orders := make([]order, 0, 30)
				for i := range 30 {
					o := order{
						id: eventstream.EventID{0: 1, 13: byte(worker), 14: byte(i >> 8), 15: byte(i)}, stream: eventstream.StreamID(fmt.Sprintf("finance-account-%d", rng.IntN(2))),
						cents: rng.Int64N(200) - 80,
					}
					if rng.IntN(5) == 0 {
						o.rival = eventstream.EventID{0: 2, 13: byte(worker), 15: byte(i)}
					}
					if i > 0 && rng.IntN(5) == 0 { // again
						o.id, o.stream, o.cents = orders[i-1].id, orders[i-1].stream, orders[i-1].cents
					}
					orders = append(orders, o)
				}
				sent[worker] = orders
				all.Go(func() {
					for i := range orders {
						orders[i].send(t, db, r)
					}
					mustWait(t, r)
				})
			}
			all.Wait()
			accepted := map[eventstream.EventID]*order{}
			for _, orders := range sent {
				for i := range orders {
					if o := &orders[i]; o.rivaled {
						accepted[o.rival] = &order{stream: o.stream, cents: 1}
					}
					if o := &orders[i]; !o.refused {
						if o.result.Attempts > 1 {
							conflicts++
						}
						if o.result.Append.Deduplicated {
							again++
						}
						accepted[o.id] = o
					}
				}
			}
			checkCommands(t, db, seed, sent, accepted)
			cases++
		})
	}
	campaign.Count(t, campaign.ModelCases, cases)
	t.Logf("%d conflicts, %d commands that were carried out before", conflicts, again)
	if conflicts < cases || again < cases {
		t.Errorf("%d conflicts, %d commands that were carried out before, in %d cases: the test shows little", conflicts, again, cases)
	}
}

func checkCommands(t *testing.T, db *estest.DB, seed uint64, sent [][]order, accepted map[eventstream.EventID]*order) {
	t.Helper()
	model := map[eventstream.StreamID]*account{}
	states := map[eventstream.EventID]account{} // right behind each command
	for e, err := range db.ReadAll(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		var p posted
		if err := e.Decode(&p); err != nil {
			t.Fatal(err)
		}
		o := accepted[e.ID]
		if o == nil || o.stream != e.Stream || o.cents != p.Cents {
			t.Errorf("-seed %d: event %s of %s posts %d, and nobody was told so: %+v", seed, e.ID, e.Stream, p.Cents, o)
			continue
		}
		a := model[e.Stream]
		if a == nil {
			a = &account{}
			model[e.Stream] = a
		}
		a.Apply(p)
		if p.Cents < 0 && a.Balance < 0 {
			t.Errorf("-seed %d: %s is overdrawn at version %d: %d", seed, e.Stream, e.Version, a.Balance)
		}
		if _, twice := states[e.ID]; twice {
			t.Errorf("-seed %d: command %s took effect twice", seed, e.ID)
		}
		states[e.ID] = account{Balance: a.Balance, Postings: a.Postings}
	}
	if len(states) != len(accepted) {
		t.Errorf("-seed %d: %d commands are in the log, %d were accepted", seed, len(states), len(accepted))
	}
	for _, orders := range sent {
		for _, o := range orders {
			if o.refused || o.result.State == nil {
				continue
			}
			if got, want := (account{Balance: o.result.State.Balance, Postings: o.result.State.Postings}), states[o.id]; got.Balance != want.Balance || got.Postings != want.Postings {
				t.Errorf("-seed %d: command %s was answered with %+v, want %+v", seed, o.id, got, want)
			}
		}
	}
	for name, want := range model {
		got := mustLoad(t, newAccounts(t, db, nil), name)
		if diff := cmp.Diff(want, got.State); diff != "" {
			t.Errorf("-seed %d: %s (-want +got):\n%s", seed, name, diff)
		}
	}
}
