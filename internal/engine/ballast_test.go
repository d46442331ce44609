package engine

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// roomyFS says that there is room.
type roomyFS struct{ vfs.FS }

func (roomyFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: 1 << 40, TotalBytes: 1 << 41}, nil
}

func mustMkdir(t *testing.T, fs vfs.FS, dir string) {
	t.Helper()
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestTheBallastGrowsStepByStepAndIsReleasedWhole(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	mustMkdir(t, mem, "store")
	opened := time.Unix(0, 0)
	const want = ballastStep + 1000
	b := newBallast(mem, "store", want, opened)
	grow := func(after time.Duration, free uint64) int64 {
		t.Helper()
		if err := b.grow(opened.Add(after), free, 100); err != nil {
			t.Fatal(err)
		}
		return b.bytes()
	}
	const plenty = ballastRoom*want + 100
	for _, step := range []struct {
		name  string
		after time.Duration
		free  uint64
		want  int64
	}{
		{"soon after Open", time.Second, plenty, 0},
		{"with too little room", ballastDelay, plenty - 1, 0},
		{"the first step", ballastDelay, plenty, ballastStep},
		{"the second step", ballastDelay, plenty, want},
		{"once it is there", ballastDelay, plenty, want},
	} {
		if got := grow(step.after, step.free); got != step.want {
			t.Errorf("%s: got %d bytes, want %d", step.name, got, step.want)
		}
	}
	if found := newBallast(mem, "store", want, opened); found.bytes() != want {
		t.Errorf("found at the next Open: got %d bytes, want %d", found.bytes(), want)
	}
	if freed := b.release(opened.Add(time.Hour)); freed != want {
		t.Errorf("released: got %d bytes, want %d", freed, want)
	}
	if _, err := mem.Stat("store/BALLAST"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after the release: %v", err)
	}
	if got := grow(time.Hour+time.Second, plenty); got != 0 {
		t.Errorf("right after the release: got %d bytes, want 0", got)
	}
	if got := grow(time.Hour+ballastDelay, plenty); got != ballastStep {
		t.Errorf("some time after the release: got %d bytes, want %d", got, ballastStep)
	}
	b.stop()
	if _, err := mem.Stat("store/BALLAST"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half of it, when the store is closed: %v", err)
	}
}

// The log finds no room, as others filled the disk; the ballast makes room, and nothing
// is poisoned.
func TestTheBallastSavesTheLog(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	mustMkdir(t, mem, "store")
	full := &fault{}
	there := func() bool {
		_, err := mem.Stat("store/BALLAST")
		return err == nil
	}
	fs := full.wrap(mem, syscall.ENOSPC, func(op errorfs.Op) bool {
		return filepath.Ext(op.Path) == ".log" && op.Kind == errorfs.OpFileWrite && there()
	})
	cfg := Config{
		FS: roomyFS{fs}, Dir: "db", StoreDir: "store", Create: true,
		CacheBytes: 1 << 20, MemTableBytes: 256 << 10, AppendBytes: 1 << 20, Logger: slog.New(slog.DiscardHandler),
	}
	f, err := mem.Create("store/BALLAST", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, BallastBytes(cfg.MemTableBytes, cfg.AppendBytes))); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	e, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	full.armed.Store(true)
	if err := submit(t, e, 1, "k"); err != nil {
		t.Errorf("a write that found no room: got %v, want that the ballast made some", err)
	}
	if full.hits.Load() == 0 {
		t.Error("the fault was never hit")
	}
	if h := e.Health(); there() || h.Ballast != 0 || h.Level != DiskFull {
		t.Errorf("afterwards: ballast there %v, %+v; want none, and a disk that counts as full", there(), h)
	}
	if err := e.Admit(1000); err == nil {
		t.Error("more is admitted right after the ballast was needed")
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func TestNoBallastWhereTheFileSystemDoesNotTellWhatIsFree(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	mustMkdir(t, mem, "store")
	ed := newEdge(&Config{FS: mem, StoreDir: "store", Logger: slog.New(slog.DiscardHandler), MemTableBytes: 1 << 20}, func(vfs.DiskSlowInfo) {})
	ed.disk.look(0)
	if got := ed.disk.get(); got != DiskUnknown {
		t.Errorf("level: got %q, want %q, with which none is made", got, DiskUnknown)
	}
	if err := ed.health.Close(); err != nil {
		t.Error(err)
	}
}

func TestTheReserveOfTheDefaultsIsAsDocumented(t *testing.T) {
	t.Parallel()
	if got := DiskReserve(64<<20, 8<<20) >> 20; got != 355 {
		t.Errorf("got %d MiB, want 355", got)
	}
}

func TestAStallIsCountedAndTimed(t *testing.T) {
	t.Parallel()
	s := &stall{log: slog.New(slog.DiscardHandler)}
	at := time.Unix(100, 0)
	if n, held := s.get(at); n != 0 || held != 0 {
		t.Errorf("at first: got %d stalls, held %v", n, held)
	}
	s.begin(at, "memtable count limit reached")
	if n, held := s.get(at.Add(3 * time.Second)); n != 1 || held != 3*time.Second {
		t.Errorf("held: got %d stalls, %v, want 1 and 3s", n, held)
	}
	s.end(at.Add(4 * time.Second))
	if n, held := s.get(at.Add(5 * time.Second)); n != 1 || held != 0 {
		t.Errorf("afterwards: got %d stalls, held %v", n, held)
	}
}
