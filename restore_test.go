package eventstream_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
)

func TestRestoreAsOfAPositionOrATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := backupSource(t, filepath.Join(dir, "store"), 60)
	backup := mustBackup(t, db, filepath.Join(dir, "backup")).Path
	all := records(t, db, db.Head())
	ends := []eventstream.Position{0} // the last position of each commit
	for _, tenant := range db.Tenants() {
		for _, e := range mustCollect(t, db.Tenant(tenant).ReadAll(ctx)) {
			if e.CommitIndex+1 == e.CommitSize {
				ends = append(ends, e.Position)
			}
		}
	}
	slices.Sort(ends)
	equal(t, "commits", len(ends)-1, 60)
	rng := newRand(1)
	for n := range 12 {
		t.Run(fmt.Sprintf("position, try %d", n), func(t *testing.T) {
			asked := ends[1] + eventstream.Position(rng.IntN(int(db.Head()-ends[1]))) + eventstream.Position(n%2)
			i, whole := slices.BinarySearch(ends, asked)
			if !whole {
				i--
			}
			info := restoreAndCompare(t, backup, &eventstream.RestoreOptions{AsOfPosition: asked}, ends[i], all)
			cut := eventstream.Position(0)
			if !whole {
				cut = ends[i] + 1
			}
			equal(t, fmt.Sprintf("commit that position %d cut", asked), info.CutCommit, cut)
		})
		t.Run(fmt.Sprintf("time, try %d", n), func(t *testing.T) {
			commit := 1 + rng.IntN(60)
			asked := scriptTime.Add(time.Duration(commit)*time.Minute + time.Duration(rng.IntN(60)*(n%2))*time.Second) // or when the commit was recorded
			restoreAndCompare(t, backup, &eventstream.RestoreOptions{AsOfTime: asked}, ends[commit], all)
		})
	}
	t.Run("a time after the newest event is everything", func(t *testing.T) {
		restoreAndCompare(t, backup, &eventstream.RestoreOptions{AsOfTime: scriptTime.Add(time.Hour * 24)}, db.Head(), all)
	})
	t.Run("the head is everything", func(t *testing.T) {
		restoreAndCompare(t, backup, &eventstream.RestoreOptions{AsOfPosition: db.Head()}, db.Head(), all)
	})
}

// restoreAndCompare restores into a new directory, and looks whether there is exactly
// what there must be and the store goes on from there.
func restoreAndCompare(t *testing.T, backup string, opts *eventstream.RestoreOptions, head eventstream.Position, all [][32]byte) eventstream.RestoreInfo {
	t.Helper()
	info := mustRestore(t, backup, filepath.Join(t.TempDir(), "again"), opts)
	equal(t, "head", info.Head, head)
	equal(t, "events", info.Events, uint64(head))
	equal(t, "head of the backup", int(info.BackupHead), len(all))
	db := mustOpen(t, info.Path, nil)
	equal(t, "head as opened", db.Head(), head)
	equalSlices(t, "events", records(t, db, head), all[:head])
	res := mustAppend(t, db.Tenant("new"), "n-n-1", eventstream.NoStream, event("Later"))
	equal(t, "position of the next event", res.LastPosition, head+1)
	report, err := db.Check(ctx, eventstream.Deep())
	if err != nil || !report.OK() {
		t.Errorf("check: %v, %v", report.Problems, err)
	}
	return info
}

// What was cut off can be appended again: ids, versions and tenants are free.
func TestACutStoreGoesOnAsIfNothingHadComeLater(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := mustOpen(t, filepath.Join(dir, "store"), nil)
	mustAppend(t, db, "a-b-1", eventstream.NoStream, withID(id(1), "Kept"))
	mustAppend(t, db, "a-b-1", eventstream.Exact(1), withID(id(2), "Cut"))
	mustAppend(t, db.Tenant("acme"), "a-b-1", eventstream.NoStream, withID(id(3), "Cut"))
	backup := mustBackup(t, db, filepath.Join(dir, "backup"))
	info := mustRestore(t, backup.Path, filepath.Join(dir, "again"), &eventstream.RestoreOptions{AsOfPosition: 1})
	db = mustOpen(t, info.Path, nil)
	equalSlices(t, "tenants", db.Tenants(), []string{eventstream.DefaultTenant})
	res := mustAppend(t, db, "a-b-1", eventstream.Exact(1), withID(id(2), "Other"))
	if res.Deduplicated || res.LastPosition != 2 {
		t.Errorf("got %+v, want a new event at position 2", res)
	}
	if res := mustAppend(t, db.Tenant("zeta"), "a-b-1", eventstream.NoStream, withID(id(3), "Other")); res.Deduplicated {
		t.Error("another tenant's event was deduplicated")
	}
	if res := mustAppend(t, db, "a-b-1", eventstream.NoStream, withID(id(1), "Kept")); !res.Deduplicated {
		t.Error("an event that was kept was not deduplicated")
	}
}

// Nothing of what was cut off is in any file of the store: no payload, no name.
func TestWhatWasCutOffIsGoneFromTheFiles(t *testing.T) {
	t.Parallel()
	for _, cut := range []int{600, 3} { // of a few, no compaction takes notice by itself
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			t.Parallel()
			testCutOff(t, cut)
		})
	}
}

func testCutOff(t *testing.T, cut int) {
	dir := t.TempDir()
	opts := &eventstream.Options{MemTableBytes: 256 << 10}
	db := mustOpen(t, filepath.Join(dir, "store"), opts)
	const kept, secret = "kept-and-found", "secret-to-be-cut"
	flush := func() { // into a table of its own, of which manifests note the first key and the last
		mustClose(t, db)
		db = mustOpen(t, filepath.Join(dir, "store"), opts)
	}
	write := func(stream eventstream.StreamID, text string, events int) {
		for range events {
			mustAppend(t, db, stream, eventstream.Any, eventstream.NewEvent{
				Type: text + "-type", Codec: codec.Raw, Data: codec.Encoded(append([]byte(text), noise(1000)...)),
			})
		}
	}
	write("stream-"+kept, kept, 300)
	flush()
	write("stream-"+secret, secret, cut)
	flush()
	write("stream-"+kept, secret, 5)
	backup := mustBackup(t, db, filepath.Join(dir, "backup"))
	if n := filesWith(t, backup.Path, secret); n == 0 {
		t.Fatal("the backup does not show it either: the test proves nothing")
	}
	info := mustRestore(t, backup.Path, filepath.Join(dir, "again"), &eventstream.RestoreOptions{AsOfPosition: 300, Options: opts})
	equal(t, "files with what was cut off", filesWith(t, info.Path, secret), 0)
	if n := filesWith(t, info.Path, kept); n == 0 {
		t.Error("no file holds what was kept")
	}
}

// noise returns bytes that do not compress. Tests that go on together may call it.
func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// filesWith counts the files under dir that hold text.
func filesWith(t *testing.T, dir, text string) (n int) {
	t.Helper()
	for _, pattern := range []string{"*", "db/*", "db/archive/*"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if info, err := os.Stat(f); err != nil || info.IsDir() {
				continue
			}
			content, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(content, []byte(text)) {
				t.Logf("%s holds %q", f, text)
				n++
			}
		}
	}
	return n
}

func TestRestoreRefusesWhatItIsAskedFor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := mustOpen(t, filepath.Join(dir, "store"), nil)
	mustAppend(t, db, "a-b-1", eventstream.NoStream, event("A"), event("B"), event("C"))
	mustAppend(t, db, "a-b-1", eventstream.Any, event("D"))
	backup := mustBackup(t, db, filepath.Join(dir, "backup")).Path
	full := filepath.Join(dir, "store")
	for _, tt := range []struct {
		name string
		dir  string
		opts eventstream.RestoreOptions
		text string
	}{
		{"position above the head", "", eventstream.RestoreOptions{AsOfPosition: 5}, "head, which is 4"},
		{"position inside the first commit", "", eventstream.RestoreOptions{AsOfPosition: 2}, "ends at 3"},
		{"time before the first event", "", eventstream.RestoreOptions{AsOfTime: time.Unix(0, 0)}, "nothing was recorded by 1970"},
		{"position and time", "", eventstream.RestoreOptions{AsOfPosition: 3, AsOfTime: time.Now()}, "both set"},
		{"directory that holds files", full, eventstream.RestoreOptions{}, "it holds files"},
		{"directory in the backup", filepath.Join(backup, "x"), eventstream.RestoreOptions{}, "it lies in"},
		{"no directory", "", eventstream.RestoreOptions{}, "name a directory"},
		{"wrong options", "", eventstream.RestoreOptions{Options: &eventstream.Options{CacheBytes: -1}}, "CacheBytes"},
	} {
		to := tt.dir
		if to == "" && tt.name != "no directory" {
			to = filepath.Join(dir, "again")
		}
		_, err := eventstream.Restore(ctx, backup, to, &tt.opts)
		wantErr(t, err, eventstream.ErrInvalidArgument)
		if !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%s: got %q, want %q in it", tt.name, err, tt.text)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*again*")); err != nil || left != nil {
		t.Errorf("left over: %v, %v", left, err)
	}
}

// copyTree copies a directory of files and directories of files.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func TestRestoreRefusesABackupThatIsNotWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := backupSource(t, filepath.Join(dir, "store"), 5)
	backup := mustBackup(t, db, filepath.Join(dir, "backup")).Path
	mustAppend(t, db, "a-b-1", eventstream.Any, event("Later"))
	second := mustBackup(t, db, filepath.Join(dir, "second")).Path
	other := mustBackup(t, backupSource(t, filepath.Join(dir, "store2"), 5), filepath.Join(dir, "other")).Path
	edit := func(name string, change func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			path := onlyFile(t, filepath.Join(dir, name))
			content, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, change(content), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.Remove(onlyFile(t, filepath.Join(dir, name))); err != nil {
				t.Fatal(err)
			}
		}
	}
	from := func(source, name string) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			content, err := os.ReadFile(onlyFile(t, filepath.Join(source, name)))
			if err != nil {
				t.Fatal(err)
			}
			edit(name, func([]byte) []byte { return content })(t, dir)
		}
	}
	flip := func(b []byte) []byte { b[len(b)/2] ^= 4; return b }
	for _, tt := range []struct {
		name   string
		damage func(*testing.T, string)
		kind   error // besides ErrBackup
		text   string
	}{
		{"no BACKUP", remove("BACKUP"), nil, "not a backup"},
		{"an empty BACKUP", edit("BACKUP", func([]byte) []byte { return nil }), nil, "not finished"},
		{"a flipped bit in BACKUP", edit("BACKUP", flip), eventstream.ErrCorrupt, "BACKUP is damaged"},
		{"half a BACKUP", edit("BACKUP", func(b []byte) []byte { return b[:len(b)/2] }), eventstream.ErrCorrupt, "BACKUP is damaged"},
		{"another text as BACKUP", edit("BACKUP", func([]byte) []byte { return []byte("hello\n") }), eventstream.ErrCorrupt, "BACKUP is damaged"},
		{"a BACKUP of a newer format", edit("BACKUP", func(b []byte) []byte { return bytes.Replace(b, []byte("format: 1"), []byte("format: 7"), 1) }), eventstream.ErrFormatTooNew, "format 7"},
		{"a newer store", edit("BACKUP", func(b []byte) []byte {
			return bytes.Replace(b, []byte("store-format: 1"), []byte("store-format: 7"), 1)
		}), eventstream.ErrFormatTooNew, "format 7"},
		{"a flipped bit in the log", edit("db/*.log", flip), eventstream.ErrCorrupt, "SHA-256 differs"},
		{"a flipped bit in the manifest", edit("db/MANIFEST-*", flip), eventstream.ErrCorrupt, "SHA-256 differs"},
		{"a missing log", remove("db/*.log"), eventstream.ErrCorrupt, "is missing"},
		{"a short log", edit("db/*.log", func(b []byte) []byte { return b[:len(b)/2] }), eventstream.ErrCorrupt, "bytes"},
		{"a missing STORE", remove("STORE"), eventstream.ErrCorrupt, "STORE is missing"},
		{"STORE of another store", from(other, "STORE"), eventstream.ErrCorrupt, "STORE"},
		{"the log of a later backup", from(second, "db/*.log"), eventstream.ErrCorrupt, ".log"},
		{"BACKUP of a later backup", from(second, "BACKUP"), eventstream.ErrCorrupt, ".log"},
		// Indexes are built meanwhile, so the logs may differ in size too: that is seen first.
		{"BACKUP of another store", from(other, "BACKUP"), eventstream.ErrCorrupt, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			src, to := filepath.Join(t.TempDir(), "copy"), filepath.Join(t.TempDir(), "again")
			copyTree(t, backup, src)
			tt.damage(t, src)
			_, err := eventstream.Restore(ctx, src, to, nil)
			wantErr(t, err, eventstream.ErrBackup)
			if tt.kind != nil {
				wantErr(t, err, tt.kind)
			}
			if e := errAs[*eventstream.BackupError](t, err); e.Path != src || !strings.Contains(e.Reason, tt.text) {
				t.Errorf("got %v, want %q in it", err, tt.text)
			}
			if left, err := filepath.Glob(to + "*"); err != nil || left != nil {
				t.Errorf("left over: %v, %v", left, err)
			}
		})
	}
	_, err := eventstream.Restore(ctx, filepath.Join(dir, "nowhere"), filepath.Join(dir, "again"), nil)
	wantErr(t, err, eventstream.ErrBackup)
	_, err = eventstream.Restore(ctx, filepath.Join(dir, "store"), filepath.Join(dir, "again"), nil)
	wantErr(t, err, eventstream.ErrBackup)
}

// onlyFile returns the one file that a pattern matches.
func onlyFile(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) != 1 {
		t.Fatalf("%s matches %v (%v), want one file", pattern, files, err)
	}
	return files[0]
}
