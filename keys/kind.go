package keys

import "fmt"

// Kind is a key's first byte. The numbers are on disk: they never change, and a
// retired one is never used again.
type Kind byte

// The kinds of keys.
const (
	KindMeta     Kind = 0x01 // name                                      → facts about the store
	KindEvent    Kind = 0x10 // tenant, stream, version                   → envelope
	KindPosition Kind = 0x11 // position                                  → the event's key
	KindEventID  Kind = 0x12 // tenant, event id                          → position, content hash
	KindSeal     Kind = 0x20 // first position of a run                   → seal
	KindSegment  Kind = 0x21 // first position of a run                   → packed run
	KindIndex    Kind = 0x30 // tenant, index id, term, position          → covering value
	KindSnapshot Kind = 0x40 // tenant, stream, inverted version          → snapshot record
	KindView     Kind = 0x50 // tenant, projection, generation, user key  → view record
	KindDerived  Kind = 0x60 // what, name                                → state of what is derived
)

// Kinds returns every kind, in key order.
func Kinds() []Kind {
	return []Kind{
		KindMeta, KindEvent, KindPosition, KindEventID, KindSeal, KindSegment,
		KindIndex, KindSnapshot, KindView, KindDerived,
	}
}

// String returns the kind's name as docs/FORMAT.md has it.
func (k Kind) String() string {
	switch k {
	case KindMeta:
		return "meta"
	case KindEvent:
		return "event"
	case KindPosition:
		return "position"
	case KindEventID:
		return "event-id"
	case KindSeal:
		return "seal"
	case KindSegment:
		return "segment"
	case KindIndex:
		return "index"
	case KindSnapshot:
		return "snapshot"
	case KindView:
		return "view"
	case KindDerived:
		return "derived"
	default:
		return fmt.Sprintf("kind(0x%02x)", byte(k))
	}
}
