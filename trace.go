package eventstream

import "context"

// TraceNode is an event, and the events that it caused.
type TraceNode struct {
	Event   Event
	Effects []*TraceNode // by position
}

// maxTrace is how many events a trace may have.
const maxTrace = 100_000

// Trace returns the events of one business process, over all streams, as it unfolded:
// those with the correlation id, each below the event whose id is its causation id. What
// was caused by something else, or by nothing, is a root, and so is an event whose cause
// comes after it. Roots are in order of position.
//
// The trace id of a W3C traceparent in the metadata stands in for a correlation id that
// is missing. No events is no error. A process of more than 100,000 events is a
// [*LimitError]; the rest is as for Query.
func (s streams) Trace(ctx context.Context, correlation string) ([]*TraceNode, error) {
	var roots []*TraceNode
	nodes := make(map[string]*TraceNode)
	for event, err := range s.Query(ctx, Query{}.Correlations(correlation)) {
		if err != nil {
			return nil, err
		}
		if len(nodes) == maxTrace {
			return nil, &LimitError{Field: "trace", Size: maxTrace + 1, Limit: maxTrace, Unit: "events"}
		}
		node := &TraceNode{Event: event}
		if cause := nodes[event.CausationID]; cause != nil {
			cause.Effects = append(cause.Effects, node)
		} else {
			roots = append(roots, node)
		}
		nodes[event.ID.String()] = node
	}
	return roots, nil
}
