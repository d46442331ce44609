package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// What Pebble does with damage is why LookBefore, the mark and our own lock exist. Each
// test here shows plain Pebble doing it first: if a later Pebble does not, the test
// says so, and what guards against it can be thought over.

// plainPebble opens the database of the store in fs with the engine's options, or
// with those that change makes of them, and returns how many keys it has.
func plainPebble(t *testing.T, fs vfs.FS, change func(*pebble.Options)) (n int, err error) {
	t.Helper()
	cfg := databaseConfig(fs)
	cache := pebble.NewCache(cfg.CacheBytes)
	defer cache.Unref()
	opts := PebbleOptions(cfg, cache, &pebbleLogger{log: slog.New(slog.DiscardHandler), poison: newPoison(func(error) {})})
	if change != nil {
		change(opts)
	}
	db, err := pebble.Open(cfg.Dir, opts)
	if err != nil {
		return 0, err
	}
	it, err := db.NewIter(nil)
	if err != nil {
		return 0, errors.Join(err, db.Close())
	}
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	return n, errors.Join(it.Error(), it.Close(), db.Close())
}

const findingKeys = 150 // in three tables

func findingDatabase(t *testing.T) *vfs.MemFS {
	t.Helper()
	mem := vfs.NewMem()
	database(t, mem, 3, findingKeys/3)
	return mem
}

func copyOf(t *testing.T, fs vfs.FS) *vfs.MemFS {
	t.Helper()
	mem := vfs.NewMem()
	for name, content := range filesOf(t, fs, memStore) {
		if err := mem.MkdirAll(path.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		putMem(t, mem, name, []byte(content))
	}
	return mem
}

// A flipped bit in the manifest makes Pebble open with less and delete the tables that
// it no longer knows of.
func TestAFlippedBitInTheManifestWouldLoseTables(t *testing.T) {
	t.Parallel()
	whole := findingDatabase(t)
	name := findFile(t, whole, "MANIFEST")
	content := getMem(t, whole, name)
	lost, tried := 0, 0
	for at := 0; at < len(content); at += max(len(content)/60, 1) {
		tried++
		damaged := copyOf(t, whole)
		flipped := getMem(t, damaged, name)
		flipped[at] ^= 0x11
		putMem(t, damaged, name, flipped)

		plain := copyOf(t, damaged)
		n, err := plainPebble(t, plain, nil)
		pebbleLoses := err == nil && n < findingKeys
		if pebbleLoses {
			lost++
			if len(tablesIn(t, plain)) == len(tablesIn(t, whole)) && n > 0 {
				t.Logf("byte %d: %d keys, no table deleted", at, n)
			}
		}

		before := filesOf(t, damaged, memStore)
		found, err := LookBefore(damaged, memStore)
		var damage *DamageError
		switch {
		case err == nil && !found.Torn:
			t.Errorf("byte %d: the manifest passes as whole", at)
		case err == nil && pebbleLoses:
			// A torn tail passes, with what Pebble would have deleted still there to be found.
			cfg := databaseConfig(damaged)
			cfg.ReadOnly = true
			left, err := openDatabase(t, cfg).CheckLeftovers(ctx, found)
			if err != nil || left == nil {
				t.Errorf("byte %d: got %+v, %v, want what the lost table holds", at, left, err)
			}
		case err != nil && !errors.As(err, &damage):
			t.Errorf("byte %d: got %v (%T), want a DamageError", at, err, err)
		}
		wantUntouched(t, damaged, before)
	}
	if lost < tried/4 {
		t.Errorf("plain Pebble opened with less after %d of %d flips: is the pre-flight still needed?", lost, tried)
	}
}

// A marker that is missing makes Pebble create a new database over the old one.
func TestAMissingMarkerWouldBeANewDatabase(t *testing.T) {
	t.Parallel()
	mem := findingDatabase(t)
	if err := mem.Remove(findFile(t, mem, "marker.manifest")); err != nil {
		t.Fatal(err)
	}
	plain := copyOf(t, mem)
	n, err := plainPebble(t, plain, func(o *pebble.Options) { o.ErrorIfNotExists = false })
	if err != nil || n != 0 || len(tablesIn(t, plain)) != 0 {
		t.Errorf("plain Pebble: got %d keys, %v, tables %v, want a new database over the old one", n, err, tablesIn(t, plain))
	}
	before := filesOf(t, mem, memStore)
	if _, err := plainPebble(t, mem, nil); !errors.Is(err, pebble.ErrDBDoesNotExist) {
		t.Errorf("with the engine's options: got %v, want ErrDBDoesNotExist", err)
	}
	_, err = LookBefore(mem, memStore)
	if damage, ok := errors.AsType[*DamageError](err); !ok || damage.File != "db/marker.manifest.*" {
		t.Errorf("got %v (%T), want a DamageError that names the marker", err, err)
	}
	for name, content := range before {
		if filepath.Base(name) != "LOCK" && string(getMem(t, mem, name)) != content {
			t.Errorf("%s was changed", name)
		}
	}
}

// The end of the log may be damaged, cut off or gone, and Pebble opens with less: there
// is nothing in the log to tell it by. The mark does, in the store's own tests.
func TestDamageOfTheLogsEndIsTakenForTheEnd(t *testing.T) {
	t.Parallel()
	const inLog = 40
	mem := vfs.NewCrashableMem()
	if err := makeDir(mem, path.Join(memStore, dirPebble)); err != nil {
		t.Fatal(err)
	}
	cfg := databaseConfig(mem)
	cfg.Create = true
	e := openDatabase(t, cfg)
	for i := range inLog {
		if err := submit(t, e, 0, fmt.Sprint("k", i)); err != nil {
			t.Fatal(err)
		}
	}
	crashed := mem.CrashClone(vfs.CrashCloneCfg{})
	var log string
	for name, content := range filesOf(t, crashed, memStore) {
		if filepath.Ext(name) == ".log" && len(content) > 0 {
			log = name
		}
	}
	if n, err := plainPebble(t, copyOf(t, crashed), nil); n != inLog || err != nil {
		t.Fatalf("undamaged: got %d keys, %v, want %d", n, err, inLog)
	}
	for what, change := range map[string]func(content []byte) []byte{
		"a flip in the last block": func(c []byte) []byte { c[len(c)/2] ^= 4; return c },
		"the newest log halved":    func(c []byte) []byte { return c[:len(c)/2] },
		"the newest log empty":     func([]byte) []byte { return nil },
	} {
		damaged := copyOf(t, crashed)
		putMem(t, damaged, log, change([]byte(filesOf(t, crashed, memStore)[log])))
		if n, err := plainPebble(t, damaged, nil); err != nil || n >= inLog {
			t.Errorf("%s: plain Pebble got %d keys, %v, want fewer than %d and no error", what, n, err, inLog)
		}
		if _, err := LookBefore(damaged, memStore); err != nil {
			t.Errorf("%s: got %v from what does not read logs", what, err)
		}
	}
	deleted := copyOf(t, crashed)
	if err := deleted.Remove(log); err != nil {
		t.Fatal(err)
	}
	if n, err := plainPebble(t, deleted, nil); err != nil || n != 0 {
		t.Errorf("the newest log deleted: plain Pebble got %d keys, %v, want none and no error", n, err)
	}
}

// Pebble locks the path that it is given, for the process: through a symbolic link the
// same database opens twice.
func TestPebblesLockDoesNotHoldThroughALink(t *testing.T) {
	t.Parallel()
	real := established(t)
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	options := func(create bool) *pebble.Options {
		return &pebble.Options{FormatMajorVersion: PebbleFormat, ErrorIfNotExists: !create, Logger: &pebbleLogger{log: slog.New(slog.DiscardHandler), poison: newPoison(func(error) {})}}
	}
	first, err := pebble.Open(filepath.Join(real, dirPebble), options(true))
	if err != nil {
		t.Fatal(err)
	}
	defer closeDirectory(t, first)
	readOnly := options(false)
	readOnly.ReadOnly = true
	second, err := pebble.Open(filepath.Join(link, dirPebble), readOnly)
	if err != nil {
		t.Errorf("plain Pebble, a second time through a link: got %v, want that it opens", err)
	} else {
		closeDirectory(t, second)
	}

	held, err := OpenDirectory(DirectoryConfig{Path: real})
	if err != nil {
		t.Fatal(err)
	}
	defer closeDirectory(t, held)
	// Whoever copies the directory reads the lock file: that must not let go of it.
	if _, err := os.ReadFile(filepath.Join(real, fileLock)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{real, link, filepath.Join(link, "..", filepath.Base(link)), real + "/../" + filepath.Base(real)} {
		for _, readOnly := range []bool{false, true} {
			if d, err := OpenDirectory(DirectoryConfig{Path: name, ReadOnly: readOnly}); !errors.Is(err, ErrLocked) || d != nil {
				t.Errorf("%s, read-only %v: got %v, want ErrLocked", name, readOnly, err)
			}
		}
	}
}
