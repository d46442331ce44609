package engine

import (
	"path/filepath"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The pause before a retry doubles from the least to the greatest.
const (
	pauseLeast = 10 * time.Millisecond
	pauseMost  = 2 * time.Second
)

// breaker slows down the retries of background work that fails. Pebble repeats a failed
// flush or compaction at once, tens of thousands of times a second, and tells of each;
// a full disk costs a core then. Each attempt creates a table first, with none of
// Pebble's locks held, and that is where the breaker waits: the longer, the more
// attempts failed in a row.
//
// What fails before it creates a table is not slowed down: a compaction that cannot
// read what it compacts. Pebble itself leaves such tables alone for minutes, but those
// of level 0.
type breaker struct {
	mu       sync.Mutex
	failures int // in a row
	total    uint64

	stopOnce sync.Once
	stopped  chan struct{}
}

func newBreaker() *breaker { return &breaker{stopped: make(chan struct{})} }

// failed notes that background work failed.
func (b *breaker) failed() {
	b.mu.Lock()
	b.failures++
	b.total++
	b.mu.Unlock()
}

// healed notes that background work wrote a table.
func (b *breaker) healed() {
	b.mu.Lock()
	b.failures = 0
	b.mu.Unlock()
}

// inARow returns how many attempts failed since the last that did not.
func (b *breaker) inARow() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.failures
}

// sum returns how many attempts failed.
func (b *breaker) sum() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.total
}

func (b *breaker) pause() time.Duration {
	n := b.inARow()
	if n == 0 {
		return 0
	}
	return min(pauseLeast<<min(n-1, 16), pauseMost)
}

// wait lets the pause pass. Once the breaker is stopped it is the least one: Close is
// not held up, and a Pebble that was abandoned still does not spin.
func (b *breaker) wait() {
	d := b.pause()
	if d == 0 {
		return
	}
	long, least := time.NewTimer(d), time.NewTimer(pauseLeast)
	defer long.Stop()
	defer least.Stop()
	select {
	case <-long.C:
	case <-b.stopped:
		<-least.C
	}
}

// stop ends pauses.
func (b *breaker) stop() { b.stopOnce.Do(func() { close(b.stopped) }) }

// breakerFS waits before it creates a table.
type breakerFS struct {
	vfs.FS
	breaker *breaker
}

// Create implements vfs.FS.
func (fs breakerFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if filepath.Ext(name) == ".sst" {
		fs.breaker.wait()
	}
	return fs.FS.Create(name, category)
}

// Unwrap implements vfs.FS.
func (fs breakerFS) Unwrap() vfs.FS { return fs.FS }
