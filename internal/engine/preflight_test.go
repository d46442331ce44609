package engine

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nexus-erp/eventstream/keys"
)

func databaseConfig(fs vfs.FS) Config {
	return Config{FS: fs, Dir: path.Join(memStore, dirPebble), CacheBytes: 1 << 20, MemTableBytes: 256 << 10, Logger: slog.New(slog.DiscardHandler)}
}

// openDatabase opens the database of a store in fs. It is closed with the test.
func openDatabase(t *testing.T, cfg Config) *Engine {
	t.Helper()
	e, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// database makes one with so many tables of so many positions each, and closes it.
func database(t *testing.T, fs vfs.FS, tables, positions int) {
	t.Helper()
	if err := fs.MkdirAll(path.Join(memStore, dirPebble), 0o700); err != nil {
		t.Fatal(err)
	}
	cfg := databaseConfig(fs)
	cfg.Create = true
	e, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	fill(t, e, 1, tables, positions)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
}

func fill(t *testing.T, e *Engine, first keys.Position, tables, positions int) {
	t.Helper()
	for range tables {
		b := e.NewBatch()
		for range positions {
			b.Set(keys.AppendPosition(nil, first), fmt.Appendf(nil, "%06d", first))
			first++
		}
		if err := e.SubmitAndWait(ctx, b, first-1); err != nil {
			t.Fatal(err)
		}
		if err := e.db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
}

// filesOf reads all files below dir.
func filesOf(t *testing.T, fs vfs.FS, dir string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		name = fs.PathJoin(dir, name)
		info, err := fs.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if !info.IsDir() {
			files[name] = string(getMem(t, fs, name))
			continue
		}
		for below, content := range filesOf(t, fs, name) {
			files[below] = content
		}
	}
	return files
}

// wantUntouched fails unless the files are as they were.
func wantUntouched(t *testing.T, fs vfs.FS, before map[string]string) {
	t.Helper()
	after := filesOf(t, fs, memStore)
	for name, content := range before {
		if got, ok := after[name]; !ok || got != content {
			t.Errorf("%s was changed or deleted", name)
		}
	}
	if len(after) != len(before) {
		t.Errorf("there are %d files, want the %d that there were", len(after), len(before))
	}
}

// findFile returns the path of the only file in the database that begins so.
func findFile(t *testing.T, fs vfs.FS, prefix string) string {
	t.Helper()
	names, err := fs.List(path.Join(memStore, dirPebble))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, name := range names {
		if strings.HasPrefix(name, prefix) {
			found = append(found, path.Join(memStore, dirPebble, name))
		}
	}
	if len(found) != 1 {
		t.Fatalf("files that begin with %s: got %v, want one", prefix, found)
	}
	return found[0]
}

func mustDo(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func TestLookBeforeTellsWhatIsThere(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	database(t, mem, 2, 10)
	dir := path.Join(memStore, dirPebble)
	// What an older iteration of a marker, or another one, says does not count.
	for _, name := range []string{"marker.manifest.000000.MANIFEST-999999", "marker.format-version.000000.999", "marker.remote.000009.x", "notes.txt", "x.sst", "x.log"} {
		putMem(t, mem, path.Join(dir, name), nil)
	}
	found, err := LookBefore(mem, memStore)
	if err != nil {
		t.Fatal(err)
	}
	if found.Manifest != path.Base(findFile(t, mem, "MANIFEST")) || found.Torn || len(found.Tables) != 2 {
		t.Errorf("got %+v, want a whole manifest and 2 tables", found)
	}
	var logs int64
	for name, content := range filesOf(t, mem, memStore) {
		if _, ok := fileNumber(path.Base(name), ".log"); ok {
			logs += int64(len(content))
		}
	}
	if found.LogBytes != logs {
		t.Errorf("logs: got %d bytes, want %d", found.LogBytes, logs)
	}
}

func TestDatabasesThatLookBeforeRefuses(t *testing.T) {
	t.Parallel()
	dir := path.Join(memStore, dirPebble)
	for name, tt := range map[string]struct {
		damage func(t *testing.T, fs vfs.FS)
		file   string // at fault
		detail string
	}{
		"no directory": {func(t *testing.T, fs vfs.FS) { mustDo(t, fs.RemoveAll(dir)) }, "db", "directory of the database is missing"},
		"an empty directory": {
			func(t *testing.T, fs vfs.FS) { mustDo(t, fs.RemoveAll(dir), fs.MkdirAll(dir, 0o700)) },
			"db/marker.format-version.*", "format is missing",
		},
		"no marker of the manifest": {
			func(t *testing.T, fs vfs.FS) { mustDo(t, fs.Remove(findFile(t, fs, "marker.manifest"))) },
			"db/marker.manifest.*", "names the manifest is missing",
		},
		"no marker of the format": {
			func(t *testing.T, fs vfs.FS) { mustDo(t, fs.Remove(findFile(t, fs, "marker.format"))) },
			"db/marker.format-version.*", "format is missing",
		},
		"a newer marker that names no manifest": {
			func(t *testing.T, fs vfs.FS) { putMem(t, fs, dir+"/marker.manifest.999999.x", nil) },
			"db/marker.manifest.999999.x", "names no manifest",
		},
		"a newer marker of a manifest that is missing": {
			func(t *testing.T, fs vfs.FS) { putMem(t, fs, dir+"/marker.manifest.999999.MANIFEST-999999", nil) },
			"db/MANIFEST-999999", "the manifest is missing",
		},
		"a marker without a number": {
			func(t *testing.T, fs vfs.FS) { putMem(t, fs, dir+"/marker.manifest.x.MANIFEST-000001", nil) },
			"db/marker.manifest.x.MANIFEST-000001", "malformed",
		},
		"a marker of nothing": {func(t *testing.T, fs vfs.FS) { putMem(t, fs, dir+"/marker.", nil) }, "db/marker.", "malformed"},
		"a format that is no number": {
			func(t *testing.T, fs vfs.FS) { putMem(t, fs, dir+"/marker.format-version.999999.x", nil) },
			"db/marker.format-version.999999.x", "names no format",
		},
		"a format that no store had": {
			func(t *testing.T, fs vfs.FS) { putMem(t, fs, dir+"/marker.format-version.999999.013", nil) },
			"db/marker.format-version.999999.013", "no store was ever made in format 13",
		},
		"no manifest": {func(t *testing.T, fs vfs.FS) { mustDo(t, fs.Remove(findFile(t, fs, "MANIFEST"))) }, "db/MANIFEST-", "the manifest is missing"},
		"an empty manifest": {
			func(t *testing.T, fs vfs.FS) { putMem(t, fs, findFile(t, fs, "MANIFEST"), nil) },
			"db/MANIFEST-", "no whole record",
		},
		"a manifest of zeros": {
			func(t *testing.T, fs vfs.FS) { putMem(t, fs, findFile(t, fs, "MANIFEST"), make([]byte, 4096)) },
			"db/MANIFEST-", "no whole record",
		},
		"a flip in the manifest": {func(t *testing.T, fs vfs.FS) {
			name := findFile(t, fs, "MANIFEST")
			content := getMem(t, fs, name)
			content[len(content)/2] ^= 1
			putMem(t, fs, name, content)
		}, "db/MANIFEST-", "goes on behind it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			mem := vfs.NewMem()
			database(t, mem, 3, 10)
			tt.damage(t, mem)
			before := filesOf(t, mem, memStore)
			_, err := LookBefore(mem, memStore)
			damage, ok := errors.AsType[*DamageError](err)
			if !ok || !strings.HasPrefix(damage.File, tt.file) || !strings.Contains(damage.Error(), tt.detail) {
				t.Errorf("got %v (%T), want damage of %s: %s", err, err, tt.file, tt.detail)
			}
			wantUntouched(t, mem, before)
		})
	}
}

func TestLookBeforeKeepsOutOfANewerFormat(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	database(t, mem, 1, 1)
	putMem(t, mem, path.Join(memStore, dirPebble, "marker.format-version.999999.025"), nil)
	_, err := LookBefore(mem, memStore)
	var damage *DamageError
	if !errors.Is(err, ErrPebbleTooNew) || errors.As(err, &damage) || !strings.Contains(err.Error(), "25, up to 24") {
		t.Errorf("got %v, want ErrPebbleTooNew with both formats, and no damage", err)
	}
}

func TestATornManifestPasses(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	database(t, mem, 3, 10)
	name := findFile(t, mem, "MANIFEST")
	content := getMem(t, mem, name)
	putMem(t, mem, name, content[:len(content)-1])
	if found, err := LookBefore(mem, memStore); err != nil || !found.Torn {
		t.Errorf("got %+v, %v, want a torn manifest", found, err)
	}
}

// What the file system answers is not damage.
func TestLookBeforePassesFaultsOfTheFileSystem(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	database(t, mem, 2, 10)
	putMem(t, mem, path.Join(memStore, dirPebble, "000999.log"), nil)
	failures := 0
	for n := 1; ; n++ {
		count := 0
		faulty := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpFileClose {
				return nil
			}
			if count++; count == n {
				return syscall.EIO
			}
			return nil
		}))
		_, err := LookBefore(faulty, memStore)
		if count < n {
			break
		}
		failures++
		var damage *DamageError
		if !errors.Is(err, syscall.EIO) || errors.As(err, &damage) {
			t.Errorf("operation %d: got %v, want the file system's error", n, err)
		}
	}
	if failures < 4 {
		t.Errorf("only %d operations failed", failures)
	}
}

func TestWhatKeepsADatabaseFromOpening(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err    error
		damage bool
	}{
		{os.ErrNotExist, true},
		{fmt.Errorf("open: %w", syscall.ENOENT), true},
		{errors.New("pebble: something does not fit"), true},
		{io.ErrUnexpectedEOF, true},
		{syscall.EACCES, false},
		{fmt.Errorf("open: %w", syscall.ENOSPC), false},
		{ErrAbandoned, false},
		{fmt.Errorf("x: %w", ErrPebbleTooNew), false},
	} {
		got := openFailure(tt.err)
		var damage *DamageError
		if errors.As(got, &damage) != tt.damage || !errors.Is(got, tt.err) {
			t.Errorf("%v: got %v (%T), want damage: %v, and the cause in it", tt.err, got, got, tt.damage)
		}
	}
	if got := (&DamageError{File: "db/f", Detail: "is bad", Err: io.EOF}).Error(); got != "db/f: is bad: EOF" {
		t.Errorf("got %q", got)
	}
}
