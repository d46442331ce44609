package eventstream

import (
	"sync"
	"sync/atomic"
)

// streamKey names a stream across tenants.
type streamKey struct {
	tenant *tenant
	stream StreamID
}

// streamHead is where a stream stands. Appends pin it from before they look until
// after they decided, so that there is one head for a stream at any time, and what
// was read from disk cannot overwrite what was committed since.
type streamHead struct {
	key streamKey

	// version and position are the stream's last. They are set by the load, and from
	// then on guarded by the sequencer.
	version  Version
	position Position

	load   sync.Mutex
	loaded atomic.Bool

	// Guarded by headCache.mu.
	pins       int
	prev, next *streamHead // in the list of heads that nobody pins
}

// headCache holds the heads of the streams that were appended to last, and of all
// that are being appended to.
type headCache struct {
	capacity int

	mu    sync.Mutex
	heads map[streamKey]*streamHead
	idle  streamHead // the list's anchor; idle.next was pinned least recently
	count int        // length of the list
}

func newHeadCache(capacity int) *headCache {
	c := &headCache{capacity: capacity, heads: make(map[streamKey]*streamHead)}
	c.idle.prev, c.idle.next = &c.idle, &c.idle
	return c
}

// pin returns the head of a stream and keeps it until unpin. It is not loaded yet
// if nobody needed it lately.
func (c *headCache) pin(key streamKey) *streamHead {
	c.mu.Lock()
	defer c.mu.Unlock()
	h, ok := c.heads[key]
	switch {
	case !ok:
		h = &streamHead{key: key}
		c.heads[key] = h
	case h.pins == 0:
		c.unlinkLocked(h)
	}
	h.pins++
	return h
}

// unpin lets go of heads, and forgets the least recently pinned ones beyond the
// capacity. A head that failed to load is forgotten at once.
func (c *headCache) unpin(heads ...*streamHead) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, h := range heads {
		if h.pins--; h.pins > 0 {
			continue
		}
		if !h.loaded.Load() {
			delete(c.heads, h.key)
			continue
		}
		h.prev, h.next = c.idle.prev, &c.idle
		h.prev.next, h.next.prev = h, h
		c.count++
		if c.count > c.capacity {
			oldest := c.idle.next
			c.unlinkLocked(oldest)
			delete(c.heads, oldest.key)
		}
	}
}

func (c *headCache) unlinkLocked(h *streamHead) {
	h.prev.next, h.next.prev = h.next, h.prev
	h.prev, h.next = nil, nil
	c.count--
}

// warm makes sure that h is loaded. find reads the stream's last event from disk;
// it runs at most once at a time for a stream.
//
// REQUIRES: h is pinned.
func (h *streamHead) warm(find func(streamKey) (Version, Position, error)) error {
	if h.loaded.Load() {
		return nil
	}
	h.load.Lock()
	defer h.load.Unlock()
	if h.loaded.Load() {
		return nil
	}
	version, position, err := find(h.key)
	if err != nil {
		return err
	}
	h.version, h.position = version, position
	h.loaded.Store(true)
	return nil
}
