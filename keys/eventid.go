package keys

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
)

// EventID identifies an event within its tenant for good. It is a ULID: 48 bits
// of milliseconds since 1970, then 80 bits that make it unique: random ones in ids that
// callers make, see [IDGenerator], and [Locator] for those that a store makes. It is an
// identity, never an order: the order of events is their [Position].
type EventID [16]byte

// ParseEventID reads the 26 characters of a ULID, in either case. Anything else
// is an [*IDError].
func ParseEventID(s string) (EventID, error) {
	id, err := ulid.ParseStrict(s)
	if err != nil {
		return EventID{}, &IDError{Text: s, Err: err}
	}
	return EventID(id), nil
}

// IsZero reports whether id is the zero id, which no event has.
func (id EventID) IsZero() bool { return id == EventID{} }

// Time returns the id's milliseconds as a time in UTC. It is when the id was
// made, which says nothing about when the event happened or was recorded.
func (id EventID) Time() time.Time { return ulid.ULID(id).Timestamp().UTC() }

// String returns the 26 characters of the ULID, in upper case.
func (id EventID) String() string { return ulid.ULID(id).String() }

// MarshalText returns what [EventID.String] does.
func (id EventID) MarshalText() ([]byte, error) { return ulid.ULID(id).MarshalText() }

// UnmarshalText reads what [ParseEventID] does.
func (id *EventID) UnmarshalText(text []byte) error {
	parsed, err := ParseEventID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// IDGenerator makes ids that ascend within the process: ids of one
// millisecond count upwards, and a clock that goes back is not followed. It is
// safe for concurrent use. Stores and backups are named by it, and callers may make
// the ids of events with it that must be known before they are appended.
type IDGenerator struct {
	now     func() time.Time
	entropy io.Reader

	mu     sync.Mutex
	lastMS uint64
	last   EventID
}

// NewIDGenerator returns a generator that reads the time from now and ten random
// bytes from entropy for each new millisecond. Both are called under the
// generator's lock.
func NewIDGenerator(now func() time.Time, entropy io.Reader) *IDGenerator {
	return &IDGenerator{now: now, entropy: entropy}
}

// Next fills ids with new ids, in ascending order. It fails only if the entropy
// source does, or after the year 10889, when ULIDs end; ids is then undefined.
func (g *IDGenerator) Next(ids []EventID) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range ids {
		if err := g.nextLocked(); err != nil {
			return err
		}
		ids[i] = g.last
	}
	return nil
}

func (g *IDGenerator) nextLocked() error {
	ms := uint64(max(g.now().UnixMilli(), 0))
	if ms <= g.lastMS && !g.last.IsZero() {
		if g.incrementLocked() {
			return nil
		}
		ms = g.lastMS + 1 // the 80 bits overflowed: borrow from the next millisecond
	}
	if ms > ulid.MaxTime() {
		return fmt.Errorf("make event id: %w", ulid.ErrBigTime)
	}
	var id EventID
	binary.BigEndian.PutUint16(id[0:2], uint16(ms>>32))
	binary.BigEndian.PutUint32(id[2:6], uint32(ms))
	if _, err := io.ReadFull(g.entropy, id[6:]); err != nil {
		return fmt.Errorf("make event id: read entropy: %w", err)
	}
	if id.IsZero() { // a clock at 1970 and a source of zeros; the zero id is none
		id[len(id)-1] = 1
	}
	g.lastMS, g.last = ms, id
	return nil
}

// incrementLocked adds one to the random part of the last id. It reports false if
// that overflows.
func (g *IDGenerator) incrementLocked() bool {
	low := binary.BigEndian.Uint64(g.last[8:]) + 1
	high := binary.BigEndian.Uint16(g.last[6:8])
	if low == 0 {
		high++
		if high == 0 {
			return false
		}
	}
	binary.BigEndian.PutUint16(g.last[6:8], high)
	binary.BigEndian.PutUint64(g.last[8:], low)
	return true
}
