package keys_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream/keys"
)

func TestAnIDTellsItsPosition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		store := keys.EventID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "store"))
		opening := [3]byte(rapid.SliceOfN(rapid.Byte(), 3, 3).Draw(t, "opening"))
		recordedAt := rapid.Int64().Draw(t, "recorded at")
		position := keys.Position(rapid.Uint64Range(1, 1<<40-1).Draw(t, "position"))
		l := keys.NewLocator(store, opening)
		id := l.ID(recordedAt, position)
		if id.IsZero() || !l.Tells(id, position) || l.Tells(id, position+1) {
			t.Errorf("id %s does not tell position %d alone", id, position)
		}
		if want := time.UnixMilli(max(recordedAt, 0) / 1e6).UTC(); !id.Time().Equal(want) {
			t.Errorf("id %s was made at %v, want %v", id, id.Time(), want)
		}
		if other := keys.NewLocator(store, [3]byte{opening[0], opening[1], opening[2] + 1}); other.ID(recordedAt, position) == id || !other.Tells(id, position) {
			t.Errorf("another opening makes the same id, or does not understand it")
		}
		later := rapid.Int64Range(recordedAt, 1<<63-1).Draw(t, "recorded later")
		if next := l.ID(later, position+1); position+1 < 1<<40 && !less(id, next) {
			t.Errorf("%s is not before %s", id, next)
		}
		if parsed, err := keys.ParseEventID(id.String()); err != nil || parsed != id {
			t.Errorf("%s as text: %v, %v", id, parsed, err)
		}
	})
}

func TestIDsOfOtherStoresTellNothing(t *testing.T) {
	t.Parallel()
	a, b := keys.NewLocator(keys.EventID{1}, [3]byte{}), keys.NewLocator(keys.EventID{2}, [3]byte{})
	if position, ok := b.Position(a.ID(0, 7)); ok {
		t.Errorf("another store's id tells position %d", position)
	}
	// What tests and people write by hand has zeros there, and is no store's.
	if position, ok := a.Position(keys.EventID{15: 7}); ok {
		t.Errorf("a small number as an id tells position %d", position)
	}
}

// Beyond 2^40 an id tells another position, and so is found by its record.
func TestAnIDBeyondItsBitsDoesNotTellItsPosition(t *testing.T) {
	t.Parallel()
	l := keys.NewLocator(keys.EventID{1}, [3]byte{0xff, 0xff, 0xff})
	seen := map[keys.EventID]bool{}
	for _, position := range []keys.Position{1, 1<<40 - 1, 1 << 40, 1<<40 + 2, 1<<64 - 1} {
		id := l.ID(0, position)
		if tells, want := l.Tells(id, position), position < 1<<40; tells != want {
			t.Errorf("position %d: told is %v, want %v", position, tells, want)
		}
		if position < 1<<64-1 && seen[id] {
			t.Errorf("position %d has the id of another", position)
		}
		seen[id] = true
	}
}

// The form is on disk: it stays.
func TestTheFormOfAnIDIsPinned(t *testing.T) {
	t.Parallel()
	l := keys.NewLocator(keys.EventID([]byte("0123456789abcdef")), [3]byte{0xa1, 0xa2, 0xa3})
	id := l.ID(1_800_000_000_123_456_789, 0x0102030405)
	if got, want := fmt.Sprintf("%x", id[:]), "01a3185c507b6d0ba1a2a30102030405"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
