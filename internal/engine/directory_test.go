package engine

import (
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// established returns a folder on disk that holds a store, unlocked.
func established(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "deep", "store")
	d, err := OpenDirectory(DirectoryConfig{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if !d.Fresh {
		t.Error("a folder that was just made holds a store")
	}
	if err := os.MkdirAll(d.PebbleDir(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := d.Establish(anIdentity()); err != nil {
		t.Fatal(err)
	}
	if d.Fresh {
		t.Error("a store that was just established is fresh")
	}
	closeDirectory(t, d)
	return path
}

func closeDirectory(t *testing.T, d io.Closer) {
	t.Helper()
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestAnEstablishedDirectoryIsFoundAgain(t *testing.T) {
	t.Parallel()
	path := established(t)
	for _, readOnly := range []bool{false, true} {
		d, err := OpenDirectory(DirectoryConfig{Path: path, ReadOnly: readOnly, ErrorIfNotExists: true})
		if err != nil {
			t.Fatal(err)
		}
		if d.Fresh || d.Identity != anIdentity() {
			t.Errorf("got fresh %v, identity %+v", d.Fresh, d.Identity)
		}
		closeDirectory(t, d)
	}
	if _, err := os.Stat(filepath.Join(path, fileCreating)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the mark of a creation is still there: %v", err)
	}
}

func TestDirectoriesThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		cfg  DirectoryConfig
		make func(t *testing.T, path string)
		want error
		text string
	}{
		{"a store where none may be", DirectoryConfig{ErrorIfExists: true}, nil, ErrExists, ""},
		{"one identity of a newer format", DirectoryConfig{}, func(t *testing.T, path string) {
			newer := anIdentity()
			newer.Format = StoreFormat + 1
			put(t, filepath.Join(path, fileIdentityCopy), string(newer.encode()))
		}, nil, "store format 2, newest known is 1"},
		{"two identities", DirectoryConfig{}, func(t *testing.T, path string) {
			other := anIdentity()
			other.Store[0]++
			put(t, filepath.Join(path, fileIdentityCopy), string(other.encode()))
		}, ErrIdentityLost, "different stores"},
		{"no sound identity", DirectoryConfig{}, func(t *testing.T, path string) {
			put(t, filepath.Join(path, fileIdentity), "")
			put(t, filepath.Join(path, fileIdentityCopy), "")
		}, ErrIdentityLost, ""},
		{"a database without identity", DirectoryConfig{}, func(t *testing.T, path string) {
			for _, name := range []string{fileIdentity, fileIdentityCopy} {
				if err := os.Remove(filepath.Join(path, name)); err != nil {
					t.Fatal(err)
				}
			}
		}, ErrIdentityLost, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := established(t)
			if tt.make != nil {
				tt.make(t, path)
			}
			tt.cfg.Path = path
			d, err := OpenDirectory(tt.cfg)
			if err == nil || d != nil || (tt.want != nil && !errors.Is(err, tt.want)) || !strings.Contains(err.Error(), tt.text) {
				t.Fatalf("got %v, %v, want no directory and an error with %v %q", d, err, tt.want, tt.text)
			}
			// The lock is free again: only what was refused stands in the way.
			lock, err := lockFile(filepath.Join(path, fileLock), false)
			if err != nil {
				t.Fatal(err)
			}
			closeDirectory(t, lock)
		})
	}
}

func TestPathsThatHoldNoStore(t *testing.T) {
	t.Parallel()
	empty, file, others := t.TempDir(), filepath.Join(t.TempDir(), "f"), t.TempDir()
	put(t, file, "x")
	put(t, filepath.Join(others, "thesis.txt"), "x")
	for _, tt := range []struct {
		name string
		cfg  DirectoryConfig
		want string
	}{
		{"a file", DirectoryConfig{Path: file}, "it is a file"},
		{"below a file", DirectoryConfig{Path: filepath.Join(file, "store")}, "not a directory"},
		{"a folder of other files", DirectoryConfig{Path: others}, `"thesis.txt"`},
		{"an empty folder, read-only", DirectoryConfig{Path: empty, ReadOnly: true}, ErrNotExist.Error()},
		{"no folder, where a store must be", DirectoryConfig{Path: filepath.Join(empty, "no"), ErrorIfNotExists: true}, ErrNotExist.Error()},
	} {
		if d, err := OpenDirectory(tt.cfg); err == nil || d != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, %v, want an error with %q", tt.name, d, err, tt.want)
		}
	}
	if names, err := os.ReadDir(empty); err != nil || len(names) != 0 {
		t.Errorf("the empty folder holds %v, %v", names, err)
	}
}

// A creation that was interrupted at any of its steps is begun anew: what it left is
// cleared, and nobody was told that the store exists.
func TestAnInterruptedCreationIsBegunAnew(t *testing.T) {
	t.Parallel()
	for name, left := range map[string][]string{
		"the first file was being written": {fileCreating + temporarySuffix, fileLock},
		"the mark was made":                {fileCreating, fileLock},
		"the database was being made":      {fileCreating, filepath.Join(dirPebble, "MANIFEST-000001")},
		"an identity was being written":    {fileCreating, fileIdentityCopy + temporarySuffix, filepath.Join(dirPebble, "MANIFEST-000001")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := t.TempDir()
			for _, file := range left {
				if err := os.MkdirAll(filepath.Dir(filepath.Join(path, file)), 0o700); err != nil {
					t.Fatal(err)
				}
				put(t, filepath.Join(path, file), "")
			}
			d, err := OpenDirectory(DirectoryConfig{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			defer closeDirectory(t, d)
			if names, err := os.ReadDir(d.PebbleDir()); !d.Fresh || err != nil || len(names) > 0 {
				t.Errorf("fresh %v, what was left of the database: %v, %v", d.Fresh, names, err)
			}
		})
	}
}

// A creation whose last step did not come through is ended by the next Open.
func TestACreationThatLacksItsLastStepIsEnded(t *testing.T) {
	t.Parallel()
	path := established(t)
	put(t, filepath.Join(path, fileCreating), "")
	if err := os.Remove(filepath.Join(path, fileIdentity)); err != nil {
		t.Fatal(err)
	}
	d, err := OpenDirectory(DirectoryConfig{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer closeDirectory(t, d)
	if d.Fresh || d.Identity != anIdentity() {
		t.Errorf("got fresh %v, identity %+v", d.Fresh, d.Identity)
	}
	if err := d.Mend(); err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range names {
		got = append(got, n.Name())
	}
	if want := "STORE STORE.2 db lock"; strings.Join(got, " ") != want {
		t.Errorf("the folder holds %v, want %s", got, want)
	}
}

func TestADirectoryIsLockedOnce(t *testing.T) {
	t.Parallel()
	path := established(t)
	d, err := OpenDirectory(DirectoryConfig{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDirectory(DirectoryConfig{Path: path, ReadOnly: true}); !errors.Is(err, ErrLocked) {
		t.Errorf("a second one: got %v, want ErrLocked", err)
	}
	closeDirectory(t, d)
	d, err = OpenDirectory(DirectoryConfig{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	closeDirectory(t, d)
}

// Whatever operation fails while a store is created or found, OpenDirectory says so,
// and the next attempt goes through.
func TestADirectoryToleratesAFaultAtEveryOperation(t *testing.T) {
	t.Parallel()
	failures := 0
	for n := int64(1); ; n++ {
		mem := vfs.NewMem()
		var count atomic.Int64
		faulty := errorfs.Wrap(mem, errorfs.InjectorFunc(func(errorfs.Op) error {
			if count.Add(1) == n {
				return syscall.EIO
			}
			return nil
		}))
		attempt := func(fs vfs.FS) error {
			d, err := OpenDirectory(DirectoryConfig{FS: fs, Path: "a/store"})
			if err != nil {
				if d != nil {
					t.Errorf("operation %d: a directory and the error %v", n, err)
				}
				return err
			}
			if d.Fresh {
				err = d.Establish(anIdentity())
			}
			return errors.Join(err, d.Close())
		}
		err := attempt(faulty)
		if count.Load() < n {
			break
		}
		if err != nil {
			failures++
			if !errors.Is(err, syscall.EIO) {
				t.Errorf("operation %d: got error %v, want the file system's", n, err)
			}
		}
		if err := attempt(mem); err != nil {
			t.Errorf("operation %d: the attempt after it: %v", n, err)
		}
	}
	if failures < 20 {
		t.Errorf("only %d attempts failed", failures)
	}
}

// Pebble calls Fatalf while it opens, where it cannot write its manifest. Open must
// return all the same.
func TestOpenReturnsIfPebbleCannotGoOn(t *testing.T) {
	t.Parallel()
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSync && strings.Contains(op.Path, "MANIFEST") {
			return syscall.EIO
		}
		return nil
	}))
	started := time.Now()
	_, err := Open(Config{FS: fs, Dir: "db", Create: true, CacheBytes: 1 << 20, MemTableBytes: 256 << 10, Logger: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, ErrAbandoned) || !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("got error %v, want ErrAbandoned and the cause", err)
	}
	if took := time.Since(started); took > 10*deadPatience {
		t.Errorf("Open took %v", took)
	}
}

func TestAbandonFreesWhoWaits(t *testing.T) {
	t.Parallel()
	e := open(t, vfs.NewMem())
	if err := e.Abandon(); !errors.Is(err, ErrAbandoned) {
		t.Errorf("got %v, want ErrAbandoned", err)
	}
	<-e.Poisoned()
	if err := submit(t, e, 1, "k"); !errors.Is(err, ErrAbandoned) {
		t.Errorf("a write: got %v, want ErrAbandoned", err)
	}
	if err := e.Sync(ctx, 1); !errors.Is(err, ErrAbandoned) {
		t.Errorf("a sync: got %v, want ErrAbandoned", err)
	}
	if err := e.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}
