package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/nexus-erp/eventstream"
)

// poolEvents is how many different events the appending figures cycle through, and
// poolStreams how many streams they go to, by a Zipf distribution.
const (
	poolEvents  = 8192
	poolStreams = 100_000
)

// eventPool holds the same events twice: as proposals for the store, and as the
// store stores them, for the baseline. Both are in the same order, so that both sides
// write to the same keys in the same order.
type eventPool struct {
	proposals []proposal
	records   []record
}

// newEventPool learns the stored form of generated events from a small store that
// it makes in dir.
func newEventPool(ctx context.Context, dir string, seed uint64, size int) (*eventPool, error) {
	proposals := newGenerator(seed, poolStreams, size).pool(poolEvents)
	if err := writePool(ctx, dir, proposals); err != nil {
		return nil, err
	}
	records, err := storedRecords(dir)
	if err != nil {
		return nil, err
	}
	if len(records) != len(proposals) {
		return nil, fmt.Errorf("sample store holds %d events, want %d", len(records), len(proposals))
	}
	return &eventPool{proposals: proposals, records: records}, nil
}

func writePool(ctx context.Context, dir string, pool []proposal) (err error) {
	db, err := openStore(dir, eventstream.None)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, p := range pool {
		if _, err := db.Append(ctx, p.stream, eventstream.Any, p.event); err != nil {
			return err
		}
	}
	return nil
}

// start spreads the workers over the pool, so that they do not move through the
// same events side by side.
func (p *eventPool) start(worker, workers int) int { return worker * len(p.proposals) / workers }

// openStore opens the store in dir, or creates it.
func openStore(dir string, d eventstream.Durability) (*eventstream.DB, error) {
	return eventstream.Open(dir, storeOptions(d))
}

// storeOptions are those of every store that is measured. Indexes are off, but where they
// are what is measured: figures before them stay comparable.
func storeOptions(d eventstream.Durability) *eventstream.Options {
	return &eventstream.Options{Durability: d, CacheBytes: cacheBytes, MemTableBytes: memTableBytes, Indexes: []eventstream.Index{}}
}
