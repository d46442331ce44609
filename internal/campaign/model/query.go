package model

import (
	"slices"
	"time"

	"github.com/nexus-erp/eventstream"
)

// Query is a question about a tenant's events. What is empty leaves all events in.
type Query struct {
	Types, Categories, Correlations, Causations, Users []string
	Streams                                            []eventstream.StreamID
	Tags                                               map[string]string // all of them
	After, Until                                       eventstream.Position
	OccurredSince, OccurredUntil                       time.Time
	RecordedSince, RecordedUntil                       time.Time
	Backward                                           bool
}

// Build returns the question as the store takes it.
func (q *Query) Build() eventstream.Query {
	b := eventstream.Query{}.After(q.After)
	for _, text := range []struct {
		values []string
		narrow func(eventstream.Query, ...string) eventstream.Query
	}{
		{q.Types, eventstream.Query.Types},
		{q.Categories, eventstream.Query.Categories},
		{q.Correlations, eventstream.Query.Correlations},
		{q.Causations, eventstream.Query.Causations},
		{q.Users, eventstream.Query.Users},
	} {
		if len(text.values) > 0 {
			b = text.narrow(b, text.values...)
		}
	}
	if len(q.Streams) > 0 {
		b = b.Streams(q.Streams...)
	}
	for key, value := range q.Tags {
		b = b.Tag(key, value)
	}
	if q.Until > 0 {
		b = b.Until(q.Until)
	}
	for _, bound := range []struct {
		at     time.Time
		narrow func(eventstream.Query, time.Time) eventstream.Query
	}{
		{q.OccurredSince, eventstream.Query.OccurredSince},
		{q.OccurredUntil, eventstream.Query.OccurredUntil},
		{q.RecordedSince, eventstream.Query.RecordedSince},
		{q.RecordedUntil, eventstream.Query.RecordedUntil},
	} {
		if !bound.at.IsZero() {
			b = bound.narrow(b, bound.at)
		}
	}
	if q.Backward {
		b = b.Backward()
	}
	return b
}

// Matches reports whether the question finds an event.
func (q *Query) Matches(e *eventstream.Event) bool {
	for _, text := range []struct {
		values []string
		value  string
	}{
		{q.Types, e.Type},
		{q.Categories, e.Stream.Category()},
		{q.Correlations, e.CorrelationID},
		{q.Causations, e.CausationID},
		{q.Users, e.UserID},
	} {
		if len(text.values) > 0 && !slices.Contains(text.values, text.value) {
			return false
		}
	}
	for key, value := range q.Tags {
		if got, ok := e.Metadata[key]; !ok || got != value {
			return false
		}
	}
	return (len(q.Streams) == 0 || slices.Contains(q.Streams, e.Stream)) &&
		e.Position > q.After && (q.Until == 0 || e.Position <= q.Until) &&
		within(e.OccurredAt, q.OccurredSince, q.OccurredUntil) && within(e.RecordedAt, q.RecordedSince, q.RecordedUntil)
}

// within reports whether t lies between two times, which are in; a zero one is no bound.
func within(t, since, until time.Time) bool {
	return (since.IsZero() || !t.Before(since)) && (until.IsZero() || !t.After(until))
}
