package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/keys"
)

// dataset is a closed and settled store, and a copy of its Pebble files for the
// baseline.
type dataset struct {
	dir       string
	rawDir    string
	streams   int
	perStream int
	bytes     int64 // size of dir
}

func (d *dataset) events() int { return d.streams * d.perStream }

// stream returns the name of the i-th stream in any endless sequence of picks.
func (d *dataset) stream(pick uint64) eventstream.StreamID {
	return streamName(pick % uint64(d.streams))
}

// buildDataset writes streams of perStream events each into dir. Each pass over the
// streams is in another random order, so that a stream's events lie far apart in
// the global order.
func buildDataset(ctx context.Context, dir string, seed uint64, size, streams, perStream int) (*dataset, error) {
	d := &dataset{dir: filepath.Join(dir, "store"), rawDir: filepath.Join(dir, "raw"), streams: streams, perStream: perStream}
	if err := d.write(ctx, newGenerator(seed, streams, size)); err != nil {
		return nil, fmt.Errorf("build data set of %d events: %w", d.events(), err)
	}
	if err := d.settle(ctx); err != nil {
		return nil, fmt.Errorf("settle data set: %w", err)
	}
	if err := copyPebble(d.rawDir, pebbleDir(d.dir)); err != nil {
		return nil, fmt.Errorf("copy data set: %w", err)
	}
	var err error
	d.bytes, err = directoryBytes(d.dir)
	return d, err
}

func (d *dataset) write(ctx context.Context, g *generator) (err error) {
	db, err := openStore(d.dir, eventstream.None)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	order := make([]uint64, d.streams)
	for i := range order {
		order[i] = uint64(i)
	}
	for range d.perStream {
		rng := rand.New(rand.NewPCG(g.rng.Uint64(), 0))
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, n := range order {
			if _, err := db.Append(ctx, streamName(n), eventstream.Any, g.event()); err != nil {
				return err
			}
		}
	}
	return awaitSealed(ctx, db)
}

// sealedBehind is how far sealing is behind the head when it has caught up: four runs.
const sealedBehind = 4 * 1024

// awaitSealed waits until the sealer has caught up.
func awaitSealed(ctx context.Context, db *eventstream.DB) error {
	return await(ctx, func() (bool, error) {
		stats, err := db.Stats()
		return err == nil && stats.Sealed+sealedBehind >= db.Head(), err
	})
}

// await asks every now and then until the answer is yes.
func await(ctx context.Context, reached func() (bool, error)) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		if yes, err := reached(); yes || err != nil {
			return err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// settle compacts the store, as time would.
func (d *dataset) settle(ctx context.Context) error {
	r, err := openRaw(pebbleDir(d.dir), false)
	if err != nil {
		return err
	}
	err = r.db.Compact(ctx, []byte{0}, []byte{0xff}, true)
	return errors.Join(err, r.close())
}

// copyPebble makes dst a second database with the same content as the closed one
// in src. Tables never change, so they are linked.
func copyPebble(dst, src string) error {
	if err := os.MkdirAll(dst, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(src)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		from, to := filepath.Join(src, e.Name()), filepath.Join(dst, e.Name())
		put := copyFile
		if strings.HasSuffix(e.Name(), ".sst") {
			put = os.Link
		}
		if err := put(from, to); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(from, to string) (err error) {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	dst, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.Close()) }()
	_, err = io.Copy(dst, src)
	return err
}

// positionStore makes, in dir, a raw Pebble that holds the data set's envelopes
// under their positions and nothing else, and compacts it.
func (d *dataset) positionStore(ctx context.Context, dir string) (err error) {
	src, err := openRaw(d.rawDir, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, src.close()) }()
	dst, err := openRaw(dir, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dst.close()) }()
	if err := copyByPosition(dst, src); err != nil {
		return err
	}
	return dst.db.Compact(ctx, []byte{0}, []byte{0xff}, true)
}

// copyByPosition copies every event of src to dst under its position.
func copyByPosition(dst, src *raw) error {
	const batchBytes = 4 << 20
	b := dst.db.NewBatch()
	var key []byte
	err := src.scanKind(keys.KindEvent, func(eventKey, value []byte) error {
		tenant, stream, version, err := keys.ParseEvent(eventKey)
		if err != nil {
			return err
		}
		envelope, err := codec.ParseEnvelope(value, tenant, stream, version)
		if err != nil {
			return err
		}
		key = keys.AppendPosition(key[:0], envelope.Position)
		if err := b.Set(key, value, nil); err != nil || b.Len() < batchBytes {
			return err
		}
		err = errors.Join(b.Commit(pebble.NoSync), b.Close())
		b = dst.db.NewBatch()
		return err
	})
	return errors.Join(err, b.Commit(pebble.NoSync), b.Close())
}

// isDir reports whether there is a directory at path.
func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
