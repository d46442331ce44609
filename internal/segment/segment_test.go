package segment_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"testing"

	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/segment"
	"github.com/nexus-erp/eventstream/keys"
)

// event is an event as a run takes it.
type event struct {
	tenant   keys.TenantID
	stream   keys.StreamID
	version  keys.Version
	envelope []byte
}

func newEvent(position keys.Position, tenant keys.TenantID, stream keys.StreamID, version keys.Version, recorded, occurred int64, payload []byte) event {
	env := codec.Envelope{
		Flags: codec.FlagOccurredGiven, Codec: codec.Raw, Schema: 3, Index: 0, Count: 1, OccurredAt: occurred,
		EventID: keys.EventID{0: 1, 15: byte(position)}, Payload: payload,
	}
	b := codec.AppendEnvelope(nil, &env, "Posted", "cor", "", "user")
	codec.SealEnvelope(b, tenant, stream, version, position, recorded)
	return event{tenant, stream, version, b}
}

func events(first keys.Position, n int) []event {
	var all []event
	for i := range n {
		p := first + keys.Position(i)
		stream := keys.StreamID(fmt.Sprintf("finance-account-%d", i%3))
		all = append(all, newEvent(p, keys.TenantID(1+i%2), stream, keys.Version(i/3+1), 1e18+int64(p), -int64(p), bytes.Repeat([]byte{byte(i)}, i%40)))
	}
	return all
}

func pack(first keys.Position, all []event) (seal segment.Seal, value []byte) {
	run := &segment.Run{First: first}
	for _, e := range all {
		run.Add(e.tenant, e.stream, e.version, e.envelope)
	}
	value = run.AppendSegment(nil)
	return run.Close(segment.Hash{7}), value
}

func unpack(t rapid.TB, first keys.Position, value []byte) []event {
	t.Helper()
	var records segment.Records
	if err := records.Open(first, value); err != nil {
		t.Fatal(err)
	}
	var (
		all []event
		rec segment.Record
	)
	for records.Next(&rec) {
		if want := first + keys.Position(len(all)); rec.Position != want {
			t.Fatalf("got position %d, want %d", rec.Position, want)
		}
		stream := keys.StreamID(rec.Stream)
		all = append(all, event{rec.Tenant, stream, rec.Version, codec.UnpackEnvelope(nil, rec.Header[:], rec.Body, rec.Tenant, stream, rec.Version, rec.Position)})
	}
	return all
}

func same(t rapid.TB, got, want []event) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("got %d events, want %d", len(got), len(want))
	}
	for i := range got {
		g, w := got[i], want[i]
		if g.tenant != w.tenant || g.stream != w.stream || g.version != w.version || !bytes.Equal(g.envelope, w.envelope) {
			t.Fatalf("event %d: got %v, want %v", i, g, w)
		}
	}
}

// Whatever is packed comes back byte by byte, sums included, and is what was sealed.
func TestWhatIsPackedComesBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		first := keys.Position(rapid.Uint64Range(1, 1<<40).Draw(t, "first"))
		var all []event
		for i := range rapid.IntRange(1, 60).Draw(t, "events") {
			all = append(all, newEvent(first+keys.Position(i),
				keys.TenantID(rapid.Uint32().Draw(t, "tenant")),
				keys.StreamID(rapid.StringN(1, 20, 255).Draw(t, "stream")),
				keys.Version(rapid.Uint64().Draw(t, "version")),
				rapid.Int64().Draw(t, "recorded"), rapid.Int64().Draw(t, "occurred"),
				rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "payload")))
		}
		seal, value := pack(first, all)
		same(t, unpack(t, first, value), all)
		if err := segment.Verify(value, &seal); err != nil {
			t.Fatal(err)
		}
		if seal.First != first || seal.Last != first+keys.Position(len(all))-1 || int(seal.Events) != len(all) {
			t.Fatalf("seal %+v does not name the run", seal)
		}
		parsed, err := segment.ParseSeal(first, segment.AppendSeal(nil, &seal))
		if err != nil || parsed != seal {
			t.Fatalf("got seal %+v, %v, want %+v", parsed, err, seal)
		}
	})
}

func TestARunIsUsedAgain(t *testing.T) {
	t.Parallel()
	run := &segment.Run{First: 1}
	for round := range 3 {
		all := events(run.First, 50+round)
		first := run.First
		for _, e := range all {
			run.Add(e.tenant, e.stream, e.version, e.envelope)
		}
		value := run.AppendSegment(nil)
		seal := run.Close(segment.Hash{7})
		wantSeal, wantValue := pack(first, all)
		if seal != wantSeal || !bytes.Equal(value, wantValue) {
			t.Fatalf("round %d: a run that is used again packs otherwise than a new one", round)
		}
		same(t, unpack(t, first, value), all)
	}
}

func TestAReaderGoesBackToAPlace(t *testing.T) {
	t.Parallel()
	_, value := pack(9, events(9, 20))
	var r segment.Records
	if err := r.Open(9, value); err != nil {
		t.Fatal(err)
	}
	var (
		rec    segment.Record
		places []segment.Place
	)
	for place := r.Place(); r.Next(&rec); place = r.Place() {
		places = append(places, place)
	}
	want := unpack(t, 9, value)
	for i := len(places) - 1; i >= 0; i-- {
		r.Return(places[i])
		if !r.Next(&rec) || rec.Position != 9+keys.Position(i) || string(rec.Stream) != string(want[i].stream) || !bytes.Equal(rec.Body, codec.Body(want[i].envelope)) {
			t.Fatalf("place %d: got position %d of %q", i, rec.Position, rec.Stream)
		}
	}
	if !r.Covers(9) || !r.Covers(28) || r.Covers(8) || r.Covers(29) {
		t.Error("a segment of positions 9 to 28 covers others, or not those")
	}
}

// No flipped bit, and no other length, passes; and none makes it panic.
func TestEveryDamageOfASegmentIsFound(t *testing.T) {
	t.Parallel()
	seal, value := pack(5, events(5, 40))
	var r segment.Records
	for i := range value {
		for bit := range 8 {
			damaged := bytes.Clone(value)
			damaged[i] ^= 1 << bit
			if err := r.Open(5, damaged); err == nil {
				t.Fatalf("bit %d of byte %d flipped: the segment opens", bit, i)
			}
			if r.Covers(5) {
				t.Fatal("a segment that was refused covers positions")
			}
		}
		if err := r.Open(5, value[:i]); err == nil {
			t.Fatalf("cut to %d bytes: the segment opens", i)
		}
	}
	if err := r.Open(5, append(bytes.Clone(value), 0)); err == nil {
		t.Error("a byte more: the segment opens")
	}
	if err := r.Open(6, value); err == nil {
		t.Error("the segment opens at another position than its own")
	}
	other, _ := pack(5, events(5, 39))
	if err := segment.Verify(value, &other); err == nil {
		t.Error("a segment passes for another run's")
	}
	changed := seal
	changed.Run[3]++
	if err := segment.Verify(value, &changed); err == nil {
		t.Error("a segment passes a seal that names other events")
	}
}

func TestEveryDamageOfASealIsFound(t *testing.T) {
	t.Parallel()
	seal, _ := pack(5, events(5, 40))
	value := segment.AppendSeal(nil, &seal)
	if len(value) != 85 {
		t.Errorf("a seal has %d bytes, want 85", len(value))
	}
	for i := range value {
		for bit := range 8 {
			damaged := bytes.Clone(value)
			damaged[i] ^= 1 << bit
			if _, err := segment.ParseSeal(5, damaged); err == nil {
				t.Fatalf("bit %d of byte %d flipped: the seal passes", bit, i)
			}
		}
		if _, err := segment.ParseSeal(5, value[:i]); err == nil {
			t.Fatalf("cut to %d bytes: the seal passes", i)
		}
	}
	if _, err := segment.ParseSeal(6, value); err == nil {
		t.Error("a seal passes at another position than its own")
	}
	next := segment.Seal{First: 45, Last: 45, Events: 1, Previous: seal.Hash()}
	seal.Run[0]++
	if next.Previous == seal.Hash() {
		t.Error("the hash of a seal does not cover its run")
	}
}

// Sizes that a damaged or forged segment claims cost no memory.
//
// Not in parallel: it measures what the process allocates.
func TestAForgedSizeIsRefusedBeforeMemoryIsTaken(t *testing.T) {
	_, value := pack(1, events(1, 4))
	var r segment.Records
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, size := range []uint32{0, 1, 1 << 25, 1 << 30, 1<<32 - 1} {
		for _, field := range []int{1, 5} { // events, bytes
			forged := bytes.Clone(value)
			binary.BigEndian.PutUint32(forged[field:], size)
			segment.Resum(1, forged)
			if r.Open(1, forged) == nil {
				t.Errorf("a segment opens whose number at %d is %d", field, size)
			}
		}
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
		t.Errorf("refusing took %d bytes", took)
	}
}

func TestRunsAreCutByEventsAndBytesAtCommits(t *testing.T) {
	t.Parallel()
	var run segment.Run
	run.First = 1
	if !run.Fits(5000, 64<<20, 1024) {
		t.Error("an empty run refuses a commit, whatever its size")
	}
	for _, e := range events(1, 10) {
		run.Add(e.tenant, e.stream, e.version, e.envelope)
	}
	for _, tt := range []struct {
		commit, size, events int
		want                 bool
	}{
		{1014, 100, 1024, true},
		{1015, 100, 1024, false},
		{1, segment.RunBytes, 1024, false},
		{2, 100, 12, true},
		{3, 100, 12, false},
	} {
		if got := run.Fits(tt.commit, tt.size, tt.events); got != tt.want {
			t.Errorf("a commit of %d events and %d bytes, at most %d events: fits = %v, want %v", tt.commit, tt.size, tt.events, got, tt.want)
		}
	}
}

// The numbers are on disk.
func TestTheFormatIsPinned(t *testing.T) {
	t.Parallel()
	seal, value := pack(300, events(300, 3))
	got := fmt.Sprintf("%x", segment.AppendSeal(nil, &seal))
	const want = "01000000000000012e00000003"
	if got[:len(want)] != want || got[26+64:26+66] != "07" {
		t.Errorf("got seal %s", got)
	}
	if value[0] != 1 || binary.BigEndian.Uint32(value[1:]) != 3 {
		t.Errorf("got segment %x", value[:17])
	}
	if h := fmt.Sprintf("%x", seal.Run); h != pinnedRun {
		t.Errorf("got run hash %s, want %s", h, pinnedRun)
	}
	if h := seal.Hash(); fmt.Sprintf("%x", h) != pinnedSeal {
		t.Errorf("got seal hash %x, want %s", h, pinnedSeal)
	}
}

const (
	pinnedRun  = "6bdf338aa3cdf7c91e8628a805f8ad9b8ea6aaa2b5fb3fbf4a9988e0fa3579bd"
	pinnedSeal = "3d2c5ea40470c4a61ff1277cfca153f147437172b17165ca5fa0ac54db180712"
)

func FuzzOpen(f *testing.F) {
	_, value := pack(1, events(1, 5))
	f.Add(value)
	f.Add([]byte{})
	f.Add(value[:17])
	f.Fuzz(func(t *testing.T, value []byte) {
		if len(value) >= 17 {
			segment.Resum(1, value)
		}
		var (
			r   segment.Records
			rec segment.Record
		)
		if r.Open(1, value) != nil {
			return
		}
		n := 0
		for r.Next(&rec) {
			n++
		}
		if keys.Position(n) != r.Last() {
			t.Fatalf("%d events, last position %d", n, r.Last())
		}
	})
}
