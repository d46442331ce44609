package eventstream_test

import (
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
)

// sizedFS says that so much is free.
type sizedFS struct {
	vfs.FS
	total, free *atomic.Uint64
}

func newSizedFS(total, free uint64) sizedFS {
	fs := sizedFS{FS: vfs.NewMem(), total: new(atomic.Uint64), free: new(atomic.Uint64)}
	fs.total.Store(total)
	fs.free.Store(free)
	return fs
}

func (fs sizedFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	free, total := fs.free.Load(), fs.total.Load()
	return vfs.DiskUsage{AvailBytes: free, TotalBytes: total, UsedBytes: total - free}, nil
}

// awaitLevel asks until the store has seen how full its disk is by now.
func awaitLevel(t *testing.T, db *eventstream.DB, want eventstream.DiskLevel) eventstream.DiskStats {
	t.Helper()
	for began := time.Now(); ; {
		stats, err := db.Stats()
		if err != nil {
			t.Fatal(err)
		}
		if stats.Disk.Level == want {
			return stats.Disk
		}
		if time.Since(began) > 30*time.Second {
			t.Fatalf("the disk is %+v, want level %q", stats.Disk, want)
		}
		runtime.Gosched()
	}
}

var smallTables = eventstream.Options{MemTableBytes: 256 << 10, CacheBytes: 1 << 20, MaxPayloadBytes: 1 << 20, MaxAppendBytes: 1 << 20}

func onFS(fs vfs.FS, opts eventstream.Options) *eventstream.Options {
	opts.FS = fs
	return &opts
}

func TestAFullDiskRefusesAppendsAndNothingElse(t *testing.T) {
	t.Parallel()
	fs := newSizedFS(1<<40, 1<<39)
	db := mustOpen(t, "store", onFS(fs, smallTables))
	first := mustAppend(t, db, "a", eventstream.NoStream, withID(id(1), "X"))
	marks := awaitLevel(t, db, eventstream.DiskOK)
	if marks.LowBelow != 2*marks.FullBelow || marks.FullBelow < 16<<20 {
		t.Errorf("marks: got %+v", marks)
	}

	fs.free.Store(marks.LowBelow - 1)
	awaitLevel(t, db, eventstream.DiskLow)
	mustAppend(t, db, "a", eventstream.Any, event("X"))

	fs.free.Store(marks.FullBelow - 1)
	awaitLevel(t, db, eventstream.DiskFull)
	_, err := db.Append(ctx, "a", eventstream.Any, event("X"))
	wantErr(t, err, eventstream.ErrDiskFull)
	full := errAs[*eventstream.DiskFullError](t, err)
	equal(t, "free", full.Free, marks.FullBelow-1)
	if full.Path != "store" || full.Needed <= marks.FullBelow || !strings.Contains(err.Error(), "free some space") {
		t.Errorf("got %#v: %v", full, err)
	}
	_, err = db.Append(ctx, "new", eventstream.NoStream, withID(id(2), "X"))
	wantErr(t, err, eventstream.ErrDiskFull)
	_, err = db.Append(ctx, "a", eventstream.NoStream, event("X"))
	wantErr(t, err, eventstream.ErrConflict) // the answer costs no room
	again := mustAppend(t, db, "a", eventstream.NoStream, withID(id(1), "X"))
	equal(t, "deduplicated", again.Deduplicated, true)
	equal(t, "position", again.FirstPosition, first.FirstPosition)

	equal(t, "events readable", len(mustCollect(t, db.ReadAll(ctx))), 2)
	if err := db.Sync(ctx); err != nil {
		t.Errorf("sync: %v", err)
	}
	if report, err := db.Check(ctx, eventstream.Deep()); err != nil || !report.OK() {
		t.Errorf("check: %+v, %v", report, err)
	}
	tenant := db.Tenant(eventstream.DefaultTenant)
	if _, err := tenant.SwapState("small", nil, []byte("state")); err != nil {
		t.Errorf("a small state: %v", err)
	}
	view := eventstream.Derivation{View: eventstream.ViewID{Projection: "p", Generation: 1}}
	put := func(size int) error {
		return tenant.Derive(view, func(tx *eventstream.Tx) error { return tx.Put([]byte("k"), make([]byte, size)) })
	}
	if err := put(100); err != nil {
		t.Errorf("a small record: %v", err)
	}
	wantErr(t, put(100_000), eventstream.ErrDiskFull)

	fs.free.Store(1 << 39)
	awaitLevel(t, db, eventstream.DiskOK)
	mustAppend(t, db, "new", eventstream.NoStream, withID(id(2), "X")) // what was refused left nothing behind
	if err := put(100_000); err != nil {
		t.Errorf("a large record once there is room: %v", err)
	}
	equal(t, "events", len(mustCollect(t, db.ReadAll(ctx))), 3)
}

// What is handed over between two looks counts.
func TestABurstStopsAtTheMarkBetweenTwoLooks(t *testing.T) {
	t.Parallel()
	fs := newSizedFS(1<<40, 1<<39)
	db := mustOpen(t, "store", onFS(fs, smallTables))
	marks := awaitLevel(t, db, eventstream.DiskOK)
	fs.free.Store(marks.FullBelow + 1<<20)
	awaitLevel(t, db, eventstream.DiskLow)
	fs.free.Store(0) // it goes faster than anybody looks
	data := make([]byte, 64<<10)
	for n := range 100 {
		_, err := db.Append(ctx, "a", eventstream.Any, eventstream.NewEvent{Type: "X", Codec: codec.Raw, Data: data})
		if err != nil {
			wantErr(t, err, eventstream.ErrDiskFull)
			if n > 8 {
				t.Errorf("%d appends of 64 KiB were accepted with 1 MiB above the mark", n)
			}
			return
		}
	}
	t.Error("100 appends were accepted on a full disk")
}

func TestOpenRefusesADiskThatIsTooSmall(t *testing.T) {
	t.Parallel()
	fs := newSizedFS(64<<20, 64<<20)
	_, err := eventstream.Open("store", &eventstream.Options{FS: fs})
	wantErr(t, err, eventstream.ErrDiskFull)
	if full := errAs[*eventstream.DiskFullError](t, err); full.Needed < 300<<20 || !strings.Contains(err.Error(), "MemTableBytes") {
		t.Errorf("got %#v: %v", full, err)
	}
	if names, err := fs.List(""); err == nil && len(names) > 0 {
		t.Errorf("a store that was refused left %v", names)
	}

	db := mustOpen(t, "store", onFS(fs, smallTables))
	mustAppend(t, db, "a", eventstream.NoStream, event("X"))
	mustClose(t, db)
	_, err = eventstream.Open("store", &eventstream.Options{FS: fs}) // it exists, and still has no room for its tables
	wantErr(t, err, eventstream.ErrDiskFull)

	fs.free.Store(100) // others filled the disk
	_, err = eventstream.Open("store", onFS(fs, smallTables))
	wantErr(t, err, eventstream.ErrDiskFull)
	db = mustOpen(t, "store", &eventstream.Options{FS: fs, ReadOnly: true})
	equal(t, "events", len(mustCollect(t, db.ReadAll(ctx))), 1)
	mustClose(t, db)

	fs.free.Store(5 << 20) // enough to open, not to append
	db = mustOpen(t, "store", onFS(fs, smallTables))
	equal(t, "events", len(mustCollect(t, db.ReadAll(ctx))), 1)
	_, err = db.Append(ctx, "a", eventstream.Any, event("X"))
	wantErr(t, err, eventstream.ErrDiskFull)
}
