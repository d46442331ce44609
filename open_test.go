package eventstream_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/internal/campaign"
)

func mustOpen(t testing.TB, dir string, opts *eventstream.Options) *eventstream.DB {
	t.Helper()
	db, err := eventstream.Open(dir, opts)
	if err != nil {
		t.Fatalf("open %s: %v", dir, err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close %s: %v", dir, err)
		}
	})
	return db
}

func mustClose(t testing.TB, db interface{ Close() error }) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// digest returns a hash of every path and file under dir.
func digest(t testing.TB, dir string) string {
	t.Helper()
	h := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			fmt.Fprintln(h, path)
			return err
		}
		content, err := os.ReadFile(path)
		fmt.Fprintf(h, "%s %x\n", path, sha256.Sum256(content))
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func TestOpenCreatesAndOpensAgain(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "b")
	db := mustOpen(t, dir, &eventstream.Options{Node: "shop-12"})
	mustAppend(t, db, "s", eventstream.NoStream, event("X"))
	created := db.Info()
	equal(t, "node", created.Node, "shop-12")
	equal(t, "format", created.Format, 1)
	equal(t, "head", created.Head, 1)
	equal(t, "durable head", created.DurableHead, 1)
	mustClose(t, db)

	db = mustOpen(t, dir, &eventstream.Options{ErrorIfNotExists: true, Node: "other"})
	info := db.Info()
	equal(t, "store id", info.StoreID, created.StoreID)
	equal(t, "incarnation", info.Incarnation, created.Incarnation)
	equal(t, "node stays", info.Node, "shop-12")
	equal(t, "created at", info.CreatedAt, created.CreatedAt)
	equal(t, "events", len(mustCollect(t, db.ReadAll(ctx))), 1)
	mustAppend(t, db, "s", eventstream.Exact(1), event("X"))
}

func TestTheDirectoryHoldsWhatItShould(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustClose(t, mustOpen(t, dir, nil))
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	equalSlices(t, "entries", names, []string{"STORE", "STORE.2", "db", "keys", "lock"})
}

func TestOpenRefusesAndWritesNothing(t *testing.T) {
	t.Parallel()
	store := func(t *testing.T) string {
		dir := filepath.Join(t.TempDir(), "store")
		db := mustOpen(t, dir, nil)
		mustAppend(t, db, "s", eventstream.NoStream, event("X"))
		mustClose(t, db)
		return dir
	}
	write := func(t *testing.T, path, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	newer := func(t *testing.T, names ...string) string {
		dir := store(t)
		for _, name := range names {
			content, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, name), strings.Replace(string(content), "format: 1", "format: 2", 1))
		}
		return dir
	}
	for _, tt := range []struct {
		name string
		dir  func(*testing.T) string
		opts *eventstream.Options
		want error
	}{
		{"a directory of other files", func(t *testing.T) string {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "thesis.txt"), "x")
			return dir
		}, nil, eventstream.ErrNotAStore},
		{"a file", func(t *testing.T) string {
			path := filepath.Join(t.TempDir(), "f")
			write(t, path, "x")
			return path
		}, nil, eventstream.ErrNotAStore},
		{"a store of a newer format", func(t *testing.T) string { return newer(t, "STORE", "STORE.2") }, nil, eventstream.ErrFormatTooNew},
		{"a store of a newer format in one copy", func(t *testing.T) string { return newer(t, "STORE.2") }, nil, eventstream.ErrFormatTooNew},
		{"a store where none may be", store, &eventstream.Options{ErrorIfExists: true}, eventstream.ErrExists},
		{"no directory where a store must be", func(t *testing.T) string { return filepath.Join(t.TempDir(), "none") }, &eventstream.Options{ErrorIfNotExists: true}, eventstream.ErrNotExist},
		{"an empty directory where a store must be", func(t *testing.T) string { return t.TempDir() }, &eventstream.Options{ErrorIfNotExists: true}, eventstream.ErrNotExist},
		{"no directory, read-only", func(t *testing.T) string { return filepath.Join(t.TempDir(), "none") }, &eventstream.Options{ReadOnly: true}, eventstream.ErrNotExist},
		{"both identity files lost", func(t *testing.T) string {
			dir := store(t)
			for _, name := range []string{"STORE", "STORE.2"} {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			return dir
		}, nil, eventstream.ErrCorrupt},
		{"both identity files damaged", func(t *testing.T) string {
			dir := store(t)
			write(t, filepath.Join(dir, "STORE"), "garbage")
			write(t, filepath.Join(dir, "STORE.2"), "")
			return dir
		}, nil, eventstream.ErrCorrupt},
		{"identity files of two stores", func(t *testing.T) string {
			dir, other := store(t), store(t)
			content, err := os.ReadFile(filepath.Join(other, "STORE"))
			if err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, "STORE"), string(content))
			return dir
		}, nil, eventstream.ErrCorrupt},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := tt.dir(t)
			before := digest(t, dir)
			_, err := eventstream.Open(dir, tt.opts)
			wantErr(t, err, tt.want)
			equal(t, "digest of the directory", digest(t, dir), before)
		})
	}
}

func TestOpenNamesTheFormats(t *testing.T) {
	t.Parallel()
	err := error(&eventstream.FormatError{Path: "p", Found: 2, Supported: 1})
	if text := err.Error(); !strings.Contains(text, "format 2") || !strings.Contains(text, "up to 1") {
		t.Errorf("text %q does not name both formats", text)
	}
}

// The identity files belong to the store, and the database inside must be that one.
func TestOpenRefusesADatabaseOfAnotherStore(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, name := range []string{"a", "b"} {
		mustClose(t, mustOpen(t, filepath.Join(root, name), nil))
	}
	if err := os.RemoveAll(filepath.Join(root, "a", "db")); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(root, "b", "db"), filepath.Join(root, "a", "db")); err != nil {
		t.Fatal(err)
	}
	_, err := eventstream.Open(filepath.Join(root, "a"), nil)
	wantErr(t, err, eventstream.ErrCorrupt)
}

// A database that is gone must not be replaced by an empty one.
func TestOpenRefusesAStoreWithoutItsDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mustClose(t, mustOpen(t, dir, nil))
	if err := os.RemoveAll(filepath.Join(dir, "db")); err != nil {
		t.Fatal(err)
	}
	if db, err := eventstream.Open(dir, nil); err == nil {
		mustClose(t, db)
		t.Fatal("an empty store was opened in place of the one that is gone")
	}
}

func TestOneIdentityFileIsMendedFromTheOther(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"STORE", "STORE.2"} {
		for _, damage := range []string{"missing", "empty", "flipped"} {
			t.Run(name+" "+damage, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				db := mustOpen(t, dir, nil)
				want := db.Info().StoreID
				mustClose(t, db)
				path := filepath.Join(dir, name)
				sound, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				switch damage {
				case "missing":
					err = os.Remove(path)
				case "empty":
					err = os.WriteFile(path, nil, 0o600)
				case "flipped":
					flipped := []byte(string(sound))
					flipped[len(flipped)/2] ^= 0x10
					err = os.WriteFile(path, flipped, 0o600)
				}
				if err != nil {
					t.Fatal(err)
				}
				db = mustOpen(t, dir, nil)
				equal(t, "store id", db.Info().StoreID, want)
				mended, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				equal(t, "mended file", string(mended), string(sound))
			})
		}
	}
}

func TestAStoreInUseIsRefused(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, "store")
	db := mustOpen(t, dir, nil)
	paths := map[string]string{"the same path": dir, "a path with dots": filepath.Join(dir, "..", "store") + "/."}
	if runtime.GOOS != "windows" {
		link := filepath.Join(root, "link")
		if err := os.Symlink(dir, link); err != nil {
			t.Fatal(err)
		}
		paths["a symbolic link"] = link
	}
	for name, path := range paths {
		for _, opts := range []*eventstream.Options{nil, {ReadOnly: true}, {ErrorIfNotExists: true}} {
			_, err := eventstream.Open(path, opts)
			wantErr(t, err, eventstream.ErrInUse)
			if errAs[*eventstream.InUseError](t, err).Path == "" {
				t.Errorf("%s: the error names no path", name)
			}
		}
	}
	mustAppend(t, db, "s", eventstream.NoStream, event("X"))
	mustClose(t, db)
	mustClose(t, mustOpen(t, paths["the same path"], nil))
}

func TestAStoreInMemoryIsLockedToo(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	mustOpen(t, "store", &eventstream.Options{FS: mem})
	_, err := eventstream.Open("store", &eventstream.Options{FS: mem})
	wantErr(t, err, eventstream.ErrInUse)
}

func TestOptionsNameAllFaultsAtOnce(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	_, err := eventstream.Open(dir, &eventstream.Options{
		Durability:       eventstream.SyncEvery(time.Microsecond),
		ReadOnly:         true,
		ErrorIfExists:    true,
		ErrorIfNotExists: true,
		Node:             "\x00",
		CacheBytes:       -1,
		MemTableBytes:    1,
		TailBytes:        1,
		StreamHeads:      -1,
		MaxPayloadBytes:  16<<20 + 1,
		MaxAppendBytes:   32<<20 + 1,
	})
	wantErr(t, err, eventstream.ErrInvalidArgument)
	for _, field := range []string{
		"Durability", "ErrorIfExists: contradicts ReadOnly", "ErrorIfExists: contradicts ErrorIfNotExists",
		"Node", "CacheBytes", "MemTableBytes", "TailBytes", "StreamHeads", "MaxPayloadBytes", "MaxAppendBytes",
	} {
		if !strings.Contains(err.Error(), "Options."+field) {
			t.Errorf("the error does not name %s: %v", field, err)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory was made: %v", err)
	}
	_, err = eventstream.Open("", nil)
	wantErr(t, err, eventstream.ErrInvalidArgument)
}

func TestReadOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := mustOpen(t, dir, nil)
	mustAppend(t, db, "s", eventstream.NoStream, event("X"))
	mustClose(t, db)
	before := digest(t, filepath.Join(dir, "db"))

	db = mustOpen(t, dir, &eventstream.Options{ReadOnly: true})
	equal(t, "events", len(mustCollect(t, db.ReadAll(ctx))), 1)
	_, err := db.Append(ctx, "s", eventstream.Any, event("X"))
	wantErr(t, err, eventstream.ErrReadOnly)
	wantErr(t, db.Sync(ctx), eventstream.ErrReadOnly)
	report, err := db.Check(ctx, eventstream.Deep())
	if err != nil || !report.OK() {
		t.Fatalf("check: %+v, %v", report, err)
	}
	mustClose(t, db)
	equal(t, "digest of the database", digest(t, filepath.Join(dir, "db")), before)
}

func TestDurabilityIsStoredAndShown(t *testing.T) {
	t.Parallel()
	for _, d := range []struct {
		durability eventstream.Durability
		text       string
	}{
		{eventstream.Sync, "sync"},
		{eventstream.None, "none"},
		{eventstream.SyncEvery(50 * time.Millisecond), "sync-every 50ms"},
	} {
		equal(t, "text", d.durability.String(), d.text)
		dir := t.TempDir()
		db := mustOpen(t, dir, &eventstream.Options{Durability: d.durability})
		equal(t, "info", db.Info().Durability, d.durability)
		mustClose(t, db)
		db = mustOpen(t, dir, &eventstream.Options{ReadOnly: true})
		equal(t, "info, read-only", db.Info().Durability, d.durability)
	}
}

// Under None and SyncEvery an append is readable at once, and durable when asked.
func TestOtherDurabilities(t *testing.T) {
	t.Parallel()
	for _, d := range []eventstream.Durability{eventstream.None, eventstream.SyncEvery(time.Hour)} {
		t.Run(d.String(), func(t *testing.T) {
			t.Parallel()
			db := estest.Open(t, estest.Options(func(o *eventstream.Options) { o.Durability = d }))
			mustAppend(t, db, "s", eventstream.NoStream, event("X"), event("Y"))
			equal(t, "readable head", db.Head(), 2)
			equal(t, "durable head", db.DurableHead(), 0)
			equal(t, "events", len(mustCollect(t, db.ReadAll(ctx))), 2)
			_, err := db.Append(ctx, "s", eventstream.NoStream, event("X"))
			wantErr(t, err, eventstream.ErrConflict)
			if err := db.Sync(ctx); err != nil {
				t.Fatal(err)
			}
			equal(t, "durable head after Sync", db.DurableHead(), 2)
			mustAppend(t, db, "s", eventstream.Exact(2), event("Z"))
			db = estest.Crash(t, db)
			if n := len(mustCollect(t, db.ReadAll(ctx))); n < 2 {
				t.Errorf("got %d events after a crash, want at least the 2 that were synced", n)
			}
		})
	}
}

func TestSyncEverySyncs(t *testing.T) {
	t.Parallel()
	db := mustOpen(t, t.TempDir(), &eventstream.Options{Durability: eventstream.SyncEvery(time.Millisecond)})
	mustAppend(t, db, "s", eventstream.NoStream, event("X"))
	for deadline := time.Now().Add(10 * time.Second); db.DurableHead() < 1; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("not durable after 10 s")
		}
	}
}

// A creation that a crash interrupts at any of its steps on the file system leaves
// nothing that is taken for a store, or a whole one.
func TestCreationSurvivesACrashAtEveryStep(t *testing.T) {
	t.Parallel()
	completed := false
	for step := 1; !completed; step++ {
		mem := vfs.NewCrashableMem()
		var clone *vfs.MemFS
		watched := onOperation(mem, step, func() { clone = mem.CrashClone(vfs.CrashCloneCfg{}) })
		db, err := eventstream.Open("store", &eventstream.Options{FS: watched, MemTableBytes: 256 << 10, CacheBytes: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		mustClose(t, db)
		if clone == nil {
			completed = true
			t.Logf("%d steps", step-1)
			if step < 30 {
				t.Errorf("only %d steps were seen", step-1)
			}
			break
		}
		db, err = eventstream.Open("store", &eventstream.Options{FS: clone, MemTableBytes: 256 << 10, CacheBytes: 1 << 20})
		if err != nil {
			t.Fatalf("open after a crash at step %d: %v", step, err)
		}
		mustAppend(t, db, "s", eventstream.NoStream, event("X"))
		mustClose(t, db)
	}
}

// Opening and closing leaves nothing behind in the process, nor in the directory. It runs
// alone, since it measures the process.
func TestOpenAndCloseManyTimes(t *testing.T) {
	for _, c := range []struct {
		name   string
		cycles int
		events int // appended in each
	}{
		{"with data", campaign.Scale(t, campaign.Cases{Short: 30, PullRequest: 300}), 1},
		{"empty", campaign.Scale(t, campaign.Cases{Short: 10, PullRequest: 50, Nightly: 10_000}), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			version := eventstream.Version(0)
			cycle := func() {
				db := mustOpenQuiet(t, dir)
				for range c.events {
					mustAppend(t, db, "s", eventstream.Exact(version), eventstream.NewEvent{Type: "X", Codec: codec.Raw})
					version++
				}
				mustClose(t, db)
			}
			for range 10 {
				cycle()
			}
			goroutines, descriptors, bytes := runtime.NumGoroutine(), openDescriptors(t), heap()
			for range c.cycles {
				cycle()
			}
			const spare = 5
			if n := goroutinesSettled(goroutines + spare); n > goroutines+spare {
				t.Errorf("%d goroutines after %d cycles, %d before", n, c.cycles, goroutines)
			}
			if n := openDescriptors(t); n > descriptors+spare {
				t.Errorf("%d descriptors are open after %d cycles, %d before", n, c.cycles, descriptors)
			}
			if n := heap(); n > bytes+4<<20 {
				t.Errorf("the heap has %d bytes after %d cycles, %d before", n, c.cycles, bytes)
			}
			files, err := os.ReadDir(filepath.Join(dir, "db"))
			if err != nil {
				t.Fatal(err)
			}
			if len(files) > 60 {
				t.Errorf("%d files after %d cycles", len(files), c.cycles)
			}
			db := mustOpenQuiet(t, dir)
			equal(t, "events", db.Head(), eventstream.Position(version))
			wantSound(t, db)
			mustClose(t, db)
		})
	}
}

// goroutinesSettled returns how many goroutines there are, once those that are about to end
// have ended, if that makes them no more than most.
func goroutinesSettled(most int) int {
	for began := time.Now(); ; runtime.Gosched() {
		if n := runtime.NumGoroutine(); n <= most || time.Since(began) > 5*time.Second {
			return n
		}
	}
}

// openDescriptors returns how many file descriptors are open, where the system tells.
func openDescriptors(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// mustOpenQuiet opens without a cleanup, for loops.
func mustOpenQuiet(t testing.TB, dir string) *eventstream.DB {
	t.Helper()
	db, err := eventstream.Open(dir, &eventstream.Options{MemTableBytes: 256 << 10, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	return db
}
