package eventstream_test

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nexus-erp/eventstream"
)

// Tables cannot be written for a while, so flushes pile up until Pebble takes no more
// writes and holds whoever writes. Callers get away when their ctx ends, and know
// that the outcome is open; what they left behind is there once the disk answers, and
// whoever asks for it again, under the ids that he was told, gets that.
func TestAStallHoldsNoCallerBeyondItsContext(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	open := sync.OnceFunc(func() { close(release) })
	defer open()
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && filepath.Ext(op.Path) == ".sst" {
			<-release
		}
		return nil
	}))
	db, err := eventstream.Open("store", &eventstream.Options{FS: fs, MemTableBytes: 256 << 10})
	if err != nil {
		t.Fatal(err)
	}
	payload := make([]byte, 64<<10)
	acked, unknown := 0, 0
	var left *eventstream.CommitUnknownError
	for range 200 {
		short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
		began := time.Now()
		_, err := db.Append(short, "stock-item-1", eventstream.Any, eventstream.NewEvent{Type: "Counted", Data: payload})
		cancel()
		if took := time.Since(began); took > 5*time.Second {
			t.Fatalf("an append with a ctx of 200 ms took %v", took)
		}
		switch {
		case err == nil:
			acked++
			continue
		case errors.As(err, &left):
			unknown++
		case !errors.Is(err, context.DeadlineExceeded):
			t.Fatal(err)
		}
		break
	}
	if acked == 0 || acked == 200 {
		t.Fatalf("%d appends went through: the store never stalled", acked)
	}
	equal(t, "appends with an open outcome", unknown, 1)
	equal(t, "events readable while stalled", len(mustCollect(t, db.ReadAll(ctx))), acked)

	var again eventstream.AppendResult
	var asking sync.WaitGroup
	asking.Go(func() {
		again, err = db.Append(ctx, "stock-item-1", eventstream.Any, eventstream.NewEvent{ID: left.EventIDs[0], Type: "Counted", Data: payload})
	})
	for queued := 0; queued == 0; queued, _ = eventstream.Waiting(db) {
		runtime.Gosched() // until the store has looked for the id, where it is not yet
	}
	open()
	asking.Wait()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "the result is that of the first", again.Deduplicated, true)
	equal(t, "its position", again.FirstPosition, eventstream.Position(acked+1))
	mustAppend(t, db, "stock-item-1", eventstream.StreamExists, event("Counted"))
	equal(t, "events afterwards", len(mustCollect(t, db.ReadAll(ctx))), acked+unknown+1)
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
