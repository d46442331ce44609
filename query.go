package eventstream

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/nexus-erp/eventstream/keys"
)

// Query says which events to find, and in which order. The zero value finds all, oldest
// first. Each method returns another query and leaves its receiver as it is, so queries
// may be kept, shared and narrowed further; what several calls demand must all hold. A
// fault of an argument is returned by whoever runs the query.
//
// The texts and times of an event are found through the indexes of the store, see
// [Options.Indexes]; whatever has no index costs more time, and is exact all the same.
type Query struct {
	fields       []fieldIn
	tags         []tag
	where        []predicate
	alternatives [][]Query // of each list, one holds

	after, until             Position // until 0: no end
	fromVersion, toVersion   Version  // toVersion 0: no end
	occurredFrom, occurredTo bound
	recordedFrom, recordedTo bound
	backward                 bool
	budget                   int // 0: the default

	fault error
}

// bound is a time in nanoseconds, if it is set.
type bound struct {
	ns  int64
	set bool
}

// field is a text of an event that a query compares.
type field int

const (
	fieldStream field = iota
	fieldType
	fieldCategory
	fieldCorrelation
	fieldCausation
	fieldUser
)

// fieldNames are what the fields are called in errors and plans.
var fieldNames = [...]string{"stream", "type", "category", "correlation", "causation", "user"}

// fieldIn is a field that is one of some texts.
type fieldIn struct {
	field  field
	values []string
}

// tag is a metadata entry.
type tag struct{ key, value string }

// defaultBudget is how many events a query may look at in vain.
const defaultBudget = 1_000_000

func (q Query) in(f field, values []string) Query {
	if len(values) == 0 {
		return q.refuse(fieldNames[f], "no %s is named: nothing could match", fieldNames[f])
	}
	for _, v := range values {
		if err := keys.ValidateName(fieldNames[f], v); err != nil {
			return q.refuse(fieldNames[f], "%v", err)
		}
	}
	q.fields = append(slices.Clip(q.fields), fieldIn{f, slices.Clone(values)})
	return q
}

func (q Query) refuse(name, format string, args ...any) Query {
	if q.fault == nil {
		q.fault = &ArgumentError{Field: "query." + name, Reason: fmt.Sprintf(format, args...)}
	}
	return q
}

// Streams finds events of these streams.
func (q Query) Streams(streams ...StreamID) Query {
	var names []string
	for _, s := range streams {
		names = append(names, string(s))
	}
	return q.in(fieldStream, names)
}

// Types finds events of these types.
func (q Query) Types(types ...string) Query { return q.in(fieldType, types) }

// Categories finds events of streams named "context-type-…". See [keys.StreamID.Category].
func (q Query) Categories(categories ...string) Query { return q.in(fieldCategory, categories) }

// Correlations finds events with one of these correlation ids. The trace id of a W3C
// traceparent in the metadata stands in for one that is missing.
func (q Query) Correlations(ids ...string) Query { return q.in(fieldCorrelation, ids) }

// Causations finds events with one of these causation ids.
func (q Query) Causations(ids ...string) Query { return q.in(fieldCausation, ids) }

// Users finds events of these users.
func (q Query) Users(ids ...string) Query { return q.in(fieldUser, ids) }

// Tag finds events with this metadata entry.
func (q Query) Tag(key, value string) Query {
	if err := keys.ValidateName("tag", key); err != nil {
		return q.refuse("tag", "%v", err)
	}
	q.tags = append(slices.Clip(q.tags), tag{key, value})
	return q
}

// AnyOf finds events that at least one of these queries finds. They say nothing of order,
// budget or positions.
func (q Query) AnyOf(queries ...Query) Query {
	if len(queries) == 0 {
		return q.refuse("anyOf", "no query is named: nothing could match")
	}
	for i, a := range queries {
		switch {
		case a.fault != nil:
			return q.refuse("anyOf", "query %d: %v", i, a.fault)
		case a.backward || a.budget != 0 || a.after != 0 || a.until != 0:
			return q.refuse("anyOf", "query %d: order, budget and positions belong to the query around it", i)
		}
	}
	q.alternatives = append(slices.Clip(q.alternatives), slices.Clone(queries))
	return q
}

// After finds events behind position p.
func (q Query) After(p Position) Query {
	q.after = max(q.after, p)
	return q
}

// Until finds events up to position p, p included.
func (q Query) Until(p Position) Query {
	if p == 0 {
		return q.refuse("until", "positions begin at 1: nothing could match")
	}
	if q.until == 0 || p < q.until {
		q.until = p
	}
	return q
}

// Versions finds events whose version lies between from and to, both included; a to of 0
// is no end.
func (q Query) Versions(from, to Version) Query {
	q.fromVersion = max(q.fromVersion, from)
	if to != 0 && (q.toVersion == 0 || to < q.toVersion) {
		q.toVersion = to
	}
	return q
}

// OccurredSince finds what happened at t or later.
func (q Query) OccurredSince(t time.Time) Query {
	q.occurredFrom = q.occurredFrom.later(t)
	return q
}

// OccurredUntil finds what happened at t or before.
func (q Query) OccurredUntil(t time.Time) Query {
	q.occurredTo = q.occurredTo.earlier(t)
	return q
}

// RecordedSince finds what was recorded at t or later.
func (q Query) RecordedSince(t time.Time) Query {
	q.recordedFrom = q.recordedFrom.later(t)
	return q
}

// RecordedUntil finds what was recorded at t or before.
func (q Query) RecordedUntil(t time.Time) Query {
	q.recordedTo = q.recordedTo.earlier(t)
	return q
}

func (b bound) later(t time.Time) bound {
	if ns := clampNano(t); !b.set || ns > b.ns {
		return bound{ns, true}
	}
	return b
}

func (b bound) earlier(t time.Time) bound {
	if ns := clampNano(t); !b.set || ns < b.ns {
		return bound{ns, true}
	}
	return b
}

// or returns the bound, or what stands for none.
func (b bound) or(none int64) int64 {
	if b.set {
		return b.ns
	}
	return none
}

// Where finds events in which the value at path compares with value as op says. A path
// begins with "data." and goes on with the names in the payload, or the numbers of its
// arrays' items from 0, with "." between them; or it is "metadata." and the name of an
// entry. A "." or "\" in a name is written with a "\" before it, see [codec.SplitPath].
//
// value is a string, a bool, an integer, a [json.Number], or for [In] a slice of these:
// never a float, which is not what it looks like. Numbers compare by their exact decimal
// value, texts byte by byte; values of different kinds are not equal and in no order. What
// is not there, or no payload with names, matches nothing, not even [NotEqual].
//
// No index helps: each event that everything else in the query leaves is read, up to the
// budget, see [Query.Budget].
func (q Query) Where(path string, op Op, value any) Query {
	p, err := newPredicate(path, op, value)
	if err != nil {
		return q.refuse("where", "%v", err)
	}
	q.where = append(slices.Clip(q.where), p)
	return q
}

// Backward returns the newest event first.
func (q Query) Backward() Query {
	q.backward = true
	return q
}

// Budget is how many events that do not match one call may read before it fails with a
// [*BudgetError]. Default: a million.
func (q Query) Budget(events int) Query {
	if events < 1 {
		return q.refuse("budget", "%d is less than 1", events)
	}
	q.budget = events
	return q
}

// check returns the first fault of the query's arguments.
func (q *Query) check() error { return q.fault }

// span returns the positions that can match at head.
func (q *Query) span(head Position) (lo, hi Position) {
	hi = head
	if q.until != 0 {
		hi = min(hi, q.until)
	}
	return min(q.after, keys.MaxPosition-1) + 1, hi
}

// versions returns the versions that can match.
func (q *Query) versions() (from, to Version) {
	to = q.toVersion
	if to == 0 {
		to = math.MaxInt64
	}
	return max(q.fromVersion, 1), to
}

// BudgetError is a query that read as many events in vain as it may.
type BudgetError struct {
	Read   int      // how many did not match
	At     Position // where it stopped
	Budget int
}

// Error says how to go on.
func (e *BudgetError) Error() string {
	return fmt.Sprintf("eventstream: the query read %d events that do not match, up to position %d, as its budget allows: narrow it by a type, a stream or a time, or raise Budget",
		e.Read, e.At)
}

// Is matches [ErrBudget].
func (e *BudgetError) Is(target error) bool { return isKind(target, ErrBudget) }
