package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"

	"github.com/nexus-erp/eventstream/keys"
)

// Wreck is the directory of a store that does not open, locked. Nothing in it is
// changed.
type Wreck struct {
	*Directory
	// Identified says that Identity was read.
	Identified bool
}

// OpenWreck locks the directory of a damaged store.
func OpenWreck(fs vfs.FS, path string) (*Wreck, error) {
	d := &Directory{fs: fs, Path: path}
	if d.fs == nil {
		d.fs = vfs.Default
	}
	info, err := d.fs.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, ErrNotExist
	case err != nil:
		return nil, fmt.Errorf("look at directory: %w", err)
	case !info.IsDir():
		return nil, &NotAStoreError{Reason: "it is a file"}
	}
	if _, err := d.fs.Stat(d.PebbleDir()); errors.Is(err, os.ErrNotExist) {
		return nil, &NotAStoreError{Reason: "it holds no directory " + dirPebble}
	}
	if d.Path, err = canonical(d.fs, path); err != nil {
		return nil, err
	}
	if d.lock, err = d.takeLock(true); err != nil {
		return nil, err
	}
	return &Wreck{Directory: d, Identified: d.readIdentity() == nil}, nil
}

// OpenScratch creates a database for what is gathered and soon dropped again, in an
// empty directory, or in memory if dir is "".
func OpenScratch(dir string) (*Engine, error) {
	cfg := Config{Create: true, Dir: dir, CacheBytes: 8 << 20, MemTableBytes: 16 << 20, Logger: slog.New(slog.DiscardHandler)}
	if dir == "" {
		cfg.Dir, cfg.FS = "scratch", vfs.NewMem()
	}
	return Open(cfg)
}

// Salvager is told what Salvage finds. Its slices are valid until the call returns.
type Salvager interface {
	// Record is one record. The same one may come several times.
	Record(key, value []byte) error
	// Damaged is a file, relative to the store's directory, of which a part cannot be
	// read, or all of it.
	Damaged(file string, err error)
}

// Salvage reads all records that can be read from tables and logs, whatever the
// manifest says of them: events never change, so whatever is found of them is right.
func (w *Wreck) Salvage(ctx context.Context, to Salvager) error {
	names, err := w.fs.List(w.PebbleDir())
	if err != nil {
		return fmt.Errorf("look at %s: %w", w.PebbleDir(), err)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		if strings.HasSuffix(name, ".sst") {
			if err := w.salvageTable(ctx, name, to); err != nil {
				return err
			}
		}
	}
	logs, err := wal.Scan(wal.Dir{FS: w.fs, Dirname: w.PebbleDir()})
	if err != nil {
		return fmt.Errorf("look at logs: %w", err)
	}
	for _, log := range logs {
		if err := w.salvageLog(ctx, log, to); err != nil {
			return err
		}
	}
	return nil
}

// salvageTable reads a table from its front, and, where that ends at damage, from its
// back to the damage.
func (w *Wreck) salvageTable(ctx context.Context, name string, to Salvager) (err error) {
	file := dirPebble + "/" + name
	defer func() {
		if r := recover(); r != nil { // Pebble trusts what its sums cover
			to.Damaged(file, fmt.Errorf("panic: %v", r))
		}
	}()
	reader, err := openTable(w.fs, w.fs.PathJoin(w.PebbleDir(), name))
	if err != nil {
		to.Damaged(file, err)
		return nil
	}
	defer func() { _ = reader.Close() }() // it was only read
	last, err := w.walkTable(ctx, reader, nil, to)
	if err == nil {
		return nil
	}
	if found := (*salvageStop)(nil); errors.As(err, &found) {
		return found.err
	}
	to.Damaged(file, err)
	if _, err = w.walkTable(ctx, reader, &last, to); err != nil {
		if found := (*salvageStop)(nil); errors.As(err, &found) {
			return found.err
		}
	}
	return nil
}

// salvageStop is an error that has nothing to do with the table.
type salvageStop struct{ err error }

func (s *salvageStop) Error() string { return s.err.Error() }

// walkTable gives all sets of a table to to: forward, or, with stop, backward until
// the key stop. It returns the last key that it gave.
func (w *Wreck) walkTable(ctx context.Context, reader *sstable.Reader, stop *[]byte, to Salvager) (last []byte, err error) {
	it, err := tableIter(reader)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	move, step := it.First, it.Next
	if stop != nil {
		move, step = it.Last, it.Prev
	}
	n := 0
	for kv := move(); kv != nil; kv = step() {
		if n++; n%1024 == 0 && ctx.Err() != nil {
			return last, &salvageStop{ctx.Err()}
		}
		key := kv.K.UserKey
		if stop != nil && slices.Compare(key, *stop) <= 0 {
			return last, nil
		}
		if kv.Kind() == pebble.InternalKeyKindSet {
			value, _, err := kv.Value(nil)
			if err != nil {
				return last, err
			}
			if err := to.Record(key, value); err != nil {
				return last, &salvageStop{err}
			}
		}
		last = append(last[:0], key...)
	}
	return last, it.Error()
}

// salvageLog reads a log up to the first record that is damaged.
func (w *Wreck) salvageLog(ctx context.Context, log wal.LogicalLog, to Salvager) (err error) {
	file := dirPebble + "/" + log.Num.String() + ".log"
	reader := log.OpenForRead()
	defer func() { _ = reader.Close() }() // it was only read
	var record []byte
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		r, _, err := reader.NextRecord()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			record, err = readInto(record[:0], r)
		}
		if err != nil {
			to.Damaged(file, err)
			return nil
		}
		if len(record) < batchrepr.HeaderLen {
			continue
		}
		batch := batchrepr.Read(record)
		for {
			kind, key, value, ok, err := batch.Next()
			if err != nil {
				to.Damaged(file, err)
			}
			if !ok || err != nil {
				break
			}
			if kind == pebble.InternalKeyKindSet {
				if err := to.Record(key, value); err != nil {
					return err
				}
			}
		}
	}
}

func readInto(dst []byte, r io.Reader) ([]byte, error) {
	for {
		if len(dst) == cap(dst) {
			dst = slices.Grow(dst, max(4096, len(dst)))
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if errors.Is(err, io.EOF) {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}

// Marked returns the position up to which the high-water mark knows events, and 0 if it
// cannot be read.
func (w *Wreck) Marked() keys.Position {
	if !w.Identified {
		return 0
	}
	mark, state, err := w.MarkFile().Read()
	if err != nil || state != MarkSound {
		return 0
	}
	return mark.Position
}
