package eventstream

import (
	"math"
	"slices"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/index"
)

// matcher tells whether an event is one that a query finds. It looks at positions as
// little as the query's order does: whoever reads bounds those.
type matcher struct {
	query                    *Query
	fromVersion, toVersion   Version
	occurredFrom, occurredTo int64
	recordedFrom, recordedTo int64
	alternatives             [][]matcher
}

func newMatcher(q *Query) matcher {
	m := matcher{
		query:        q,
		occurredFrom: q.occurredFrom.or(math.MinInt64), occurredTo: q.occurredTo.or(math.MaxInt64),
		recordedFrom: q.recordedFrom.or(math.MinInt64), recordedTo: q.recordedTo.or(math.MaxInt64),
	}
	m.fromVersion, m.toVersion = q.versions()
	for _, list := range q.alternatives {
		var matchers []matcher
		for i := range list {
			matchers = append(matchers, newMatcher(&list[i]))
		}
		m.alternatives = append(m.alternatives, matchers)
	}
	return m
}

// match reports whether the query finds the event.
func (m *matcher) match(stream StreamID, version Version, env *codec.Envelope) bool {
	e := payload{codec: env.Codec, data: env.Payload, metadata: env.Metadata}
	return m.matches(stream, version, env, &e)
}

func (m *matcher) matches(stream StreamID, version Version, env *codec.Envelope, e *payload) bool {
	if version < m.fromVersion || version > m.toVersion ||
		env.OccurredAt < m.occurredFrom || env.OccurredAt > m.occurredTo ||
		env.RecordedAt < m.recordedFrom || env.RecordedAt > m.recordedTo {
		return false
	}
	for i := range m.query.fields {
		if !m.query.fields[i].matches(stream, env) {
			return false
		}
	}
	for i := range m.query.tags {
		t := &m.query.tags[i]
		value, ok := e.lookup(&predicate{metadata: true, names: []string{t.key}})
		if !ok || value != t.value {
			return false
		}
	}
	for i := range m.query.where {
		if !m.query.where[i].matches(e) {
			return false
		}
	}
	for _, list := range m.alternatives {
		if !slices.ContainsFunc(list, func(a matcher) bool { return a.matches(stream, version, env, e) }) {
			return false
		}
	}
	return true
}

// matches reports whether the field is one of the texts.
func (f *fieldIn) matches(stream StreamID, env *codec.Envelope) bool {
	switch f.field {
	case fieldStream:
		return slices.Contains(f.values, string(stream))
	case fieldType:
		return oneOf(f.values, env.Type)
	case fieldCategory:
		return slices.Contains(f.values, stream.Category())
	case fieldCorrelation:
		return oneOf(f.values, index.CorrelationOf(env))
	case fieldCausation:
		return oneOf(f.values, env.Causation)
	default:
		return oneOf(f.values, env.User)
	}
}

func oneOf(values []string, text []byte) bool {
	for _, v := range values {
		if v == string(text) { // nothing is copied for that
			return true
		}
	}
	return false
}
