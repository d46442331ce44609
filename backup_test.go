package eventstream_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
)

// record is an event without what a store of another incarnation may change, which is
// nothing.
func record(e *eventstream.Event) [32]byte {
	return sha256.Sum256(fmt.Appendf(nil, "%q %q %d %d %v %q %d %d %v %d %q %q %q %v %v %x %d/%d", e.Tenant, e.Stream, e.Version, e.Position, e.ID, e.Type,
		e.SchemaVersion, e.OccurredAt.UnixNano(), e.OccurredGiven(), e.RecordedAt.UnixNano(), e.CorrelationID, e.CausationID, e.UserID, e.Metadata, e.Codec, e.Data,
		e.CommitIndex, e.CommitSize))
}

// records returns all events of a store up to a position, in order of position.
func records(t testing.TB, db *eventstream.DB, until eventstream.Position) [][32]byte {
	t.Helper()
	all := make([][32]byte, until)
	found := 0
	for _, tenant := range db.Tenants() {
		for e, err := range db.Tenant(tenant).ReadAll(ctx, eventstream.Until(until)) {
			if err != nil {
				t.Fatal(err)
			}
			all[e.Position-1] = record(&e)
			found++
		}
	}
	equal(t, "events", found, int(until))
	return all
}

func mustBackup(t testing.TB, db *eventstream.DB, dest string) eventstream.BackupInfo {
	t.Helper()
	info, err := db.Backup(ctx, dest)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

func mustRestore(t testing.TB, src, dir string, opts *eventstream.RestoreOptions) eventstream.RestoreInfo {
	t.Helper()
	info, err := eventstream.Restore(ctx, src, dir, opts)
	if err != nil {
		t.Fatal(err)
	}
	return info
}

// backupSource is a store of some tenants, streams and commits of several events, in
// which each commit is recorded a minute after the one before.
func backupSource(t testing.TB, dir string, commits int) *eventstream.DB {
	t.Helper()
	var mu sync.Mutex
	now := scriptTime
	db := mustOpen(t, dir, &eventstream.Options{MemTableBytes: 256 << 10, Clock: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}})
	for n := range commits {
		mu.Lock()
		now = now.Add(time.Minute)
		mu.Unlock()
		tenant := db.Tenant([]string{eventstream.DefaultTenant, "acme", "zeta"}[n*3/commits]) // each begins later
		var entries []eventstream.StreamAppend
		for s := range 1 + n%3 {
			entries = append(entries, eventstream.StreamAppend{
				Stream: eventstream.StreamID(fmt.Sprintf("a-b-%d", (n+s)%7)), Expect: eventstream.Any,
				Events: []eventstream.NewEvent{withID(id(10*n+s+1), "Posted"), {Type: "Text", Codec: codec.Raw, Data: codec.Encoded(fmt.Sprintf("payload of commit <%d>", n))}},
			})
		}
		mustAppendAll(t, tenant, entries...)
	}
	return db
}

func TestARestoredBackupIsTheStoreToTheByte(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := backupSource(t, filepath.Join(dir, "store"), 40)
	dest, again := filepath.Join(dir, "deep", "er", "backup"), filepath.Join(dir, "again")
	info := mustBackup(t, db, dest+string(filepath.Separator))
	source := db.Info()
	equal(t, "head", info.Head, db.Head())
	equal(t, "events", info.Events, uint64(db.Head()))
	equal(t, "path", info.Path, dest)
	equal(t, "incarnation", info.Incarnation, source.Incarnation)
	equal(t, "recorded at", info.RecordedAt, scriptTime.Add(40*time.Minute))
	if info.Bytes == 0 || info.Files < 5 || info.Streams == 0 || info.DurableHead != info.Head || info.CreatedAt.IsZero() {
		t.Errorf("got %+v", info)
	}
	before := digest(t, dest)
	if err := os.Mkdir(again, 0o755); err != nil {
		t.Fatal(err)
	}
	restored := mustRestore(t, dest, again, nil)
	equal(t, "digest of the backup after a restore", digest(t, dest), before)
	equal(t, "store", restored.StoreID, source.StoreID)
	equal(t, "previous incarnation", restored.PreviousIncarnation, source.Incarnation)
	equal(t, "head", restored.Head, info.Head)
	if restored.Incarnation == source.Incarnation || restored.RecordedAt != info.RecordedAt || restored.Streams != info.Streams || restored.CutCommit != 0 {
		t.Errorf("got %+v", restored)
	}
	copied := mustOpen(t, again, nil)
	equal(t, "incarnation as opened", copied.Info().Incarnation, restored.Incarnation)
	equal(t, "node", copied.Info().Node, source.Node)
	equalSlices(t, "events", records(t, copied, copied.Head()), records(t, db, db.Head()))
	res := mustAppend(t, copied, "a-b-1", eventstream.Any, event("Later"))
	equal(t, "position of the next event", res.LastPosition, info.Head+1)
	names, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range names {
		if strings.Contains(n.Name(), "partial") {
			t.Errorf("%s is left over", n.Name())
		}
	}
}

func TestAnEmptyStoreIsBackedUpAndRestored(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := mustOpen(t, filepath.Join(dir, "store"), nil)
	info := mustBackup(t, db, filepath.Join(dir, "backup"))
	if info.Head != 0 || !info.RecordedAt.IsZero() {
		t.Errorf("got %+v", info)
	}
	restored := mustRestore(t, info.Path, filepath.Join(dir, "again"), nil)
	wantEmpty(t, mustOpen(t, restored.Path, nil))
	_, err := eventstream.Restore(ctx, info.Path, filepath.Join(dir, "other"), &eventstream.RestoreOptions{AsOfTime: scriptTime})
	wantErr(t, err, eventstream.ErrInvalidArgument)
}

// The power can fail in an opening behind the manifest that says that all is in tables, and
// before there is a new log. Pebble then opens without a manifest of its own to copy until
// something is flushed, and its copies hold an empty one.
func TestAStoreWithoutALogIsBackedUp(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := backupSource(t, filepath.Join(dir, "store"), 10)
	head := db.Head()
	want := records(t, db, head)
	mustClose(t, db) // which moves the log into tables
	logs, err := filepath.Glob(filepath.Join(dir, "store", "db", "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("got logs %q and error %v, want some", logs, err)
	}
	for _, log := range logs {
		if err := os.Remove(log); err != nil {
			t.Fatal(err)
		}
	}
	db = mustOpen(t, filepath.Join(dir, "store"), nil)
	info := mustBackup(t, db, filepath.Join(dir, "backup"))
	restored := mustRestore(t, info.Path, filepath.Join(dir, "again"), nil)
	equalSlices(t, "events", records(t, mustOpen(t, restored.Path, nil), head), want)
}

// A backup shares no file with the store: what happens to one does not happen to the
// other.
func TestABackupSharesNoFileWithTheStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := backupSource(t, filepath.Join(dir, "store"), 10)
	mustClose(t, db)
	db = mustOpen(t, filepath.Join(dir, "store"), nil) // with tables
	info := mustBackup(t, db, filepath.Join(dir, "backup"))
	tables := 0
	files, err := filepath.Glob(filepath.Join(dir, "store", "db", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		mine, err := os.Stat(f)
		if err != nil {
			continue // a log that was recycled
		}
		other, err := os.Stat(filepath.Join(info.Path, "db", filepath.Base(f)))
		if err != nil {
			continue
		}
		if filepath.Ext(f) == ".sst" {
			tables++
		}
		if os.SameFile(mine, other) {
			t.Errorf("%s is the same file in both", filepath.Base(f))
		}
	}
	if tables == 0 {
		t.Error("no table was compared")
	}
}

func TestABackupIsNotOpenedByAccident(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	info := mustBackup(t, backupSource(t, filepath.Join(dir, "store"), 3), filepath.Join(dir, "backup"))
	before := digest(t, info.Path)
	for _, opts := range []*eventstream.Options{nil, {ReadOnly: true}, {ErrorIfExists: true}} {
		_, err := eventstream.Open(info.Path, opts)
		wantErr(t, err, eventstream.ErrBackup)
		if !strings.Contains(err.Error(), "Restore") {
			t.Errorf("got %q, want it to say what to do", err)
		}
	}
	equal(t, "digest", digest(t, info.Path), before)
}

func TestBackupRefusesDestinations(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := backupSource(t, filepath.Join(dir, "store"), 3)
	file, full, link := filepath.Join(dir, "file"), filepath.Join(dir, "full"), filepath.Join(dir, "link")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.MkdirAll(filepath.Join(full, "x"), 0o700), os.Symlink(filepath.Join(dir, "store"), link)); err != nil {
		t.Fatal(err)
	}
	for name, dest := range map[string]string{
		"no name": "", "a file": file, "a directory with something in it": full, "the store itself": filepath.Join(dir, "store"),
		"a directory in the store": filepath.Join(dir, "store", "x", "y"), "the same through a link": filepath.Join(link, "x"),
	} {
		_, err := db.Backup(ctx, dest)
		if argument := errAs[*eventstream.ArgumentError](t, err); argument.Field != "dest" {
			t.Errorf("%s: got %v, want dest named", name, err)
		}
	}
	found, err := filepath.Glob(filepath.Join(dir, "*", "*partial*"))
	if err != nil || found != nil {
		t.Errorf("left over: %v, %v", found, err)
	}
}

func TestBackupNeedsAStoreThatWrites(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := backupSource(t, filepath.Join(dir, "store"), 3)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	dest := filepath.Join(dir, "backup")
	if _, err := db.Backup(cancelled, dest); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	mustClose(t, db)
	_, err := db.Backup(ctx, dest)
	wantErr(t, err, eventstream.ErrClosed)
	reader := mustOpen(t, filepath.Join(dir, "store"), &eventstream.Options{ReadOnly: true})
	_, err = reader.Backup(ctx, dest)
	wantErr(t, err, eventstream.ErrReadOnly)
	if left, err := filepath.Glob(dest + "*"); err != nil || left != nil {
		t.Errorf("left over: %v, %v", left, err)
	}
}

// A backup in the memory of a test works as one on a disk.
func TestBackupAndRestoreUseTheFileSystemOfTheOptions(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	db, err := eventstream.Open("store", scriptOptions(fs))
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, db, "a-b-1", eventstream.NoStream, event("A"), event("B"))
	mustBackup(t, db, "backup")
	mustClose(t, db)
	mustRestore(t, "backup", "again", &eventstream.RestoreOptions{Options: scriptOptions(fs)})
	db, err = eventstream.Open("again", scriptOptions(fs))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "head", db.Head(), 2)
	mustClose(t, db)
	names, err := fs.List("")
	slices.Sort(names)
	if err != nil || !slices.Equal(names, []string{"again", "backup", "store"}) {
		t.Errorf("got %v, %v", names, err)
	}
	for dir, want := range map[string][]string{"backup": {"BACKUP", "STORE", "STORE.2", "db"}, "again": {"STORE", "STORE.2", "db", "keys", "lock"}} {
		names, err := fs.List(dir)
		slices.Sort(names)
		names = slices.DeleteFunc(names, func(name string) bool { return name == "HWM" })
		if err != nil || !slices.Equal(names, want) {
			t.Errorf("%s: got %v, %v, want %v", dir, names, err, want)
		}
	}
}

// Also what was acknowledged without a sync is in a backup.
func TestABackupHoldsWhatWasAcknowledged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := mustOpen(t, filepath.Join(dir, "store"), &eventstream.Options{Durability: eventstream.None})
	for range 5 {
		mustAppend(t, db, "s", eventstream.Any, event("X"))
	}
	equal(t, "head", mustBackup(t, db, filepath.Join(dir, "backup")).Head, 5)
}
