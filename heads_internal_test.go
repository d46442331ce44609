package eventstream

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
)

var errLoad = errors.New("disk says no")

func headKey(n int) streamKey { return streamKey{stream: StreamID(fmt.Sprintf("s-%d", n))} }

// loadAs returns a find that answers with version, and counts its calls.
func loadAs(version Version, calls *atomic.Int64) func(streamKey) (Version, Position, error) {
	return func(streamKey) (Version, Position, error) {
		calls.Add(1)
		return version, Position(10 * version), nil
	}
}

func mustWarm(t *testing.T, h *streamHead, version Version) {
	t.Helper()
	var calls atomic.Int64
	if err := h.warm(loadAs(version, &calls)); err != nil {
		t.Fatal(err)
	}
}

func TestAHeadIsOneForAllWhoPinIt(t *testing.T) {
	t.Parallel()
	c := newHeadCache(2)
	h := c.pin(headKey(1))
	if c.pin(headKey(1)) != h {
		t.Error("a second pin found another head")
	}
	if c.pin(headKey(2)) == h || c.pin(streamKey{tenant: &tenant{}, stream: "s-1"}) == h {
		t.Error("another stream has the same head")
	}
	mustWarm(t, h, 5)
	c.unpin(h)
	c.unpin(h)
	again := c.pin(headKey(1))
	if again != h || again.version != 5 || again.position != 50 {
		t.Errorf("after unpinning: got %+v, want the same head at version 5", again)
	}
}

// Heads that nobody pins are kept up to the capacity, least recently pinned first
// to go; pinned ones are kept whatever their number.
func TestHeadsBeyondTheCapacityAreForgotten(t *testing.T) {
	t.Parallel()
	c := newHeadCache(3)
	var all []*streamHead
	for i := range 10 {
		h := c.pin(headKey(i))
		mustWarm(t, h, Version(i))
		all = append(all, h)
	}
	if len(c.heads) != 10 || c.count != 0 {
		t.Fatalf("%d heads, %d idle: want 10 pinned ones", len(c.heads), c.count)
	}
	for _, h := range all[:9] {
		c.unpin(h)
	}
	// 6, 7 and 8 are left beside the pinned 9. To use 6 makes 7 the next to go.
	if h := c.pin(headKey(6)); h != all[6] {
		t.Error("head 6 was forgotten")
	}
	c.unpin(all[6])
	c.unpin(all[9])
	kept := map[StreamID]bool{}
	for key := range c.heads {
		kept[key.stream] = true
	}
	if len(kept) != 3 || !kept["s-8"] || !kept["s-6"] || !kept["s-9"] {
		t.Errorf("kept %v, want s-6, s-8 and s-9", kept)
	}
	if h := c.pin(headKey(7)); h == all[7] || h.loaded.Load() {
		t.Error("a forgotten head came back loaded")
	}
}

func TestAHeadThatFailedToLoadIsForgotten(t *testing.T) {
	t.Parallel()
	c := newHeadCache(3)
	h := c.pin(headKey(1))
	if err := h.warm(func(streamKey) (Version, Position, error) { return 9, 9, errLoad }); !errors.Is(err, errLoad) {
		t.Errorf("got error %v, want the load's", err)
	}
	if h.version != 0 || h.loaded.Load() {
		t.Errorf("after a failed load: %+v, want nothing in it", h)
	}
	// Whoever else has it pinned tries again.
	other := c.pin(headKey(1))
	mustWarm(t, other, 4)
	if h.version != 4 {
		t.Errorf("got version %d, want 4", h.version)
	}
	c.unpin(h)
	c.unpin(other)

	failed := c.pin(headKey(2))
	if err := failed.warm(func(streamKey) (Version, Position, error) { return 0, 0, errLoad }); err == nil {
		t.Fatal("the load's error is gone")
	}
	c.unpin(failed)
	if _, ok := c.heads[headKey(2)]; ok {
		t.Error("a head without content is kept")
	}
}

// Many appends to one cold stream read its head from disk once; those that come
// while it is read wait for it.
func TestAHeadIsLoadedOnceAtATime(t *testing.T) {
	t.Parallel()
	c := newHeadCache(8)
	var loading, calls atomic.Int64
	started, release := make(chan struct{}), make(chan struct{})
	find := func(streamKey) (Version, Position, error) {
		if loading.Add(1) != 1 {
			t.Error("two loads at once")
		}
		defer loading.Add(-1)
		if calls.Add(1) == 1 {
			close(started)
			<-release
			return 0, 0, errLoad
		}
		return 7, 70, nil
	}
	var wg sync.WaitGroup
	var failures atomic.Int64
	for range 32 {
		wg.Go(func() {
			h := c.pin(headKey(1))
			defer c.unpin(h)
			if err := h.warm(find); err != nil {
				failures.Add(1)
				return
			}
			if h.version != 7 || h.position != 70 {
				t.Errorf("got version %d at %d, want 7 at 70", h.version, h.position)
			}
		})
	}
	<-started
	close(release)
	wg.Wait()
	if calls.Load() < 2 || failures.Load() != 1 {
		t.Errorf("%d loads, %d failures: want one failure, and another load after it", calls.Load(), failures.Load())
	}
}

// Under any interleaving of appends, at most one head of a stream exists, so that
// versions count up without a gap although heads are evicted and read back.
func TestHeadsSurviveEvictionUnderLoad(t *testing.T) {
	t.Parallel()
	const streams, writers, perWriter = 8, 16, 300
	c := newHeadCache(2)
	var disk [streams]atomic.Uint64 // the versions as stored
	var turn sync.Mutex
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range perWriter {
				n := (w + i) % streams
				h := c.pin(headKey(n))
				err := h.warm(func(streamKey) (Version, Position, error) {
					v := disk[n].Load()
					return Version(v), Position(v), nil
				})
				if err != nil {
					t.Error(err)
				}
				turn.Lock()
				if stored := Version(disk[n].Load()); h.version != stored {
					t.Errorf("stream %d: the head says version %d, stored is %d", n, h.version, stored)
				}
				h.version++
				disk[n].Store(uint64(h.version))
				turn.Unlock()
				c.unpin(h)
			}
		})
	}
	wg.Wait()
	total := uint64(0)
	for n := range disk {
		total += disk[n].Load()
	}
	if total != writers*perWriter {
		t.Errorf("versions add up to %d, want %d", total, writers*perWriter)
	}
	if len(c.heads) > 2 || c.count != len(c.heads) {
		t.Errorf("%d heads and %d idle are left, want at most 2", len(c.heads), c.count)
	}
}
