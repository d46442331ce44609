package engine

import (
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// What plain Pebble does where this package stands between. If one of these fails after
// an update of Pebble, what is built against it may be left out.

// returningLogger is what a host writes that does not want its process to end.
type returningLogger struct{ fatals atomic.Int64 }

func (l *returningLogger) Infof(string, ...any)  {}
func (l *returningLogger) Errorf(string, ...any) {}
func (l *returningLogger) Fatalf(string, ...any) { l.fatals.Add(1) }

func plain(t *testing.T, fs vfs.FS, logger pebble.Logger, listener *pebble.EventListener) *pebble.DB {
	t.Helper()
	db, err := pebble.Open("plain", &pebble.Options{
		FS: fs, Logger: logger, EventListener: listener, FormatMajorVersion: PebbleFormat, MemTableSize: 256 << 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// fault makes operations fail while it is armed.
type fault struct {
	armed atomic.Bool
	hits  atomic.Int64
}

func (f *fault) wrap(fs vfs.FS, err error, on func(errorfs.Op) bool) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if f.armed.Load() && on(op) {
			f.hits.Add(1)
			return err
		}
		return nil
	}))
}

func syncsLog(op errorfs.Op) bool {
	if filepath.Ext(op.Path) != ".log" {
		return false
	}
	return op.Kind == errorfs.OpFileSync || op.Kind == errorfs.OpFileSyncData || op.Kind == errorfs.OpFileSyncTo
}

func TestPlainPebbleAcknowledgesALostWriteIfFatalfReturnsAndWeDoNot(t *testing.T) {
	t.Parallel()
	mem, broken, logger := vfs.NewCrashableMem(), &fault{}, &returningLogger{}
	db := plain(t, broken.wrap(mem, syscall.EIO, syncsLog), logger, nil)
	broken.armed.Store(true)
	if err := db.Set([]byte("k"), []byte("v"), pebble.Sync); err != nil {
		t.Errorf("plain Pebble: got %v, want nil: it acknowledges what it lost", err)
	}
	if logger.fatals.Load() == 0 {
		t.Error("plain Pebble: Fatalf was not called")
	}
	crashed := mem.CrashClone(vfs.CrashCloneCfg{})
	broken.armed.Store(false)
	_ = db.Close()
	db = plain(t, crashed, logger, nil)
	if _, _, err := db.Get([]byte("k")); !errors.Is(err, pebble.ErrNotFound) {
		t.Errorf("plain Pebble after a crash: got %v, want that the write is gone", err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}

	ours := &fault{}
	e := open(t, ours.wrap(vfs.NewMem(), syscall.EIO, syncsLog))
	ours.armed.Store(true)
	err := submit(t, e, 1, "k")
	if _, ok := errors.AsType[*PoisonError](err); !ok || !errors.Is(err, syscall.EIO) {
		t.Errorf("ours: got %v, want a PoisonError with the cause", err)
	}
	if got := e.Durable.Load(); got != 0 {
		t.Errorf("ours: durable head %d, want 0", got)
	}
	ours.armed.Store(false)
	_ = e.Close() // with or without an error
}

func TestPlainPebbleShowsWhatIsNotDurableAndOurHeadDoesNot(t *testing.T) {
	t.Parallel()
	var closed atomic.Bool
	gate, reached := make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() { close(reached) })
	e := open(t, errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if closed.Load() && syncsLog(op) {
			once()
			<-gate
		}
		return nil
	})))
	closed.Store(true)
	o := make(outcome, 1)
	if err := e.Submit(batchOf(e, "k"), 1, o); err != nil {
		t.Fatal(err)
	}
	<-reached
	if _, closer, err := e.db.Get([]byte("k")); err != nil {
		t.Errorf("Pebble: got %v, want the write to be visible before its sync", err)
	} else {
		_ = closer.Close()
	}
	if got := e.Durable.Load(); got != 0 {
		t.Errorf("durable head before the sync: got %d, want 0", got)
	}
	close(gate)
	if err := <-o; err != nil {
		t.Fatal(err)
	}
	if got := e.Durable.Load(); got != 1 {
		t.Errorf("durable head after the sync: got %d, want 1", got)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func createsTable(op errorfs.Op) bool {
	return op.Kind == errorfs.OpCreate && filepath.Ext(op.Path) == ".sst"
}

func TestPlainPebbleSpinsOnAFailingFlush(t *testing.T) {
	full, retries := &fault{}, atomic.Int64{}
	db := plain(t, full.wrap(vfs.NewMem(), syscall.ENOSPC, createsTable), &returningLogger{},
		&pebble.EventListener{BackgroundError: func(error) { retries.Add(1) }})
	if err := db.Set([]byte("k"), []byte("v"), pebble.NoSync); err != nil {
		t.Fatal(err)
	}
	full.armed.Store(true)
	flushed, err := db.AsyncFlush()
	if err != nil {
		t.Fatal(err)
	}
	<-time.After(300 * time.Millisecond)
	if n := retries.Load(); n < 300 {
		t.Errorf("%d retries in 300 ms, want a flood: the breaker may be left out", n)
	} else {
		t.Logf("%d retries in 300 ms", n)
	}
	full.armed.Store(false)
	<-flushed
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
