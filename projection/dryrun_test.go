package projection_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/projection"
)

// filesOf returns the bytes of all files of a store, the lock aside.
func filesOf(t testing.TB, fs vfs.FS, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		full := fs.PathJoin(dir, name)
		info, err := fs.Stat(full)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			maps.Copy(all, filesOf(t, fs, full))
			continue
		}
		f, err := fs.Open(full)
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		all[full] = string(content)
	}
	return all
}

// A dry run tells what other code would make of the same events, key by key, and leaves
// every file of the store as it was.
func TestADryRunTellsWhatWouldDiffer(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	open := func(readOnly bool) *eventstream.DB {
		db, err := eventstream.Open("store", &eventstream.Options{FS: fs, ReadOnly: readOnly, MemTableBytes: 256 << 10, CacheBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := open(false)
	rng := rand.New(rand.NewPCG(50, 0))
	e := projection.New(db, nil)
	register(t, e, projection.Definition{Name: "balances", Apply: balance})
	stop := start(t, e)
	built := enterMany(t, db, rng, 100)
	waitFor(t, e, "balances", built)
	stop()
	enterMany(t, db, rng, 20) // which the live view does not show
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	before := filesOf(t, fs, "store")
	db = open(true)
	e = projection.New(db, nil)
	ctx := context.Background()
	live := sumsOf(t, db, "balances")

	same, err := e.DryRun(ctx, projection.Definition{Name: "balances", Apply: balance}, projection.DryRunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if same.Same != uint64(len(live)) || same.Added+same.Removed+same.Changed+same.Failed != 0 || same.Differences != nil || same.Failures != nil || same.Processed != uint64(built) || same.Until != built || same.Live != built {
		t.Errorf("the same code: %+v", same)
	}

	// Another code: account 0 is left out, 1 is doubled, a total is added, two events fail.
	other := projection.Definition{Name: "balances", BatchEvents: 7, Apply: func(ctx context.Context, tx *eventstream.Tx, ev eventstream.Event) error {
		switch {
		case ev.Position == 50 || ev.Position == 150:
			return fmt.Errorf("event %d", ev.Position)
		case ev.Stream == "finance-account-0":
			return nil
		case ev.Stream == "finance-account-1":
			return doubled(ctx, tx, ev)
		}
		return errors.Join(balance(ctx, tx, ev), add(tx, []byte("total"), 1))
	}}
	got, err := e.DryRun(ctx, other, projection.DryRunOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := fold(t, db, built, 50, 150)
	delete(want, "finance-account-0")
	want["finance-account-1"] *= 2
	changed := map[string]bool{}
	for key, value := range want {
		if live[key] != value {
			changed[key] = true
		}
	}
	if got.Added != 1 || got.Removed != 1 || got.Changed != uint64(len(changed)) || got.Same != uint64(len(live)-1-len(changed)) || got.Failed != 2 || got.Processed != uint64(built)-2 {
		t.Errorf("other code: %+v, want %d changed of %d", got, len(changed), len(live))
	}
	for i, d := range got.Differences {
		key := string(d.Key)
		switch {
		case i > 0 && bytes.Compare(got.Differences[i-1].Key, d.Key) >= 0:
			t.Errorf("%q after %q", key, got.Differences[i-1].Key)
		case key == "total" && d.Live == nil && number(d.New) > 0:
		case key == "finance-account-0" && d.New == nil && number(d.Live) == live[key]:
		case changed[key] && number(d.Live) == live[key] && number(d.New) == want[key]:
		default:
			t.Errorf("got %+v", d)
		}
	}
	if len(got.Differences) != 2+len(changed) || len(got.Failures) != 2 || got.Failures[0].Position != 50 || got.Failures[1].Position != 150 || got.Failures[0].Error != "event 50" {
		t.Errorf("got %+v, %+v", got.Differences, got.Failures)
	}

	few, err := e.DryRun(ctx, other, projection.DryRunOptions{Examples: 1})
	if err != nil || few.Changed != got.Changed || len(few.Differences) != 1 || len(few.Failures) != 1 || few.Failed != 2 {
		t.Errorf("one example: %+v, %v", few, err)
	}
	part, err := e.DryRun(ctx, projection.Definition{Name: "balances", Keyed: byStream}, projection.DryRunOptions{After: 30, Until: 60})
	if err != nil || part.Processed != 30 || part.Until != 60 || part.Live != built {
		t.Errorf("over a range: %+v, %v", part, err)
	}
	fresh, err := e.DryRun(ctx, projection.Definition{Name: "fresh", Keyed: byStream}, projection.DryRunOptions{Until: db.Head()})
	if err != nil || fresh.Added != uint64(len(fold(t, db, db.Head()))) || fresh.Same+fresh.Removed+fresh.Changed != 0 || fresh.Live != 0 {
		t.Errorf("without a live view: %+v, %v", fresh, err)
	}
	for what, opts := range map[string]projection.DryRunOptions{
		"above the head": {Until: db.Head() + 1}, "backward": {After: 5, Until: 4}, "too many examples": {Examples: 10_001}, "negative": {Examples: -1},
	} {
		if _, err := e.DryRun(ctx, other, opts); !errors.Is(err, eventstream.ErrInvalidArgument) {
			t.Errorf("%s: got %v", what, err)
		}
	}
	if _, err := e.DryRun(ctx, projection.Definition{Name: "x"}, projection.DryRunOptions{}); !errors.Is(err, eventstream.ErrInvalidArgument) {
		t.Errorf("a definition without a function: got %v", err)
	}
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := e.DryRun(canceled, other, projection.DryRunOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("ctx: got %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	after := filesOf(t, fs, "store")
	if len(before) < 5 || !maps.Equal(before, after) {
		t.Errorf("%d files before, %d after, or their bytes differ", len(before), len(after))
	}
}

// sumsOf returns what a live view holds, of a projection that need not be registered.
func sumsOf(t testing.TB, db *eventstream.DB, name string) map[string]int64 {
	t.Helper()
	e := projection.New(db, nil)
	register(t, e, projection.Definition{Name: name, Apply: balance})
	return sums(t, e, name)
}

// A dry run beside the live projection, while events are written, compares the same
// events, and changes nothing that is derived.
func TestADryRunBesideALiveProjection(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	rng := rand.New(rand.NewPCG(51, 0))
	e := projection.New(db.DB, nil)
	register(t, e, projection.Definition{Name: "balances", Apply: balance})
	start(t, e)
	waitFor(t, e, "balances", enterMany(t, db.DB, rng, 300))
	stopWriting := writeSteadily(t, db.DB, 2000)
	for range 5 {
		got, err := e.DryRun(context.Background(), projection.Definition{Name: "balances", Keyed: byStream}, projection.DryRunOptions{})
		if err != nil || got.Same == 0 || got.Added+got.Removed+got.Changed != 0 || got.Until != got.Live || got.Processed != uint64(got.Live) {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	last := stopWriting()
	waitFor(t, e, "balances", last)
	sameSums(t, "afterwards", sums(t, e, "balances"), fold(t, db.DB, last))
	for s, err := range db.DerivedStates("") {
		if err != nil || s.Name != "balances" && s.Name != "balances/lease" && s.Name != fmt.Sprintf("balances/progress/%020d", 1) {
			t.Errorf("state %q, %v", s.Name, err)
		}
	}
}
