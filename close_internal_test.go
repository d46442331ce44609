package eventstream

import (
	"context"
	"errors"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nexus-erp/eventstream/internal/engine"
)

// A disk that never answers a sync: Close returns all the same, and so does everyone
// who waits.
func TestCloseIsBoundedIfTheDiskNeverAnswers(t *testing.T) {
	t.Parallel()
	var hung atomic.Bool
	answer, held := make(chan struct{}), make(chan struct{}, 16)
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if hung.Load() && strings.HasSuffix(op.Path, ".log") && op.Kind == errorfs.OpFileSyncData {
			held <- struct{}{}
			<-answer
		}
		return nil
	}))
	db, err := Open("store", &Options{FS: fs, MemTableBytes: 256 << 10, CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	db.patience = 50 * time.Millisecond
	ctx := context.Background()
	hung.Store(true)
	results := make(chan error, 4)
	for range cap(results) {
		go func() {
			_, err := db.Append(ctx, "s", Any, NewEvent{Type: "X"})
			results <- err
		}()
	}
	<-held
	if err := db.Close(); !errors.Is(err, engine.ErrAbandoned) {
		t.Errorf("close: got %v, want ErrAbandoned", err)
	}
	for range cap(results) {
		if err := <-results; !errors.Is(err, ErrPoisoned) && !errors.Is(err, ErrClosed) {
			t.Errorf("append: got %v, want ErrPoisoned", err)
		}
	}
	if _, err := db.Append(ctx, "s", Any, NewEvent{Type: "X"}); !errors.Is(err, ErrClosed) {
		t.Errorf("append after close: got %v, want ErrClosed", err)
	}
	close(answer)
	if err := db.eng.Close(); err != nil { // the disk answered after all: leave nothing behind
		t.Log(err)
	}
}

// A disk that never answers a read, when Close looks for the last event to mark where the
// store ends.
func TestCloseIsBoundedIfTheDiskNeverAnswersARead(t *testing.T) {
	t.Parallel()
	var hung atomic.Bool
	answer := make(chan struct{})
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if hung.Load() && strings.HasSuffix(op.Path, ".sst") && op.Kind == errorfs.OpFileReadAt && strings.Contains(string(debug.Stack()), "finalMark") {
			<-answer
		}
		return nil
	}))
	opts := &Options{FS: fs, MemTableBytes: 256 << 10, CacheBytes: 64 << 10}
	db, err := Open("store", opts)
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := db.Append(context.Background(), "s", Any, NewEvent{Type: "X", Data: make([]byte, 200<<10)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil { // it moves all into tables
		t.Fatal(err)
	}
	if db, err = Open("store", opts); err != nil {
		t.Fatal(err)
	}
	awaitIndexed(t, db)
	hung.Store(true)
	db.patience = 500 * time.Millisecond
	closed := make(chan error, 1)
	go func() { closed <- db.Close() }()
	select {
	case err := <-closed:
		if !errors.Is(err, engine.ErrAbandoned) {
			t.Errorf("close: got %v, want ErrAbandoned", err)
		}
	case <-time.After(10 * time.Second):
		t.Error("Close did not return")
	}
	close(answer)
	db.background.Wait()
	for stacks := make([]byte, 1<<20); strings.Contains(string(stacks[:runtime.Stack(stacks, true)]), "finalMark"); {
		runtime.Gosched() // the read that was left behind ends now
	}
	if err := db.eng.Close(); err != nil {
		t.Log(err)
	}
}

// A Pebble that panics while it is closed was not closed: its directory stays locked.
func TestAStoreThatWasNotClosedStaysLocked(t *testing.T) {
	t.Parallel()
	opts := &Options{FS: vfs.NewMem(), MemTableBytes: 256 << 10, CacheBytes: 1 << 20}
	db, err := Open("store", opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.eng.Close(); err != nil { // the next one panics
		t.Fatal(err)
	}
	if err := db.Close(); !errors.Is(err, engine.ErrAbandoned) || !strings.Contains(err.Error(), "closed channel") {
		t.Errorf("close: got %v, want ErrAbandoned and the panic", err)
	}
	if _, err := Open("store", opts); !errors.Is(err, ErrInUse) {
		t.Errorf("open again: got %v, want ErrInUse", err)
	}
	if err := db.dir.Close(); err != nil { // leave nothing behind
		t.Error(err)
	}
}
