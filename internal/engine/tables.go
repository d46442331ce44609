package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream/keys"
)

// openTable opens one table file by itself, without the database.
func openTable(fs vfs.FS, path string) (*sstable.Reader, error) {
	var opts pebble.Options
	opts.EnsureDefaults()
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	reader, err := sstable.NewReader(context.Background(), readable, opts.MakeReaderOptions())
	if err != nil {
		return nil, errors.Join(err, readable.Close())
	}
	return reader, nil
}

func tableIter(r *sstable.Reader) (sstable.Iterator, error) {
	return r.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
}

// CheckTables opens up to most of the database's tables, the newest first, and
// compares their first and last keys with those that the manifest has. Pebble
// compares sizes alone, so that one table in another's place would pass. The error is
// a [*DamageError] for the first that differs, or one of the file system.
func (e *Engine) CheckTables(ctx context.Context, most int) error {
	tables, err := e.tables()
	if err != nil {
		return err
	}
	for i, t := range tables {
		if i == most {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := e.checkTable(t); err != nil {
			return err
		}
	}
	return nil
}

// tables returns the tables of the database, the newest first.
func (e *Engine) tables() ([]pebble.SSTableInfo, error) {
	levels, err := e.db.SSTables()
	if err != nil {
		return nil, fmt.Errorf("list tables: %w", err)
	}
	tables := slices.Concat(levels...)
	slices.SortFunc(tables, func(a, b pebble.SSTableInfo) int { return int(b.BackingSSTNum) - int(a.BackingSSTNum) })
	return tables, nil
}

func (e *Engine) checkTable(t pebble.SSTableInfo) (err error) {
	name := fmt.Sprintf("%06d.sst", uint64(t.BackingSSTNum))
	reader, err := openTable(e.fs, e.fs.PathJoin(e.dir, name))
	if err != nil {
		return tableFailure(name, err)
	}
	defer func() { err = errors.Join(err, reader.Close()) }()
	smallest, largest, err := tableBounds(reader)
	if err != nil {
		return tableFailure(name, err)
	}
	if !sameKey(smallest, t.Smallest) || !sameKey(largest, t.Largest) {
		return damagedFile(name, otherTable)
	}
	return nil
}

// tableBounds returns the first and the last key of a table, as the manifest counts them:
// of its records, and of the ranges that it removes.
func tableBounds(r *sstable.Reader) (smallest, largest pebble.InternalKey, err error) {
	it, err := tableIter(r)
	if err != nil {
		return smallest, largest, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	first, found := it.First(), false
	if first != nil {
		smallest, found = first.K.Clone(), true
		last := it.Last()
		if last == nil {
			return smallest, largest, errors.Join(errTableEmpty, it.Error())
		}
		largest = last.K.Clone()
	} else if err := it.Error(); err != nil {
		return smallest, largest, err
	}
	removed, err := r.NewRawRangeDelIter(context.Background(), sstable.NoFragmentTransforms, sstable.NoReadEnv)
	if err != nil {
		return smallest, largest, err
	}
	if removed != nil {
		defer removed.Close()
		first, err := removed.First()
		if err != nil {
			return smallest, largest, err
		}
		if first != nil {
			if key := first.SmallestKey(); !found || comesBefore(key, smallest) {
				smallest = key.Clone()
			}
			last, err := removed.Last()
			if err != nil {
				return smallest, largest, err
			}
			if key := last.LargestKey(); !found || comesBefore(largest, key) {
				largest = key.Clone()
			}
			found = true
		}
	}
	if !found {
		return smallest, largest, errTableEmpty
	}
	return smallest, largest, nil
}

// comesBefore is Pebble's order of keys: of one user key, the newest comes first.
func comesBefore(a, b pebble.InternalKey) bool {
	c := bytes.Compare(a.UserKey, b.UserKey)
	return c < 0 || c == 0 && a.Trailer > b.Trailer
}

const otherTable = "its first and last keys are not those that the manifest has: another table stands in its place"

func sameKey(a, b pebble.InternalKey) bool {
	return a.Trailer == b.Trailer && bytes.Equal(a.UserKey, b.UserKey)
}

var errTableEmpty = errors.New("the table holds no key")

// tableFailure is openFailure for one table.
func tableFailure(name string, err error) error {
	var damage *DamageError
	if err = openFailure(err); errors.As(err, &damage) {
		return &DamageError{File: dirPebble + "/" + name, Detail: "the table is damaged", Err: damage.Err}
	}
	return fmt.Errorf("read table %s: %w", name, err)
}

// Leftover is what a table holds that the database does not know.
type Leftover struct {
	File string // relative to the store's directory
	Key  []byte // the first key that the database lacks
	From keys.Position
	To   keys.Position // positions that the database lacks; 0 if the table has none
}

// CheckLeftovers reads the tables that lie in the directory and that the database
// does not know, and looks for records in them that it lacks. A crash leaves such
// tables, of a flush or a compaction that did not end; then all that they hold is
// elsewhere too. Records of an event are never deleted, so one that is not means that
// the manifest lost a table. found is what LookBefore saw.
func (e *Engine) CheckLeftovers(ctx context.Context, found Preflight) (*Leftover, error) {
	known, err := e.tables()
	if err != nil {
		return nil, err
	}
	for _, t := range known {
		delete(found.Tables, uint64(t.BackingSSTNum))
	}
	for _, name := range found.Tables {
		left, err := e.checkLeftover(ctx, name)
		if left != nil || err != nil {
			return left, err
		}
	}
	return nil, nil
}

func (e *Engine) checkLeftover(ctx context.Context, name string) (left *Leftover, err error) {
	reader, err := openTable(e.fs, e.fs.PathJoin(e.dir, name))
	if err != nil {
		return nil, notDamage(name, err) // cut off while it was written: nothing relies on it
	}
	defer func() { err = errors.Join(err, notDamage(name, reader.Close())) }()
	tableIt, err := tableIter(reader)
	if err != nil {
		return nil, notDamage(name, err)
	}
	defer func() { err = errors.Join(err, notDamage(name, tableIt.Close())) }() // it returns the walk's error
	it, err := e.db.NewIter(nil)
	if err != nil {
		return nil, fmt.Errorf("iterate: %w", err)
	}
	defer func() { err = errors.Join(err, e.poison.release(it)) }()
	n := 0
	for kv := tableIt.First(); kv != nil; kv = tableIt.Next() {
		if n++; n%1024 == 0 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		key := kv.K.UserKey
		if kv.Kind() != pebble.InternalKeyKindSet || !keptForGood(key) || it.SeekGE(key) && bytes.Equal(it.Key(), key) {
			continue
		}
		if err := it.Error(); err != nil {
			return nil, fmt.Errorf("iterate: %w", err)
		}
		if left == nil {
			left = &Leftover{File: dirPebble + "/" + name, Key: bytes.Clone(key)}
		}
		if position, err := keys.ParsePosition(key); err == nil {
			if left.From == 0 {
				left.From = position
			}
			left.To = position
		}
	}
	return left, notDamage(name, tableIt.Error())
}

// keptForGood reports whether a key is of a kind of which nothing is ever deleted.
func keptForGood(key []byte) bool {
	switch keys.Kind(key[0]) {
	case keys.KindEvent, keys.KindPosition, keys.KindEventID:
		return true
	default:
		return false
	}
}

// notDamage drops an error that is damage of a table that nothing relies on.
func notDamage(name string, err error) error {
	if err == nil {
		return nil
	}
	var damage *DamageError
	if err = openFailure(err); errors.As(err, &damage) {
		return nil
	}
	return fmt.Errorf("read table %s: %w", name, err)
}
