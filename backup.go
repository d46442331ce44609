package eventstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nexus-erp/eventstream/internal/engine"
)

// BackupInfo describes a backup.
type BackupInfo struct {
	Path        string // canonical
	StoreID     EventID
	Incarnation EventID
	Head        Position // it holds exactly the events 1 to Head
	DurableHead Position // the store's when the backup began; never above Head
	Events      uint64   // of all tenants
	Streams     uint64
	Files       int
	Bytes       int64
	RecordedAt  time.Time // of the newest event; zero if there is none
	CreatedAt   time.Time
}

// Backup makes a backup in the directory dest, which must not exist or be empty, while
// appends go on. It holds all that was acknowledged before the call, and perhaps some
// of what was appended during it: whole commits, without a gap, up to the head that it
// states. It shares no file with the store. Payloads are in it as they are in the
// store; keys and locks are not.
//
// The backup is built beside dest, opened, checked as [DB.Check] does with [Deep], and
// only then put in place. When Backup fails, dest is as it was. A process that dies
// leaves at most a directory beside it, called DEST.partial- and a number, which may be
// removed. [Restore] makes a store of a backup; [Open] refuses it.
//
// Errors: [*ArgumentError] for dest; [*BackupError] if there is no room, or if the copy
// does not pass its check, which matches [ErrCorrupt] too; [ErrPoisoned], [ErrReadOnly],
// [ErrClosed]; those of ctx and of the file system.
func (db *DB) Backup(ctx context.Context, dest string) (_ BackupInfo, err error) {
	if !db.gate.enter() {
		return BackupInfo{}, ErrClosed
	}
	defer db.gate.leave()
	ctx, stop := db.untilClose(ctx)
	defer stop()
	b := backup{db: db, dest: dest}
	info, err := b.run(ctx)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return BackupInfo{}, fmt.Errorf("backup to %s: %w", dest, db.poisoned(err))
	}
	return info, nil
}

// untilClose returns a context that ends with ctx, and with ErrClosed once Close is
// called.
func (db *DB) untilClose(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-db.closing:
			cancel(ErrClosed)
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}

// backup is one backup being made.
type backup struct {
	db     *DB
	dest   string
	staged *engine.Staging
	about  engine.Backup
	report Report
}

// checkpointTries is how often a copy is made until it opens. Pebble writes its log
// into files that it has used before; a copy of one that is made while it is written
// can, very rarely, mix old bytes and new ones, which looks like damage.
const checkpointTries = 3

func (b *backup) run(ctx context.Context) (_ BackupInfo, err error) {
	db := b.db
	if err := db.writable(); err != nil {
		return BackupInfo{}, err
	}
	var ids [1]EventID
	if err := db.ids.Next(ids[:]); err != nil {
		return BackupInfo{}, err
	}
	if b.staged, err = engine.NewStaging(db.opts.FS, b.dest, db.dir.Path, ids[0]); err != nil {
		return BackupInfo{}, targetError("dest", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.staged.Discard())
		}
	}()
	used, _, err := db.eng.DiskUsage()
	if err == nil {
		err = b.staged.Room(used)
	}
	if err != nil {
		return BackupInfo{}, backupError(b.dest, err)
	}
	if err := b.staged.Identify(db.dir.Identity); err != nil {
		return BackupInfo{}, err
	}
	if err := b.copy(ctx); err != nil {
		return BackupInfo{}, err
	}
	b.about.CreatedAt = db.opts.Clock().UTC()
	if err := b.staged.Seal(&b.about, ctx.Err); err != nil {
		return BackupInfo{}, err
	}
	if err := b.staged.Publish(); err != nil {
		return BackupInfo{}, targetError("dest", err)
	}
	return b.info(), nil
}

// copy copies the database and checks the copy.
func (b *backup) copy(ctx context.Context) error {
	for try := 1; ; try++ {
		if err := b.db.eng.Sync(ctx, b.db.acknowledged.Load()); err != nil {
			return err
		}
		durable := b.db.eng.Durable.Load()
		if err := b.db.eng.Checkpoint(ctx, b.staged.PebbleDir()); err != nil {
			return err
		}
		err := b.check(ctx, durable)
		if err == nil || try == checkpointTries || !errors.Is(err, ErrCorrupt) {
			return err
		}
		if err := b.staged.Remove("db", "lock"); err != nil {
			return err
		}
	}
}

// check opens the copy and checks all of it.
func (b *backup) check(ctx context.Context, durable Position) (err error) {
	found, err := openAndCheck(ctx, b.staged.Path, b.db.opts)
	if errors.Is(err, ErrCorrupt) {
		return &BackupError{Path: b.dest, Reason: fmt.Sprintf("the copy did not pass its check (%v): check the store", err), Err: err}
	}
	if err != nil {
		return err
	}
	b.report = found.Report
	if found.Head < durable {
		return &BackupError{
			Path: b.dest, Reason: fmt.Sprintf("the copy ends at position %d, %d is durable", found.Head, durable),
			Err: &CorruptionError{What: "backup", Position: found.Head},
		}
	}
	b.about = engine.Backup{
		Format: engine.BackupFormat, StoreFormat: found.id.Format, Store: found.id.Store, Incarnation: found.id.Incarnation,
		Head: found.Head, Durable: durable, RecordedAt: found.recordedAt,
	}
	return nil
}

// checked is what openAndCheck found.
type checked struct {
	Report
	id         engine.Identity
	recordedAt time.Time // of the newest event; zero if there is none
}

// openAndCheck opens what lies in dir read-only, checks all of it and closes it again.
// An error that matches ErrCorrupt says what the check found first.
func openAndCheck(ctx context.Context, dir string, opts Options) (found checked, err error) {
	opts.ReadOnly, opts.ErrorIfExists, opts.ErrorIfNotExists = true, false, true
	opts.CacheBytes = min(opts.CacheBytes, checkCacheBytes)
	opts.Logger = slog.New(slog.DiscardHandler) // a copy has no high-water mark, which Open would warn of
	db, err := open(dir, &opts, true)
	if err != nil {
		return checked{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	found.id = db.dir.Identity
	if found.Report, err = db.Check(ctx, Deep()); err != nil {
		return checked{}, err
	}
	if !found.OK() {
		p := found.Problems[0]
		return checked{}, &CorruptionError{
			What: fmt.Sprintf("%d problems, the first is of kind %s", uint64(len(found.Problems))+found.Omitted, p.Kind), Stream: p.Stream,
			Version: p.Version, Position: p.Position, Err: errors.New(p.Detail),
		}
	}
	if found.Head > 0 {
		found.recordedAt = time.Unix(0, db.seq.lastRecorded).UTC()
	}
	return found, nil
}

// checkCacheBytes is enough of a cache for a walk that reads everything once.
const checkCacheBytes = 8 << 20

func (b *backup) info() BackupInfo {
	return BackupInfo{
		Path: b.staged.Target(), StoreID: b.about.Store, Incarnation: b.about.Incarnation, Head: b.about.Head, DurableHead: b.about.Durable,
		Events: b.report.Events, Streams: b.report.Streams, Files: len(b.about.Files), Bytes: b.about.Bytes(),
		RecordedAt: b.about.RecordedAt, CreatedAt: b.about.CreatedAt,
	}
}
