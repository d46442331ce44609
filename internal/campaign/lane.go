package campaign

import (
	"fmt"
	"os"
	"testing"
)

// Lane says how long tests may go on.
type Lane int

// Lanes, each with all that the one before it does.
const (
	PullRequest Lane = iota // every change: minutes
	Nightly                 // an hour
	Weekly                  // hours, on a real disk
)

// LaneVariable names the environment variable that chooses the lane: nothing,
// "nightly" or "weekly".
const LaneVariable = "EVENTSTREAM_LANE"

// ParseLane reads the name of a lane. The empty one is PullRequest.
func ParseLane(name string) (Lane, error) {
	switch name {
	case "", "pr":
		return PullRequest, nil
	case "nightly":
		return Nightly, nil
	case "weekly":
		return Weekly, nil
	default:
		return 0, fmt.Errorf("%s=%q: want pr, nightly or weekly", LaneVariable, name)
	}
}

// String is the name of the lane, as it is given.
func (l Lane) String() string { return [...]string{"pr", "nightly", "weekly"}[l] }

// Current is the lane that this process runs in. An unknown name fails the test.
func Current(t testing.TB) Lane {
	t.Helper()
	lane, err := ParseLane(os.Getenv(LaneVariable))
	if err != nil {
		t.Fatal(err)
	}
	return lane
}

// Cases says how many cases a test tries. Short is for the race detector, which makes
// everything ten times slower.
type Cases struct{ Short, PullRequest, Nightly, Weekly int }

// Scale returns the number for the lane that the test runs in. A lane without one has
// that of the lane before it.
func Scale(t testing.TB, c Cases) int {
	t.Helper()
	n := c.PullRequest
	lane := Current(t)
	if lane >= Nightly && c.Nightly > 0 {
		n = c.Nightly
	}
	if lane >= Weekly && c.Weekly > 0 {
		n = c.Weekly
	}
	if lane == PullRequest && testing.Short() {
		n = c.Short
	}
	return n
}

// Only skips a test outside the lanes that it belongs to: those from the given one on.
func Only(t testing.TB, from Lane) {
	t.Helper()
	if lane := Current(t); lane < from {
		t.Skipf("for the %s lane: set %s=%s", from, LaneVariable, from)
	}
}
