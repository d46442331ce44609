package eventstream_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/internal/campaign"
)

// adversaries are tenants whose names and numbers lie next to each other in every order
// that the store keeps anything in: names that begin other names, that look like the
// marks between the parts of a key, or that need escaping; numbers around each overflow.
var adversaries = []struct {
	name   string
	number eventstream.TenantID // 0: the next
}{
	{"default", 0},
	{"a", 0},
	{"a/", 0},
	{`a"`, 0},
	{`"a"`, 0},
	{`"a"/n`, 0},
	{`a\`, 0xff},
	{`\u00a0`, 0x100},
	{"\u00a0", 0},
	{"aa", 0xffff},
	{"\u00ff", 0x1_0000},
	{"\ufffd", 0},
	{"\U0010ffff", 0xff_ffff},
	{"\U0010ffff\U0010ffff", 0x100_0000},
	{strings.Repeat("\U0010ffff", 63) + "xyz", 0},
	{strings.Repeat("x", 254), 0x8000_0000},
	{strings.Repeat("x", 255), 0},
	{"tenant/", 0xffff_fffe},
	{"z", math.MaxUint32},
}

// shared are the streams of all of them.
var shared = []eventstream.StreamID{"a", "a-b", "a-b-1", "a-b-10", "\u00ff", "\U0010ffff", "\U0010ffff\U0010ffff"}

func isolationOptions(o *eventstream.Options) {
	o.TailBytes, o.Unstable = 64<<10, eventstream.Unstable{RunEvents: 20}
	o.Indexes = append(eventstream.DefaultIndexes(), eventstream.IndexUser, eventstream.IndexOccurred, eventstream.IndexTag)
}

// secret is what the n-th tenant alone knows.
func secret(n int) string { return fmt.Sprintf("secret %d", n) }

// kept is an event of the n-th tenant. Its id is the same for all tenants.
func kept(n, round int, stream eventstream.StreamID) eventstream.NewEvent {
	i := round*len(shared) + slices.Index(shared, stream)
	e := eventstream.NewEvent{
		ID: id(i + 1), Type: fmt.Sprintf("T%d", i%3), Data: map[string]string{"secret": secret(n)}, CorrelationID: "c", UserID: "u",
		Metadata: map[string]string{"tag": "t", "own": secret(n)}, OccurredAt: scriptTime,
	}
	if i > 0 {
		e.CausationID = id(i/2 + 1).String()
	}
	return e
}

const isolationRounds = 3

// live is one round of what the n-th tenant does. Some have more events than others.
func live(t *testing.T, of *eventstream.Tenant, n, round int) {
	t.Helper()
	for i, stream := range shared {
		if round > (n+i)%isolationRounds {
			continue
		}
		mustAppend(t, of, stream, eventstream.Exact(eventstream.Version(round)), kept(n, round, stream))
		s := snapshotAt(stream, eventstream.Version(round+1), endOfTime)
		s.State = fmt.Appendf(nil, "%q", secret(n))
		mustSave(t, of, s, 2)
	}
	own := fmt.Sprintf("%s of round %d", secret(n), round)
	for _, projection := range []string{"p", "p/", "\U0010ffff"} {
		v := eventstream.ViewID{Projection: projection, Generation: 1}
		err := of.Derive(eventstream.Derivation{View: v}, func(tx *eventstream.Tx) error {
			return errors.Join(
				tx.Put([]byte{0}, []byte(own)), tx.Put([]byte("\xff\xff\xff"), []byte(own)), tx.Put(fmt.Append(nil, round), []byte(own)),
				tx.Beside("b").Put([]byte{0xff}, []byte(own)), tx.SetState("n", []byte(own)), tx.SetState("n/x", []byte(own)),
			)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := of.Update(ctx, func(tx *eventstream.UpdateTx) error {
		stream := eventstream.StreamID(fmt.Sprintf("u-u-%d", round))
		records := tx.Records("names")
		return errors.Join(records.Put([]byte{0}, []byte(own)), records.Put([]byte{0xff, byte(round)}, []byte(own)),
			tx.Append(stream, eventstream.NoStream, withID(id(500+round), "Updated")))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// forget deletes all that the n-th tenant can delete, if it is one that does.
func forget(t *testing.T, of *eventstream.Tenant, n int) {
	t.Helper()
	if n%2 == 0 {
		return
	}
	for _, stream := range shared {
		if _, err := of.PruneSnapshots(ctx, stream, 1); err != nil {
			t.Fatal(err)
		}
	}
	v := eventstream.ViewID{Projection: "p", Generation: 1}
	err := of.Derive(eventstream.Derivation{View: v, Clear: []eventstream.ViewID{v}}, func(tx *eventstream.Tx) error {
		return tx.SetState("n", nil)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// account is all that a tenant can find out, with positions as places in its own order, so
// that they are the same in whatever company it is.
type account struct {
	t     *testing.T
	lines []string
	rank  map[eventstream.Position]int
}

func (a *account) say(format string, args ...any) {
	a.lines = append(a.lines, fmt.Sprintf(format, args...))
}

func (a *account) place(p eventstream.Position) string {
	if rank, ok := a.rank[p]; ok {
		return fmt.Sprint(rank)
	}
	return fmt.Sprintf("position %d of somebody else", p)
}

func (a *account) event(e *eventstream.Event) string {
	c := *e
	c.Position, c.Data, c.Tenant = 0, nil, ""
	return fmt.Sprintf("%s %+v %x", a.place(e.Position), c, e.Data)
}

func (a *account) events(what string, all []eventstream.Event, err error) {
	a.say("%s: %d events, %v", what, len(all), err)
	for i := range all {
		a.say("  %s", a.event(&all[i]))
	}
}

func (a *account) trace(nodes []*eventstream.TraceNode, depth int) {
	for _, node := range nodes {
		a.say("%s%s", strings.Repeat(" ", depth), a.event(&node.Event))
		a.trace(node.Effects, depth+1)
	}
}

// tellAll asks everything of a tenant.
func tellAll(t *testing.T, db *eventstream.DB, of *eventstream.Tenant, n int) []string {
	t.Helper()
	a := &account{t: t, rank: make(map[eventstream.Position]int)}
	all := mustCollect(t, of.ReadAll(ctx))
	for i := range all {
		a.rank[all[i].Position] = i + 1
	}
	a.events("ReadAll", all, nil)
	a.reads(db, of, len(all))
	a.queries(of)
	a.derived(of)
	a.refusals(of, n)
	return a.lines
}

func (a *account) reads(db *eventstream.DB, of *eventstream.Tenant, events int) {
	for what, opts := range map[string][]eventstream.ReadOption{
		"backward": {eventstream.Backward()}, "a type": {eventstream.Types("T1")}, "a category": {eventstream.Category("a-b")},
	} {
		got, err := collect(of.ReadAll(ctx, opts...))
		a.events(what, got, err)
	}
	got, err := collect(of.Follow(ctx, eventstream.Limit(events)))
	a.events("Follow", got, err)
	for _, stream := range append(shared, "u-u-0", "b") {
		for _, opts := range [][]eventstream.ReadOption{nil, {eventstream.Backward()}, {eventstream.From(2)}} {
			got, err := collect(of.ReadStream(ctx, stream, opts...))
			a.events(fmt.Sprintf("stream %q", stream), got, err)
		}
		info, err := of.Stream(ctx, stream)
		a.say("info of %q: version %d, %s to %s, found %v", stream, info.Version, a.place(info.FirstPosition), a.place(info.LastPosition), err == nil)
	}
	for _, prefix := range []string{"", "a", "a-b", "a-b-1", "\u00ff", "\U0010ffff"} {
		for info, err := range of.Streams(ctx, prefix) {
			a.say("streams %q: %q version %d, %s to %s, %v", prefix, info.Stream, info.Version, a.place(info.FirstPosition), a.place(info.LastPosition), err)
		}
		for stream, err := range of.SnapshotStreams(ctx, prefix) {
			a.say("snapshots of %q: %q, %v", prefix, stream, err)
		}
	}
	for n := range 600 {
		if e, err := of.Event(ctx, id(n)); err == nil {
			a.say("id %d: %s", n, a.event(&e))
		}
	}
	for p := range db.Head() + 2 {
		if e, err := of.EventAt(ctx, p); err == nil {
			a.say("position: %s", a.event(&e))
		}
	}
}

func (a *account) queries(of *eventstream.Tenant) {
	all := eventstream.Query{}
	for what, q := range map[string]eventstream.Query{
		"all": all, "backward": all.Backward(), "types": all.Types("T0", "T2"), "categories": all.Categories("a-b", "u-u"),
		"correlations": all.Correlations("c"), "causations": all.Causations(id(1).String()), "users": all.Users("u"),
		"tag": all.Tag("tag", "t"), "occurred": all.OccurredSince(scriptTime).OccurredUntil(scriptTime), "recorded": all.RecordedSince(scriptTime.AddDate(-9, 0, 0)),
		"streams": all.Streams("a", "\U0010ffff"), "versions": all.Versions(2, 2), "where": all.Where("metadata.tag", eventstream.Equal, "t"),
		"any": all.AnyOf(all.Types("T0").Tag("tag", "t"), all.Streams("a-b")),
	} {
		got, err := collect(of.Query(ctx, q))
		a.events("query "+what, got, err)
		count, err := of.Count(ctx, q)
		a.say("count %s: %d, %v", what, count, err)
		for opts := (eventstream.PageOptions{Size: 5}); ; {
			page, err := of.QueryPage(ctx, q, opts)
			a.events("page "+what, page.Events, err)
			if opts.Cursor = page.Next; !page.HasMore() {
				break
			}
		}
	}
	for other := range adversaries {
		count, err := of.Count(ctx, all.Tag("own", secret(other)))
		a.say("events with the secret %d: %d, %v", other, count, err)
	}
	nodes, err := of.Trace(ctx, "c")
	a.say("trace: %v", err)
	a.trace(nodes, 1)
}

func (a *account) derived(of *eventstream.Tenant) {
	for _, stream := range shared {
		for s, err := range of.Snapshots(ctx, stream) {
			a.say("snapshot of %q: %d, %s at %s, %v, %v", stream, s.Version, s.Snapshot.State, a.place(s.Snapshot.Position), s.Err, err)
		}
	}
	for _, name := range []string{"n", "n/x", "x"} {
		state, err := of.DerivedState(name)
		a.say("state %q: %q, %v", name, state, err)
	}
	for _, prefix := range []string{"", "n", "n/", "\""} {
		for s, err := range of.DerivedStates(prefix) {
			a.say("states %q: %+v, %v", prefix, s, err)
		}
	}
	err := of.ReadDerived(func(r *eventstream.DerivedReader) error {
		for _, projection := range []string{"p", "p/", "\U0010ffff", "q"} {
			v, err := r.View(eventstream.ViewID{Projection: projection, Generation: 1})
			if err != nil {
				return err
			}
			a.say("view %q: %q", projection, scanned(a.t, v.Scan(nil, nil)))
			a.say("view %q: %q", projection, scanned(a.t, v.ScanBackward([]byte{0}, []byte("\xff\xff\xff\xff"))))
			a.say("beside %q: %q", projection, scanned(a.t, v.Beside("b").Scan(nil, nil)))
		}
		states, err := r.States("")
		a.say("states of one moment: %+v", states)
		return err
	})
	a.say("derived: %v", err)
	a.say("records: %q", recordsOf(a.t, of, "names"))
}

// refusals are what a tenant learns from calls that write nothing.
func (a *account) refusals(of *eventstream.Tenant, n int) {
	for _, stream := range shared {
		again, err := of.Append(ctx, stream, eventstream.Any, kept(n, 0, stream))
		a.say("%q again: %v %s, %v", stream, again.Deduplicated, a.place(again.FirstPosition), err)
		var taken *eventstream.DuplicateEventError
		_, err = of.Append(ctx, stream, eventstream.Any, kept(n+1, 0, stream))
		a.say("%q of another: %v", stream, errors.As(err, &taken) && taken.Position != 0 && a.rank[taken.Position] != 0)
		var conflict *eventstream.ConflictError
		_, err = of.Append(ctx, stream, eventstream.NoStream, event("X"))
		a.say("%q conflict: %v", stream, errors.As(err, &conflict) && conflict.Actual != 0)
		if conflict != nil {
			a.say("%q is at %d", stream, conflict.Actual)
		}
	}
	var guard *eventstream.GuardError
	_, err := of.AppendIf(ctx, eventstream.Condition{Query: eventstream.Query{}.Types("T1")},
		[]eventstream.StreamAppend{{Stream: "g", Expect: eventstream.Any, Events: []eventstream.NewEvent{event("X")}}})
	a.say("guard: %v", errors.As(err, &guard))
	if guard != nil {
		a.say("guard by %s", a.place(guard.Position))
	}
}

// Whatever a tenant asks, it is answered as if it were alone in the store, whoever else is
// there, whatever they delete, and wherever the answer comes from.
func TestATenantIsAnsweredAsIfItWereAlone(t *testing.T) {
	t.Parallel()
	options := estest.Options(isolationOptions)
	db := estest.Open(t, options)
	for round := range isolationRounds {
		for n, of := range adversaries {
			if round == 0 && of.number != 0 {
				eventstream.NumberTenantsFrom(db.DB, of.number)
			}
			live(t, db.Tenant(of.name), n, round)
		}
	}
	for n, of := range adversaries {
		forget(t, db.Tenant(of.name), n)
	}
	each := campaign.Scale(t, campaign.Cases{Short: 4, PullRequest: 1}) // all live, some are asked
	want := make([][]string, len(adversaries))
	t.Run("alone", func(t *testing.T) {
		for n, of := range adversaries {
			if n%each != 0 {
				continue
			}
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				alone := estest.Open(t, options)
				for round := range isolationRounds {
					live(t, alone.Tenant(of.name), n, round)
				}
				forget(t, alone.Tenant(of.name), n)
				want[n] = tellAll(t, alone.DB, alone.Tenant(of.name), n)
			})
		}
	})
	ask := func(when string) {
		for n, of := range adversaries {
			if n%each != 0 {
				continue
			}
			got := tellAll(t, db.DB, db.Tenant(of.name), n)
			slices.Sort(got) // the order of maps
			slices.Sort(want[n])
			if diff := cmp.Diff(want[n], got); diff != "" {
				t.Fatalf("%s, tenant %d, %.20q: another answer than alone (-alone +among others):\n%.3000s", when, n, of.name, diff)
			}
		}
	}
	ask("at once")
	awaitDerived(t, db.DB)
	ask("sealed and indexed")
	if err := db.Sync(ctx); err != nil { // what is derived is not synced by itself
		t.Fatal(err)
	}
	db = estest.Crash(t, db)
	awaitDerived(t, db.DB)
	ask("after a crash")
	equal(t, "tenants", len(db.Tenants()), len(adversaries))
	for _, name := range []string{"b", "A", `"`, "\u00fe", strings.Repeat("x", 253)} {
		nobody := &account{t: t}
		nobody.derived(db.Tenant(name))
		for _, line := range nobody.lines {
			if strings.Contains(line, "secret") {
				t.Errorf("tenant %.20q, which never wrote anything, is told %s", name, line)
			}
		}
		equal(t, "events of a tenant without any", len(mustCollect(t, db.Tenant(name).ReadAll(ctx))), 0)
	}
}

// A page token of one tenant leads no other anywhere.
func TestATokenIsOfNoUseToAnotherTenant(t *testing.T) {
	t.Parallel()
	db := estest.Open(t, estest.Options(isolationOptions))
	q := eventstream.Query{}
	tokens := make([]string, len(adversaries))
	for n, of := range adversaries {
		for round := range isolationRounds {
			live(t, db.Tenant(of.name), n, round)
		}
		tokens[n] = firstPage(t, db.Tenant(of.name), q).Next
	}
	for n, of := range adversaries {
		for m, token := range tokens {
			_, err := db.Tenant(of.name).QueryPage(ctx, q, eventstream.PageOptions{Cursor: token})
			if (err == nil) != (n == m) {
				t.Errorf("the token of tenant %d for tenant %d: got %v", m, n, err)
			}
		}
	}
}

// awaitDerived waits until what is built behind the log has caught up.
func awaitDerived(t *testing.T, db *eventstream.DB) {
	t.Helper()
	if !eventstream.AwaitIndexed(db) {
		t.Fatalf("the indexes do not catch up: %+v, head %d", db.Indexes(), db.Head())
	}
}
