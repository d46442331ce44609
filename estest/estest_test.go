package estest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
)

// fakeTest is a test that notes its failures and runs its cleanups when it is told
// to.
type fakeTest struct {
	testing.TB
	failures []string
	cleanups []func()
}

func (f *fakeTest) Helper() {}

func (f *fakeTest) Cleanup(cleanup func()) { f.cleanups = append(f.cleanups, cleanup) }

func (f *fakeTest) Errorf(format string, args ...any) {
	f.failures = append(f.failures, fmt.Sprintf(format, args...))
}

func (f *fakeTest) Error(args ...any) { f.Errorf("%s", fmt.Sprint(args...)) }

func (f *fakeTest) Fatal(args ...any) { f.Fatalf("%s", fmt.Sprint(args...)) }

func (f *fakeTest) Fatalf(format string, args ...any) {
	f.Errorf(format, args...)
	runtime.Goexit()
}

// run calls body as a test would be, cleanups included, and returns the failures.
func (f *fakeTest) run(body func()) string {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			for i := len(f.cleanups) - 1; i >= 0; i-- {
				f.cleanups[i]()
			}
		}()
		body()
	}()
	<-done
	return strings.Join(f.failures, "\n")
}

func mustAppend(t testing.TB, db *DB, stream eventstream.StreamID, events ...eventstream.NewEvent) eventstream.AppendResult {
	t.Helper()
	res, err := db.Append(context.Background(), stream, eventstream.Any, events...)
	if err != nil {
		t.Fatalf("append: %v", err)
	}
	return res
}

func events(t testing.TB, db *DB) []eventstream.Event {
	t.Helper()
	var all []eventstream.Event
	for e, err := range db.ReadAll(context.Background()) {
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		all = append(all, e)
	}
	return all
}

func TestTheSameTestMakesTheSameStore(t *testing.T) {
	t.Parallel()
	run := func(seed uint64) string {
		db := Open(t, Seed(seed))
		for i := range 20 {
			db.Clock.Advance(time.Second)
			mustAppend(t, db, "s", eventstream.NewEvent{Type: "X", Data: map[string]int{"n": i}}, eventstream.NewEvent{Type: "Y"})
		}
		db = Crash(t, db)
		mustAppend(t, db, "s", eventstream.NewEvent{Type: "Z"})
		info := db.Info()
		return fmt.Sprintf("%s %s %v %+v", info.StoreID, info.Incarnation, info.CreatedAt, events(t, db))
	}
	first := run(7)
	if again := run(7); again != first {
		t.Errorf("two runs differ:\n%s\n%s", first, again)
	}
	if other := run(8); other == first {
		t.Error("another seed makes the same ids")
	}
}

func TestTheClockStandsStill(t *testing.T) {
	t.Parallel()
	db := Open(t)
	mustAppend(t, db, "s", eventstream.NewEvent{Type: "X"})
	mustAppend(t, db, "s", eventstream.NewEvent{Type: "X"})
	db.Clock.Advance(90 * time.Minute)
	mustAppend(t, db, "s", eventstream.NewEvent{Type: "X"})
	db.Clock.Advance(-time.Hour)
	mustAppend(t, db, "s", eventstream.NewEvent{Type: "X"})
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i, want := range []time.Time{begin, begin, begin.Add(90 * time.Minute), begin.Add(90 * time.Minute)} {
		if got := events(t, db)[i].RecordedAt; !got.Equal(want) {
			t.Errorf("event %d: recorded at %v, want %v", i, got, want)
		}
	}
	if got, want := db.Clock.Now(), begin.Add(30*time.Minute); !got.Equal(want) {
		t.Errorf("the clock shows %v, want %v", got, want)
	}
}

func TestOptionsReachTheStore(t *testing.T) {
	t.Parallel()
	db := Open(t, Options(func(o *eventstream.Options) { o.Node = "shop-12"; o.MaxPayloadBytes = 3 }))
	if got := db.Info().Node; got != "shop-12" {
		t.Errorf("node: got %q, want shop-12", got)
	}
	if _, err := db.Append(context.Background(), "s", eventstream.Any, eventstream.NewEvent{Type: "X", Codec: codec.Raw, Data: []byte("long")}); err == nil {
		t.Error("a payload above the limit went through")
	}
}

// What was synced survives a crash. Of what was not, anything from nothing to all of
// it does: it depends on the seed, and on what Pebble happened to have written.
func TestACrashKeepsWhatWasSynced(t *testing.T) {
	t.Parallel()
	const seeds, unsynced = 30, 30 // events that fill several blocks of the log: less is not even written
	counts := map[int]int{}
	for seed := range uint64(seeds) {
		db := Open(t, Seed(seed+1), Options(func(o *eventstream.Options) { o.Durability = eventstream.None }))
		mustAppend(t, db, "s", eventstream.NewEvent{Type: "Synced"})
		if err := db.Sync(context.Background()); err != nil {
			t.Fatal(err)
		}
		var last eventstream.EventID
		for range unsynced {
			last = mustAppend(t, db, "s", eventstream.NewEvent{Type: "NotSynced", Codec: codec.Raw, Data: make([]byte, 3<<10)}).EventIDs[0]
		}
		db = Crash(t, db)
		got := events(t, db)
		if len(got) == 0 || got[0].Type != "Synced" {
			t.Fatalf("seed %d: after the crash: got %d events, want the synced one first", seed, len(got))
		}
		counts[len(got)-1]++
		if id := mustAppend(t, db, "s", eventstream.NewEvent{Type: "Later"}).EventIDs[0]; id == last || id == got[0].ID {
			t.Errorf("seed %d: the id %s is made twice", seed, id)
		}
	}
	if counts[unsynced] == seeds {
		t.Errorf("all %d events that were not synced survived every crash", unsynced)
	}
	t.Logf("of %d events that were not synced, this many survived how often: %v", unsynced, counts)
}

func TestADurableAppendSurvivesEveryCrash(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		db := Open(t, Seed(seed))
		for n := 1; n <= 3; n++ {
			mustAppend(t, db, "s", eventstream.NewEvent{Type: "X"})
			db = Crash(t, db)
			if got := len(events(t, db)); got != n {
				t.Errorf("seed %d: %d events after crash %d, want %d", seed, got, n, n)
			}
		}
	}
}

func TestASoundStoreFailsNothing(t *testing.T) {
	t.Parallel()
	fake := &fakeTest{}
	failures := fake.run(func() {
		db := Open(fake)
		mustAppend(fake, db, "s", eventstream.NewEvent{Type: "X"})
		closed := Open(fake)
		if err := closed.Close(); err != nil {
			fake.Errorf("close: %v", err)
		}
		Crash(fake, db)
	})
	if failures != "" {
		t.Errorf("got failures: %s", failures)
	}
}

// What Open looks at, it refuses; what it does not, the check at the end finds.
func TestADamagedStoreFailsTheTest(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		events, size int                  // of a payload; the damage is among the oldest of them
		sealed       eventstream.Position // what lies above it is looked at
		want         []string
	}{
		"among the newest events": {200, 1000, 0, []string{"open store: ", "history is damaged"}},
		"far below":               {3500, 300, 3072, []string{"check store: ", "problems, the first: "}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := &fakeTest{}
			failures := fake.run(func() {
				db := Open(fake, Options(func(o *eventstream.Options) { o.MemTableBytes = 8 << 20 })) // one table
				random := rand.NewChaCha8([32]byte{})
				for range tt.events {
					payload := make([]byte, tt.size)
					_, _ = random.Read(payload)
					mustAppend(fake, db, "s", eventstream.NewEvent{Type: "X", Codec: codec.Raw, Data: payload})
				}
				for {
					stats, err := db.Stats()
					if err != nil {
						fake.Fatalf("stats: %v", err)
					}
					if stats.Sealed >= tt.sealed {
						break
					}
					runtime.Gosched()
				}
				if err := db.Close(); err != nil { // which writes tables
					fake.Fatalf("close: %v", err)
				}
				damageTables(t, db.fs)
				db.open(fake)
			})
			for _, want := range tt.want {
				if !strings.Contains(failures, want) {
					t.Errorf("got failures %q, want one with %q", failures, want)
				}
			}
		})
	}
}

// damageTables flips a bit in every table of some size, amid its events.
func damageTables(t testing.TB, fs *vfs.MemFS) {
	t.Helper()
	names, err := fs.List("store/db")
	if err != nil {
		t.Error(err)
	}
	damaged := 0
	for _, name := range names {
		if !strings.HasSuffix(name, ".sst") {
			continue
		}
		f, err := fs.OpenReadWrite(path.Join("store/db", name), vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Error(err)
			return
		}
		info, err := f.Stat()
		if err != nil {
			t.Error(err)
			return
		}
		if info.Size() < 100_000 {
			if err := f.Close(); err != nil {
				t.Error(err)
			}
			continue
		}
		var b [1]byte
		if _, err := f.ReadAt(b[:], 60_000); err != nil {
			t.Error(err)
		}
		b[0] ^= 0x20
		if _, err := f.WriteAt(b[:], 60_000); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		damaged++
	}
	if damaged == 0 {
		t.Error("there is no table to damage")
	}
}

func TestAStoreThatDoesNotOpenFailsTheTest(t *testing.T) {
	t.Parallel()
	fake := &fakeTest{}
	failures := fake.run(func() {
		Open(fake, Options(func(o *eventstream.Options) { o.Node = "\x00" }))
		fake.Errorf("the test goes on")
	})
	if !strings.HasPrefix(failures, "open store: ") || strings.Contains(failures, "goes on") {
		t.Errorf("got failures %q, want that of Open alone", failures)
	}
}

func TestAGoroutineLeftInTheStoreFailsTheTest(t *testing.T) {
	t.Parallel()
	fake := &fakeTest{}
	release, ended := make(chan struct{}), make(chan struct{})
	failures := fake.run(func() {
		db := Open(fake)
		Open(fake) // another store, whose goroutines are not taken for the first one's
		pprof.Do(context.Background(), pprof.Labels("eventstream", db.label), func(context.Context) {
			go func() {
				defer close(ended)
				<-release
			}()
		})
	})
	close(release)
	<-ended
	if strings.Count(failures, "goroutines still run") != 1 || !strings.Contains(failures, "TestAGoroutineLeftInTheStore") {
		t.Errorf("got failures %q, want one that shows the goroutine", failures)
	}
}
