package eventstream

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/internal/index"
	"github.com/nexus-erp/eventstream/keys"
)

// indexCheck compares an index with the log: both are summed up, in whatever order they
// are read. The sums of two sets of postings are equal only if the sets are, but for one
// chance in 2^64.
type indexCheck struct {
	progress   *indexProgress
	condemned  uint64
	checkpoint Position // when the check began
	log, index postingSum
}

// postingSum is the number of postings and the sum of their hashes.
type postingSum struct{ count, sum uint64 }

func (s *postingSum) add(tenant TenantID, id keys.IndexID, term []byte, position Position) {
	var buf [128]byte
	b := binary.BigEndian.AppendUint32(buf[:0], uint32(tenant))
	b = binary.BigEndian.AppendUint16(b, uint16(id))
	b = binary.BigEndian.AppendUint64(b, uint64(position))
	b = append(b, term...)
	s.count++
	s.sum += xxhash.Sum64(b)
}

// beginIndexes notes how far each index is.
func (c *checker) beginIndexes() {
	for _, s := range c.db.indexer.states {
		x := &indexCheck{progress: s, condemned: s.condemned.Load(), checkpoint: s.reached()}
		if !s.damaged.Load() {
			c.indexed = append(c.indexed, x)
		}
	}
}

// indexTerms adds what an event should have in the indexes.
func (c *checker) indexTerms(f *facts, env *codec.Envelope) {
	for _, x := range c.indexed {
		if f.position > x.checkpoint {
			continue
		}
		var terms []string                                                // metadata entries may share one
		_ = index.Terms(x.progress.id, f.stream, env, func(term []byte) { // the metadata was parsed before
			if !slices.Contains(terms, string(term)) {
				terms = append(terms, string(term))
				x.log.add(f.tenantID, x.progress.id, term, f.position)
			}
		})
	}
}

// indexes compares what the indexes hold with what was read of the log.
func (c *checker) indexes(ctx context.Context) error {
	err := c.walk(ctx, keys.KindIndex, func(it engine.Iter) error {
		value, err := it.Value()
		if err != nil {
			return err
		}
		tenant, id, term, positions, err := index.ParseRecord(it.Key(), value)
		if err != nil {
			c.problem(Problem{Kind: ProblemIndex, Detail: err.Error()})
			return nil
		}
		for _, x := range c.indexed {
			for _, p := range positions {
				if x.progress.id == id && p <= x.checkpoint {
					x.index.add(tenant, id, []byte(term), p)
				}
			}
		}
		return nil
	})
	if err != nil || c.unreadable || c.unsound {
		return err // what is missing from the log is told already
	}
	for _, x := range c.indexed {
		if x.log != x.index && x.progress.condemned.Load() == x.condemned {
			c.problem(Problem{Kind: ProblemIndex, Position: x.checkpoint, Detail: fmt.Sprintf(
				"index %q does not lead to the events up to its checkpoint: it has %d entries, the log has %d", x.progress.index, x.index.count, x.log.count)})
		}
	}
	return nil
}
