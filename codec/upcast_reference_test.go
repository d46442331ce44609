package codec_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/keys"
)

// graph is a registry as a plain table, of which a slow reading says what is wrong.
type graph map[string]*node

type node struct {
	schema keys.SchemaVersion // the present one; 0: no Go type
	first  keys.SchemaVersion // as given with Since; 0: not given
	steps  map[keys.SchemaVersion][]codec.Target
}

// Go types of their own for the types of a graph.
type (
	typeA struct{ V int }
	typeB struct{ V int }
	typeC struct{ V int }
)

var graphNames = []string{"A", "B", "C"}

// anyGraph draws a graph that is more often nearly sound than not.
func anyGraph(r *rand.Rand) graph {
	g := make(graph)
	for _, name := range graphNames[:1+r.IntN(len(graphNames))] {
		n := &node{steps: make(map[keys.SchemaVersion][]codec.Target)}
		last := keys.SchemaVersion(1 + r.IntN(5))
		if r.IntN(8) > 0 {
			n.schema = last
		}
		if r.IntN(5) == 0 {
			n.first = keys.SchemaVersion(1 + r.IntN(3))
		}
		for from := max(n.first, 1); from <= last; from++ {
			if n.schema > 0 && from == last && r.IntN(12) > 0 || r.IntN(6) == 0 {
				continue
			}
			n.steps[from] = anyTargets(r, name, from, last)
		}
		g[name] = n
	}
	return g
}

func anyTargets(r *rand.Rand, name string, from, last keys.SchemaVersion) []codec.Target {
	into := []codec.Target{}
	for range []int{1, 1, 1, 1, 0, 2}[r.IntN(6)] {
		to := codec.Target{Type: name, Schema: min(from+1+keys.SchemaVersion(r.IntN(3)), max(last, from+1))}
		switch r.IntN(8) {
		case 0:
			to.Type = graphNames[r.IntN(len(graphNames))]
		case 1:
			to.Schema = keys.SchemaVersion(1 + r.IntN(5))
		}
		into = append(into, to)
	}
	return into
}

func (g graph) registrations() []codec.Registration {
	var regs []codec.Registration
	for name, n := range g {
		if n.first > 0 {
			regs = append(regs, codec.Since(name, n.first))
		}
		if n.schema > 0 {
			switch name {
			case "A":
				regs = append(regs, codec.Type[typeA](name, n.schema))
			case "B":
				regs = append(regs, codec.Type[typeB](name, n.schema))
			default:
				regs = append(regs, codec.Type[typeC](name, n.schema))
			}
		}
		for from, into := range n.steps {
			if len(into) == 0 {
				regs = append(regs, codec.Drop(name, from))
				continue
			}
			regs = append(regs, codec.Split(name, from, into, func(p codec.Payload) ([]codec.Payload, error) {
				var all []codec.Payload
				for _, to := range into {
					all = append(all, codec.Payload{Type: to.Type, Schema: to.Schema, Data: p.Data})
				}
				return all, nil
			}))
		}
	}
	return regs
}

// ends follows every way on from t. It returns where they end, and says false if one
// ends where no Go type is, or never.
func (g graph) ends(t codec.Target, way []codec.Target) ([]codec.Target, bool) {
	n := g[t.Type]
	switch {
	case n == nil || slices.Contains(way, t):
		return nil, false
	case n.schema == t.Schema:
		return []codec.Target{t}, true
	}
	into, ok := n.steps[t.Schema]
	if !ok {
		return nil, false
	}
	var all []codec.Target
	for _, next := range into {
		ends, ok := g.ends(next, append(slices.Clone(way), t))
		if !ok {
			return nil, false
		}
		all = append(all, ends...)
	}
	return all, true
}

// known returns the last version that the type is known to have had.
func (n *node) known(name string) keys.SchemaVersion {
	last := n.schema
	for from, into := range n.steps {
		last = max(last, from)
		for _, to := range into {
			if to.Type == name {
				last = max(last, to.Schema)
			}
		}
	}
	return last
}

// jumped reports whether a step leads past version v, which therefore no event has.
func (n *node) jumped(name string, v keys.SchemaVersion) bool {
	for from, into := range n.steps {
		for _, to := range into {
			if to.Type == name && from < v && v < to.Schema {
				return true
			}
		}
	}
	return false
}

// fault says what is wrong with the graph, and nothing of a sound one.
func (g graph) fault() string {
	for name, n := range g {
		first := max(n.first, 1)
		if n.schema == 0 && len(n.steps) == 0 {
			if n.first > 0 {
				return name + " is nothing"
			}
			continue // it was never registered
		}
		if n.schema > 0 && first > n.schema {
			return name + " begins behind its present version"
		}
		for from, into := range n.steps {
			if from < first || n.schema > 0 && from >= n.schema {
				return fmt.Sprintf("%s %d has a step and should not", name, from)
			}
			for _, to := range into {
				if to.Type == name && to.Schema <= from {
					return fmt.Sprintf("%s %d does not advance", name, from)
				}
			}
			if _, ok := g.ends(codec.Target{Type: name, Schema: from}, nil); !ok {
				return fmt.Sprintf("%s %d does not end at a Go type", name, from)
			}
		}
		for v := first; v <= n.known(name); v++ {
			if _, ok := n.steps[v]; !ok && v != n.schema && !n.jumped(name, v) {
				return fmt.Sprintf("%s %d has no way on", name, v)
			}
		}
	}
	return ""
}

// C13: a registry builds exactly if every way on from every version ends at a Go type,
// and then payloads arrive where a plain reading of the steps says.
func TestARegistryBuildsExactlyIfEveryVersionHasAWayToTheEnd(t *testing.T) {
	t.Parallel()
	n := campaign.Scale(t, campaign.Cases{Short: 2_000, PullRequest: 20_000, Nightly: 200_000})
	built := 0
	for _, seed := range campaign.Seeds(t, 1) {
		r := campaign.Rand(t, seed)
		for range n {
			g := anyGraph(r)
			registry, err := codec.NewRegistry(g.registrations()...)
			fault := g.fault()
			if (err == nil) != (fault == "") {
				t.Fatalf("%s: got %v, want fault %q", g, err, fault)
			}
			if err == nil {
				built++
				g.compare(t, registry)
			}
		}
	}
	if built < n/20 {
		t.Errorf("%d of %d registries were sound, want more of them", built, n)
	}
	campaign.Count(t, campaign.ModelCases, n)
}

func (g graph) compare(t *testing.T, registry *codec.Registry) {
	t.Helper()
	for name, n := range g {
		for v := range n.known(name) + 2 {
			if v == 0 || n.schema == 0 && len(n.steps) == 0 {
				continue
			}
			want, whole := g.ends(codec.Target{Type: name, Schema: v}, nil)
			payloads, err := registry.Upcast(nil, payload(name, v, `{}`))
			newer, isNewer := errors.AsType[*codec.NewerSchemaError](err)
			upcast, failed := errors.AsType[*codec.UpcastError](err)
			switch {
			case v > n.known(name):
				if !isNewer || newer.Known != n.known(name) {
					t.Fatalf("%s: %s %d: got %v, want a newer schema than %d", g, name, v, err, n.known(name))
				}
				continue
			case !whole: // no event has it
				if !failed || upcast.Reason != codec.ReasonGap {
					t.Fatalf("%s: %s %d: got %v, want a gap", g, name, v, err)
				}
				continue
			case len(want) > 1000:
				if !failed || upcast.Reason != codec.ReasonTooMany {
					t.Fatalf("%s: %s %d: got %v, want too many", g, name, v, err)
				}
				continue
			}
			var got []codec.Target
			for _, p := range payloads {
				got = append(got, codec.Target{Type: p.Type, Schema: p.Schema})
			}
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Fatalf("%s: %s %d: error %v, (-want +got):\n%s", g, name, v, err, diff)
			}
		}
	}
}

// String writes the graph so that a failure can be read.
func (g graph) String() string {
	var b strings.Builder
	for _, name := range graphNames {
		if n := g[name]; n != nil {
			fmt.Fprintf(&b, "%s{present %d, since %d, steps %v} ", name, n.schema, n.first, n.steps)
		}
	}
	return b.String()
}
