package eventstream

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/nexus-erp/eventstream/internal/index"
	"github.com/nexus-erp/eventstream/keys"
)

// Index names an index behind the log. Queries use it; without it they read more. What
// was recorded in a stretch of time is found without one: recorded-at never decreases.
type Index string

// The indexes that a store can have.
const (
	IndexTenant      Index = "tenant"      // all events of a tenant, among those of others
	IndexType        Index = "type"        // [Query.Types]
	IndexCategory    Index = "category"    // [Query.Categories]
	IndexCorrelation Index = "correlation" // [Query.Correlations], [Tenant.Trace]
	IndexCausation   Index = "causation"   // [Query.Causations]
	IndexUser        Index = "user"        // [Query.Users]
	IndexOccurred    Index = "occurred"    // [Query.OccurredSince], [Query.OccurredUntil]
	IndexTag         Index = "tag"         // [Query.Tag]: each metadata entry, up to 32 an event
)

// DefaultIndexes are the indexes that a store keeps unless Options.Indexes says
// otherwise.
func DefaultIndexes() []Index {
	return []Index{IndexTenant, IndexType, IndexCategory, IndexCorrelation, IndexCausation}
}

// indexIDs are the numbers of the indexes on disk.
var indexIDs = map[Index]keys.IndexID{
	IndexTenant: index.Tenant, IndexType: index.Type, IndexCategory: index.Category, IndexCorrelation: index.Correlation,
	IndexCausation: index.Causation, IndexUser: index.User, IndexOccurred: index.Occurred, IndexTag: index.Tag,
}

// IndexInfo tells how an index stands.
type IndexInfo struct {
	Index Index
	// Checkpoint is the position up to which it is complete.
	Checkpoint Position
	// Ready says that it is at most a few thousand positions behind the readable head; else
	// it is being built. Queries are exact in either case.
	Ready bool
}

// indexReady is how far behind the head an index may be to count as built.
const indexReady = 4 * indexBatch

// Indexes tells how the store's indexes stand, in the order of Options.Indexes.
func (db *DB) Indexes() []IndexInfo {
	head := db.readable.Load()
	var infos []IndexInfo
	for _, s := range db.indexer.states {
		at := s.reached()
		if s.damaged.Load() {
			at = 0 // it is built anew
		}
		infos = append(infos, IndexInfo{Index: s.index, Checkpoint: at, Ready: at+indexReady >= head})
	}
	return infos
}

// indexSet returns the indexes that the store has: those of the options, or those that it
// was opened with last.
func (db *DB) indexSet() ([]Index, error) {
	if db.opts.Indexes != nil {
		return db.opts.Indexes, nil
	}
	text, ok, err := db.eng.Get(nil, keys.AppendMeta(nil, metaIndexes))
	if err != nil {
		return nil, readError("indexes", err)
	}
	if !ok {
		return DefaultIndexes(), nil
	}
	var set []Index
	for name := range strings.FieldsFuncSeq(string(text), func(r rune) bool { return r == ',' }) {
		set = append(set, Index(name))
	}
	if err := validateIndexes(set); err != nil {
		return nil, &CorruptionError{What: "indexes", Err: err}
	}
	return set, nil
}

// indexSetText is the form in which a set is stored.
func indexSetText(set []Index) []byte {
	var names []string
	for _, x := range set {
		names = append(names, string(x))
	}
	return []byte(strings.Join(names, ","))
}

// validateIndexes returns what is wrong with Options.Indexes.
func validateIndexes(indexes []Index) error {
	for i, x := range indexes {
		switch {
		case indexIDs[x] == 0:
			return fmt.Errorf("there is no index %q", x)
		case slices.Contains(indexes[:i], x):
			return fmt.Errorf("%q is named twice", x)
		}
	}
	return nil
}

// derivedIndex is what the records are called that hold the checkpoints of indexes. They
// hold a version, 1, and the position.
const (
	derivedIndex       = "index"
	indexStateVersion  = 1
	indexStateLen      = 9
	indexStatePosition = 1
)

func indexStateKey(x Index) []byte { return keys.AppendDerived(nil, derivedIndex, string(x)) }

func indexState(checkpoint Position) []byte {
	return binary.BigEndian.AppendUint64([]byte{indexStateVersion}, uint64(checkpoint))
}

// loadIndexCheckpoint reads how far an index is; one that is not there is at 0.
func (db *DB) loadIndexCheckpoint(x Index) (Position, error) {
	state, ok, err := db.eng.Get(nil, indexStateKey(x))
	if err != nil || !ok {
		return 0, readError("index", err)
	}
	if len(state) != indexStateLen || state[0] != indexStateVersion {
		return 0, &CorruptionError{What: "state of index " + string(x)}
	}
	return Position(binary.BigEndian.Uint64(state[indexStatePosition:])), nil
}
