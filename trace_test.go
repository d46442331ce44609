package eventstream_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
)

func drawTrace(nodes []*eventstream.TraceNode, depth int) (lines []string) {
	for _, n := range nodes {
		lines = append(lines, strings.Repeat(" ", depth)+string(n.Event.Stream))
		lines = append(lines, drawTrace(n.Effects, depth+1)...)
	}
	return lines
}

func TestATraceIsTheTreeOfCauses(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	add := func(n int, stream, correlation string, cause int, meta ...string) {
		e := withID(id(n), "X")
		e.CorrelationID = correlation
		if cause > 0 {
			e.CausationID = id(cause).String()
		}
		if len(meta) > 0 {
			e.Metadata = map[string]string{"traceparent": meta[0]}
		}
		mustAppend(t, db, eventstream.StreamID(stream), eventstream.Any, e)
	}
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	parent := "00-" + trace + "-00f067aa0ba902b7-01"
	add(1, "order", "c", 0)
	add(2, "reservation", "c", 1)
	add(3, "other", "d", 1)
	add(4, "picking", "c", 2)
	add(5, "invoice", "c", 1)
	add(6, "early", "c", 7) // its cause comes after it
	add(7, "late", "c", 0)
	add(8, "itself", "c", 8)
	add(9, "outside", "c", 3) // its cause is of another process
	add(10, "web", "", 0, parent)
	add(11, "effect", "", 10, parent)
	add(12, "named", "c", 0, parent)
	for i, bad := range []string{"", "00-" + strings.ToUpper(trace) + "-00f067aa0ba902b7-01", parent + "-", "ff" + parent[2:], "00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01"} {
		add(20+i, fmt.Sprint("bad", i), "", 0, bad)
	}
	for correlation, want := range map[string][]string{
		"c":   {"order", " reservation", "  picking", " invoice", "early", "late", "itself", "outside", "named"},
		"d":   {"other"},
		trace: {"web", " effect"},
		"x":   nil,
	} {
		nodes, err := db.Trace(ctx, correlation)
		if err != nil {
			t.Fatal(err)
		}
		equalSlices(t, correlation, drawTrace(nodes, 0), want)
	}
	if _, err := db.Trace(ctx, ""); err == nil {
		t.Error("a trace of nothing was drawn")
	}
}
