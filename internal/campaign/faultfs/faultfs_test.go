package faultfs

import (
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// put writes a file in parts, and syncs it and its directory.
func put(t *testing.T, fs vfs.FS, name string, parts ...string) {
	t.Helper()
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		if n, err := f.Write([]byte(p)); err != nil || n != len(p) {
			t.Fatalf("write of %d bytes: %d, %v", len(p), n, err)
		}
	}
	if err := errors.Join(f.Sync(), f.Close(), syncDir(fs)); err != nil {
		t.Fatal(err)
	}
}

func syncDir(fs vfs.FS) error {
	d, err := fs.OpenDir("")
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// get returns what a file holds, or "none".
func get(t *testing.T, fs vfs.FS, name string) string {
	t.Helper()
	f, err := fs.Open(name)
	if err != nil {
		return "none"
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func crash(fs *vfs.MemFS) *vfs.MemFS { return fs.CrashClone(vfs.CrashCloneCfg{}) }

func named(name string) func(string) bool {
	return func(path string) bool { return strings.HasSuffix(path, name) }
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestATriggerFailsOnceOrFromThenOn(t *testing.T) {
	t.Parallel()
	for onward, expected := range map[bool]string{false: "+-++", true: "+---"} {
		tr := &Trigger{At: 2, Onward: onward, Match: func(op errorfs.Op) bool { return op.Kind == errorfs.OpCreate }, Do: Fail(syscall.ENOSPC)}
		fs := tr.Wrap(vfs.NewMem())
		var got strings.Builder
		for _, name := range []string{"a", "b", "c", "d"} {
			f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
			switch {
			case err == nil:
				got.WriteByte('+')
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			case errors.Is(err, syscall.ENOSPC) && strings.Contains(err.Error(), name):
				got.WriteByte('-')
			default:
				t.Errorf("got error %v, want ENOSPC of %s", err, name)
			}
			if fired := got.Len() >= 2; tr.Fired() != fired {
				t.Errorf("after %s: fired %v, want %v", got.String(), tr.Fired(), fired)
			}
		}
		want(t, "creations", got.String(), expected)
	}
}

func TestATriggerThatIsPausedDoesNotCount(t *testing.T) {
	t.Parallel()
	hits := 0
	tr := &Trigger{At: 2, Do: func(errorfs.Op) error { hits++; return nil }}
	fs := tr.Wrap(vfs.NewMem())
	mkdir := func(name string) {
		if err := fs.MkdirAll(name, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	mkdir("a")
	tr.Pause()
	mkdir("b")
	mkdir("c")
	tr.Resume()
	if hits != 0 || tr.Fired() {
		t.Errorf("it was hit %d times while it was paused", hits)
	}
	if _, err := fs.List(""); err != nil { // changes nothing
		t.Fatal(err)
	}
	mkdir("d")
	mkdir("e")
	if hits != 1 || !tr.Fired() {
		t.Errorf("got %d hits, want 1: the second that counts", hits)
	}
}

func TestALieLosesWhatWasSynced(t *testing.T) {
	t.Parallel()
	mem := vfs.NewCrashableMem()
	fs := Lie(mem, named("a"))
	put(t, fs, "a", "one")
	put(t, fs, "b", "two")
	want(t, "before the crash", get(t, fs, "a"), "one")
	want(t, "the liar's file", get(t, crash(mem), "a"), "")
	want(t, "the other", get(t, crash(mem), "b"), "two")
}

func TestALieOfADirectoryLosesNames(t *testing.T) {
	t.Parallel()
	mem := vfs.NewCrashableMem()
	put(t, mem, "a", "one")
	fs := Lie(mem, func(path string) bool { return path == "" })
	if err := errors.Join(fs.Rename("a", "b"), syncDir(fs)); err != nil {
		t.Fatal(err)
	}
	want(t, "the new name before the crash", get(t, fs, "b"), "one")
	want(t, "the new name", get(t, crash(mem), "b"), "none")
	want(t, "the old name", get(t, crash(mem), "a"), "one")
}

func TestATornWriteKeepsItsBeginning(t *testing.T) {
	t.Parallel()
	mem := vfs.NewCrashableMem()
	torn := 0
	fs := Tear(mem, named("a"), 2, 3, func() { torn++ })
	put(t, fs, "b", "not", "this")
	put(t, fs, "a", "12345", "67890", "!")
	want(t, "torn", get(t, mem, "a"), "12345678!")
	want(t, "another file", get(t, mem, "b"), "notthis")
	if torn != 1 {
		t.Errorf("it was torn %d times, want once", torn)
	}
}

func TestAMisdirectedWriteLandsElsewhere(t *testing.T) {
	t.Parallel()
	mem := vfs.NewCrashableMem()
	put(t, mem, "b", "..........")
	fs := Misdirect(mem, named("a"), 2, func() (string, int64) { return "b", 4 })
	put(t, fs, "a", "12", "345", "6")
	want(t, "where it belonged", get(t, crash(mem), "a"), "12\x00\x00\x006")
	want(t, "where it landed", get(t, crash(mem), "b"), "....345...")
}

func TestRotFlipsOneBit(t *testing.T) {
	t.Parallel()
	mem := vfs.NewCrashableMem()
	put(t, mem, "a", "AAA")
	if err := Rot(mem, "a", 1, 1); err != nil {
		t.Fatal(err)
	}
	want(t, "rotten", get(t, crash(mem), "a"), "ACA")
	if err := Rot(mem, "a", 3, 0); err == nil || !strings.Contains(err.Error(), "byte 3 of a") {
		t.Errorf("beyond the end: got error %v", err)
	}
	if err := Rot(mem, "none", 0, 0); err == nil {
		t.Error("a file that is not there rotted")
	}
}

// Files that are opened again, reused or renamed are watched as new ones are.
func TestEveryWayToAFileIsWatched(t *testing.T) {
	t.Parallel()
	mem := vfs.NewCrashableMem()
	fs := Lie(mem, named("a"))
	put(t, mem, "a", "old")
	put(t, mem, "b", "old")
	f, err := fs.OpenReadWrite("a", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write([]byte("new"))
	if err = errors.Join(err, f.SyncData(), f.Close()); err != nil {
		t.Fatal(err)
	}
	want(t, "opened again", get(t, crash(mem), "a"), "old")
	if f, err = fs.ReuseForWrite("b", "a", vfs.WriteCategoryUnspecified); err != nil {
		t.Fatal(err)
	}
	_, err = f.Write([]byte("new"))
	_, syncErr := f.SyncTo(3)
	if err = errors.Join(err, syncErr, f.Sync(), f.Close(), syncDir(fs)); err != nil {
		t.Fatal(err)
	}
	want(t, "reused", get(t, crash(mem), "a"), "old")
	if fs.Unwrap() != vfs.FS(mem) {
		t.Error("it does not unwrap to what it wraps")
	}
}

// A log that is used again is a file like any other: what is written to it is seen, under
// its new name.
func TestATriggerSeesAFileThatIsUsedAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		kind errorfs.OpKind
		do   func(f vfs.File) error
	}{
		{errorfs.OpFileWrite, func(f vfs.File) error { _, err := f.Write([]byte("x")); return err }},
		{errorfs.OpFileSync, func(f vfs.File) error { return f.Sync() }},
		{errorfs.OpFileSyncData, func(f vfs.File) error { return f.SyncData() }},
	} {
		var seen []string
		hit := Trigger{At: 1, Match: func(op errorfs.Op) bool { return op.Kind == tt.kind && op.Path == "b" }, Do: func(op errorfs.Op) error {
			seen = append(seen, op.Path)
			return Fail(syscall.EIO)(op)
		}}
		mem := vfs.NewMem()
		put(t, mem, "a", "old")
		f, err := hit.Wrap(mem).ReuseForWrite("a", "b", vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if err := tt.do(f); !errors.Is(err, syscall.EIO) || len(seen) != 1 {
			t.Errorf("operation %d: got error %v, seen %v, want EIO on b", tt.kind, err, seen)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
