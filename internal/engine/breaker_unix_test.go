//go:build unix

package engine

import (
	"log/slog"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// cpuTime is what this process used so far.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A disk takes no tables for a while. Retries cost next to nothing and are hardly
// logged, and once the disk heals the flush goes through. It runs alone, since it
// measures the process.
func TestAFailingFlushCostsNoCoreAndHeals(t *testing.T) {
	lasts := 4 * time.Second
	if testing.Short() {
		lasts = time.Second
	}
	var lines atomic.Int64
	full := &fault{}
	e, err := Open(Config{
		FS: full.wrap(vfs.NewMem(), syscall.ENOSPC, createsTable), Dir: "db", Create: true,
		CacheBytes: 1 << 20, MemTableBytes: 256 << 10, Logger: slog.New(countingHandler{&lines}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := submit(t, e, 1, "k"); err != nil {
		t.Fatal(err)
	}
	full.armed.Store(true)
	flushed, err := e.db.AsyncFlush()
	if err != nil {
		t.Fatal(err)
	}
	before := cpuTime(t)
	<-time.After(lasts)
	used := cpuTime(t) - before
	h := e.Health()
	t.Logf("%d retries in a row in %v: %v of CPU, %d lines", h.InARow, lasts, used, lines.Load())
	if used > lasts/5 {
		t.Errorf("%v of CPU in %v, want less than a fifth of a core", used, lasts)
	}
	if n := lines.Load(); n == 0 || n > 50 {
		t.Errorf("%d lines were logged, want some and at most 50", n)
	}
	if h.InARow < 3 || h.InARow > 50 || full.hits.Load() > 110 { // each attempt is tried twice
		t.Errorf("%d retries, %d operations that failed", h.InARow, full.hits.Load())
	}
	if h.Level != DiskFull {
		t.Errorf("level while nothing has room: got %q, want %q", h.Level, DiskFull)
	}
	if err := e.Admit(1); err == nil {
		t.Error("more is admitted while nothing has room")
	}

	full.armed.Store(false)
	healing := time.NewTimer(5 * time.Second)
	defer healing.Stop()
	select {
	case <-flushed:
	case <-healing.C:
		t.Fatal("5 s after the disk healed the flush had not gone through")
	}
	if h := e.Health(); h.InARow != 0 || h.Level != DiskUnknown || h.Failures == 0 {
		t.Errorf("after the disk healed: %+v", h)
	}
	if err := e.Admit(1 << 20); err != nil {
		t.Errorf("after the disk healed: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// Close does not wait for a pause, nor for a disk that takes no tables.
func TestCloseReturnsWhileFlushesFail(t *testing.T) {
	t.Parallel()
	full := &fault{}
	mem := vfs.NewMem()
	e := open(t, full.wrap(mem, syscall.EIO, createsTable))
	if err := submit(t, e, 1, "k"); err != nil {
		t.Fatal(err)
	}
	full.armed.Store(true)
	if _, err := e.db.AsyncFlush(); err != nil {
		t.Fatal(err)
	}
	for e.edge.breaker.inARow() < 3 {
		<-time.After(time.Millisecond)
	}
	began := time.Now()
	_ = e.Close() // with or without an error
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Close took %v", took)
	}
	again, err := Open(Config{FS: mem, Dir: "db", CacheBytes: 1 << 20, MemTableBytes: 256 << 10, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := again.Get(nil, []byte("k")); !ok || err != nil {
		t.Errorf("what was submitted: found %v, %v", ok, err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
