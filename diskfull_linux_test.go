package eventstream_test

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
)

// mountSmall mounts a file system of 64 MiB, where that is permitted.
func mountSmall(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// fillDisk writes junk until size is reached or the disk is full.
func fillDisk(t *testing.T, path string, size int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for n := 0; n < size; n += 64 << 10 {
		if _, err := f.Write(make([]byte, 64<<10)); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// A real disk runs full: by the store up to its mark, and by others beyond it. It runs
// alone, since it measures the process.
func TestARealDiskRunsFullAndIsFreed(t *testing.T) {
	root := mountSmall(t)
	if _, err := eventstream.Open(filepath.Join(root, "default"), nil); !errors.Is(err, eventstream.ErrDiskFull) {
		t.Fatalf("open with tables of 64 MiB on a disk of 64 MiB: got %v, want ErrDiskFull", err)
	}
	dir := filepath.Join(root, "store")
	opts := smallTables
	db, err := eventstream.Open(dir, &opts)
	if err != nil {
		t.Fatal(err)
	}
	fillDisk(t, filepath.Join(root, "junk"), 24<<20)

	data := make([]byte, 64<<10)
	var acked []eventstream.EventID
	appendOne := func() error {
		_, _ = rand.Read(data) // never fails
		res, err := db.Append(ctx, "a", eventstream.Any, eventstream.NewEvent{Type: "X", Codec: codec.Raw, Data: data})
		if err == nil {
			acked = append(acked, res.EventIDs...)
		}
		return err
	}
	for {
		if err := appendOne(); err != nil {
			wantErr(t, err, eventstream.ErrDiskFull)
			break
		}
		if len(acked) > 1000 {
			t.Fatal("64 MiB were appended to a disk of 64 MiB")
		}
	}
	refused := len(acked)
	if refused < 20 {
		t.Errorf("only %d appends of 64 KiB before the disk was full", refused)
	}

	fillDisk(t, filepath.Join(root, "more junk"), 64<<20)
	const lasts = 2 * time.Second
	used := lasts
	// What was under way when the disk ran full ends; a store that goes on trying is calm in
	// none of these.
	for windows := 5; used > lasts/5 && windows > 0; windows-- {
		before := processTime(t)
		<-time.After(lasts)
		used = processTime(t) - before
	}
	if used > lasts/5 {
		t.Errorf("%v of CPU in %v on a full disk, want less than a fifth of a core", used, lasts)
	}
	equal(t, "events readable on a full disk", len(mustCollect(t, db.ReadAll(ctx))), refused)
	wantErr(t, appendOne(), eventstream.ErrDiskFull)
	awaitLevel(t, db, eventstream.DiskFull)

	for _, name := range []string{"junk", "more junk"} {
		if err := os.Remove(filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	freed := time.Now()
	for err = appendOne(); errors.Is(err, eventstream.ErrDiskFull) && time.Since(freed) < 10*time.Second; err = appendOne() {
	}
	for range 10 {
		if err := appendOne(); err != nil {
			t.Fatalf("an append once there is room: %v", err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	if db, err = eventstream.Open(dir, &opts); err != nil {
		t.Fatal(err)
	}
	for _, id := range acked {
		if _, err := db.Event(ctx, id); err != nil {
			t.Errorf("acknowledged event %s: %v", id, err)
		}
	}
	if report, err := db.Check(ctx, eventstream.Deep()); err != nil || !report.OK() {
		t.Errorf("check: %+v, %v", report, err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	t.Logf("%d appends before the disk was full, %d in all", refused, len(acked))
}

func processTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A real file system is mounted read-only, with the store's lock on it or without. It runs
// alone: a child that another test starts holds the files that are open here for a moment,
// and then they are busy.
func TestAStoreOnAMountThatIsReadOnly(t *testing.T) {
	root := mountSmall(t)
	opts := smallTables
	for _, name := range []string{"locked", "bare"} {
		db, err := eventstream.Open(filepath.Join(root, name), &opts)
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, db, "s", eventstream.NoStream, event("X"))
		mustClose(t, db)
	}
	if err := errors.Join(os.Remove(filepath.Join(root, "bare", "lock")), os.Remove(filepath.Join(root, "bare", "db", "LOCK"))); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("", root, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"locked", "bare"} {
		dir := filepath.Join(root, name)
		if _, err := eventstream.Open(dir, &opts); !errors.Is(err, syscall.EROFS) || errors.Is(err, eventstream.ErrInUse) {
			t.Errorf("%s: open for writing: got %v, want EROFS", name, err)
		}
		readOnly := opts
		readOnly.ReadOnly = true
		db, err := eventstream.Open(dir, &readOnly)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, name+": events", len(mustCollect(t, db.ReadAll(ctx))), 1)
		wantSound(t, db)
		if name == "locked" {
			_, err := eventstream.Open(dir, &readOnly)
			wantErr(t, err, eventstream.ErrInUse)
		}
		mustClose(t, db)
		salvage, err := eventstream.OpenSalvage(ctx, dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, name+": events salvaged", salvage.Events(), 1)
		mustClose(t, salvage)
	}
}
