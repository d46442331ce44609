package engine

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// edge is what stands between Pebble and the disk: it knows how much is free, keeps a
// ballast, slows down what fails and sees what hangs. Pebble gets the file system
//
//	breaker ( health ( OnDiskFull ( base )))
//
// so that an operation that finds no room is tried again once the ballast is gone, one
// that takes long is told of, and a pause of the breaker is not taken for either.
type edge struct {
	base, fs vfs.FS
	health   io.Closer
	log      *slog.Logger

	disk    *disk
	ballast *ballast
	breaker *breaker
	stall   *stall
	full    limiter
	logs    uint64 // bytes that logs may hold which are not in tables yet

	stopOnce sync.Once
	stop     chan struct{}
	watching sync.WaitGroup
}

func newEdge(cfg *Config, slow func(vfs.DiskSlowInfo)) *edge {
	ed := &edge{base: cfg.FS, log: cfg.Logger, breaker: newBreaker(), stall: &stall{log: cfg.Logger}, stop: make(chan struct{})}
	if ed.base == nil {
		ed.base = vfs.Default
	}
	ed.logs = memTables * uint64(walBytes(cfg.MemTableBytes))
	ed.disk = newDisk(cfg, ed.base)
	ed.ballast = newBallast(ed.base, cfg.StoreDir, BallastBytes(cfg.MemTableBytes, cfg.AppendBytes), time.Now())
	fs, health := vfs.WithDiskHealthChecks(vfs.OnDiskFull(ed.base, ed.noRoom), slowDisk, nil, slow)
	ed.fs, ed.health = givingFS{breakerFS{FS: fs, breaker: ed.breaker}}, health
	return ed
}

// noRoom is called when an operation found no room, before it is tried once more. All
// writes wait until it returns.
func (ed *edge) noRoom() {
	freed := ed.ballast.release(time.Now())
	ed.disk.noRoom()
	dropped, ok := ed.full.allow(time.Now())
	if freed > 0 || ok {
		ed.log.Error("no space left on disk", slog.Int64("ballast_released_bytes", freed),
			slog.Uint64("free_bytes", ed.disk.free.Load()), slog.Int("dropped", dropped))
	}
}

// listen adds to l what the edge must hear of.
func (ed *edge) listen(l *pebble.EventListener) {
	report := l.BackgroundError
	l.BackgroundError = func(err error) {
		ed.breaker.failed()
		report(err)
	}
	wrote := func(err error) {
		if err == nil {
			ed.breaker.healed()
			ed.disk.room()
		}
	}
	l.FlushEnd = func(info pebble.FlushInfo) { wrote(info.Err) }
	l.CompactionEnd = func(info pebble.CompactionInfo) {
		if len(info.Output.Tables) > 0 && info.Reason != "move" { // a move writes no table
			wrote(info.Err)
		}
	}
	l.WriteStallBegin = func(info pebble.WriteStallBeginInfo) { ed.stall.begin(time.Now(), info.Reason) }
	l.WriteStallEnd = func() { ed.stall.end(time.Now()) }
}

// openLeast is what Pebble needs at Open besides the tables that it makes of its logs:
// a manifest, options, the blocks of directories.
const openLeast = 2 << 20

var (
	errDiskTooSmall = errors.New("the whole disk is smaller than that: use a smaller Options.MemTableBytes, or open it with Options.ReadOnly")
	errDiskToOpen   = errors.New("opening moves the log into tables: free some space, or open it with Options.ReadOnly")
	errDiskToCreate = errors.New("free some space, or use a smaller Options.MemTableBytes")
)

// makeRoom sees to it that Pebble has room to open, before it is opened: it does not
// handle a manifest that cannot be written. It gives up the ballast for it.
func (ed *edge) makeRoom(pebbleDir string) error {
	u, ok, err := ed.disk.usage()
	if err != nil || !ok {
		return nil // what is not known stops nobody; the watch warns of the error
	}
	if u.TotalBytes < ed.disk.hard {
		return &DiskFullError{Path: ed.disk.path, Free: u.AvailBytes, Needed: ed.disk.hard, Err: errDiskTooSmall}
	}
	logs, err := ed.logBytes(pebbleDir)
	if err != nil {
		return err
	}
	needed := openLeast + min(logs, ed.logs) // the rest of them is used up, or empty
	if u.AvailBytes < needed {
		freed := ed.ballast.release(time.Now())
		if freed > 0 {
			ed.log.Warn("disk is full: the ballast was released to open the store", slog.Int64("bytes", freed))
		}
		if u, _, err = ed.disk.usage(); err == nil && u.AvailBytes < needed {
			return &DiskFullError{Path: ed.disk.path, Free: u.AvailBytes, Needed: needed, Err: errDiskToOpen}
		}
	}
	ed.disk.look(0)
	return nil
}

// logBytes returns the size of all logs.
func (ed *edge) logBytes(dir string) (sum uint64, err error) {
	names, err := ed.base.List(dir)
	if err != nil {
		return 0, nil // it does not exist yet, or Pebble says what is wrong with it
	}
	for _, name := range names {
		if filepath.Ext(name) != ".log" {
			continue
		}
		info, err := ed.base.Stat(ed.base.PathJoin(dir, name))
		if err != nil {
			return 0, fmt.Errorf("look at the log: %w", err)
		}
		sum += uint64(info.Size())
	}
	return sum, nil
}

// checkRoom refuses to create a store where it could not take a single append. path
// need not exist.
func checkRoom(fs vfs.FS, path string, reserve uint64) error {
	for {
		u, err := fs.GetDiskUsage(path)
		parent := fs.PathDir(path)
		switch {
		case err == nil && u.AvailBytes < reserve:
			return &DiskFullError{Path: path, Free: u.AvailBytes, Needed: reserve, Err: errDiskToCreate}
		case err == nil, errors.Is(err, vfs.ErrUnsupported), parent == path:
			return nil
		}
		path = parent
	}
}

// watchEvery is how often the disk is looked at.
const watchEvery = time.Second

// watch looks at the disk once in a while, until the edge is closed.
func (ed *edge) watch() {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			ed.disk.look(0)
			ed.stall.check(now, ed.breaker.inARow())
			if ed.disk.get() == DiskOK {
				if err := ed.ballast.grow(now, ed.disk.free.Load(), ed.disk.soft); err != nil {
					ed.log.Warn("the ballast cannot be written", slog.Any("error", err))
				}
			}
		case <-ed.stop:
			return
		}
	}
}

// signal ends the watch, and the pauses of background work, without waiting.
func (ed *edge) signal() {
	ed.stopOnce.Do(func() { close(ed.stop) })
	ed.breaker.stop()
}

// halt is signal, and waits for the watch.
func (ed *edge) halt() {
	ed.signal()
	ed.watching.Wait()
	ed.ballast.stop()
}

// Health is how the store's disk does.
type Health struct {
	Level      DiskLevel
	Free       uint64        // bytes
	Soft, Hard uint64        // below which the disk is low, and full
	Ballast    int64         // bytes set aside, to be released when the disk is full
	Failures   uint64        // attempts of flushes and compactions that failed since Open
	InARow     int           // of them, since the last one that did not
	Stalls     uint64        // how often writes were held since Open
	StalledFor time.Duration // how long they are held by now; 0 if they are not
}

// Health looks at the disk.
func (e *Engine) Health() Health {
	e.edge.disk.look(lookAgain)
	h := Health{
		Level: e.edge.disk.get(), Free: e.edge.disk.free.Load(), Soft: e.edge.disk.soft, Hard: e.edge.disk.hard,
		Ballast: e.edge.ballast.bytes(), Failures: e.edge.breaker.sum(), InARow: e.edge.breaker.inARow(),
	}
	h.Stalls, h.StalledFor = e.edge.stall.get(time.Now())
	return h
}

// Admit allows n bytes to be handed over, or returns a [*DiskFullError]: the disk would
// be too full to go on. It is for whoever is about to write much: appends, and what is
// derived from them. Small records, as checkpoints, need not ask.
func (e *Engine) Admit(n int64) error { return e.edge.disk.admit(n) }
