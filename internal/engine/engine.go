package engine

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// PebbleFormat is the format of Pebble's files. It is pinned, so that a newer
// Pebble does not change a store behind our back; a test holds it against the
// newest format of the Pebble that is linked.
const PebbleFormat = pebble.FormatMajorVersion(24)

// closeTimeout bounds how long Close waits for Pebble.
const closeTimeout = 10 * time.Second

// ErrAbandoned is returned by Close when Pebble did not let go. Only a new process
// can open the store again.
var ErrAbandoned = errors.New("pebble did not let go of the store: it can be opened again only by a new process")

// Config says what to open and how.
type Config struct {
	FS            vfs.FS // nil: the operating system's, with Pebble's watch over slow disks
	Dir           string // Pebble's directory
	ReadOnly      bool
	Create        bool // the directory holds no database yet, and must not
	CacheBytes    int64
	MemTableBytes int64
	Logger        *slog.Logger
	// OnPoison is called once, when the log fails. It must not block.
	OnPoison func(error)
}

// Engine is an open Pebble. Its methods are safe for concurrent use, but for the
// order that [Engine.Submit] asks for.
type Engine struct {
	// Durable is the newest position known to be on disk.
	Durable Watermark

	db       *pebble.DB
	readOnly bool
	log      *slog.Logger
	poison   *poison
	waiter   *waiter
	health   io.Closer // the watch over slow disks; nil with a file system of the caller's
}

// Open opens Pebble in cfg.Dir.
func Open(cfg Config) (*Engine, error) {
	e := &Engine{
		readOnly: cfg.ReadOnly,
		log:      cfg.Logger,
		waiter:   newWaiter(),
	}
	e.poison = newPoison(func(err error) {
		e.waiter.fail(err)
		if cfg.OnPoison != nil {
			cfg.OnPoison(err)
		}
	})
	if err := e.open(cfg); err != nil {
		return nil, err
	}
	go e.await()
	return e, nil
}

// openPatience bounds how long Open waits for Pebble after a failure that Pebble
// cannot handle, as an error while it writes its manifest. Most of them hold the
// goroutine that opens, or one that it waits for, for good: see pebbleLogger.Fatalf.
const openPatience = time.Second

// open opens Pebble, or gives it up with ErrAbandoned.
func (e *Engine) open(cfg Config) error {
	done := make(chan error, 1)
	go func() {
		var err error
		e.db, err = e.openPebble(cfg)
		done <- err
	}()
	select {
	case err := <-done:
		return err
	case <-e.poison.ch:
	}
	patience := time.NewTimer(openPatience)
	defer patience.Stop()
	select {
	case err := <-done:
		return err
	case <-patience.C:
		return fmt.Errorf("open pebble: %w: %w", e.poison.get(), ErrAbandoned)
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
	if cfg.FS == nil {
		// Pebble would add this watch itself, but not end it if Open fails.
		cfg.FS, e.health = vfs.WithDiskHealthChecks(vfs.Default, slowDisk, nil, listener.DiskSlow)
		defer func() {
			if err != nil {
				_ = e.health.Close()
			}
		}()
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
		MemTableStopWritesThreshold: 4,
		Logger:                      logger,
	}
	opts.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionBalanced })
	for i := range opts.Levels {
		opts.Levels[i].BlockSize = blockSize
	}
	return opts
}

// Poisoned returns a channel that is closed when the log fails.
func (e *Engine) Poisoned() <-chan struct{} { return e.poison.ch }

// PoisonErr returns the log's failure as a [*PoisonError], or nil.
func (e *Engine) PoisonErr() error { return e.poison.get() }

// Abandon gives Pebble up without closing it: whoever is held inside stays there, and
// everyone else who waits gets [ErrAbandoned].
func (e *Engine) Abandon() error {
	_ = e.poison.set(ErrAbandoned) // an earlier failure stands
	return ErrAbandoned
}

// Close flushes and closes Pebble. It waits a bounded time: a Pebble that does not
// answer is abandoned, with ErrAbandoned. No other call may run or follow.
func (e *Engine) Close() error {
	closed := make(chan error, 1)
	go func() { closed <- e.closePebble() }()
	timeout := time.NewTimer(closeTimeout)
	defer timeout.Stop()
	select {
	case err := <-closed:
		return err
	case <-timeout.C:
		_ = e.poison.set(ErrAbandoned) // an earlier failure stays the reason
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
	if !e.readOnly && e.poison.get() == nil {
		// At rest the newest events lie in checksummed tables, not in the log's last
		// block, where Pebble takes damage for the end of the log.
		if err := e.db.Flush(); err != nil {
			return errors.Join(fmt.Errorf("flush: %w", err), e.closeFiles())
		}
	}
	return e.closeFiles()
}

func (e *Engine) closeFiles() error {
	err := e.db.Close()
	if e.health != nil {
		err = errors.Join(err, e.health.Close())
	}
	return err
}
