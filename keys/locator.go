package keys

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// Locator makes the ids that a store gives to its events. They are ULIDs, of which the 80
// bits that are free tell the event's position, so that nothing has to be kept to find it
// by its id:
//
//	 48 bits              16 bits      24 bits      40 bits
//	┌────────────────────┬────────────┬────────────┬────────────────┐
//	│ recorded at, in ms │   store    │  opening   │    position    │
//	└────────────────────┴────────────┴────────────┴────────────────┘
//
// The store's bits, which are never 0, keep readers from looking for the ids of other
// stores. Those of the opening are random: if events are lost with the end of the log,
// because the power failed before they were durable, the events that get their positions
// next do not get their ids as well. It is safe for concurrent use.
type Locator struct {
	store   uint16
	opening [3]byte
}

const (
	offIDStore    = 6
	offIDOpening  = 8
	offIDPosition = 11
)

// NewLocator returns the locator of a store, for one opening of it. Who makes no ids needs
// no random bytes.
func NewLocator(store EventID, opening [3]byte) Locator {
	return Locator{store: max(uint16(xxhash.Sum64(store[:])), 1), opening: opening}
}

// ID returns the id of the event at position, recorded at a time in ns since 1970. Ids
// ascend with the position, as recorded-at times never go back.
func (l Locator) ID(recordedAt int64, position Position) EventID {
	const nsPerMS = 1_000_000
	var id EventID
	// The position's upper bits are written over. Beyond 2^40 its id does not tell it, and
	// is kept like one that was given.
	binary.BigEndian.PutUint64(id[8:], uint64(position))
	binary.BigEndian.PutUint64(id[:8], uint64(max(recordedAt, 0)/nsPerMS)<<16|uint64(l.store))
	copy(id[offIDOpening:], l.opening[:])
	return id
}

// Position returns which position id tells. ok is false if it is not of this store. It
// may lie all the same: what stands at the position is the event only if it has the id.
func (l Locator) Position(id EventID) (position Position, ok bool) {
	if binary.BigEndian.Uint16(id[offIDStore:]) != l.store {
		return 0, false
	}
	return Position(binary.BigEndian.Uint64(id[offIDPosition-3:]) & (1<<40 - 1)), true
}

// Tells reports whether id tells that its event is at position.
func (l Locator) Tells(id EventID, position Position) bool {
	told, ok := l.Position(id)
	return ok && told == position
}
