package demo

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
)

// shortPlan returns the first entries of a year.
func shortPlan(entries int) *Plan {
	plan := NewPlan(1)
	plan.Entries = plan.Entries[:entries]
	plan.Events = 0
	for i := range plan.Entries {
		plan.Events += plan.Entries[i].events()
	}
	return plan
}

// newBooks opens an empty store in memory.
func newBooks(t *testing.T, plan *Plan) *books {
	t.Helper()
	b, err := openBooks("books", plan.Entries[0].Recorded, eventstream.Options{FS: vfs.NewMem()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.db.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func TestComparingFindsThePlansEntries(t *testing.T) {
	t.Parallel()
	plan := shortPlan(20)
	b := newBooks(t, plan)
	for i := range 12 {
		if _, err := b.append(t.Context(), &plan.Entries[i]); err != nil {
			t.Fatal(err)
		}
	}
	f, err := b.compare(t.Context(), plan)
	if err != nil || f.entries != 12 || len(f.lasts) != 12 {
		t.Fatalf("compare = %+v, %v; want 12 entries", f, err)
	}
	events := eventstream.Position(plan.Entries[0].events())
	if err := f.holds(plan, []ack{{entry: 1, first: 1, last: events}}); err != nil {
		t.Errorf("a true acknowledgement does not hold: %v", err)
	}
	if err := f.holds(plan, []ack{{entry: 13}}); err == nil || !strings.Contains(err.Error(), "is not in the store") {
		t.Errorf("an acknowledgement of a lost entry: %v, want an error", err)
	}
	if err := f.holds(plan, []ack{{entry: 1, first: 2, last: events + 1}}); err == nil {
		t.Error("an acknowledgement of other positions holds, want an error")
	}
}

func TestComparingFindsAForeignEvent(t *testing.T) {
	t.Parallel()
	plan := shortPlan(3)
	b := newBooks(t, plan)
	if _, err := b.append(t.Context(), &plan.Entries[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := b.db.Append(t.Context(), "other-thing-1", eventstream.Any, eventstream.NewEvent{Type: "Stray"}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.compare(t.Context(), plan); err == nil || !strings.Contains(err.Error(), "event id is") {
		t.Errorf("compare = %v, want it to name the foreign event", err)
	}
}

func TestAppendingAgainAddsNothing(t *testing.T) {
	t.Parallel()
	plan := shortPlan(40)
	b := newBooks(t, plan)
	for round, want := range []int{40, 0} {
		added, err := b.appendAll(t.Context(), plan)
		if err != nil || added != want {
			t.Errorf("round %d added %d entries (%v), want %d", round+1, added, err, want)
		}
	}
	if got := int(b.db.Head()); got != plan.Events {
		t.Errorf("store ends at position %d, want %d", got, plan.Events)
	}
}
