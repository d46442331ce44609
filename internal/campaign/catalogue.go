package campaign

import (
	"fmt"
	"slices"
	"strings"
)

// Case is something that may happen to a store, and the tests that make it happen.
type Case struct {
	Number int
	Name   string
	// Lanes are those in which it is tried: from the first one on, and with more cases in
	// each that follows.
	Lanes []Lane
	// Tests are where it is tried.
	Tests []Tests
	// Without says why nothing tries it, if nothing does.
	Without string
}

// Tests are tests of one package.
type Tests struct {
	Package string // its folder, from the root of the module
	Names   []string
}

// In reports whether the case is tried in a lane.
func (c *Case) In(lane Lane) bool { return c.Lanes[0] <= lane }

// Find returns the case of a name or a number.
func Find(name string) (Case, error) {
	for _, c := range Catalogue() {
		if c.Name == name || fmt.Sprint(c.Number) == name {
			return c, nil
		}
	}
	return Case{}, fmt.Errorf("no case is called %q", name)
}

// Pattern matches exactly these tests, for go test -run.
func (t Tests) Pattern() string { return "^(" + strings.Join(t.Names, "|") + ")$" }

// Catalogue returns all cases in the order of their numbers.
func Catalogue() []Case {
	return slices.Concat(crashes(), damage(), disks(), order(), projections(), inputs(), process())
}

const (
	root     = "."
	engine   = "internal/engine"
	cmd      = "cmd/eventstream"
	project  = "projection"
	snapshot = "snapshot"
	model    = "internal/campaign/model"
)

var (
	everyLane   = []Lane{PullRequest}
	moreNightly = []Lane{PullRequest, Nightly}
	nightly     = []Lane{Nightly}
	weekly      = []Lane{Weekly}
)

func in(pkg string, names ...string) Tests { return Tests{Package: pkg, Names: names} }
