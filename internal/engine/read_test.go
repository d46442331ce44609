package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nexus-erp/eventstream/internal/campaign/faultfs"
)

// A move that fails is no end: whoever seeks on does not go on as if nothing had been
// there, and the error is not forgotten by the time the walk is closed.
func TestAWalkThatFailedStaysFailed(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	e := open(t, mem)
	for i := range 200 {
		if err := write(e, batchOf(e, fmt.Sprintf("k%03d", i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	moves := map[string]func(Iter) bool{
		"First":          Iter.First,
		"Last":           Iter.Last,
		"SeekGE":         func(it Iter) bool { return it.SeekGE([]byte("k100")) },
		"SeekLT":         func(it Iter) bool { return it.SeekLT([]byte("k100")) },
		"Start":          func(it Iter) bool { return it.Start(false) },
		"Start backward": func(it Iter) bool { return it.Start(true) },
	}
	for name, move := range moves {
		var broken atomic.Bool
		hit := &faultfs.Trigger{
			At: 1, Onward: true,
			Match: func(op errorfs.Op) bool {
				return broken.Load() && strings.HasSuffix(op.Path, ".sst") && op.Kind == errorfs.OpFileReadAt
			},
			Do: faultfs.Fail(syscall.EIO),
		}
		e, err := Open(Config{FS: hit.Wrap(mem), Dir: "db", ReadOnly: true, CacheBytes: 1, MemTableBytes: 256 << 10, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		it, err := e.NewIter([]byte("k"), []byte("l"))
		if err != nil {
			t.Fatal(err)
		}
		broken.Store(true)
		if move(it) || !hit.Fired() {
			t.Fatalf("%s: it moved to %s, or read nothing", name, it.Key())
		}
		broken.Store(false)
		for again, move := range moves {
			if move(it) {
				t.Errorf("%s after a failed %s: it moved to %s", again, name, it.Key())
			}
		}
		if it.Step(false) || it.Step(true) || it.Next() || it.Prev() {
			t.Errorf("a step after a failed %s went somewhere", name)
		}
		if err := it.Err(); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: got error %v, want EIO", name, err)
		}
		if err := it.Close(); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: close: got error %v, want EIO", name, err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The end of a walk is no error, and a walk that came to it can go on elsewhere.
func TestAWalkThatEndedGoesOn(t *testing.T) {
	t.Parallel()
	e := open(t, vfs.NewMem())
	if err := write(e, batchOf(e, "k1", "k2", "k3")); err != nil {
		t.Fatal(err)
	}
	it, err := e.NewIter([]byte("k1"), []byte("k3"))
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for ok := it.First(); ok; ok = it.Next() {
		keys = append(keys, string(it.Key()))
	}
	if it.SeekGE([]byte("k3")) || it.SeekLT([]byte("k1")) {
		t.Error("it left its bounds")
	}
	for ok := it.Last(); ok; ok = it.Prev() {
		keys = append(keys, string(it.Key()))
	}
	if got := strings.Join(keys, " "); got != "k1 k2 k2 k1" {
		t.Errorf("got %s, want k1 k2 k2 k1", got)
	}
	if err := errors.Join(it.Err(), it.Close(), e.Close()); err != nil {
		t.Error(err)
	}
}
