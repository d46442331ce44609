package eventstream_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
)

// queryBed makes random events and random queries, each query with a test of its own that
// says which events it must find.
type queryBed struct {
	rng *rand.Rand
	now time.Time
	all map[string][]eventstream.Event // what each tenant's log holds, as far as it was read
}

// read returns a tenant's events up to head.
func (b *queryBed) read(t testing.TB, tenant *eventstream.Tenant, name string, head eventstream.Position) []eventstream.Event {
	t.Helper()
	known := b.all[name]
	last := eventstream.Position(0)
	if n := len(known); n > 0 {
		last = known[n-1].Position
	}
	known = append(known, mustCollect(t, tenant.ReadAll(ctx, eventstream.After(last)))...)
	b.all[name] = known
	n, _ := slices.BinarySearchFunc(known, head+1, func(e eventstream.Event, p eventstream.Position) int { return cmp.Compare(e.Position, p) })
	return known[:n]
}

func (b *queryBed) one(texts ...string) string { return texts[b.rng.IntN(len(texts))] }

func (b *queryBed) stream() eventstream.StreamID {
	return eventstream.StreamID(b.one("finance-account", "finance-period", "stock-item") + fmt.Sprintf("-%d", b.rng.IntN(6)))
}

func (b *queryBed) eventType() string { return b.one("Posted", "Reserved", "Issued", "Closed", "Rare") }

func (b *queryBed) label(prefix string, n int) string {
	return fmt.Sprintf("%s%d", prefix, b.rng.IntN(n))
}

func (b *queryBed) time() time.Time {
	return b.now.Add(time.Duration(b.rng.IntN(400)-300) * time.Minute)
}

func (b *queryBed) amount() any {
	switch b.rng.IntN(5) {
	case 0:
		return json.Number(fmt.Sprintf("%d.%02d", b.rng.IntN(20)-10, b.rng.IntN(100)))
	case 1:
		return b.one("7", "text", "über", "a%b", "")
	case 2:
		return b.rng.IntN(2) == 0
	default:
		return b.rng.IntN(20) - 10
	}
}

func (b *queryBed) event() eventstream.NewEvent {
	e := eventstream.NewEvent{Type: b.eventType(), Codec: codec.JSON}
	data := map[string]any{"amount": b.amount(), "lines": []any{b.rng.IntN(3), map[string]any{"a.b": b.one("x", "y")}}}
	e.Data = data
	switch b.rng.IntN(6) {
	case 0:
		e.Codec, e.Data = codec.Raw, codec.Encoded("no JSON")
	case 1:
		e.Codec, e.Data = codec.Msgpack, map[string]any{"amount": b.rng.IntN(20) - 10}
	case 2:
		e.Data = nil
	}
	if b.rng.IntN(3) > 0 {
		e.OccurredAt = b.time()
	}
	if b.rng.IntN(2) == 0 {
		e.CorrelationID = b.label("c", 12)
	}
	if b.rng.IntN(2) == 0 {
		e.CausationID = b.label("e", 12)
	}
	if b.rng.IntN(2) == 0 {
		e.UserID = b.label("u", 4)
	}
	e.Metadata = map[string]string{}
	for range b.rng.IntN(3) {
		e.Metadata[b.one("doc", "site", "long")] = b.tagValue()
	}
	if b.rng.IntN(20) == 0 { // more than are indexed one by one
		for i := range 40 {
			e.Metadata[fmt.Sprintf("m%d", i)] = "x"
		}
	}
	if b.rng.IntN(8) == 0 {
		e.Metadata["traceparent"] = "00-" + b.trace() + "-00f067aa0ba902b7-01"
	}
	return e
}

func (b *queryBed) tagValue() string {
	if b.rng.IntN(10) == 0 {
		return strings.Repeat("y", 300) + b.label("", 2)
	}
	return b.label("v", 8)
}

func (b *queryBed) trace() string { return fmt.Sprintf("%032x", 1+b.rng.IntN(3)) }

// fill appends n events in commits of one to four.
func (b *queryBed) fill(t testing.TB, db *eventstream.DB, n int) {
	t.Helper()
	for n > 0 {
		tenant := db.Tenant(b.one(eventstream.DefaultTenant, eventstream.DefaultTenant, "acme"))
		entry := eventstream.StreamAppend{Stream: b.stream(), Expect: eventstream.Any}
		for range 1 + b.rng.IntN(4) {
			entry.Events = append(entry.Events, b.event())
			n--
		}
		mustAppendAll(t, tenant, entry)
		b.now = b.now.Add(time.Duration(b.rng.IntN(3)) * time.Minute)
	}
}

// condition narrows a query in one way, and says what that means.
func (b *queryBed) condition(head eventstream.Position, nested bool) (func(eventstream.Query) eventstream.Query, func(*eventstream.Event) bool) {
	type q = eventstream.Query
	type e = *eventstream.Event
	n := 15
	if nested {
		n = 11
	}
	texts := func(make func() string) []string {
		var all []string
		for range 1 + b.rng.IntN(2) {
			all = append(all, make())
		}
		return all
	}
	switch b.rng.IntN(n) {
	case 0, 1:
		v := texts(b.eventType)
		return func(in q) q { return in.Types(v...) }, func(x e) bool { return slices.Contains(v, x.Type) }
	case 2:
		v := texts(func() string { return b.one("finance-account", "finance-period", "stock-item", "none-such") })
		return func(in q) q { return in.Categories(v...) }, func(x e) bool { return slices.Contains(v, x.Stream.Category()) }
	case 3:
		v := texts(func() string { return b.one(b.label("c", 12), b.trace()) })
		return func(in q) q { return in.Correlations(v...) }, func(x e) bool {
			id := x.CorrelationID
			if parent := x.Metadata["traceparent"]; id == "" && parent != "" {
				id = parent[3:35]
			}
			return slices.Contains(v, id)
		}
	case 4:
		v := texts(func() string { return b.label("e", 12) })
		return func(in q) q { return in.Causations(v...) }, func(x e) bool { return slices.Contains(v, x.CausationID) }
	case 5:
		v := texts(func() string { return b.label("u", 4) })
		return func(in q) q { return in.Users(v...) }, func(x e) bool { return slices.Contains(v, x.UserID) }
	case 6:
		key, value := b.one("doc", "site", "long"), b.tagValue()
		if b.rng.IntN(5) == 0 {
			key, value = "m7", "x"
		}
		return func(in q) q { return in.Tag(key, value) }, func(x e) bool {
			got, ok := x.Metadata[key]
			return ok && got == value
		}
	case 7:
		at := b.time()
		return func(in q) q { return in.OccurredSince(at) }, func(x e) bool { return !x.OccurredAt.Before(at) }
	case 8:
		at := b.time()
		return func(in q) q { return in.OccurredUntil(at) }, func(x e) bool { return !x.OccurredAt.After(at) }
	case 9:
		from, to := eventstream.Version(b.rng.IntN(5)), eventstream.Version(b.rng.IntN(20))
		return func(in q) q { return in.Versions(from, to) }, func(x e) bool { return x.Version >= from && (to == 0 || x.Version <= to) }
	case 10:
		return b.where()
	case 11:
		v := b.stream()
		return func(in q) q { return in.Streams(v) }, func(x e) bool { return x.Stream == v }
	case 12:
		from, to := b.now.Add(-time.Duration(b.rng.IntN(600))*time.Minute), b.now.Add(-time.Duration(b.rng.IntN(300))*time.Minute)
		return func(in q) q { return in.RecordedSince(from).RecordedUntil(to) },
			func(x e) bool { return !x.RecordedAt.Before(from) && !x.RecordedAt.After(to) }
	case 13:
		from, to := eventstream.Position(b.rng.Uint64N(uint64(head))), 1+eventstream.Position(b.rng.Uint64N(uint64(head)))
		return func(in q) q { return in.After(from).Until(to) }, func(x e) bool { return x.Position > from && x.Position <= to }
	default:
		x1, w1 := b.conditions(head, 1+b.rng.IntN(2), true)
		x2, w2 := b.conditions(head, 1+b.rng.IntN(2), true)
		return func(in q) q { return in.AnyOf(x1(q{}), x2(q{})) }, func(x e) bool { return w1(x) || w2(x) }
	}
}

func (b *queryBed) conditions(head eventstream.Position, n int, nested bool) (func(eventstream.Query) eventstream.Query, func(*eventstream.Event) bool) {
	narrow, wants := func(q eventstream.Query) eventstream.Query { return q }, func(*eventstream.Event) bool { return true }
	for range n {
		before, wanted := narrow, wants
		next, want := b.condition(head, nested)
		narrow = func(q eventstream.Query) eventstream.Query { return next(before(q)) }
		wants = func(e *eventstream.Event) bool { return wanted(e) && want(e) }
	}
	return narrow, wants
}

var ops = []eventstream.Op{
	eventstream.Equal, eventstream.NotEqual, eventstream.Less, eventstream.LessOrEqual,
	eventstream.Greater, eventstream.GreaterOrEqual, eventstream.In, eventstream.Like,
}

// where is a comparison, and what it means, computed in another way: with rational numbers
// and regular expressions.
func (b *queryBed) where() (func(eventstream.Query) eventstream.Query, func(*eventstream.Event) bool) {
	path := b.one("data.amount", "data.lines.0", `data.lines.1.a\.b`, "metadata.doc", "data.none")
	op := ops[b.rng.IntN(len(ops))]
	value := b.amount()
	list := []any{value}
	switch op {
	case eventstream.In:
		list = []any{value, b.amount(), b.rng.IntN(3)}
		value = list
	case eventstream.Like:
		value = b.one("%", "t%t", "_", "v_", "%b%r", `a\%b`, "x", "")
		list = []any{value}
	}
	return func(q eventstream.Query) eventstream.Query { return q.Where(path, op, value) }, func(e *eventstream.Event) bool {
		got, ok := valueAt(e, path)
		return ok && slices.ContainsFunc(list, func(want any) bool { return compares(got, op, want) })
	}
}

func valueAt(e *eventstream.Event, path string) (any, bool) {
	if name, ok := strings.CutPrefix(path, "metadata."); ok {
		v, ok := e.Metadata[name]
		return v, ok
	}
	text, _, err := codec.ToJSON(e.Codec, e.Data)
	var data map[string]any
	decoder := json.NewDecoder(strings.NewReader(string(text)))
	decoder.UseNumber()
	if err != nil || decoder.Decode(&data) != nil {
		return nil, false
	}
	lines, _ := data["lines"].([]any)
	switch {
	case path == "data.amount":
		v, ok := data["amount"]
		return v, ok
	case lines == nil || path == "data.none":
		return nil, false
	case path == "data.lines.0":
		return lines[0], true
	default:
		return lines[1].(map[string]any)["a.b"], true
	}
}

func compares(got any, op eventstream.Op, want any) bool {
	c, same := 0, false
	switch w := want.(type) {
	case string:
		var g string
		if g, same = got.(string); !same {
			break
		}
		if op == eventstream.Like {
			like := strings.NewReplacer(`\%`, "%", "%", "(?s).*", "_", "(?s).").Replace(w)
			return regexp.MustCompile("^" + like + "$").MatchString(g)
		}
		c = strings.Compare(g, w)
	case bool:
		var g bool
		if g, same = got.(bool); same && g != w {
			c = 2
		} else if same {
			c = 0
		}
	default:
		var g json.Number
		if g, same = got.(json.Number); same {
			x, _ := new(big.Rat).SetString(g.String())
			y, _ := new(big.Rat).SetString(fmt.Sprint(want))
			c = x.Cmp(y)
		}
	}
	_, isBool := want.(bool)
	switch op {
	case eventstream.Equal, eventstream.In:
		return same && c == 0
	case eventstream.NotEqual:
		return !same || c != 0
	case eventstream.Less:
		return same && !isBool && c < 0
	case eventstream.LessOrEqual:
		return same && !isBool && c <= 0
	case eventstream.Greater:
		return same && !isBool && c > 0
	default:
		return same && !isBool && c >= 0
	}
}

// Random queries over random stores, read whole and page by page, forward and backward, with
// appends in between, and with indexes in any state, find what a look at every event finds.
func TestAQueryFindsWhatALookAtEveryEventFinds(t *testing.T) {
	t.Parallel()
	stores := 40
	if testing.Short() {
		stores = 6
	}
	const queries = 50
	for n := range stores {
		t.Run(fmt.Sprintf("store %d", n), func(t *testing.T) {
			t.Parallel()
			b := &queryBed{rng: rand.New(rand.NewPCG(uint64(n), 77)), now: scriptTime, all: map[string][]eventstream.Event{}}
			fs := vfs.NewMem()
			open := func() *eventstream.DB {
				all := []eventstream.Index{
					eventstream.IndexTenant, eventstream.IndexType, eventstream.IndexCategory, eventstream.IndexCorrelation,
					eventstream.IndexCausation, eventstream.IndexUser, eventstream.IndexOccurred, eventstream.IndexTag,
				}
				b.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
				opts := scriptOptions(fs)
				opts.Clock = func() time.Time { return b.now }
				opts.Indexes = all[:b.rng.IntN(len(all)+1)]
				opts.Unstable.RunEvents = 64
				db, err := eventstream.Open("store", opts)
				if err != nil {
					t.Fatal(err)
				}
				return db
			}
			for range 1 + b.rng.IntN(3) { // each time with other indexes
				db := open()
				b.fill(t, db, 20+b.rng.IntN(300))
				mustClose(t, db)
			}
			db := open()
			defer mustClose(t, db)
			b.fill(t, db, 30)
			eventstream.SetLookupCost(db, b.rng.Uint64N(8)) // else a store this small is mostly read
			for i := range queries {
				narrow, wants := b.conditions(db.Head(), b.rng.IntN(4), false)
				b.try(t, fmt.Sprintf("query %d %+v", i, narrow(eventstream.Query{})), db, narrow(eventstream.Query{}), wants)
			}
		})
	}
}

// try runs a query in every way.
func (b *queryBed) try(t *testing.T, what string, db *eventstream.DB, q eventstream.Query, wants func(*eventstream.Event) bool) {
	t.Helper()
	name := b.one(eventstream.DefaultTenant, "acme")
	tenant := db.Tenant(name)
	backward := b.rng.IntN(2) == 0
	if backward {
		q = q.Backward()
	}
	expect := func(head eventstream.Position) []string {
		var found []eventstream.Event
		for _, e := range b.read(t, tenant, name, head) {
			if wants(&e) {
				found = append(found, e)
			}
		}
		if backward {
			slices.Reverse(found)
		}
		return places(found)
	}
	head := db.Head()
	equalSlices(t, what, places(mustCollect(t, tenant.Query(ctx, q))), expect(head))
	n, err := tenant.Count(ctx, q)
	if err != nil || n != uint64(len(expect(head))) {
		t.Errorf("%s: count: got %d, %v, want %d", what, n, err, len(expect(head)))
	}
	if _, err := tenant.Explain(ctx, q); err != nil {
		t.Errorf("%s: explain: %v", what, err)
	}

	var all []eventstream.Event
	var pages []eventstream.Page
	cursor := ""
	for {
		page, err := tenant.QueryPage(ctx, q, eventstream.PageOptions{Size: 1 + b.rng.IntN(40), Cursor: cursor})
		if err != nil {
			t.Fatalf("%s: page %d: %v", what, len(pages), err)
		}
		pages, all = append(pages, page), append(all, page.Events...)
		if b.rng.IntN(3) == 0 {
			b.fill(t, db, 1+b.rng.IntN(5))
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	want := expect(pages[0].Head)
	equalSlices(t, what+", page by page", places(all), want)
	equalSlices(t, what+", page by page: nothing before the first", []string{pages[0].Previous}, []string{""})
	last := pages[len(pages)-1]
	back := slices.Clone(last.Events)
	for cursor = last.Previous; cursor != ""; {
		page, err := tenant.QueryPage(ctx, q, eventstream.PageOptions{Size: 1 + b.rng.IntN(40), Cursor: cursor})
		if err != nil {
			t.Fatalf("%s: back: %v", what, err)
		}
		back, cursor = append(slices.Clone(page.Events), back...), page.Previous
	}
	equalSlices(t, what+", page by page, back", places(back), want)
	if len(want) > 1 && pages[0].Next != "" {
		skip := 1 + b.rng.IntN(len(want)-1)
		page, err := tenant.QueryPage(ctx, q, eventstream.PageOptions{Size: 3, Offset: skip, Cursor: pages[0].Next})
		if err != nil {
			t.Fatal(err)
		}
		equalSlices(t, what+", by offset", places(page.Events), want[skip:min(skip+3, len(want))])
	}
}

func TestAQueryThatReadsTooMuchInVainSaysSo(t *testing.T) {
	t.Parallel()
	db := mustOpen(t, "store", scriptOptions(vfs.NewMem()))
	defer mustClose(t, db)
	for i := range 200 {
		mustAppend(t, db, "s-s-1", expectAt(i), eventstream.NewEvent{Type: "X", Data: map[string]any{"n": i}})
	}
	q := eventstream.Query{}.Where("data.n", eventstream.Equal, 199)
	_, err := collect(db.Query(ctx, q.Budget(100)))
	wantErr(t, err, eventstream.ErrBudget)
	if e := errAs[*eventstream.BudgetError](t, err); e.Budget != 100 || e.Read <= 100 || e.At == 0 {
		t.Errorf("got %+v", e)
	}
	equal(t, "found with enough", len(mustCollect(t, db.Query(ctx, q.Budget(199)))), 1)
	if _, err := db.Count(ctx, q.Budget(100)); !errors.Is(err, eventstream.ErrBudget) {
		t.Errorf("count: got %v", err)
	}
	if _, err := db.QueryPage(ctx, q.Budget(100), eventstream.PageOptions{}); !errors.Is(err, eventstream.ErrBudget) {
		t.Errorf("page: got %v", err)
	}
}

func TestAFaultOfAQueryIsToldByWhoeverRunsIt(t *testing.T) {
	t.Parallel()
	db := mustOpen(t, "store", scriptOptions(vfs.NewMem()))
	defer mustClose(t, db)
	for name, q := range map[string]eventstream.Query{
		"no type":           eventstream.Query{}.Types(),
		"a type with a NUL": eventstream.Query{}.Types("a\x00"),
		"an empty stream":   eventstream.Query{}.Streams(""),
		"a long user":       eventstream.Query{}.Users(strings.Repeat("u", 256)),
		"no tag":            eventstream.Query{}.Tag("", "x"),
		"until nothing":     eventstream.Query{}.Until(0),
		"no budget":         eventstream.Query{}.Budget(0),
		"no alternative":    eventstream.Query{}.AnyOf(),
		"a fault inside":    eventstream.Query{}.AnyOf(eventstream.Query{}.Types()),
		"order inside":      eventstream.Query{}.AnyOf(eventstream.Query{}.Backward()),
		"a path to nowhere": eventstream.Query{}.Where("amount", eventstream.Equal, 1),
		"half a path":       eventstream.Query{}.Where("data.", eventstream.Equal, 1),
		"two entries":       eventstream.Query{}.Where("metadata.a.b", eventstream.Equal, "x"),
		"an empty name":     eventstream.Query{}.Where("data.a..b", eventstream.Equal, 1),
		"half an escape":    eventstream.Query{}.Where(`data.a\`, eventstream.Equal, 1),
		"no operator":       eventstream.Query{}.Where("data.a", "~", 1),
		"a float":           eventstream.Query{}.Where("data.a", eventstream.Equal, 1.5),
		"no number":         eventstream.Query{}.Where("data.a", eventstream.Equal, json.Number("1.5.2")),
		"like a number":     eventstream.Query{}.Where("data.a", eventstream.Like, 1),
		"in nothing":        eventstream.Query{}.Where("data.a", eventstream.In, []string{}),
		"in no list":        eventstream.Query{}.Where("data.a", eventstream.In, 3),
		"a struct":          eventstream.Query{}.Where("data.a", eventstream.Equal, struct{}{}),
	} {
		_, err := collect(db.Query(ctx, q.Types("X")))
		if !errors.Is(err, eventstream.ErrInvalidArgument) {
			t.Errorf("%s: query: got %v", name, err)
		}
		_, pageErr := db.QueryPage(ctx, q, eventstream.PageOptions{})
		_, countErr := db.Count(ctx, q)
		_, explainErr := db.Explain(ctx, q)
		for _, err := range []error{pageErr, countErr, explainErr} {
			if !errors.Is(err, eventstream.ErrInvalidArgument) {
				t.Errorf("%s: got %v", name, err)
			}
		}
	}
	for _, opts := range []eventstream.PageOptions{{Size: -1}, {Size: 10_001}, {Offset: -1}, {Offset: 10_001}} {
		if _, err := db.QueryPage(ctx, eventstream.Query{}, opts); !errors.Is(err, eventstream.ErrInvalidArgument) {
			t.Errorf("%+v: got %v", opts, err)
		}
	}
}

// A query is a value: narrowing it leaves it as it was.
func TestNarrowingAQueryLeavesItAsItWas(t *testing.T) {
	t.Parallel()
	db := mustOpen(t, "store", scriptOptions(vfs.NewMem()))
	defer mustClose(t, db)
	mustAppend(t, db, "a-a-1", eventstream.NoStream, event("X"), event("Y"), event("Z"))
	base := eventstream.Query{}.Types("X", "Y")
	x, y := base.Types("X"), base.Types("Y")
	_ = base.Tag("k", "v").Where("data.a", eventstream.Equal, 1).Streams("none").Backward().Until(1)
	equalSlices(t, "base", places(mustCollect(t, db.Query(ctx, base))), []string{"a-a-1@1:1", "a-a-1@2:2"})
	equalSlices(t, "x", places(mustCollect(t, db.Query(ctx, x))), []string{"a-a-1@1:1"})
	equalSlices(t, "y", places(mustCollect(t, db.Query(ctx, y))), []string{"a-a-1@2:2"})
}
