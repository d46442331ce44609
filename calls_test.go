package eventstream_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/keys"
)

// storeCall is a call of a method that can fail, with arguments that are in order.
type storeCall struct {
	do func(context.Context, *eventstream.DB, *eventstream.Tenant) error
	// writes says that it changes something, so that a store that is open read-only must
	// refuse it; late, that it takes no ctx.
	writes, late bool
}

// neverFail are the methods of DB that only tell something.
var neverFail = []string{"Head", "DurableHead", "Info", "Now", "Session", "Tenant", "Tenants", "Indexes"}

func ranged[T any](seq iter.Seq2[T, error]) error {
	_, err := collect(seq)
	return err
}

// storeCalls has a call of every method of a tenant and of a store, by its name.
// TestEveryMethodIsCalled keeps it whole.
func storeCalls() map[string]storeCall {
	type (
		db     = *eventstream.DB
		tenant = *eventstream.Tenant
	)
	one := []eventstream.StreamAppend{{Stream: "s", Expect: eventstream.Any, Events: []eventstream.NewEvent{event("X")}}}
	q := eventstream.Query{}.Types("X")
	derive := eventstream.Derivation{View: eventstream.ViewID{Projection: "p", Generation: 1}}
	return map[string]storeCall{
		"Append": {writes: true, do: func(c context.Context, _ db, of tenant) error {
			_, err := of.Append(c, "s", eventstream.Any, event("X"))
			return err
		}},
		"AppendAll": {writes: true, do: func(c context.Context, _ db, of tenant) error { _, err := of.AppendAll(c, one); return err }},
		"AppendIf": {writes: true, do: func(c context.Context, _ db, of tenant) error {
			_, err := of.AppendIf(c, eventstream.Condition{Query: eventstream.Query{}.Types("Never")}, one)
			return err
		}},
		"Update": {writes: true, do: func(c context.Context, _ db, of tenant) error {
			_, err := of.Update(c, func(tx *eventstream.UpdateTx) error {
				return errors.Join(tx.Records("n").Put([]byte("k"), nil), tx.Append("s", eventstream.StreamExists, event("X")))
			})
			return err
		}},
		"SaveSnapshot": {writes: true, do: func(c context.Context, _ db, of tenant) error {
			return of.SaveSnapshot(c, snapshotAt("s", 1, endOfTime), 9)
		}},
		"DeleteSnapshot": {writes: true, do: func(c context.Context, _ db, of tenant) error { return of.DeleteSnapshot(c, "s", 7) }},
		"PruneSnapshots": {writes: true, do: func(c context.Context, _ db, of tenant) error { _, err := of.PruneSnapshots(c, "s", 1); return err }},
		"Derive": {writes: true, late: true, do: func(_ context.Context, _ db, of tenant) error {
			return of.Derive(derive, func(tx *eventstream.Tx) error { return tx.Put([]byte("k"), nil) })
		}},
		"SwapState": {writes: true, late: true, do: func(_ context.Context, _ db, of tenant) error {
			_, err := of.SwapState("n", nil, []byte("s"))
			return err
		}},
		"ReadStream": {do: func(c context.Context, _ db, of tenant) error { return ranged(of.ReadStream(c, "s")) }},
		"ReadAll":    {do: func(c context.Context, _ db, of tenant) error { return ranged(of.ReadAll(c)) }},
		"Follow":     {do: func(c context.Context, _ db, of tenant) error { return ranged(of.Follow(c, eventstream.Limit(1))) }},
		"Streams":    {do: func(c context.Context, _ db, of tenant) error { return ranged(of.Streams(c, "")) }},
		"Stream":     {do: func(c context.Context, _ db, of tenant) error { _, err := of.Stream(c, "s"); return err }},
		"Event":      {do: func(c context.Context, _ db, of tenant) error { _, err := of.Event(c, id(1)); return err }},
		"EventAt":    {do: func(c context.Context, _ db, of tenant) error { _, err := of.EventAt(c, 1); return err }},
		"Read": {do: func(c context.Context, _ db, of tenant) error {
			return of.Read(c, func(*eventstream.Reader) error { return nil })
		}},
		"Query": {do: func(c context.Context, _ db, of tenant) error { return ranged(of.Query(c, q)) }},
		"QueryPage": {do: func(c context.Context, _ db, of tenant) error {
			_, err := of.QueryPage(c, q, eventstream.PageOptions{})
			return err
		}},
		"Count":           {do: func(c context.Context, _ db, of tenant) error { _, err := of.Count(c, q); return err }},
		"Explain":         {do: func(c context.Context, _ db, of tenant) error { _, err := of.Explain(c, q); return err }},
		"Trace":           {do: func(c context.Context, _ db, of tenant) error { _, err := of.Trace(c, "c"); return err }},
		"Snapshots":       {do: func(c context.Context, _ db, of tenant) error { return ranged(of.Snapshots(c, "s")) }},
		"SnapshotStreams": {do: func(c context.Context, _ db, of tenant) error { return ranged(of.SnapshotStreams(c, "")) }},
		"DerivedState":    {late: true, do: func(_ context.Context, _ db, of tenant) error { _, err := of.DerivedState("n"); return err }},
		"DerivedStates":   {late: true, do: func(_ context.Context, _ db, of tenant) error { return ranged(of.DerivedStates("")) }},
		"ReadDerived": {late: true, do: func(_ context.Context, _ db, of tenant) error {
			return of.ReadDerived(func(*eventstream.DerivedReader) error { return nil })
		}},
		"ReadView": {late: true, do: func(_ context.Context, _ db, of tenant) error {
			return of.ReadView(derive.View, func(*eventstream.ViewReader) error { return nil })
		}},

		"AwaitAbove": {do: func(c context.Context, db db, _ tenant) error { _, err := db.AwaitAbove(c, db.Head()); return err }},
		"Backup": {writes: true, do: func(c context.Context, db db, _ tenant) error {
			_, err := db.Backup(c, fmt.Sprintf("backup-%p", c))
			return err
		}},
		"Check":           {do: func(c context.Context, db db, _ tenant) error { _, err := db.Check(c); return err }},
		"RotateCursorKey": {writes: true, late: true, do: func(_ context.Context, db db, _ tenant) error { return db.RotateCursorKey(time.Hour) }},
		"Stats":           {late: true, do: func(_ context.Context, db db, _ tenant) error { _, err := db.Stats(); return err }},
		"Sync":            {writes: true, do: func(c context.Context, db db, _ tenant) error { return db.Sync(c) }},
	}
}

// ofStore are the calls whose methods a tenant does not have.
var ofStore = []string{"AwaitAbove", "Backup", "Check", "RotateCursorKey", "Stats", "Sync"}

// A method that somebody adds must be added to the table, or to what never fails.
func TestEveryMethodIsCalled(t *testing.T) {
	t.Parallel()
	calls := storeCalls()
	for _, of := range []reflect.Type{reflect.TypeFor[*eventstream.DB](), reflect.TypeFor[*eventstream.Tenant]()} {
		for i := range of.NumMethod() {
			name := of.Method(i).Name
			if _, ok := calls[name]; !ok && name != "Close" && !slices.Contains(neverFail, name) {
				t.Errorf("%s.%s is not in the table of calls", of, name)
			}
		}
	}
	tenant := reflect.TypeFor[*eventstream.Tenant]()
	for name := range calls {
		if _, ok := tenant.MethodByName(name); ok == slices.Contains(ofStore, name) {
			t.Errorf("%s: a tenant has it: %v, but it is listed otherwise", name, ok)
		}
	}
}

// tell calls what never fails, and fails if it tells something else than want.
func tell(t *testing.T, db *eventstream.DB, want eventstream.Info) {
	t.Helper()
	info := db.Info()
	equal(t, "info's head", info.Head, want.Head)
	equal(t, "info's store", info.StoreID, want.StoreID)
	equal(t, "head", db.Head(), want.Head)
	equal(t, "durable head", db.DurableHead(), want.DurableHead)
	equal(t, "tenants", strings.Join(db.Tenants(), " "), "acme default")
	if db.Now().IsZero() || db.Session() == "" || len(db.Indexes()) == 0 {
		t.Errorf("got time %v, session %q and indexes %v", db.Now(), db.Session(), db.Indexes())
	}
}

// endOfTime is not before anything that the clock of the system says.
var endOfTime = time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

// calledStore has two events of two tenants, and snapshots of the one.
func calledStore(t *testing.T, fs vfs.FS) *eventstream.DB {
	t.Helper()
	db, err := eventstream.Open("store", onFS(fs, smallTables))
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range []string{eventstream.DefaultTenant, "acme"} {
		mustAppend(t, db.Tenant(tenant), "s", eventstream.Any, withID(id(1), "X"))
	}
	mustAppend(t, db, "s", eventstream.Exact(1), event("X"))
	for v := range eventstream.Version(2) {
		mustSave(t, db, snapshotAt("s", v+1, endOfTime), 9)
	}
	return db
}

func TestEveryCallAfterCloseIsErrClosed(t *testing.T) {
	t.Parallel()
	db := calledStore(t, vfs.NewMem())
	info := db.Info()
	var reader *eventstream.Reader
	if err := db.Read(ctx, func(r *eventstream.Reader) error { reader = r; return nil }); err != nil {
		t.Fatal(err)
	}
	before := map[string]func() error{}
	note := func(name string, seq iter.Seq2[eventstream.Event, error]) {
		before[name+" from before"] = func() error { return ranged(seq) }
	}
	note("ReadStream", db.ReadStream(ctx, "s"))
	note("ReadAll", db.ReadAll(ctx))
	note("Follow", db.Follow(ctx))
	note("Follow from the head", db.Follow(ctx, eventstream.After(db.Head())))
	note("Query", db.Query(ctx, eventstream.Query{}))
	streams, states := db.Streams(ctx, ""), db.DerivedStates("")
	before["Streams from before"] = func() error { return ranged(streams) }
	before["DerivedStates from before"] = func() error { return ranged(states) }
	mustClose(t, db)
	mustClose(t, db) // again: the same
	for name, call := range storeCalls() {
		for _, tenant := range []string{eventstream.DefaultTenant, "acme", "nobody"} {
			before[name+" of "+tenant] = func() error { return call.do(ctx, db, db.Tenant(tenant)) }
		}
	}
	for name, call := range readerCalls(reader) {
		before["a Reader's "+name] = call
	}
	for name, call := range before {
		t.Run(name, func(t *testing.T) { wantErr(t, call(), eventstream.ErrClosed) })
	}
	tell(t, db, info)
}

// readerCalls has a call of every method of a Reader that can fail, by its name.
func readerCalls(r *eventstream.Reader) map[string]func() error {
	return map[string]func() error{
		"Event":      func() error { _, err := r.Event(ctx, id(1)); return err },
		"EventAt":    func() error { _, err := r.EventAt(ctx, 1); return err },
		"Query":      func() error { return ranged(r.Query(ctx, eventstream.Query{})) },
		"ReadAll":    func() error { return ranged(r.ReadAll(ctx)) },
		"ReadStream": func() error { return ranged(r.ReadStream(ctx, "s")) },
		"Snapshots":  func() error { return ranged(r.Snapshots(ctx, "s")) },
		"Stream":     func() error { _, err := r.Stream(ctx, "s"); return err },
		"Streams":    func() error { return ranged(r.Streams(ctx, "")) },
	}
}

func TestEveryMethodOfAReaderIsCalled(t *testing.T) {
	t.Parallel()
	calls := readerCalls(nil)
	reader := reflect.TypeFor[*eventstream.Reader]()
	for i := range reader.NumMethod() {
		name := reader.Method(i).Name
		if calls[name] == nil && name != "Head" {
			t.Errorf("Reader.%s is not in the table of calls", name)
		}
	}
}

func TestATenantWithABadNameFailsEveryCall(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	for _, name := range []string{"", strings.Repeat("x", keys.MaxNameBytes+1), "a\x00", "\x00", "\xff", "\xff\xff\xff\xff", "a\u0085"} {
		for what, call := range storeCalls() {
			if slices.Contains(ofStore, what) {
				continue
			}
			err := call.do(ctx, db.DB, db.Tenant(name))
			if !errors.Is(err, eventstream.ErrInvalidArgument) {
				t.Errorf("%s of tenant %q: got %v, want ErrInvalidArgument", what, name, err)
				continue
			}
			equal(t, what+": field", errAs[*eventstream.ArgumentError](t, err).Field, "tenant")
		}
	}
	wantEmpty(t, db)
}

func TestEveryCallThatWritesIsRefusedReadOnly(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	mustClose(t, calledStore(t, fs))
	opts := onFS(fs, smallTables)
	opts.ReadOnly = true
	db := mustOpen(t, "store", opts)
	before := imageOf(t, fs)
	for name, call := range storeCalls() {
		if name == "AwaitAbove" {
			continue // there is nothing to wait for
		}
		err := call.do(ctx, db, db.Tenant(eventstream.DefaultTenant))
		if call.writes != errors.Is(err, eventstream.ErrReadOnly) || !call.writes && err != nil {
			t.Errorf("%s: got %v, want ErrReadOnly: %v", name, err, call.writes)
		}
	}
	after := imageOf(t, fs)
	equal(t, "files", len(after), len(before))
	for path, content := range before {
		equal(t, path, string(after[path]), string(content))
	}
}

// A context that ended before the call ends it, and nothing is written.
func TestEveryCallWithAnEndedContextReturnsItsError(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	db := calledStore(t, fs)
	defer mustClose(t, db)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	for name, call := range storeCalls() {
		if call.late {
			continue
		}
		err := call.do(ended, db, db.Tenant(eventstream.DefaultTenant))
		if !errors.Is(err, context.Canceled) || errors.Is(err, eventstream.ErrCommitUnknown) {
			t.Errorf("%s: got %v, want the context's error alone", name, err)
		}
	}
	equal(t, "head", db.Head(), 3)
	names, err := fs.List("")
	if err != nil {
		t.Fatal(err)
	}
	equalSlices(t, "files beside the store", names, []string{"store"})
}

// Everything that can be called is being called when the store is closed, by several at
// once. Each call ends as it would have, or with ErrClosed; from then on all are ErrClosed.
// Nobody hangs, and the store is sound.
func TestCloseWhileEverythingIsCalled(t *testing.T) {
	t.Parallel()
	for round := range campaign.Scale(t, campaign.Cases{Short: 2, PullRequest: 4, Nightly: 200}) {
		fs := vfs.NewMem()
		db := calledStore(t, fs)
		var callers, called sync.WaitGroup
		for name, call := range storeCalls() {
			for _, tenant := range []string{eventstream.DefaultTenant, "acme"} {
				begun := func() {}
				if name != "Backup" { // it takes longer than all others
					called.Add(1)
					begun = sync.OnceFunc(called.Done)
				}
				callers.Go(func() {
					for n := 0; ; n++ {
						err := call.do(ctx, db, db.Tenant(tenant))
						begun()
						if errors.Is(err, eventstream.ErrClosed) {
							return
						}
						if err != nil && !mayFail(name, err) {
							t.Errorf("round %d: %s of %s, call %d: %v", round, name, tenant, n, err)
							return
						}
					}
				})
			}
		}
		if round%2 == 0 {
			called.Wait()
		}
		closed := make(chan error, 3)
		began := time.Now()
		for range cap(closed) {
			go func() { closed <- db.Close() }()
		}
		for range cap(closed) {
			if err := <-closed; err != nil {
				t.Errorf("round %d: close: %v", round, err)
			}
		}
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("round %d: Close took %v", round, took)
		}
		callers.Wait()
		again, err := eventstream.Open("store", onFS(fs, smallTables))
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if again.Head() < db.Head() {
			t.Errorf("round %d: head %d, and %d after reopening", round, db.Head(), again.Head())
		}
		wantSound(t, again)
		mustClose(t, again)
		if t.Failed() {
			return
		}
	}
}

// mayFail reports whether a call of the table may return such an error when others make
// the same calls.
func mayFail(name string, err error) bool {
	switch name {
	case "DeleteSnapshot":
		return errors.Is(err, eventstream.ErrSnapshotNotFound)
	case "EventAt": // the position is the other tenant's
		return errors.Is(err, eventstream.ErrEventNotFound)
	case "Update":
		return errors.Is(err, eventstream.ErrConflict)
	case "Backup": // two of them chose one place
		return errors.Is(err, eventstream.ErrInvalidArgument)
	default:
		return false
	}
}
