package projection

import (
	"encoding/hex"
	"errors"
	"math"
	"testing"

	"github.com/nexus-erp/eventstream"
)

// The history is on users' disks.
func TestTheFormOfTheHistoryIsPinned(t *testing.T) {
	t.Parallel()
	h := head{last: 0x0102, occurred: -2}
	gone := entry{position: 0x0304, occurred: 5, recorded: 6, greatest: math.MaxInt64}
	empty := gone
	empty.record = []byte{}
	full := gone
	full.record = []byte("rec")
	for _, tt := range []struct {
		what string
		got  []byte
		want string
	}{
		{"head key", headKey([]byte("a\x00b")), "01610062"},
		{"head", h.append(nil), "010000000000000102fffffffffffffffe"},
		{"entry key", entryKey([]byte("a\x00b"), 0x0304), "026100ff6200010000000000000304"},
		{"entry without a record", gone.append(nil), "0100000000000000000500000000000000067fffffffffffffff"},
		{"entry of an empty record", empty.append(nil), "0101000000000000000500000000000000067fffffffffffffff"},
		{"entry", full.append(nil), "0101000000000000000500000000000000067fffffffffffffff726563"},
	} {
		if got := hex.EncodeToString(tt.got); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.what, got, tt.want)
		}
	}
	if got, err := parseHead(h.append(nil)); err != nil || got != h {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, want := range []entry{gone, empty, full} {
		got, err := parseEntry(entryKey([]byte("k"), want.position), want.append(nil))
		if err != nil || got.position != want.position || got.greatest != want.greatest || (got.record == nil) != (want.record == nil) || string(got.record) != string(want.record) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	for what, err := range map[string]error{
		"a short head":             second(parseHead(h.append(nil)[:16])),
		"a long head":              second(parseHead(append(h.append(nil), 0))),
		"a head of version 2":      second(parseHead(append([]byte{2}, h.append(nil)[1:]...))),
		"a short entry":            second(parseEntry(entryKey(nil, 1), gone.append(nil)[:25])),
		"an entry of version 2":    second(parseEntry(entryKey(nil, 1), append([]byte{2}, gone.append(nil)[1:]...))),
		"an entry's key too short": second(parseEntry([]byte("1234567"), gone.append(nil))),
	} {
		if !errors.Is(err, eventstream.ErrCorrupt) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }
