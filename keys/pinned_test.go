package keys_test

import (
	"testing"

	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/keys"
)

func TestKindsAreOnDiskAndNeverChange(t *testing.T) {
	t.Parallel()
	want := []struct {
		kind   keys.Kind
		number byte
		name   string
	}{
		{keys.KindMeta, 0x01, "meta"},
		{keys.KindEvent, 0x10, "event"},
		{keys.KindPosition, 0x11, "position"},
		{keys.KindEventID, 0x12, "event-id"},
		{keys.KindSeal, 0x20, "seal"},
		{keys.KindSegment, 0x21, "segment"},
		{keys.KindIndex, 0x30, "index"},
		{keys.KindSnapshot, 0x40, "snapshot"},
		{keys.KindView, 0x50, "view"},
		{keys.KindDerived, 0x60, "derived"},
	}
	all := keys.Kinds()
	if len(all) != len(want) {
		t.Fatalf("%d kinds, want %d: add the new one here, and to docs/FORMAT.md", len(all), len(want))
	}
	for i, w := range want {
		if byte(w.kind) != w.number || w.kind.String() != w.name || all[i] != w.kind {
			t.Errorf("kind %d is %s = 0x%02x, want %s = 0x%02x", i, all[i], byte(all[i]), w.name, w.number)
		}
	}
	if got := keys.Kind(0xee).String(); got != "kind(0xee)" {
		t.Errorf("String of an unknown kind = %q, want kind(0xee)", got)
	}
}

// exampleKeys are whole keys as they stand on disk.
var exampleKeys = []struct {
	name string
	got  []byte
	want string
}{
	{"meta", keys.AppendMeta(nil, "store"), "\x01store\x00\x01"},
	{"event", keys.AppendEvent(nil, 1, "a-b-c", 7), "\x10\x00\x00\x00\x01a-b-c\x00\x01\x00\x00\x00\x00\x00\x00\x00\x07"},
	{"event of a stream with NUL", keys.AppendEvent(nil, 0xff00ff00, "\x00\xff", 1), "\x10\xff\x00\xff\x00\x00\xff\xff\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01"},
	{"position", keys.AppendPosition(nil, 258), "\x11\x00\x00\x00\x00\x00\x00\x01\x02"},
	{"event id", keys.AppendEventID(nil, 2, keys.EventID([]byte("0123456789abcdef"))), "\x12\x00\x00\x00\x020123456789abcdef"},
	{"seal", keys.AppendSeal(nil, 1), "\x20\x00\x00\x00\x00\x00\x00\x00\x01"},
	{"segment", keys.AppendSegment(nil, 1), "\x21\x00\x00\x00\x00\x00\x00\x00\x01"},
	{"index", keys.AppendIndex(nil, 1, 3, "T", 9), "\x30\x00\x00\x00\x01\x00\x03T\x00\x01\x00\x00\x00\x00\x00\x00\x00\x09"},
	{"snapshot", keys.AppendSnapshot(nil, 1, "s", 1), "\x40\x00\x00\x00\x01s\x00\x01\xff\xff\xff\xff\xff\xff\xff\xfe"},
	{"beside a view", keys.AppendBeside(nil, 1, "p", 2, "h"), "\x50\x00\x00\x00\x01p\x00\x01\x80\x00\x00\x00\x00\x00\x00\x02h\x00\x01"},
	{"view", keys.AppendView(nil, 1, "p", 2, []byte("k\x00")), "\x50\x00\x00\x00\x01p\x00\x01\x00\x00\x00\x00\x00\x00\x00\x02k\x00"},
	{"derived", keys.AppendDerived(nil, "index", "type"), "\x60index\x00\x01type\x00\x01"},
}

func TestKeysAreOnDiskAndNeverChange(t *testing.T) {
	t.Parallel()
	for _, tt := range exampleKeys {
		if string(tt.got) != tt.want {
			t.Errorf("%s key is %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

func TestAppendingKeysAllocatesNothing(t *testing.T) {
	dst := make([]byte, 0, 512)
	stream := keys.StreamID("finance-account-1000")
	if n := campaign.Allocs(100, 0, func() {
		dst = keys.AppendEvent(dst[:0], 1, stream, 2)
		dst = keys.AppendPosition(dst, 3)
		dst = keys.AppendEventID(dst, 1, keys.EventID{1})
		dst = keys.AppendIndex(dst, 1, 2, "AccountCredited", 3)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
