package eventstream

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
)

// RestoreOptions says how much of a backup to restore. A nil *RestoreOptions is all of
// it.
type RestoreOptions struct {
	// AsOfPosition restores the commits that end at it or before it. If it lies inside a
	// commit, that commit is left out whole. Default: 0, everything.
	AsOfPosition Position
	// AsOfTime restores the commits that were recorded at it or before it. At most one of
	// both may be set. Default: zero, everything.
	AsOfTime time.Time
	// Options says how to open what is restored: FS, Logger, Clock, Entropy, CacheBytes
	// and MemTableBytes. Default: nil, as for [Open].
	Options *Options
}

// RestoreInfo describes a store that was restored.
type RestoreInfo struct {
	Path                string // canonical
	StoreID             EventID
	Incarnation         EventID // made anew
	PreviousIncarnation EventID // the backup's
	Head                Position
	BackupHead          Position // the events above Head were left out
	Events              uint64
	Streams             uint64
	RecordedAt          time.Time // of the newest event; zero if there is none
	// CutCommit is the first position of the commit that RestoreOptions.AsOfPosition lies
	// inside of, and that was left out; 0 if it lies inside of none.
	CutCommit Position
}

// Restore makes a store of the backup in src, in the directory dir, which must not
// exist or be empty. The files are copied, compared with the sums in the backup, cut
// back if opts says so, checked as [DB.Check] does with [Deep], and only then put in
// place. The backup is only read.
//
// The store has the backup's id and a new incarnation: what outsiders know of positions
// above its head, as cursors do, no longer holds. With AsOfPosition or AsOfTime it goes
// on from where it was cut, as if what came later had never been: event ids can be
// used again, and everything derived is built again. What was cut off is gone from the
// tables of the database. A restore that would leave no event is refused.
//
// When Restore fails, dir is as it was. A process that dies leaves at most a directory
// beside it, called DIR.partial- and a number, which may be removed.
//
// Errors: [*ArgumentError]; [*BackupError] for a backup that is not whole, which matches
// [ErrCorrupt] too if it is damaged or mixed from several, and [ErrFormatTooNew] if a
// newer version made it; those of ctx and of the file system.
func Restore(ctx context.Context, src, dir string, opts *RestoreOptions) (RestoreInfo, error) {
	r := restore{src: src, dir: dir}
	if opts != nil {
		r.asOf = *opts
	}
	r.opts = r.asOf.Options.withDefaults()
	info, err := r.run(ctx)
	if err != nil {
		return RestoreInfo{}, fmt.Errorf("restore %s to %s: %w", src, dir, err)
	}
	return info, nil
}

// restore is one restore under way.
type restore struct {
	src, dir string
	asOf     RestoreOptions
	opts     Options

	backup *engine.Backup
	staged *engine.Staging
	id     engine.Identity // the new one
	cut    cut
}

func (r *restore) run(ctx context.Context) (_ RestoreInfo, err error) {
	if err := r.opts.validate(); err != nil {
		return RestoreInfo{}, err
	}
	if r.backup, err = engine.ReadBackup(r.opts.FS, r.src); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return RestoreInfo{}, &BackupError{Path: r.src, Reason: "it does not exist", Err: err}
		}
		return RestoreInfo{}, backupError(r.src, err)
	}
	if err := r.validate(); err != nil {
		return RestoreInfo{}, err
	}
	var ids [2]EventID
	if err := keys.NewIDGenerator(r.opts.Clock, r.opts.Entropy).Next(ids[:]); err != nil {
		return RestoreInfo{}, err
	}
	if r.staged, err = engine.NewStaging(r.opts.FS, r.dir, r.src, ids[0]); err != nil {
		return RestoreInfo{}, targetError("dir", err)
	}
	published := false
	defer func() {
		if !published {
			err = errors.Join(err, r.staged.Discard())
		}
	}()
	if err := r.staged.Fill(r.backup, r.src, ctx.Err); err != nil {
		return RestoreInfo{}, backupError(r.src, err)
	}
	if err := r.identify(ids[1]); err != nil {
		return RestoreInfo{}, err
	}
	if err := r.rewrite(ctx); err != nil {
		return RestoreInfo{}, r.damaged(err)
	}
	if err := r.staged.Identify(r.id); err != nil {
		return RestoreInfo{}, err
	}
	found, err := openAndCheck(ctx, r.staged.Path, r.opts)
	if err != nil {
		return RestoreInfo{}, r.damaged(err)
	}
	if found.Head != r.cut.head {
		return RestoreInfo{}, r.mixed("it ends at position %d, its file BACKUP says %d", found.Head, r.cut.head)
	}
	if err := r.staged.Unmark(); err != nil {
		return RestoreInfo{}, err
	}
	if err := r.staged.Publish(); err != nil {
		return RestoreInfo{}, targetError("dir", err)
	}
	published = true
	return RestoreInfo{
		Path: r.staged.Target(), StoreID: r.id.Store, Incarnation: r.id.Incarnation, PreviousIncarnation: r.backup.Incarnation,
		Head: found.Head, BackupHead: r.backup.Head, Events: found.Events, Streams: found.Streams, RecordedAt: found.recordedAt,
		CutCommit: r.cut.commit,
	}, nil
}

// validate refuses what cannot be restored before anything is copied.
func (r *restore) validate() error {
	switch p := r.asOf.AsOfPosition; {
	case p != 0 && !r.asOf.AsOfTime.IsZero():
		return &ArgumentError{Field: "RestoreOptions", Reason: "AsOfPosition and AsOfTime are both set: set one of them"}
	case p > r.backup.Head:
		return &ArgumentError{Field: "RestoreOptions.AsOfPosition", Reason: fmt.Sprintf("position %d is above the backup's head, which is %d", p, r.backup.Head)}
	case !r.asOf.AsOfTime.IsZero() && r.backup.Head == 0:
		return &ArgumentError{Field: "RestoreOptions.AsOfTime", Reason: "the backup is empty: restore it as a whole"}
	}
	return nil
}

// identify reads who the copied files say they are, and makes the new identity.
func (r *restore) identify(incarnation EventID) error {
	id, err := r.staged.Identity()
	if err != nil {
		return r.damaged(openError(r.src, err))
	}
	if id.Store != r.backup.Store || id.Incarnation != r.backup.Incarnation || id.Format != r.backup.StoreFormat {
		return r.mixed("its file STORE names another store than its file BACKUP does")
	}
	r.id = id
	r.id.Incarnation = incarnation
	return nil
}

// mixed is the error for files of different backups.
func (r *restore) mixed(format string, args ...any) error {
	return backupError(r.src, &engine.BackupDamageError{Reason: fmt.Sprintf(format, args...)})
}

// damaged makes damage a fault of the backup.
func (r *restore) damaged(err error) error {
	if !errors.Is(err, ErrCorrupt) {
		return err
	}
	return &BackupError{Path: r.src, Reason: fmt.Sprintf("it is damaged (%v): use another backup", err), Err: err}
}
