package engine

import (
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// GiveWay lets the kernel run what waits for this processor. Whoever works behind the log
// for milliseconds on end, without a system call, calls it every few dozen microseconds.
//
// A sync ends with work that the kernel does on the processor where the disk reports, and
// the kernel does not interrupt for it whoever has just begun a time slice there, of up to
// four milliseconds, even if all other processors are idle. Then each append in flight
// waits for the slice: the sealer alone, which is at work a fifth of the time, made two
// syncs in a hundred ten times as long. A call costs a third of a microsecond if nobody
// waits.
//
// Whoever gives way to others that work as long as he does loses a time slice to each of
// them. So it is done for a fifth of the time at most.
func GiveWay() { giveWay.offer(sinceStart, yield) }

var (
	giveWay courtesy
	started = time.Now()
)

func sinceStart() time.Duration { return time.Since(started) }

// courtesy bounds what it costs to give way. It is shared by all who do; the zero value is
// ready.
type courtesy struct{ rests atomic.Int64 } // until then, in ns since started

// courtesyShare is how much longer than it took to give way nobody does so again.
const courtesyShare = 4

// offer gives way, unless that took long a short time ago.
func (c *courtesy) offer(clock func() time.Duration, yield func()) {
	now := clock()
	if int64(now) < c.rests.Load() {
		return
	}
	yield()
	back := clock()
	c.rests.Store(int64(back + courtesyShare*(back-now)))
}

// givingFS gives way with every block of a table: flushes and compactions pack for a tenth
// of a second and more.
type givingFS struct{ vfs.FS }

// Create implements vfs.FS.
func (fs givingFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	if err != nil || filepath.Ext(name) != ".sst" {
		return f, err
	}
	return givingFile{f}, nil
}

// Unwrap implements vfs.FS.
func (fs givingFS) Unwrap() vfs.FS { return fs.FS }

// givingFile is a table that is being written.
type givingFile struct{ vfs.File }

// Write implements vfs.File.
func (f givingFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	GiveWay()
	return n, err
}
