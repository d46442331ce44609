package projection_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/projection"
)

// Attempts are those at one event: what others of its commit failed before does not
// shorten its own, whether the projection runs or is rebuilt.
func TestEachEventOfACommitHasItsOwnAttempts(t *testing.T) {
	t.Parallel()
	for _, rebuilt := range []bool{false, true} {
		t.Run(fmt.Sprintf("rebuilt %v", rebuilt), func(t *testing.T) {
			t.Parallel()
			db := estest.Open(t)
			events := []eventstream.NewEvent{posted(1), posted(2), posted(4), posted(8)}
			if _, err := db.Append(context.Background(), "finance-account-1", eventstream.NoStream, events...); err != nil {
				t.Fatal(err)
			}
			failures := map[eventstream.Position]int{2: 2, 3: 1, 4: 100} // the last one for good
			failed := map[eventstream.Position]int{}
			e := projection.New(db.DB, nil)
			register(t, e, projection.Definition{
				Name: "balances", OnFailure: projection.Park, Attempts: 3, Backoff: time.Microsecond,
				Apply: func(ctx context.Context, tx *eventstream.Tx, ev eventstream.Event) error {
					if failed[ev.Position] < failures[ev.Position] {
						failed[ev.Position]++
						return errors.New("not yet")
					}
					return balance(ctx, tx, ev)
				},
			})
			if rebuilt {
				rebuild(t, e, "balances", projection.RebuildOptions{})
			} else {
				stop := start(t, e)
				waitFor(t, e, "balances", 4)
				stop()
			}
			sameSums(t, "what was applied in the end", sums(t, e, "balances"), map[string]int64{"finance-account-1": 7})
			parked, err := e.Parked("balances")
			if err != nil || len(parked) != 1 || parked[0].Position != 4 || parked[0].Attempts != 3 {
				t.Errorf("parked are %+v, %v, want the event at position 4 after 3 attempts", parked, err)
			}
		})
	}
}
