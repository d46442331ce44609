package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// DiskLevel says how full the disk is.
type DiskLevel string

// The levels of a disk.
const (
	DiskUnknown DiskLevel = "unknown" // the file system does not tell: everything is allowed
	DiskOK      DiskLevel = "ok"
	DiskLow     DiskLevel = "low"  // below the soft mark: nothing big should begin
	DiskFull    DiskLevel = "full" // below the hard mark: no more data is taken
)

// DiskFullError is a disk with less room than is needed. Nothing was written.
type DiskFullError struct {
	Path   string
	Free   uint64 // bytes
	Needed uint64 // bytes that must be free
	Err    error  // more about it, or nil
}

// Error names both amounts.
func (e *DiskFullError) Error() string {
	text := fmt.Sprintf("disk of %s is full: %d bytes are free, %d are needed", e.Path, e.Free, e.Needed)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns what more there is to say.
func (e *DiskFullError) Unwrap() error { return e.Err }

// reserveLeast is the least room for flushes and compactions: that of their blocks,
// manifests and options, with small tables in memory too.
const reserveLeast = 8 << 20

// DiskReserve is the hard mark: how much must be free for the store to take more. Pebble
// cannot go on once a write of its log fails for want of space, and ends the process if
// it cannot create the next log. So appends stop while there is room for what they have
// set off already:
//
//	3 logs, each allocated in advance with a tenth more than a table in memory
//	2 of the greatest appends, on their way to the log
//	2 tables in memory, flushed, or 8 MiB: also what a compaction writes before it deletes
//
// With the default options it is 355 MiB.
func DiskReserve(memTableBytes, appendBytes int64) uint64 {
	return uint64(3*walBytes(memTableBytes) + 2*appendBytes + max(2*memTableBytes, reserveLeast))
}

// DiskSoftMark is where a disk begins to be low.
func DiskSoftMark(memTableBytes, appendBytes int64) uint64 {
	return 2 * DiskReserve(memTableBytes, appendBytes)
}

// walBytes is what Pebble allocates for a log in advance.
func walBytes(memTableBytes int64) int64 { return memTableBytes + memTableBytes/10 }

// lookAgain is how long a look at the disk counts at least, when appends are refused.
const lookAgain = 10 * time.Millisecond

// disk knows how much is free, and refuses data when that is too little. It looks once
// a second, and whenever as much was handed over as was free above the hard mark at
// the last look: so a burst of appends cannot run past the mark between two looks. It
// is safe for concurrent use.
type disk struct {
	fs         vfs.FS
	path       string
	hard, soft uint64
	log        *slog.Logger
	logged     limiter

	left  atomic.Int64 // bytes that may be handed over before the next look
	free  atomic.Uint64
	level atomic.Pointer[DiskLevel]

	mu     sync.Mutex
	looked time.Time
	forced time.Time // until when the disk counts as full, whatever it says
}

func newDisk(cfg *Config, fs vfs.FS) *disk {
	d := &disk{
		fs: fs, path: cfg.StoreDir, log: cfg.Logger,
		hard: DiskReserve(cfg.MemTableBytes, cfg.AppendBytes), soft: DiskSoftMark(cfg.MemTableBytes, cfg.AppendBytes),
	}
	d.set(DiskUnknown)
	return d
}

func (d *disk) get() DiskLevel      { return *d.level.Load() }
func (d *disk) set(level DiskLevel) { d.level.Store(&level) }

// usage asks the file system. ok is false if it does not tell.
func (d *disk) usage() (u vfs.DiskUsage, ok bool, err error) {
	if d.path == "" {
		return u, false, nil
	}
	u, err = d.fs.GetDiskUsage(d.path)
	if errors.Is(err, vfs.ErrUnsupported) {
		return u, false, nil
	}
	return u, err == nil, err
}

// forcedFor is how long an operation that found no room counts, if nothing is written
// meanwhile: more than the pauses between attempts, so that the level does not flap.
const forcedFor = 2 * pauseMost

// noRoom notes that an operation found no room, which says more than what is free: a
// quota may be used up, or the file system does not tell.
func (d *disk) noRoom() {
	d.mu.Lock()
	d.forced = time.Now().Add(forcedFor)
	d.mu.Unlock()
	d.look(0)
}

// room notes that there was room for a table.
func (d *disk) room() {
	d.mu.Lock()
	forced := !d.forced.IsZero()
	d.forced = time.Time{}
	d.mu.Unlock()
	if forced {
		d.look(0)
	}
}

// look sees how much is free, unless that is known since less than age.
func (d *disk) look(age time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if age > 0 && time.Since(d.looked) < age {
		return
	}
	u, ok, err := d.usage()
	if err != nil {
		d.warn("free space is not known", slog.Any("error", err))
		return // the last level stands
	}
	d.looked = time.Now()
	d.free.Store(u.AvailBytes)
	left := int64(u.AvailBytes) - int64(d.hard)
	was, is := d.get(), DiskOK
	switch {
	case d.looked.Before(d.forced):
		is, left = DiskFull, -1
	case !ok:
		is = DiskUnknown
	case u.AvailBytes < d.hard:
		is = DiskFull
	case u.AvailBytes < d.soft:
		is = DiskLow
	}
	d.left.Store(left)
	d.set(is)
	if was != is {
		d.report(was, is)
	}
}

func (d *disk) report(was, is DiskLevel) {
	switch {
	case is == DiskFull:
		d.warn("disk is full: appends are refused, reads go on", slog.Uint64("free_bytes", d.free.Load()), slog.Uint64("needed_bytes", d.hard))
	case is == DiskLow:
		d.warn("disk is nearly full: free some space", slog.Uint64("free_bytes", d.free.Load()), slog.Uint64("appends_stop_below_bytes", d.hard))
	case was != DiskUnknown:
		d.log.Info("disk has room again", slog.Uint64("free_bytes", d.free.Load()))
	}
}

func (d *disk) warn(text string, args ...any) {
	if dropped, ok := d.logged.allow(time.Now()); ok {
		d.log.Warn(text, append(args, slog.Int("dropped", dropped))...)
	}
}

// admit allows n bytes to be written to the log, or returns a [*DiskFullError]. They are
// written twice, the second time to a table.
func (d *disk) admit(n int64) error {
	if d.get() == DiskUnknown || d.left.Add(-2*n) >= 0 {
		return nil
	}
	d.look(lookAgain)
	if d.get() == DiskUnknown || d.left.Add(-2*n) >= 0 {
		return nil
	}
	return d.refusal(uint64(2 * n))
}

var errNoRoom = errors.New("an operation found no space left")

func (d *disk) refusal(n uint64) error {
	e := &DiskFullError{Path: d.path, Free: d.free.Load(), Needed: d.hard + n}
	if e.Free >= e.Needed {
		e.Err = errNoRoom // it says more than the figures
	}
	return e
}
