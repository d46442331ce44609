package eventstream

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/nexus-erp/eventstream/cursor"
)

// Page is one page of what a query finds.
type Page struct {
	Events []Event // in the query's order
	// Next and Previous lead to the pages behind and before this one. "" if there is none.
	Next, Previous string
	// Head is the position at which all pages of this query stand: what was committed
	// later is in none of them.
	Head Position
}

// HasMore reports whether there is a page behind this one.
func (p *Page) HasMore() bool { return p.Next != "" }

// PageOptions says which page.
type PageOptions struct {
	// Size is how many events a page has, from 1 to 10,000. Default: 100.
	Size int
	// Cursor is Next or Previous of another page of the same query. Default: the first page.
	Cursor string
	// Offset leaves out as many of the events that the query finds, at most 10,000: it reads
	// them all, so a page far behind costs as much as all pages before it, which one by cursor
	// does not. With a Cursor, which may be any of the query's, the page stands at its head.
	// Default: 0.
	Offset int
}

// The bounds of pages.
const (
	defaultPageSize = 100
	maxPageSize     = 10_000
	maxOffset       = 10_000
	// cursorLife is how long a token is good for.
	cursorLife = 7 * 24 * time.Hour
)

// place is where a page begins, as a token holds it.
type place struct {
	position Position // next to which it begins
	head     Position
	before   bool // the page ends before position
}

// placeLen is the length of a place in a token: u64 position, u64 head, u8 1 for before.
const placeLen = 17

func (p place) encode() []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(p.position))
	b = binary.BigEndian.AppendUint64(b, uint64(p.head))
	if p.before {
		return append(b, 1)
	}
	return append(b, 0)
}

func parsePlace(b []byte) (p place, ok bool) {
	if len(b) != placeLen || b[16] > 1 {
		return place{}, false
	}
	return place{Position(binary.BigEndian.Uint64(b)), Position(binary.BigEndian.Uint64(b[8:])), b[16] == 1}, true
}

// QueryPage returns one page of what q finds. All pages of a query stand at the head of
// the first: what is appended in between is in none of them, and nothing is left out or
// comes twice, forward or backward.
//
// A page leads to its neighbours by tokens. They are signed, and good for a week, for the
// same query, in the same order, of the same tenant, of this incarnation of the store; page
// size and budget may change. See [Options.CursorKeys].
//
// Errors: [*CursorError]; the rest is as for Query.
func (s streams) QueryPage(ctx context.Context, q Query, opts PageOptions) (Page, error) {
	return s.view().queryPage(ctx, q, opts)
}

func (v view) queryPage(ctx context.Context, q Query, opts PageOptions) (Page, error) {
	if opts.Size == 0 {
		opts.Size = defaultPageSize
	}
	switch {
	case q.check() != nil:
		return Page{}, q.check()
	case v.err != nil:
		return Page{}, v.err
	case opts.Size < 1 || opts.Size > maxPageSize:
		return Page{}, &LimitError{Field: "PageOptions.Size", Size: int64(opts.Size), Limit: maxPageSize, Unit: "events"}
	case opts.Offset < 0 || opts.Offset > maxOffset:
		return Page{}, &LimitError{Field: "PageOptions.Offset", Size: int64(opts.Offset), Limit: maxOffset, Unit: "events"}
	}
	if !v.db.gate.enter() {
		return Page{}, ErrClosed
	}
	defer v.db.gate.leave()
	ring, err := v.db.cursorRing()
	if err != nil {
		return Page{}, err
	}
	claims := cursor.Claims{Tenant: v.tenant, Incarnation: v.db.dir.Identity.Incarnation, Digest: q.digest(v.tenant)}
	var from place
	if opts.Cursor != "" {
		b, err := ring.Open(opts.Cursor, claims, v.db.cursorNow())
		if err != nil {
			return Page{}, refused(err)
		}
		var ok bool
		if from, ok = parsePlace(b); !ok || from.head > v.head {
			return Page{}, &CursorError{Reason: cursor.Malformed}
		}
		v.head = from.head
	}
	if opts.Offset > 0 {
		from = place{}
	}
	events, more, err := v.readAround(ctx, q, from, opts.Offset, opts.Size)
	if err != nil {
		return Page{}, err
	}
	page := Page{Events: events, Head: v.head}
	if len(events) == 0 {
		return page, nil
	}
	token := func(at Position, before bool) (string, error) {
		now := v.db.cursorNow()
		claims.Issued, claims.Expires = now, now.Add(cursorLife)
		claims.Place = place{at, v.head, before}.encode()
		return ring.Seal(claims)
	}
	hasNext, hasPrevious := more, from.position != 0 || opts.Offset > 0
	if from.before {
		hasNext, hasPrevious = true, more
	}
	if hasNext {
		if page.Next, err = token(events[len(events)-1].Position, false); err != nil {
			return Page{}, err
		}
	}
	if hasPrevious {
		page.Previous, err = token(events[0].Position, true)
	}
	return page, err
}

// readAround reads size events next to a place, in the query's order, leaving out the
// first skip. more says that there are others in the direction in which it read.
func (v view) readAround(ctx context.Context, q Query, from place, skip, size int) (events []Event, more bool, err error) {
	if from.before {
		q.backward = !q.backward
	}
	c, err := v.newQueryCursor(&q)
	if err != nil {
		return nil, false, err
	}
	switch {
	case from.position == 0:
	case q.backward:
		c.hi = min(c.hi, from.position-1)
	default:
		c.lo = max(c.lo, from.position+1)
	}
	for event, err := range v.pages(ctx, skip+size+1, nil, c.next) {
		if err != nil {
			return nil, false, err
		}
		if skip > 0 {
			skip--
			continue
		}
		events = append(events, event)
	}
	if more = len(events) > size; more {
		events = events[:size]
	}
	if from.before {
		slices.Reverse(events)
	}
	return events, more, nil
}

// digest returns what two queries have in common only if they find the same events in the
// same order: page size and budget do not count.
func (q *Query) digest(tenant string) [16]byte {
	text := fmt.Appendf(nil, "%q", tenant)
	text = q.appendText(text)
	sum := sha256.Sum256(text)
	return [16]byte(sum[:])
}

// appendText appends a text that is the query, and no other.
func (q *Query) appendText(b []byte) []byte {
	b = fmt.Appendf(b, "(%t %d %d %d %d", q.backward, q.after, q.until, q.fromVersion, q.toVersion)
	for _, at := range [...]int64{q.occurredFrom.or(math.MinInt64), q.occurredTo.or(math.MaxInt64), q.recordedFrom.or(math.MinInt64), q.recordedTo.or(math.MaxInt64)} {
		b = fmt.Appendf(b, " %d", at)
	}
	for _, f := range q.fields {
		b = fmt.Appendf(b, " %s%q", fieldNames[f.field], f.values)
	}
	for _, t := range q.tags {
		b = fmt.Appendf(b, " tag%q", []string{t.key, t.value})
	}
	for _, p := range q.where {
		b = fmt.Appendf(b, " where%q%q", p.path, string(p.op))
		for _, value := range p.values {
			b = fmt.Appendf(b, "%T%q", value, fmt.Sprint(value))
		}
	}
	for _, list := range q.alternatives {
		b = append(b, " any["...)
		for i := range list {
			b = list[i].appendText(b)
		}
		b = append(b, ']')
	}
	return append(b, ')')
}

// CursorError is a page token that is not valid for the query. It does not hold the token.
type CursorError struct {
	// Reason is for logs and for the caller's own decisions: to whoever sent the token, all
	// refusals read the same.
	Reason cursor.Reason
}

// Error says what to do; it is the same for every reason.
func (e *CursorError) Error() string {
	return "eventstream: the cursor is not valid for this query: ask for the first page again"
}

// Is matches [cursor.ErrInvalid].
func (e *CursorError) Is(target error) bool { return isKind(target, cursor.ErrInvalid) }

// refused returns what package cursor says of a token as an error of this package.
func refused(err error) error {
	if e, ok := errors.AsType[*cursor.Error](err); ok {
		return &CursorError{e.Reason}
	}
	return err
}
