package eventstream

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/internal/segment"
	"github.com/nexus-erp/eventstream/keys"
)

// DB is an open store. Its methods are safe for concurrent use. Those that read
// and append act on the tenant "default"; [DB.Tenant] gives the others.
type DB struct {
	streams

	opts Options
	log  *slog.Logger
	dir  *engine.Directory
	eng  *engine.Engine
	mark *engine.MarkFile
	ids  *keys.IDGenerator // of stores and backups

	seq        sequencer
	locator    keys.Locator
	tenants    *tenantTable
	heads      *headCache
	inflight   *inflightIDs
	tail       *tail
	sealer     *sealer
	indexer    *indexer
	lookupCost uint64 // lookupCost, but in tests
	cursors    cursorKeys

	// readable is the newest position that readers may see: the durable head under
	// Sync, acknowledged otherwise.
	readable     *engine.Watermark
	acknowledged engine.Watermark

	deriving     sync.Mutex // held while derived data is committed
	namespaces   *namespaces
	recordWrites *recordWrites

	// What Open found.
	marked     bool // there is a sound high-water mark
	newestSeal segment.Seal

	stats    counters
	requests sync.Pool // of *appendRequest
	groups   sync.Pool // of *commitGroup
	pagePool sync.Pool // of *page

	gate       *gate
	patience   time.Duration // how long Close waits for calls inside the store
	session    string
	closing    chan struct{}
	closeOnce  sync.Once
	closeErr   error
	background sync.WaitGroup
}

// Open opens the store in dir, and creates it if the directory does not exist or
// is empty. A nil opts is all defaults. The store must be closed.
//
// An existing store is first opened read-only and has to show that what it held is
// there: its manifest is whole, it reaches the high-water mark, its tables are those
// that the manifest has, and its newest positions and events follow each other. Only
// then is anything written.
//
// Errors: faults of opts, each an [*ArgumentError], all joined; [*InUseError] if the
// store is open already, here or in another process, also through another path;
// [*NotAStoreError]; [*BackupError]; [*FormatError]; [*HistoryDamagedError] if events that
// the store held are missing; [*CorruptionError]; [*DiskFullError]; [ErrExists] and
// [ErrNotExist] as opts ask; those of the file system. Nothing is written to a directory
// that is refused.
func Open(dir string, opts *Options) (*DB, error) { return open(dir, opts, false) }

// open opens a store, or a backup if there is reason to.
func open(dir string, opts *Options, backup bool) (_ *DB, err error) {
	o := opts.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	if dir == "" {
		return nil, &ArgumentError{Field: "dir", Reason: "it is empty: name the store's directory"}
	}
	db := &DB{
		opts:       o,
		log:        o.Logger,
		ids:        keys.NewIDGenerator(o.Clock, o.Entropy),
		tenants:    newTenantTable(),
		heads:      newHeadCache(o.StreamHeads),
		inflight:   newInflightIDs(),
		lookupCost: lookupCost,
		namespaces: newNamespaces(), recordWrites: newRecordWrites(),
		gate:     newGate(),
		patience: o.Unstable.ClosePatience,
		session:  rand.Text(),
		closing:  make(chan struct{}),
	}
	db.streams = streams{db: db, tenant: DefaultTenant}
	defer func() {
		if err == nil {
			return
		}
		if db.eng != nil {
			err = errors.Join(err, db.eng.Close(), db.mark.Close())
		}
		if db.dir != nil && !errors.Is(err, engine.ErrAbandoned) { // else it stays locked
			err = errors.Join(err, db.dir.Close())
		}
	}()
	db.dir, err = engine.OpenDirectory(engine.DirectoryConfig{
		FS:               o.FS,
		Path:             dir,
		ReadOnly:         o.ReadOnly,
		ErrorIfExists:    o.ErrorIfExists,
		ErrorIfNotExists: o.ErrorIfNotExists,
		Backup:           backup,
		Reserve:          engine.DiskReserve(o.MemTableBytes, greatestBatch(&o)),
	})
	if err != nil {
		return nil, openError(dir, err)
	}
	db.mark = db.dir.MarkFile()
	if !db.dir.Fresh {
		if err := db.prove(); err != nil {
			return nil, err
		}
	}
	if o.ReadOnly {
		return db, nil
	}
	if err := db.openForWriting(); err != nil {
		return nil, err
	}
	db.background.Go(db.keepMark)
	if o.Unstable.RunEvents > 0 {
		db.background.Go(db.sealer.follow)
	}
	if len(db.indexer.states) > 0 {
		db.background.Go(db.indexer.follow)
	}
	if d := o.Durability.interval(); d > 0 {
		db.background.Go(func() { db.syncEvery(d) })
	}
	return db, nil
}

// openError turns the engine's faults of a directory into ours.
func openError(path string, err error) error {
	var notAStore *engine.NotAStoreError
	var tooNew *engine.FormatTooNewError
	switch {
	case errors.As(err, &notAStore):
		return &NotAStoreError{Path: path, Reason: notAStore.Reason}
	case errors.As(err, &tooNew):
		return &FormatError{Path: path, Found: tooNew.Found, Supported: engine.StoreFormat}
	case errors.Is(err, engine.ErrLocked):
		return &InUseError{Path: path, Err: err}
	case errors.Is(err, engine.ErrExists):
		return fmt.Errorf("%w: %s", ErrExists, path)
	case errors.Is(err, engine.ErrNotExist):
		return fmt.Errorf("%w: %s", ErrNotExist, path)
	case errors.Is(err, engine.ErrIsBackup):
		return &BackupError{Path: path, Reason: "it is a backup, or not finished: Restore makes a store of a backup"}
	case errors.Is(err, engine.ErrIdentityLost):
		return &CorruptionError{What: "identity of " + path, Err: err}
	default:
		return fmt.Errorf("open %s: %w", path, diskError(err))
	}
}

// load reads what the store keeps in memory.
func (db *DB) load() error {
	if err := db.tenants.load(db.eng); err != nil {
		return &CorruptionError{What: "tenants", Err: err}
	}
	head, recordedAt, err := db.findLast()
	if err != nil {
		return err
	}
	db.seq.head, db.seq.lastRecorded = head, recordedAt
	db.seq.assigned.Store(uint64(head))
	db.locator = keys.NewLocator(db.dir.Identity.Store, [3]byte{}) // for those who only look ids up
	db.tail = newTail(int(db.opts.TailBytes), head)
	// What recovery found in the log it has written to tables and synced.
	db.eng.Durable.Rise(head)
	db.acknowledged.Rise(head)
	db.readable = &db.eng.Durable
	if db.opts.Durability != Sync {
		db.readable = &db.acknowledged
	}
	db.sealer = newSealer(db, db.opts.Unstable.RunEvents)
	if err := db.loadIndexes(); err != nil {
		return err
	}
	return db.loadSeals()
}

// findLast reads the newest event's position and recorded-at time.
func (db *DB) findLast() (_ Position, recordedAt int64, err error) {
	it, err := db.eng.NewPrefixIter([]byte{byte(keys.KindPosition)})
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = readError("position pointer", errors.Join(err, it.Close())) }()
	if !it.Last() {
		return 0, 0, nil // an error surfaces in Close
	}
	position, err := keys.ParsePosition(it.Key())
	if err != nil {
		return 0, 0, &CorruptionError{What: "position pointer", Err: err}
	}
	event, err := db.eventAt(position)
	if err != nil {
		return 0, 0, err
	}
	if event.CommitIndex != event.CommitSize-1 {
		return 0, 0, &CorruptionError{What: "newest commit", Position: position, Err: errCommitCut}
	}
	return position, event.RecordedAt.UnixNano(), nil
}

var errCommitCut = errors.New("the commit is cut off before its last event")

// syncEvery syncs the log every d while the store is open.
func (db *DB) syncEvery(d time.Duration) {
	ticker := time.NewTicker(d)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if db.acknowledged.Load() > db.eng.Durable.Load() {
				// A failure poisons the store, which is how everyone learns of it.
				_ = db.Sync(context.Background())
			}
		case <-db.closing:
			return
		case <-db.eng.Poisoned():
			return
		}
	}
}

// Sync makes everything durable that was acknowledged before the call, whatever
// Options.Durability says. It fails with ctx's error, [ErrPoisoned], [ErrReadOnly]
// or [ErrClosed].
func (db *DB) Sync(ctx context.Context) error {
	if !db.gate.enter() {
		return ErrClosed
	}
	defer db.gate.leave()
	if err := db.writable(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return db.poisoned(db.eng.Sync(ctx, db.acknowledged.Load()))
}

// Session names what is between this Open and its Close: no two share a name.
func (db *DB) Session() string { return db.session }

// Now returns the time of the store's clock, at which events are recorded.
func (db *DB) Now() time.Time { return db.opts.Clock() }

// Head returns the readable head: the newest position that readers see.
func (db *DB) Head() Position { return db.readable.Load() }

// DurableHead returns the newest position known to be on disk.
func (db *DB) DurableHead() Position { return db.eng.Durable.Load() }

// Close waits for appends under way, flushes, and closes the store. Calls that
// follow return [ErrClosed], followers end with it. Close waits a bounded time; if
// the engine does not answer, the error says that only a new process can open the
// store again. Calling it again returns the same.
func (db *DB) Close() error {
	db.closeOnce.Do(func() { db.closeErr = db.close() })
	return db.closeErr
}

func (db *DB) close() error {
	close(db.closing)
	db.gate.shut()
	patience := time.NewTimer(db.patience)
	defer patience.Stop()
	select {
	case <-db.gate.drained:
	case <-patience.C:
		// Somebody is held by the disk or inside Pebble. Closing under them would crash
		// the process, and letting go of the lock would let a second writer in.
		return fmt.Errorf("close: %w", db.eng.Abandon())
	}
	if !within(patience, db.background.Wait) {
		return fmt.Errorf("close: %w", db.eng.Abandon())
	}
	err := db.closeEngine(patience)
	if errors.Is(err, engine.ErrAbandoned) {
		return fmt.Errorf("close: %w", err)
	}
	if err := errors.Join(err, db.dir.Close()); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}

// within calls fn and reports whether it returned before the timer ended. If not, fn
// is left behind.
func within(patience *time.Timer, fn func()) bool {
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		fn()
	}()
	select {
	case <-returned:
		return true
	case <-patience.C:
		return false
	}
}
