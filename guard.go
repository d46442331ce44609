package eventstream

import (
	"context"
	"fmt"

	"github.com/nexus-erp/eventstream/codec"
)

// Condition is what an append rests on, said by a query: that no event which the query
// finds lies behind position After. After is the Head of the page, or of the Reader, by
// which the caller decided; with 0 there must be none at all.
//
// This is the append condition of a dynamic consistency boundary (dcb.events,
// specification): the events that a decision rests on are those that a query finds, in
// however many streams.
type Condition struct {
	Query Query
	After Position
}

// AppendIf is AppendAll, if cond holds when it is the append's turn; otherwise nothing is
// written and the error is a [*GuardError]. It matches [ErrConflict]: reading again and
// deciding anew, as [RetryOnConflict] does, may succeed. Expected versions hold besides;
// with the guard, [Any] is usual.
//
// The query is run before the append takes its turn, with its budget, and only what was
// committed meanwhile is looked at in it: from memory, one event after the other, so a
// guard costs the others little. An append that is in the store already, by its event
// ids, is answered as ever, whatever cond says.
//
// Other errors: those of AppendAll; a [*BudgetError], and nothing was written.
func (s streams) AppendIf(ctx context.Context, cond Condition, entries []StreamAppend) (CommitResult, error) {
	g, err := newGuard("cond.Query", cond)
	if err != nil {
		return CommitResult{}, err
	}
	r, err := s.commit(ctx, entries, "appends", nil, []guard{g})
	if err != nil {
		return CommitResult{}, err
	}
	defer r.release()
	return r.commitResult(), nil
}

// guard is a condition on its way through the write path.
type guard struct {
	query   Query
	matcher matcher
	looked  Position // up to it, what the query finds was looked at
}

func newGuard(field string, cond Condition) (guard, error) {
	if err := cond.Query.check(); err != nil {
		return guard{}, err
	}
	if cond.Query.until != 0 {
		return guard{}, &ArgumentError{Field: field, Reason: "Until ends it before the append: what is guarded has no end"}
	}
	g := guard{query: cond.Query, looked: max(cond.After, cond.Query.after)}
	g.query.backward = false
	g.matcher = newMatcher(&g.query)
	return g, nil
}

// checkGuards runs the queries up to the readable head, outside of the order. What they
// find is not answered here: the append may be in the store already.
func (r *appendRequest) checkGuards(ctx context.Context) error {
	for i := range r.guards {
		g := &r.guards[i]
		v := streams{db: r.db, tenant: r.tenant.name}.view()
		if r.forbidden != 0 || g.looked >= v.head {
			continue
		}
		for event, err := range v.query(ctx, g.query.After(g.looked)) {
			if err != nil {
				return err
			}
			r.forbidden = event.Position
			break
		}
		g.looked = v.head
	}
	return nil
}

// guardedRecords is how many records a guard looks at in one step.
const guardedRecords = 256

// guarded looks at what was committed since the guards were checked, and notes what they
// find. It reports false if the tail in memory does not reach back to there: then they
// are checked from outside again.
func (r *appendRequest) guarded() bool {
	for i := range r.guards {
		g := &r.guards[i]
		for next := g.looked + 1; r.forbidden == 0 && next <= r.db.seq.head; {
			records, ok := r.db.tail.read(make([]record, 0, guardedRecords), next, r.db.seq.head)
			if !ok {
				return false
			}
			for j := range records {
				if g.finds(r.tenant, &records[j]) {
					r.forbidden = next + Position(j)
					break
				}
			}
			next += Position(len(records))
		}
	}
	return true
}

func (g *guard) finds(tn *tenant, r *record) bool {
	if r.tenant != tn {
		return false
	}
	id, _ := tn.number()
	env, err := codec.ParseEnvelope(r.envelope, id, r.stream, r.version)
	// What cannot be parsed may be anything: it was written in this process, so its memory
	// is broken, and the append must not rest on it.
	return err != nil || g.matcher.match(r.stream, r.version, &env)
}

// GuardError is an append whose condition does not hold: an event lies where its query
// must find none. Nothing was written.
type GuardError struct {
	Tenant   string
	Position Position // of an event that the query finds, readable when the error is returned
}

// Error names the event.
func (e *GuardError) Error() string {
	return fmt.Sprintf("eventstream: conflict: the event at position %d is one that the append must not follow: read again and decide anew", e.Position)
}

// Is matches [ErrConflict].
func (e *GuardError) Is(target error) bool { return isKind(target, ErrConflict) }

// Retryable reports that the same command may succeed against the new state.
func (e *GuardError) Retryable() bool { return true }
