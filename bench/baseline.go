package bench

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
)

// Both sides get the same memory, given and not left to a default, so that they
// stay equal.
const (
	cacheBytes    = 64 << 20
	memTableBytes = 64 << 20
)

// raw is Pebble without the store around it, opened with the store's own options.
type raw struct {
	db  *pebble.DB
	dir string
}

// openRaw opens the database in dir, or creates it.
func openRaw(dir string, create bool) (*raw, error) {
	log := slog.New(slog.DiscardHandler)
	cache := pebble.NewCache(cacheBytes)
	defer cache.Unref()
	opts := engine.PebbleOptions(engine.Config{
		Create:        create,
		CacheBytes:    cacheBytes,
		MemTableBytes: memTableBytes,
		Logger:        log,
	}, cache, rawLogger{})
	db, err := pebble.Open(dir, opts)
	if err != nil {
		return nil, fmt.Errorf("open raw pebble in %s: %w", dir, err)
	}
	return &raw{db: db, dir: dir}, nil
}

// close flushes first, as the store does.
func (r *raw) close() error {
	return errors.Join(r.db.Flush(), r.db.Close())
}

// rawLogger drops Pebble's messages. A failed write ends the run, as it should.
type rawLogger struct{}

func (rawLogger) Infof(string, ...any)  {}
func (rawLogger) Errorf(string, ...any) {}
func (rawLogger) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf("bench: raw pebble: "+format, args...))
}

// writeOptions returns the sync that corresponds to the store's durability.
func writeOptions(d eventstream.Durability) *pebble.WriteOptions {
	if d == eventstream.Sync {
		return pebble.Sync
	}
	return pebble.NoSync
}

// record is an event as the store stores it: the key and the envelope.
type record struct{ key, value []byte }

// position returns the event's position.
func (r record) position() keys.Position {
	position, _ := codec.PositionOf(r.value) // an envelope that a store gave back
	return position
}

// withSerial returns key with its version replaced by a number that no other
// record has, so that the baseline never overwrites. It uses buf's memory.
func (r record) withSerial(buf []byte, serial uint64) []byte {
	buf = append(buf[:0], r.key...)
	binary.BigEndian.PutUint64(buf[len(buf)-keys.VersionFromEnd:], serial)
	return buf
}

// serials hands out the numbers of withSerial.
type serials struct{ last atomic.Uint64 }

// take reserves n numbers and returns the first.
func (s *serials) take(n int) uint64 { return s.last.Add(uint64(n)) - uint64(n) + 1 }

// storedRecords returns every event of the closed store in dir, by position, with
// memory of their own.
func storedRecords(dir string) ([]record, error) {
	r, err := openRaw(pebbleDir(dir), false)
	if err != nil {
		return nil, err
	}
	var records []record
	err = r.scanKind(keys.KindEvent, func(key, value []byte) error {
		records = append(records, record{slices.Clone(key), slices.Clone(value)})
		return nil
	})
	slices.SortFunc(records, func(a, b record) int { return cmp.Compare(a.position(), b.position()) })
	return records, errors.Join(err, r.close())
}

// scanKind calls fn with every key of one kind. Key and value are valid until fn
// returns.
func (r *raw) scanKind(kind keys.Kind, fn func(key, value []byte) error) (err error) {
	iter, err := r.kindIter(kind)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, iter.Close()) }()
	for ok := iter.First(); ok; ok = iter.Next() {
		if err := fn(iter.Key(), iter.Value()); err != nil {
			return err
		}
	}
	return nil
}

// kindIter returns an iterator over every key of one kind.
func (r *raw) kindIter(kind keys.Kind) (*pebble.Iterator, error) {
	return r.prefixIter([]byte{byte(kind)})
}

// prefixIter returns an iterator over every key that starts with prefix.
func (r *raw) prefixIter(prefix []byte) (*pebble.Iterator, error) {
	lower, upper, err := keys.Range(prefix)
	if err != nil {
		return nil, err
	}
	return r.db.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: upper})
}

// pebbleDir returns where the store in dir keeps Pebble's files.
func pebbleDir(dir string) string { return filepath.Join(dir, "db") }

// tableBytes returns the size of Pebble's tables in the store in dir.
func tableBytes(dir string) (int64, error) { return sizeOf(pebbleDir(dir), "*.sst") }

// directoryBytes returns the size of all files under dir.
func directoryBytes(dir string) (int64, error) { return sizeOf(dir, "*") }

// sizeOf returns the size of all files under dir whose names match pattern.
func sizeOf(dir, pattern string) (int64, error) {
	var total int64
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if match, err := filepath.Match(pattern, d.Name()); err != nil || !match {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		total += info.Size()
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("measure %s: %w", dir, err)
	}
	return total, nil
}
