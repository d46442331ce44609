package source

import (
	"github.com/cespare/xxhash/v2"

	"github.com/nexus-erp/eventstream"
)

// Streams counts the events of each stream. Streams are known by their hash, to
// spare the memory of their names: where two share one, they share a count.
type Streams map[uint64]int

// Add counts n more events of a stream and returns how many it had before.
func (s Streams) Add(stream eventstream.StreamID, n int) (before int) {
	h := xxhash.Sum64String(string(stream))
	before = s[h]
	s[h] = before + n
	return before
}
