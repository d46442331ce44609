package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/goleak"

	"github.com/nexus-erp/eventstream/keys"
)

func TestMain(m *testing.M) {
	if os.Getenv(rotationVariable) != "" {
		rotatePlain()
		return
	}
	// One test parks a goroutine for good, as the engine does with one of Pebble's.
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/nexus-erp/eventstream/internal/engine.(*pebbleLogger).Fatalf"),
		// A Pebble that was given up keeps its files open, and they are watched.
		goleak.IgnoreAnyFunction("github.com/cockroachdb/pebble/v2/vfs.(*diskHealthCheckingFile).startTicker.func1"),
		goleak.IgnoreAnyFunction("github.com/cockroachdb/pebble/v2/vfs.(*diskHealthCheckingFS).startTickerLocked.func1"))
}

var ctx = context.Background()

func open(t *testing.T, fs vfs.FS) *Engine {
	t.Helper()
	e, err := Open(Config{FS: fs, Dir: "db", Create: true, CacheBytes: 1 << 20, MemTableBytes: 256 << 10, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func batchOf(e *Engine, pairs ...string) Batch {
	b := e.NewBatch()
	for _, p := range pairs {
		b.Set([]byte(p), []byte("value of "+p))
	}
	return b
}

// list returns the keys and values from lower up to, not including, upper, as text.
func list(t interface{ Fatal(args ...any) }, r Reader, lower, upper string) (all string) {
	it, err := r.NewIter([]byte(lower), []byte(upper))
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		value, err := it.Value()
		if err != nil {
			t.Fatal(err)
		}
		all += string(it.Key()) + string(value) + " "
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return all
}

// write applies a batch without a sync, and returns what is reported.
func write(e *Engine, b Batch) error {
	o := make(outcome, 1)
	if err := e.Write(b, o); err != nil {
		return err
	}
	return <-o
}

func submit(t *testing.T, e *Engine, last keys.Position, pairs ...string) error {
	t.Helper()
	return e.SubmitAndWait(ctx, batchOf(e, pairs...), last)
}

func TestPebbleFormatIsTheNewest(t *testing.T) {
	t.Parallel()
	if PebbleFormat != pebble.FormatNewest {
		t.Errorf("pinned format %d, the linked Pebble's newest is %d: raise it on purpose or not at all", PebbleFormat, pebble.FormatNewest)
	}
}

func TestSubmitIsDurableAndRaisesTheHead(t *testing.T) {
	t.Parallel()
	mem := vfs.NewCrashableMem()
	e := open(t, mem)
	for i := 1; i <= 3; i++ {
		if err := submit(t, e, keys.Position(i*10), fmt.Sprint("k", i)); err != nil {
			t.Fatal(err)
		}
		if got := e.Durable.Load(); got != keys.Position(i*10) {
			t.Errorf("durable head: got %d, want %d", got, i*10)
		}
	}
	clone := mem.CrashClone(vfs.CrashCloneCfg{})
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e, err := Open(Config{FS: clone, Dir: "db", CacheBytes: 1 << 20, MemTableBytes: 256 << 10, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	value, ok, err := e.Get([]byte("prefix "), []byte("k3"))
	if err != nil || !ok || string(value) != "prefix value of k3" {
		t.Errorf("got %q, %v, %v", value, ok, err)
	}
	if _, ok, err := e.Get(nil, []byte("k4")); ok || err != nil {
		t.Errorf("a key that is missing: %v, %v", ok, err)
	}
}

// A log that fails under writes which ask for no sync tells nobody. Close asks it before it
// begins another, which would end the process.
func TestCloseTellsThatTheLogFailed(t *testing.T) {
	t.Parallel()
	failing := &fault{}
	e := open(t, failing.wrap(vfs.NewMem(), syscall.EIO, func(op errorfs.Op) bool {
		return filepath.Ext(op.Path) == ".log" && op.Kind == errorfs.OpFileWrite
	}))
	failing.armed.Store(true)
	if err := write(e, batchOf(e, "a", "b")); err != nil {
		t.Fatal(err)
	}
	var poisoned *PoisonError
	if err := e.Close(); !errors.As(err, &poisoned) || !errors.Is(err, syscall.EIO) {
		t.Errorf("close: got %v, want that the log failed", err)
	}
}

func TestSyncCoversWhatWasWrittenBefore(t *testing.T) {
	t.Parallel()
	mem := vfs.NewCrashableMem()
	e := open(t, mem)
	if err := write(e, batchOf(e, "a", "b")); err != nil {
		t.Fatal(err)
	}
	if err := e.Sync(ctx, 7); err != nil {
		t.Fatal(err)
	}
	if got := e.Durable.Load(); got != 7 {
		t.Errorf("durable head: got %d, want 7", got)
	}
	clone := mem.CrashClone(vfs.CrashCloneCfg{})
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e, err := Open(Config{FS: clone, Dir: "db", CacheBytes: 1 << 20, MemTableBytes: 256 << 10, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.Close() }()
	if _, ok, err := e.Get(nil, []byte("b")); !ok || err != nil {
		t.Errorf("what was written before the sync is gone: %v, %v", ok, err)
	}
}

// Pebble calls Fatalf when a commit without a sync fails. If Fatalf returned, the
// lost write would be acknowledged; if it parked the caller, the caller would never
// learn. It unwinds to the guard instead.
func TestFatalfOnTheCommitPathComesBackAsAnError(t *testing.T) {
	t.Parallel()
	var armed atomic.Bool
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if armed.Load() && strings.HasSuffix(op.Path, ".log") && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			return syscall.EIO
		}
		return nil
	}))
	e := open(t, fs)
	armed.Store(true)
	// db.Apply with Sync is what Pebble documents; here it reaches Fatalf at once.
	b := e.db.NewBatch()
	if err := b.Set([]byte("k"), []byte("v"), nil); err != nil {
		t.Fatal(err)
	}
	err := func() (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = e.recovered(r)
			}
		}()
		return e.db.Apply(b, pebble.Sync)
	}()
	if _, ok := errors.AsType[*PoisonError](err); !ok || !errors.Is(e.PoisonErr(), err) {
		t.Errorf("got %v, poisoned by %v", err, e.PoisonErr())
	}
	if err := write(e, batchOf(e, "x")); err == nil {
		t.Error("a write after the failure was accepted")
	}
	if err := e.Submit(batchOf(e, "x"), 1, make(outcome, 1)); err == nil {
		t.Error("a submit after the failure was accepted")
	}
	_ = e.Close()
}

// Elsewhere Fatalf poisons and never returns to Pebble, which may hold locks.
func TestFatalfElsewhereParks(t *testing.T) {
	t.Parallel()
	p := newPoison(func(error) {})
	l := &pebbleLogger{log: slog.New(slog.DiscardHandler), poison: p}
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		l.Fatalf("broken %d", 1)
	}()
	<-p.ch
	if err := p.get(); err == nil || !strings.Contains(err.Error(), "broken 1") {
		t.Errorf("poisoned by %v", err)
	}
	for !parkedIn("TestFatalfElsewhereParks") {
		select {
		case <-returned:
			t.Fatal("Fatalf returned")
		default:
			runtime.Gosched()
		}
	}
}

// parkedIn reports whether a goroutine that a function started waits for nothing.
func parkedIn(function string) bool {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(stack, "[select (no cases)") && strings.Contains(stack, function) {
			return true
		}
	}
	return false
}

func TestAPanicOfPebblePoisons(t *testing.T) {
	t.Parallel()
	e := open(t, vfs.NewMem())
	b := batchOf(e, "k")
	if err := e.db.Close(); err != nil {
		t.Fatal(err)
	}
	err := write(e, b) // after Close, Pebble panics
	if _, ok := errors.AsType[*PoisonError](err); !ok {
		t.Fatalf("got %v, want a PoisonError", err)
	}
	select {
	case <-e.Poisoned():
	default:
		t.Error("the engine is not poisoned")
	}
	if err := e.Sync(ctx, 1); err == nil {
		t.Error("a sync after the panic was accepted")
	}
	if err := e.Close(); !errors.Is(err, ErrAbandoned) {
		t.Errorf("close: got %v, want ErrAbandoned", err)
	}
}

// Those who wait for a batch get the failure; later batches fail without being
// handed over; the first failure is the one that is told.
func TestAFailedSyncPoisonsForGood(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && strings.HasSuffix(op.Path, ".log") && op.Kind == errorfs.OpFileSyncData {
			return syscall.ENOSPC
		}
		return nil
	}))
	e := open(t, fs)
	if err := submit(t, e, 1, "before"); err != nil {
		t.Fatal(err)
	}
	broken.Store(true)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			err := e.SubmitAndWait(ctx, batchOf(e, fmt.Sprint("k", i)), keys.Position(i+2))
			if !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("writer %d: got %v, want ENOSPC", i, err)
			}
		})
	}
	wg.Wait()
	if err := e.PoisonErr(); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("poisoned by %v, want ENOSPC", err)
	}
	broken.Store(false)
	if err := submit(t, e, 99, "after"); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("after the disk was mended: got %v, want the first failure", err)
	}
	if got := e.Durable.Load(); got != 1 {
		t.Errorf("durable head: got %d, want 1", got)
	}
	if err := e.Close(); err == nil {
		t.Log("close reported nothing")
	}
}

// Once the log failed, whoever waits is told, although the sync does not answer; and what
// it still brings to the disk in the end does not raise the head.
func TestAFailureIsToldWhileASyncDoesNotAnswer(t *testing.T) {
	t.Parallel()
	gate, held := make(chan struct{}), make(chan struct{}, 8)
	var gated atomic.Bool
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if gated.Load() && strings.HasSuffix(op.Path, ".log") && op.Kind == errorfs.OpFileSyncData {
			held <- struct{}{}
			<-gate
		}
		return nil
	}))
	e := open(t, fs)
	if err := submit(t, e, 1, "before"); err != nil {
		t.Fatal(err)
	}
	gated.Store(true)
	told := make(chan error, 1)
	go func() {
		patient, cancel := context.WithTimeout(ctx, 10*time.Second)
		defer cancel()
		told <- e.SubmitAndWait(patient, batchOf(e, "k"), 2)
	}()
	<-held
	broken := errors.New("broken")
	_ = e.poison.set(broken)
	if err := <-told; !errors.Is(err, broken) {
		t.Errorf("got %v, want the failure", err)
	}
	close(gate)
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	if got := e.Durable.Load(); got != 1 {
		t.Errorf("durable head: got %d, want 1", got)
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	var gated atomic.Bool
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if gated.Load() && strings.HasSuffix(op.Path, ".log") && op.Kind == errorfs.OpFileSyncData {
			<-gate
		}
		return nil
	}))
	e := open(t, fs)
	gated.Store(true)
	ending, cancel := context.WithCancel(ctx)
	cancel()
	if err := e.SubmitAndWait(ending, batchOf(e, "k"), 5); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	close(gate)
	// The batch goes its way without its caller.
	for rises := e.Durable.Above(4); rises != nil; rises = e.Durable.Above(4) {
		<-rises
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func TestWatermark(t *testing.T) {
	t.Parallel()
	var w Watermark
	if w.Above(0) == nil {
		t.Error("nothing is above 0 yet")
	}
	first, second := w.Above(0), w.Above(5)
	w.Rise(3)
	<-first
	<-second // woken by any rise: those who need more ask again
	if w.Above(2) != nil {
		t.Error("3 is above 2")
	}
	third := w.Above(3)
	w.Rise(2) // does not go back
	w.Rise(3)
	if w.Load() != 3 {
		t.Fatalf("got %d, want 3", w.Load())
	}
	select {
	case <-third:
		t.Fatal("woken without a rise") // and those below might wait for good
	default:
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for p := range 1000 {
				w.Rise(keys.Position(p*8 + i))
			}
		})
	}
	for w.Load() < 7999 {
		if ch := w.Above(7998); ch != nil {
			<-ch
		}
	}
	wg.Wait()
	if w.Load() != 7999 {
		t.Errorf("got %d, want 7999", w.Load())
	}
}

func TestLimiterCountsWhatItDrops(t *testing.T) {
	t.Parallel()
	var l limiter
	now := time.Unix(0, 0)
	allowed, dropped := 0, 0
	for range 20_000 { // over two seconds
		if n, ok := l.allow(now); ok {
			allowed++
			dropped += n
		}
		now = now.Add(100 * time.Microsecond)
	}
	if allowed != 2 || dropped != 9_999 {
		t.Errorf("allowed %d, dropped %d, want 2 and 9,999", allowed, dropped)
	}
}

// A flush that fails is retried by Pebble without a pause; what is logged of it
// stays readable, and nothing ends the process.
func TestBackgroundErrorsAreLimited(t *testing.T) {
	t.Parallel()
	var lines atomic.Int64
	log := slog.New(countingHandler{&lines})
	listener := newListener(log)
	ed := newEdge(&Config{FS: vfs.NewMem(), Logger: log, MemTableBytes: 1 << 20}, listener.DiskSlow)
	defer ed.health.Close()
	ed.listen(listener)
	for range 10_000 {
		listener.BackgroundError(syscall.ENOSPC)
		listener.DataCorruption(pebble.DataCorruptionInfo{Path: "000001.sst", Details: errors.New("bad block")})
		listener.DiskSlow(vfs.DiskSlowInfo{Path: "000001.log"})
	}
	if got := lines.Load(); got < 3 || got > 15 {
		t.Errorf("%d lines for 30,000 events", got)
	}
	before := lines.Load()
	listener.WriteStallBegin(pebble.WriteStallBeginInfo{Reason: "memtable count limit reached"})
	listener.WriteStallEnd()
	listener.LowDiskSpace(pebble.LowDiskSpaceInfo{AvailBytes: 1, TotalBytes: 100})
	if got := lines.Load() - before; got != 3 {
		t.Errorf("%d lines for a stall and a full disk, want 3", got)
	}
}

type countingHandler struct{ n *atomic.Int64 }

func (h countingHandler) Enabled(context.Context, slog.Level) bool  { return true }
func (h countingHandler) Handle(context.Context, slog.Record) error { h.n.Add(1); return nil }
func (h countingHandler) WithAttrs([]slog.Attr) slog.Handler        { return h }
func (h countingHandler) WithGroup(string) slog.Handler             { return h }

func TestIteratorsNeedBothBounds(t *testing.T) {
	t.Parallel()
	e := open(t, vfs.NewMem())
	defer func() { _ = e.Close() }()
	for _, bounds := range [][2][]byte{{nil, {1}}, {{1}, nil}, {nil, nil}} {
		if _, err := e.NewIter(bounds[0], bounds[1]); !errors.Is(err, keys.ErrNoSuccessor) {
			t.Errorf("bounds %x: got %v, want ErrNoSuccessor", bounds, err)
		}
	}
	if _, err := e.NewPrefixIter([]byte{0xff, 0xff}); !errors.Is(err, keys.ErrNoSuccessor) {
		t.Errorf("prefix ff ff: got %v, want ErrNoSuccessor", err)
	}
}

func TestIteratorsWalkTheirRange(t *testing.T) {
	t.Parallel()
	e := open(t, vfs.NewMem())
	defer func() { _ = e.Close() }()
	if err := write(e, batchOf(e, "a1", "a2", "a3", "b1")); err != nil {
		t.Fatal(err)
	}
	it, err := e.NewPrefixIter([]byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for ok := it.First(); ok; ok = it.Next() {
		got = append(got, string(it.Key()))
	}
	for ok := it.Last(); ok; ok = it.Prev() {
		value, err := it.Value()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(value))
	}
	if it.SeekGE([]byte("a2")) {
		got = append(got, string(it.Key()))
	}
	if it.SeekLT([]byte("a2")) {
		got = append(got, string(it.Key()))
	}
	if err := errors.Join(it.Err(), it.Close()); err != nil {
		t.Fatal(err)
	}
	want := "a1 a2 a3 value of a3 value of a2 value of a1 a2 a1"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("got %q, want %q", s, want)
	}
	b := e.NewBatch()
	b.Delete([]byte("a2"))
	if err := write(e, b); err != nil {
		t.Fatal(err)
	}
	if _, ok, _ := e.Get(nil, []byte("a2")); ok {
		t.Error("a deleted key is still there")
	}
	if _, byKind, err := e.DiskUsage(); err != nil || len(byKind) != len(keys.Kinds()) {
		t.Errorf("disk usage: %v, %v", byKind, err)
	}
}

func TestIsCorruption(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]bool{
		pebble.ErrInvalidBatch:                          false,
		pebble.ErrBatchTooLarge:                         false,
		errors.New("other"):                             false,
		pebble.ErrCorruption:                            true,
		fmt.Errorf("wrapped: %w", pebble.ErrCorruption): true,
	} {
		if got := IsCorruption(err); got != want {
			t.Errorf("%v: got %v, want %v", err, got, want)
		}
	}
}
