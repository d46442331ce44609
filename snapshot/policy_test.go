package snapshot_test

import (
	"testing"
	"time"

	"github.com/nexus-erp/eventstream/keys"
	"github.com/nexus-erp/eventstream/snapshot"
)

// C20, FUN-7209: by the number of events since the newest snapshot, or since the start.
func TestEveryN(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		n             uint64
		version, last keys.Version
		want          bool
	}{
		{snapshot.DefaultEvery, 100, 0, true},
		{snapshot.DefaultEvery, 99, 0, false},
		{snapshot.DefaultEvery, 101, 0, true},
		{snapshot.DefaultEvery, 150, 50, true},
		{snapshot.DefaultEvery, 150, 51, false},
		{snapshot.DefaultEvery, 50, 0, false},
		{50, 50, 0, true},
		{50, 99, 50, false},
		{1, 1, 0, true},
		{0, 1, 0, true},
		{0, 1, 1, false},
		{1, 5, 7, false}, // a state from before the newest snapshot
	} {
		if got := snapshot.EveryN(tt.n)(snapshot.Situation{Version: tt.version, Last: tt.last}); got != tt.want {
			t.Errorf("EveryN(%d) at version %d, last %d: got %v, want %v", tt.n, tt.version, tt.last, got, tt.want)
		}
	}
	if snapshot.DefaultEvery != 100 || snapshot.DefaultKeep != 10 {
		t.Errorf("the defaults are %d and %d, want 100 and 10", snapshot.DefaultEvery, snapshot.DefaultKeep)
	}
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	yes, no := snapshot.EveryN(1), snapshot.Never()
	s := snapshot.Situation{Version: 20, Last: 10, LastTaken: now.Add(-24 * time.Hour), Now: now, Bytes: 1000, Types: []string{"Posted", "Closed"}}
	first := snapshot.Situation{Version: 1, Now: now, Bytes: 10, Types: []string{"Opened"}}
	none := snapshot.Situation{Version: 10, Last: 10, LastTaken: now.Add(-48 * time.Hour), Now: now, Bytes: 0}
	for _, tt := range []struct {
		name   string
		policy snapshot.Policy
		s      snapshot.Situation
		want   bool
	}{
		{"as many bytes", snapshot.ByBytes(1000), s, true},
		{"fewer bytes", snapshot.ByBytes(1001), s, false},
		{"bytes of nothing", snapshot.ByBytes(0), none, false},
		{"old enough", snapshot.ByAge(24 * time.Hour), s, true},
		{"not old enough", snapshot.ByAge(24*time.Hour + 1), s, false},
		{"never taken", snapshot.ByAge(24 * time.Hour), first, true},
		{"old, and nothing new", snapshot.ByAge(24 * time.Hour), none, false},
		{"an event of the type", snapshot.AfterTypes("Closed", "Reopened"), s, true},
		{"none of the type", snapshot.AfterTypes("Reopened"), s, false},
		{"no type", snapshot.AfterTypes(), s, false},
		{"all of two", snapshot.All(yes, yes), s, true},
		{"all of two, one does not", snapshot.All(yes, no), s, false},
		{"all of none", snapshot.All(), s, false},
		{"any of two", snapshot.Any(no, yes), s, true},
		{"any of two, none does", snapshot.Any(no, no), s, false},
		{"any of none", snapshot.Any(), s, false},
		{"nested", snapshot.Any(snapshot.All(snapshot.ByAge(time.Hour), snapshot.EveryN(10)), snapshot.AfterTypes("Reopened")), s, true},
		{"never", snapshot.Never(), s, false},
	} {
		if got := tt.policy(tt.s); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

// Policies are given to many goroutines: what the caller does with his list later is
// his own.
func TestPoliciesKeepTheirLists(t *testing.T) {
	t.Parallel()
	types := []string{"Closed"}
	policies := []snapshot.Policy{snapshot.AfterTypes(types...)}
	all, anyOf := snapshot.All(policies...), snapshot.Any(policies...)
	types[0], policies[0] = "Else", snapshot.Never()
	s := snapshot.Situation{Version: 1, Types: []string{"Closed"}}
	if !all(s) || !anyOf(s) {
		t.Error("the policies changed with the lists that they were made from")
	}
}
