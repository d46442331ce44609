package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/eventline"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/render"
)

// traceNode is an event of a trace with what it caused.
type traceNode struct {
	Event   json.RawMessage `json:"event"`
	Effects []traceNode     `json:"effects"`
}

// traceRow is an event of a trace where the output has rows.
type traceRow struct {
	Depth      int                  `json:"depth"`
	Position   eventstream.Position `json:"position"`
	Stream     eventstream.StreamID `json:"stream"`
	Version    eventstream.Version  `json:"version"`
	Type       string               `json:"type"`
	EventID    string               `json:"event_id"`
	Causation  string               `json:"causation_id"`
	OccurredAt string               `json:"occurred_at"`
}

func newTraceCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "trace CORRELATION_ID",
		Short: "Print what one process did, as a tree of causes",
		Long: `trace prints the events with a correlation id over all streams, each below the event
that caused it. The trace id of a W3C traceparent in the metadata stands in for a
correlation id that is missing.

json and yaml have a tree; table, jsonl and csv have a row for each event, with its
depth. A process without events exits with 3.`,
		Example: "  eventstream trace 4bf92f3577b34da6a3ce929d0e0e4736",
		Args:    cobra.ExactArgs(1),
	}
	out := addRecordOutput(cmd, env)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withTenant(cmd, env, readAccess, func(_ *eventstream.DB, t *eventstream.Tenant) error {
			roots, err := t.Trace(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if len(roots) == 0 {
				return fmt.Errorf("%w: none has the correlation id %q", eventstream.ErrEventNotFound, args[0])
			}
			return writeTrace(env, out, roots)
		})
	}
	return cmd
}

func writeTrace(env *environment, out *output, roots []*eventstream.TraceNode) error {
	switch out.style().Format {
	case render.JSON, render.YAML:
		return out.record(struct {
			Roots []traceNode `json:"roots"`
		}{traceTree(roots)})
	case render.Table:
		_, err := fmt.Fprint(env.stdout, drawTrace(roots, ""))
		return err
	}
	list := out.list()
	if err := addTraceRows(list, roots, 0); err != nil {
		return err
	}
	return list.Close()
}

func traceTree(nodes []*eventstream.TraceNode) []traceNode {
	tree := []traceNode{}
	for _, n := range nodes {
		tree = append(tree, traceNode{eventline.AppendView(nil, &n.Event), traceTree(n.Effects)})
	}
	return tree
}

func addTraceRows(list *render.List, nodes []*eventstream.TraceNode, depth int) error {
	for _, n := range nodes {
		e := &n.Event
		doc, err := render.Marshal(traceRow{depth, e.Position, e.Stream, e.Version, e.Type, e.ID.String(), e.CausationID, e.OccurredAt.Format(time.RFC3339Nano)})
		if err != nil {
			return err
		}
		if err := list.Add(doc); err != nil {
			return err
		}
		if err := addTraceRows(list, n.Effects, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// drawTrace draws the tree as lines of text.
func drawTrace(nodes []*eventstream.TraceNode, before string) string {
	var b strings.Builder
	for i, n := range nodes {
		branch, under := "├── ", "│   "
		if i == len(nodes)-1 {
			branch, under = "└── ", "    "
		}
		e := &n.Event
		fmt.Fprintf(&b, "%s%s%s  %s@%d  position %d  %s\n", before, branch, e.Type, e.Stream, e.Version, e.Position, e.OccurredAt.Format(time.RFC3339))
		b.WriteString(drawTrace(n.Effects, before+under))
	}
	return b.String()
}
