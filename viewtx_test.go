package eventstream_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/internal/campaign/faultfs"
)

func TestAViewIsReadBackward(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	tenant := db.Tenant(eventstream.DefaultTenant)
	mustAppend(t, db, "s", eventstream.NoStream, event("X"))
	put(t, tenant, balances, "b=2", "a=1", "c=3", "\xff\xff=4", "a\x00=5")
	put(t, tenant, eventstream.ViewID{Projection: "balances", Generation: 2}, "a=other")
	for _, tt := range []struct{ from, to string }{{"", ""}, {"a", "b"}, {"a\x00", "c"}, {"bb", ""}, {"c", "b"}, {"c", "c"}, {"", "a"}} {
		var to []byte
		if tt.to != "" {
			to = []byte(tt.to)
		}
		want := viewOf(t, tenant, balances, []byte(tt.from), to)
		slices.Reverse(want)
		err := tenant.ReadView(balances, func(r *eventstream.ViewReader) error {
			equalSlices(t, fmt.Sprintf("from %q to %q", tt.from, tt.to), scanned(t, r.ScanBackward([]byte(tt.from), to)), want)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// What lies beside a view is committed with it, is spoiled with it, and shares no key
// with it.
func TestAViewHasOthersBeside(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	tenant := db.Tenant(eventstream.DefaultTenant)
	mustAppend(t, db, "s", eventstream.NoStream, event("X"))
	oldOf := func(v eventstream.ViewID) (all []string) {
		err := tenant.ReadView(v, func(r *eventstream.ViewReader) error {
			all = scanned(t, r.Beside("old").Scan(nil, nil))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	other := eventstream.ViewID{Projection: "balances", Generation: 2}
	for _, name := range []string{"old", "ol", "old\x00", "older"} {
		err := tenant.Derive(eventstream.Derivation{View: other}, func(tx *eventstream.Tx) error { return tx.Beside(name).Put([]byte(name), nil) })
		if err != nil {
			t.Fatal(err)
		}
	}
	err := tenant.Derive(eventstream.Derivation{View: balances}, func(tx *eventstream.Tx) error {
		old := tx.Beside("old")
		if err := errors.Join(tx.Put([]byte("a"), []byte("1")), old.Put([]byte("a"), []byte("0")), old.Put([]byte("b"), []byte("0")), tx.Delete([]byte("c")), tx.Put([]byte("a"), []byte("2"))); err != nil {
			return err
		}
		equalSlices(t, "beside, inside", scanned(t, old.Scan(nil, nil)), []string{"a=0", "b=0"})
		written := func(tx *eventstream.Tx) (all []string) {
			for key := range tx.Written() {
				all = append(all, string(key))
			}
			return all
		}
		equalSlices(t, "written", written(tx), []string{"a", "c", "a"})
		equalSlices(t, "written beside", written(old), []string{"a", "b"})
		for range tx.Written() {
			break
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	equalSlices(t, "the view", viewOf(t, tenant, balances, nil, nil), []string{"a=2"})
	equalSlices(t, "beside", oldOf(balances), []string{"a=0", "b=0"})
	equalSlices(t, "beside another generation", oldOf(other), []string{"old="})
	err = tenant.Derive(eventstream.Derivation{View: balances}, func(tx *eventstream.Tx) error {
		old := tx.Beside("old")
		_ = old.Put(nil, nil)
		if tx.Err() == nil || old.Err() == nil {
			t.Error("what is beside was spoiled alone")
		}
		return tx.Put([]byte("a"), []byte("3"))
	})
	if !errors.Is(err, eventstream.ErrInvalidArgument) {
		t.Errorf("got %v", err)
	}
	err = tenant.Derive(eventstream.Derivation{View: balances, Clear: []eventstream.ViewID{balances}}, func(*eventstream.Tx) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "cleared", len(viewOf(t, tenant, balances, nil, nil))+len(oldOf(balances)), 0)
	equalSlices(t, "beside another generation", oldOf(other), []string{"old="})
	put(t, tenant, other, "a=1")
	err = tenant.Derive(eventstream.Derivation{View: other}, func(tx *eventstream.Tx) error { return tx.ClearBeside("ol") })
	if err != nil {
		t.Fatal(err)
	}
	equalSlices(t, "with another beside cleared", viewOf(t, tenant, other, nil, nil), []string{"a=1"})
	equalSlices(t, "beside another that was cleared", oldOf(other), []string{"old="})
	for _, v := range []eventstream.ViewID{{Projection: "balances"}, {Projection: "stock", Generation: 1}, {Projection: "balances", Generation: 1<<63 + 2}} {
		err := tenant.Derive(eventstream.Derivation{View: balances, Clear: []eventstream.ViewID{v}}, func(*eventstream.Tx) error { return nil })
		if !errors.Is(err, eventstream.ErrInvalidArgument) {
			t.Errorf("clearing %v: got %v", v, err)
		}
	}
	equalSlices(t, "beside another generation", oldOf(other), []string{"old="})
}

// Views and states that are read together are of one moment, whatever is committed
// meanwhile.
func TestWhatIsDerivedIsReadAtOneMoment(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	tenant := db.Tenant(eventstream.DefaultTenant)
	mustAppend(t, db, "s", eventstream.NoStream, event("X"))
	write := func(n byte) {
		for _, v := range []eventstream.ViewID{balances, {Projection: "balances", Generation: 2}} {
			err := tenant.Derive(eventstream.Derivation{View: v}, func(tx *eventstream.Tx) error {
				return errors.Join(tx.Put([]byte("n"), []byte{n}), tx.SetState(fmt.Sprintf("of/%d", v.Generation), []byte{n}))
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	write('1')
	err := tenant.ReadDerived(func(r *eventstream.DerivedReader) error {
		write('2')
		for generation := range uint64(2) {
			view, err := r.View(eventstream.ViewID{Projection: "balances", Generation: generation + 1})
			if err != nil {
				return err
			}
			equalSlices(t, "view", scanned(t, view.Scan(nil, nil)), []string{"n=1"})
			state, err := r.State(fmt.Sprintf("of/%d", generation+1))
			if err != nil || string(state) != "1" {
				t.Errorf("got state %q, %v", state, err)
			}
		}
		states, err := r.States("of/")
		if err != nil || len(states) != 2 || states[0].Name != "of/1" || !bytes.Equal(states[1].State, []byte("1")) {
			t.Errorf("got %+v, %v", states, err)
		}
		if state, err := r.State("nothing"); state != nil || err != nil {
			t.Errorf("a state that is not there: %q, %v", state, err)
		}
		if _, err := r.View(eventstream.ViewID{Projection: "balances"}); !errors.Is(err, eventstream.ErrInvalidArgument) {
			t.Errorf("a view without a generation: got %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Tenant("nobody").ReadDerived(func(r *eventstream.DerivedReader) error {
		view, err := r.View(balances)
		if err != nil {
			return err
		}
		equal(t, "of a tenant without events", len(scanned(t, view.Scan(nil, nil)))+len(scanned(t, view.Beside("x").ScanBackward(nil, nil))), 0)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAStoreInMemoryIsAStore(t *testing.T) {
	t.Parallel()
	for range 2 { // each is empty
		db, err := eventstream.OpenMemory(&eventstream.Options{MemTableBytes: 256 << 10, CacheBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "head", db.Head(), 0)
		mustAppend(t, db, "s", eventstream.NoStream, event("X"))
		put(t, db.Tenant(eventstream.DefaultTenant), balances, "a=1")
		equalSlices(t, "view", viewOf(t, db.Tenant(eventstream.DefaultTenant), balances, nil, nil), []string{"a=1"})
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A record could not be read, and whoever writes the view does not look at the error:
// what it writes rests on a record that it took for missing, and is not committed.
func TestWhatRestsOnAFailedReadIsNotCommitted(t *testing.T) {
	t.Parallel()
	get := func(r *eventstream.ViewReader) { _, _, _ = r.Get([]byte("a")) }
	for _, tt := range []struct {
		name string
		read func(tx *eventstream.Tx)
	}{
		{"a record", func(tx *eventstream.Tx) { get(&tx.ViewReader) }},
		{"a record beside it", func(tx *eventstream.Tx) { get(&tx.Beside("old").ViewReader) }},
		{"a record beside it, by a reader", func(tx *eventstream.Tx) { get(tx.ViewReader.Beside("old")) }},
		{"a range", func(tx *eventstream.Tx) {
			for range tx.Scan(nil, nil) {
				continue
			}
		}},
		{"a range, backward", func(tx *eventstream.Tx) {
			for range tx.ScanBackward(nil, []byte("b")) {
				continue
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			hit := &faultfs.Trigger{
				At: 1, Onward: true, Do: faultfs.Fail(syscall.EIO), // whoever else reads meanwhile tries again
				Match: func(op errorfs.Op) bool { return op.Kind.ReadOrWrite() == errorfs.OpIsRead },
			}
			hit.Pause()
			opts := &eventstream.Options{FS: hit.Wrap(vfs.NewMem()), CacheBytes: 1}
			db := mustOpen(t, "store", opts)
			mustAppend(t, db, "s", eventstream.NoStream, event("X"))
			put(t, db.Tenant(eventstream.DefaultTenant), balances, "a=1")
			err := db.Derive(eventstream.Derivation{View: balances}, func(tx *eventstream.Tx) error { return tx.Beside("old").Put([]byte("a"), []byte("1")) })
			if err != nil {
				t.Fatal(err)
			}
			mustClose(t, db)
			db = mustOpen(t, "store", opts)
			err = db.Derive(eventstream.Derivation{View: balances}, func(tx *eventstream.Tx) error {
				hit.Resume()
				tt.read(tx)
				hit.Pause()
				if err := tx.ReadErr(); !errors.Is(err, syscall.EIO) {
					t.Errorf("got error %v of the read, want EIO", err)
				}
				if err := tx.Err(); err != nil {
					t.Errorf("got %v, want no error of a write", err)
				}
				return tx.Put([]byte("a"), []byte("2"))
			})
			if !errors.Is(err, syscall.EIO) {
				t.Errorf("got error %v of the commit, want EIO", err)
			}
			equalSlices(t, "the view", viewOf(t, db.Tenant(eventstream.DefaultTenant), balances, nil, nil), []string{"a=1"})
			mustClose(t, db)
		})
	}
}
