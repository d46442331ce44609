package eventstream_test

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
)

var balances = eventstream.ViewID{Projection: "balances", Generation: 1}

// put derives records of the form "key=value".
func put(t testing.TB, to *eventstream.Tenant, v eventstream.ViewID, records ...string) {
	t.Helper()
	err := to.Derive(eventstream.Derivation{View: v}, func(tx *eventstream.Tx) error {
		for _, r := range records {
			key, value, _ := strings.Cut(r, "=")
			if err := tx.Put([]byte(key), []byte(value)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func scanned(t testing.TB, records iter.Seq2[eventstream.ViewRecord, error]) (all []string) {
	t.Helper()
	for r, err := range records {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(r.Key)+"="+string(r.Value))
	}
	return all
}

// viewOf returns a view's records between two keys.
func viewOf(t testing.TB, of *eventstream.Tenant, v eventstream.ViewID, from, to []byte) (all []string) {
	t.Helper()
	err := of.ReadView(v, func(r *eventstream.ViewReader) error {
		all = scanned(t, r.Scan(from, to))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAViewIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	tenant := db.Tenant(eventstream.DefaultTenant)
	mustAppend(t, db, "s", eventstream.NoStream, event("X"))
	put(t, tenant, balances, "b=2", "a=1", "c=3", "\xff\xff=4", "a\x00=5")
	for _, tt := range []struct {
		from, to string
		want     []string
	}{
		{"", "", []string{"a=1", "a\x00=5", "b=2", "c=3", "\xff\xff=4"}},
		{"a", "b", []string{"a=1", "a\x00=5"}},
		{"a\x00", "c", []string{"a\x00=5", "b=2"}},
		{"bb", "", []string{"c=3", "\xff\xff=4"}},
		{"c", "b", nil},
		{"c", "c", nil},
	} {
		var to []byte
		if tt.to != "" {
			to = []byte(tt.to)
		}
		equalSlices(t, fmt.Sprintf("from %q to %q", tt.from, tt.to), viewOf(t, tenant, balances, []byte(tt.from), to), tt.want)
	}
	err := tenant.ReadView(balances, func(r *eventstream.ViewReader) error {
		value, ok, err := r.Get([]byte("b"))
		if err != nil || !ok || string(value) != "2" {
			t.Errorf("got %q, %v, %v", value, ok, err)
		}
		if _, ok, err := r.Get([]byte("x")); ok || err != nil {
			t.Errorf("a missing key: %v, %v", ok, err)
		}
		for range r.Scan(nil, nil) {
			break // leaving the loop releases the iterator: the cleanup would find it
		}
		put(t, tenant, balances, "b=20")
		if value, _, err := r.Get([]byte("b")); err != nil || string(value) != "2" {
			t.Errorf("the view changed under its reader: %q, %v", value, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Names and tenants that start each other share nothing, and neither do generations.
func TestViewsDoNotMix(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	ids := []eventstream.ViewID{
		{Projection: "a", Generation: 1},
		{Projection: "a", Generation: 2},
		{Projection: "a", Generation: 256},
		{Projection: "a/b", Generation: 1},
		{Projection: "ab", Generation: 1},
	}
	tenants := []string{"default", "a", "a/b", "b"}
	for _, name := range tenants {
		mustAppend(t, db.Tenant(name), "s", eventstream.NoStream, event("X"))
		for _, id := range ids {
			put(t, db.Tenant(name), id, fmt.Sprintf("k=%s %v", name, id))
			swapped, err := db.Tenant(name).SwapState(fmt.Sprintf("%s/%d", id.Projection, id.Generation), nil, []byte(name))
			if err != nil || !swapped {
				t.Fatal(swapped, err)
			}
		}
	}
	for _, name := range tenants {
		for _, id := range ids {
			equalSlices(t, name, viewOf(t, db.Tenant(name), id, nil, nil), []string{fmt.Sprintf("k=%s %v", name, id)})
		}
		var states []string
		for s, err := range db.Tenant(name).DerivedStates("a/") {
			if err != nil {
				t.Fatal(err)
			}
			states = append(states, s.Name+"="+string(s.State))
		}
		equalSlices(t, "states", states, []string{"a/1=" + name, "a/2=" + name, "a/256=" + name, "a/b/1=" + name})
	}
	err := db.Derive(eventstream.Derivation{View: ids[0], Clear: ids[:1]}, func(tx *eventstream.Tx) error { return tx.Put([]byte("new"), nil) })
	if err != nil {
		t.Fatal(err)
	}
	equalSlices(t, "cleared", viewOf(t, db.Tenant("default"), ids[0], nil, nil), []string{"new="})
	equal(t, "another generation", len(viewOf(t, db.Tenant("default"), ids[1], nil, nil)), 1)
	equal(t, "another tenant", len(viewOf(t, db.Tenant("a"), ids[0], nil, nil)), 1)
}

func TestATxSeesWhatItWrote(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	mustAppend(t, db, "s", eventstream.NoStream, event("X"))
	tenant := db.Tenant(eventstream.DefaultTenant)
	put(t, tenant, balances, "a=1", "b=2", "c=3")
	err := db.Derive(eventstream.Derivation{View: balances}, func(tx *eventstream.Tx) error {
		if err := errors.Join(tx.Put([]byte("a"), []byte("10")), tx.Delete([]byte("b")), tx.Put([]byte("d"), []byte("4")), tx.Delete([]byte("missing"))); err != nil {
			return err
		}
		equalSlices(t, "inside", scanned(t, tx.Scan(nil, nil)), []string{"a=10", "c=3", "d=4"})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	equalSlices(t, "afterwards", viewOf(t, tenant, balances, nil, nil), []string{"a=10", "c=3", "d=4"})
}

// What fails leaves nothing: neither records nor states.
func TestADerivationThatFailsWritesNothing(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	mustAppend(t, db, "s", eventstream.NoStream, event("X"))
	tenant := db.Tenant(eventstream.DefaultTenant)
	put(t, tenant, balances, "a=1")
	refusal := errors.New("no")
	write := func(tx *eventstream.Tx) error {
		return errors.Join(tx.Put([]byte("a"), []byte("2")), tx.SetState("s", []byte("x")))
	}
	for _, tt := range []struct {
		name string
		d    eventstream.Derivation
		fn   func(tx *eventstream.Tx) error
		want error
	}{
		{"fn fails", eventstream.Derivation{View: balances}, func(tx *eventstream.Tx) error { return errors.Join(write(tx), refusal) }, refusal},
		{"the guard fails", eventstream.Derivation{View: balances, Guard: func() error { return refusal }}, write, refusal},
		{"the guard fails, cleared", eventstream.Derivation{View: balances, Clear: []eventstream.ViewID{balances}, Guard: func() error { return refusal }}, write, refusal},
		{"an empty key that nobody looked at", eventstream.Derivation{View: balances}, func(tx *eventstream.Tx) error {
			_ = tx.Put(nil, nil)
			return write(tx)
		}, eventstream.ErrInvalidArgument},
		{"a long key", eventstream.Derivation{View: balances}, func(tx *eventstream.Tx) error { return tx.Put(make([]byte, 64<<10+1), nil) }, eventstream.ErrTooLarge},
		{"a long value", eventstream.Derivation{View: balances}, func(tx *eventstream.Tx) error { return tx.Put([]byte("a"), make([]byte, 16<<20+1)) }, eventstream.ErrTooLarge},
		{"a state without a name", eventstream.Derivation{View: balances}, func(tx *eventstream.Tx) error {
			return errors.Join(write(tx), tx.SetState("", nil))
		}, eventstream.ErrInvalidArgument},
		{"no projection", eventstream.Derivation{View: eventstream.ViewID{Generation: 1}}, write, eventstream.ErrInvalidArgument},
		{"no generation", eventstream.Derivation{View: eventstream.ViewID{Projection: "x"}}, write, eventstream.ErrInvalidArgument},
	} {
		if err := tenant.Derive(tt.d, tt.fn); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
		equalSlices(t, tt.name, viewOf(t, tenant, balances, nil, nil), []string{"a=1"})
		if state, err := tenant.DerivedState("s"); err != nil || state != nil {
			t.Errorf("%s: got state %q, %v", tt.name, state, err)
		}
	}
	if err := db.Tenant("nobody").Derive(eventstream.Derivation{View: balances}, write); !errors.Is(err, eventstream.ErrInvalidArgument) {
		t.Errorf("a tenant without events: got %v", err)
	}
	equal(t, "view of a tenant without events", len(viewOf(t, db.Tenant("nobody"), balances, nil, nil)), 0)
}

func TestAStateIsSwappedIfItIsStillTheSame(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	for i, tt := range []struct {
		old, state string
		want       bool
	}{
		{"x", "a", false}, {"", "a", true}, {"", "b", false}, {"a", "b", true}, {"a", "c", false}, {"b", "", true}, {"b", "c", false}, {"", "d", true},
	} {
		swapped, err := db.SwapState("lease", orNil(tt.old), orNil(tt.state))
		if err != nil || swapped != tt.want {
			t.Errorf("swap %d, %q for %q: got %v, %v", i, tt.state, tt.old, swapped, err)
		}
	}
	db = estest.Crash(t, db)
	state, err := db.DerivedState("lease")
	if err != nil || !bytes.Equal(state, []byte("d")) {
		t.Errorf("after a crash: got %q, %v: a swap is durable", state, err)
	}
}

func orNil(s string) []byte {
	if s == "" {
		return nil
	}
	return []byte(s)
}
