package engine

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// PebbleFormat is the format of Pebble's files. It is pinned, so that a newer
// Pebble does not change a store behind our back; a test holds it against the
// newest format of the Pebble that is linked.
const PebbleFormat = pebble.FormatMajorVersion(24)

// ErrAbandoned is returned by Close when Pebble did not let go. Only a new process
// can open the store again.
var ErrAbandoned = errors.New("pebble did not let go of the store: it can be opened again only by a new process")

// Config says what to open and how.
type Config struct {
	FS            vfs.FS // nil: the operating system's
	Dir           string // Pebble's directory
	StoreDir      string // the store's, above it; empty: nobody looks at how full the disk is
	ReadOnly      bool
	Create        bool // the directory holds no database yet, and must not
	CacheBytes    int64
	MemTableBytes int64
	AppendBytes   int64 // the greatest batch that is submitted
	Logger        *slog.Logger
	ClosePatience time.Duration // how long Close waits for Pebble; 0: 10 seconds
	// OnPoison is called once, when the log fails. It must not block.
	OnPoison func(error)
}

// Engine is an open Pebble. Its methods are safe for concurrent use, but for the
// order that [Engine.Submit] asks for.
type Engine struct {
	// Durable is the newest position known to be on disk.
	Durable Watermark

	db       *pebble.DB
	fs       vfs.FS
	dir      string // Pebble's
	readOnly bool
	log      *slog.Logger
	patience time.Duration // of Close
	poison   *poison
	waiter   *waiter
	edge     *edge
	files    *copyingFS

	checkpoint chan struct{} // a slot
	manifest   atomic.Bool   // this session has written one: see writeManifest
}

// Open opens Pebble in cfg.Dir.
func Open(cfg Config) (*Engine, error) {
	e := &Engine{
		fs:       cfg.FS,
		dir:      cfg.Dir,
		readOnly: cfg.ReadOnly,
		log:      cfg.Logger,
		patience: cmp.Or(cfg.ClosePatience, 10*time.Second),
		waiter:   newWaiter(),

		checkpoint: make(chan struct{}, 1),
	}
	if e.fs == nil {
		e.fs = vfs.Default
	}
	e.poison = newPoison(func(err error) {
		e.waiter.fail(err)
		if cfg.OnPoison != nil {
			cfg.OnPoison(err)
		}
	})
	if err := e.open(cfg); err != nil {
		if cfg.ReadOnly { // nothing was written that could have failed
			err = openFailure(err)
		}
		return nil, err
	}
	go e.await()
	if !cfg.ReadOnly {
		e.edge.watching.Go(e.edge.watch)
	}
	return e, nil
}

// deadPatience bounds how long to wait for Pebble after a failure that it cannot
// handle, as an error while it writes its manifest. Most of them hold the goroutine that
// waits, or one that it waits for, for good: see pebbleLogger.Fatalf.
const deadPatience = time.Second

// open opens Pebble, or gives it up with ErrAbandoned.
func (e *Engine) open(cfg Config) error {
	return e.bounded(func() (err error) {
		e.db, err = e.openPebble(cfg)
		return err
	})
}

// bounded returns what fn returns, which is at work inside Pebble. If Pebble dies
// meanwhile, it waits for a moment and leaves fn behind, with ErrAbandoned.
func (e *Engine) bounded(fn func() error) error {
	done := make(chan error, 1)
	go func() { done <- fn() }()
	select {
	case err := <-done:
		return err
	case <-e.poison.ch:
	}
	patience := time.NewTimer(deadPatience)
	defer patience.Stop()
	select {
	case err := <-done:
		return err
	case <-patience.C:
		return fmt.Errorf("%w: %w", e.poison.get(), ErrAbandoned)
	}
}

// openPebble keeps a panic of Pebble's recovery, which damaged files can cause,
// from the host.
func (e *Engine) openPebble(cfg Config) (db *pebble.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, fmt.Errorf("open pebble: %w", e.recovered(r))
		}
	}()
	cache := pebble.NewCache(cfg.CacheBytes)
	defer cache.Unref()
	listener := newListener(cfg.Logger)
	e.edge = newEdge(&cfg, listener.DiskSlow)
	e.edge.listen(listener)
	listener.ManifestCreated = func(info pebble.ManifestCreateInfo) {
		if info.Err == nil {
			e.manifest.Store(true)
		}
	}
	defer func() {
		if err != nil {
			_ = e.edge.health.Close()
		}
	}()
	if !cfg.ReadOnly {
		if err := e.edge.makeRoom(cfg.Dir); err != nil {
			return nil, err
		}
	}
	e.files = &copyingFS{FS: e.edge.fs, base: e.edge.base, dir: cfg.Dir}
	cfg.FS = e.files
	if cfg.ReadOnly {
		cfg.FS = readOnlyFS{e.files}
	}
	opts := PebbleOptions(cfg, cache, &pebbleLogger{log: e.log, poison: e.poison})
	opts.EventListener = listener
	db, err = pebble.Open(cfg.Dir, opts)
	if err != nil {
		return nil, fmt.Errorf("open pebble: %w", err)
	}
	return db, nil
}

// slowDisk is how long one operation on a file may take before it is reported.
const slowDisk = 5 * time.Second

// blockSize is the size of table blocks, before compression.
const blockSize = 16 << 10

// memTables is how many tables may be in memory before writes are held.
const memTables = 4

// PebbleOptions returns what Pebble is opened with; the benchmark's baseline uses the
// same. What it leaves out is Pebble's
// default: no bloom filters, which do not help Get of keys that are missing, no
// separated values, and the default comparer, since one that split keys at the
// version would move most envelopes out of line.
func PebbleOptions(cfg Config, cache *pebble.Cache, logger pebble.Logger) *pebble.Options {
	opts := &pebble.Options{
		FS:                          cfg.FS,
		Cache:                       cache,
		FormatMajorVersion:          PebbleFormat,
		ReadOnly:                    cfg.ReadOnly,
		ErrorIfExists:               cfg.Create,
		ErrorIfNotExists:            !cfg.Create,
		MemTableSize:                uint64(cfg.MemTableBytes),
		MemTableStopWritesThreshold: memTables,
		Logger:                      logger,
	}
	opts.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionBalanced })
	for i := range opts.Levels {
		opts.Levels[i].BlockSize = blockSize
	}
	return opts
}

// ReadOnly reports whether nothing can be written.
func (e *Engine) ReadOnly() bool { return e.readOnly }

// Poisoned returns a channel that is closed when the log fails.
func (e *Engine) Poisoned() <-chan struct{} { return e.poison.ch }

// PoisonErr returns the log's failure as a [*PoisonError], or nil.
func (e *Engine) PoisonErr() error { return e.poison.get() }

// Abandon gives Pebble up without closing it: whoever is held inside stays there, and
// everyone else who waits gets [ErrAbandoned].
func (e *Engine) Abandon() error {
	_ = e.poison.set(ErrAbandoned) // an earlier failure stands
	e.edge.signal()                // and no wait: the disk may not answer
	return ErrAbandoned
}

// Close flushes and closes Pebble. It waits a bounded time: a Pebble that does not
// answer is abandoned, with ErrAbandoned. No other call may run or follow.
func (e *Engine) Close() error {
	closed := make(chan error, 1)
	go func() { closed <- e.closePebble() }()
	timeout := time.NewTimer(e.patience)
	defer timeout.Stop()
	select {
	case err := <-closed:
		return err
	case <-timeout.C:
		_ = e.poison.set(ErrAbandoned) // an earlier failure stays the reason
		e.edge.signal()
		return ErrAbandoned
	}
}

func (e *Engine) closePebble() (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = errors.Join(e.recovered(r), ErrAbandoned)
		}
	}()
	// What was submitted is awaited first: its callers may have gone, its outcome
	// still decides whether the log is sound.
	close(e.waiter.stop)
	<-e.waiter.stopped
	err = e.flush()
	e.edge.halt()
	return errors.Join(err, e.db.Close(), e.edge.health.Close())
}

// flush moves the newest events into tables: at rest they lie there under checksums,
// and not in the log's last block, where Pebble takes damage for the end of the log.
//
// It also begins a new log, which Pebble does not survive if it fails, and it would
// never end on a disk that takes no tables. So it is left out where it would not go
// well: the events are in the log, and the next Open moves them. A log that failed under
// writes which asked for no sync has told nobody yet: it is asked first.
func (e *Engine) flush() error {
	if e.readOnly || e.poison.get() != nil {
		return nil
	}
	e.edge.disk.look(0)
	if e.edge.disk.get() == DiskFull || e.edge.breaker.inARow() > 0 {
		e.log.Warn("the newest events stay in the log: the disk takes no tables")
		return nil
	}
	if err := e.syncNow(); err != nil {
		return err
	}
	flushed, err := e.db.AsyncFlush()
	if err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	ticker := time.NewTicker(flushCheck)
	defer ticker.Stop()
	for {
		select {
		case <-flushed:
			return nil
		case <-e.poison.ch:
			return nil
		case <-ticker.C:
			if n := e.edge.breaker.inARow(); n >= flushTries {
				e.log.Warn("the newest events stay in the log: the flush fails", slog.Int("failures_in_a_row", n))
				return nil
			}
		}
	}
}

// A flush at Close is given up after so many attempts, which are counted so often.
const (
	flushTries = 4
	flushCheck = 10 * time.Millisecond
)
