package eventstream_test

import (
	"testing"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/internal/campaign"
)

// The budget of allocations for an append of one event; the goal is 4.
func TestAppendAllocatesLittle(t *testing.T) {
	if raceEnabled {
		t.Skip("allocations are not what they are under the race detector")
	}
	db := estest.Open(t, estest.Options(func(o *eventstream.Options) { o.Durability = eventstream.None }))
	e := eventstream.NewEvent{Type: "Posted", Data: &Posted{Debit: 11900, Text: "Till 3"}}
	const budget = 6
	allocs := campaign.Allocs(500, budget, func() { mustAppend(t, db, "finance-account-1000", eventstream.Any, e) })
	if allocs > budget {
		t.Errorf("%v allocations an append, want at most %d", allocs, budget)
	}
}
