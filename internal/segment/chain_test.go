package segment_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cespare/xxhash/v2"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/internal/segment"
	"github.com/nexus-erp/eventstream/keys"
)

// sealed is a run as it is stored.
type sealed struct {
	events []event
	seal   segment.Seal
	value  []byte
}

// anyLog returns a log of commits, cut into runs as the store cuts it.
func anyLog(r *rand.Rand, first keys.Position, commits, most int) []sealed {
	var (
		runs     []sealed
		open     sealed
		previous segment.Hash
	)
	run := segment.Run{First: first}
	end := func() {
		open.value = run.AppendSegment(nil)
		open.seal = run.Close(previous)
		previous = open.seal.Hash()
		runs, open = append(runs, open), sealed{}
	}
	next := first
	for range commits {
		var commit []event
		size := 0
		for i := range 1 + r.IntN(4) {
			stream := keys.StreamID(bytes.Repeat([]byte{byte('a' + r.IntN(3))}, 1+r.IntN(3)*r.IntN(127)))
			payload := make([]byte, r.IntN(60)*r.IntN(3))
			e := newEvent(next+keys.Position(i), keys.TenantID(r.Uint32()), stream, keys.Version(r.Uint64()), r.Int64(), r.Int64()-1<<62, payload)
			commit = append(commit, e)
			size += segment.Size(stream, e.envelope)
		}
		if !run.Fits(len(commit), size, most) {
			end()
		}
		for _, e := range commit {
			run.Add(e.tenant, e.stream, e.version, e.envelope)
			open.events = append(open.events, e)
		}
		next += keys.Position(len(commit))
	}
	end()
	return runs
}

// chained walks the seals as a store does, and returns how many are sound.
func chained(runs []sealed) int {
	var previous segment.Hash
	next := runs[0].seal.First
	for i := range runs {
		s := &runs[i].seal
		if s.First != next || s.Previous != previous || segment.Verify(runs[i].value, s) != nil {
			return i
		}
		next, previous = s.Last+1, s.Hash()
	}
	return len(runs)
}

// A log that was cut into runs comes back event by event, with the same memory used for
// all of them, and its seals are a chain. Whatever is changed of one run, and sealed
// again by somebody who cannot change those behind it, ends the chain there.
func TestALogIsAChainOfItsRuns(t *testing.T) {
	t.Parallel()
	damages := 0
	for _, seed := range campaign.Seeds(t, campaign.Scale(t, campaign.Cases{Short: 5, PullRequest: 40, Nightly: 1000})) {
		r := campaign.Rand(t, seed)
		first := keys.Position(1 + r.Uint64N(1<<40))
		most := 1 + r.IntN(20)
		runs := anyLog(r, first, 1+r.IntN(60), most)
		var (
			records segment.Records
			rec     segment.Record
		)
		next := first
		for _, run := range runs {
			if err := records.Open(next, run.value); err != nil {
				t.Fatal(err)
			}
			if records.First() != next || records.Last() != run.seal.Last || records.Covers(next-1) || records.Covers(run.seal.Last+1) {
				t.Fatalf("got positions %d to %d, want %d to %d alone", records.First(), records.Last(), next, run.seal.Last)
			}
			if len(run.events) > max(most, 4) {
				t.Fatalf("a run has %d events, want at most %d or one commit", len(run.events), most)
			}
			for _, want := range run.events {
				if !records.Next(&rec) {
					t.Fatalf("the segment ends before position %d", next)
				}
				if cap(rec.Stream) != len(rec.Stream) || cap(rec.Body) != len(rec.Body) {
					t.Fatal("a part of a record can be grown into the next")
				}
				stream := keys.StreamID(rec.Stream)
				got := event{rec.Tenant, stream, rec.Version, codec.UnpackEnvelope(nil, rec.Header[:], rec.Body, rec.Tenant, stream, rec.Version, rec.Position)}
				same(t, []event{got}, []event{want})
				if rec.Position != next {
					t.Fatalf("got position %d, want %d", rec.Position, next)
				}
				next++
			}
			if records.Next(&rec) {
				t.Fatalf("the segment goes on behind position %d", next)
			}
		}
		if got := chained(runs); got != len(runs) {
			t.Fatalf("run %d of %d is not sound", got, len(runs))
		}
		damages += tamper(t, r, runs)
	}
	campaign.Count(t, campaign.Damages, damages)
}

// summed returns e at a position with sums that are right, as a run wants it.
func summed(e event, position keys.Position) event {
	e.envelope = bytes.Clone(e.envelope)
	binary.BigEndian.PutUint64(e.envelope[56:], xxhash.Sum64(codec.Body(e.envelope)))
	recorded := int64(binary.BigEndian.Uint64(e.envelope[24:]))
	codec.SealEnvelope(e.envelope, e.tenant, e.stream, e.version, position, recorded)
	return e
}

// tamper changes a run in every way, seals it again, and looks where the chain ends.
func tamper(t *testing.T, r *rand.Rand, runs []sealed) (damages int) {
	t.Helper()
	at := r.IntN(len(runs))
	was := runs[at]
	for what, change := range map[string]func(all []event) []event{
		"another tenant":  func(all []event) []event { all[r.IntN(len(all))].tenant++; return all },
		"another version": func(all []event) []event { all[r.IntN(len(all))].version++; return all },
		"another stream":  func(all []event) []event { all[r.IntN(len(all))].stream += "x"; return all },
		"another payload": func(all []event) []event {
			i := r.IntN(len(all))
			all[i].envelope = append(bytes.Clone(all[i].envelope), 'x')
			return all
		},
		"another time": func(all []event) []event {
			i := r.IntN(len(all))
			all[i].envelope = bytes.Clone(all[i].envelope)
			all[i].envelope[31]++
			return all
		},
		"one event less": func(all []event) []event { return all[1:] },
		"one event more": func(all []event) []event { return append(all, all[0]) },
		"two events swapped": func(all []event) []event {
			all[0], all[len(all)-1] = all[len(all)-1], all[0]
			return all
		},
	} {
		changed := change(slices.Clone(was.events))
		if len(changed) == 0 || len(changed) == 1 && what == "two events swapped" {
			continue
		}
		damages++
		run := segment.Run{First: was.seal.First}
		for i, e := range changed {
			e = summed(e, was.seal.First+keys.Position(i))
			run.Add(e.tenant, e.stream, e.version, e.envelope)
		}
		runs[at] = sealed{value: run.AppendSegment(nil), seal: was.seal}
		if got := chained(runs); got != at {
			t.Fatalf("%s in run %d: the chain ends at %d, want there", what, at, got)
		}
		runs[at].seal = run.Close(was.seal.Previous)
		if at == len(runs)-1 {
			continue // nothing behind it names its hash
		}
		if got := chained(runs); got != at+1 {
			t.Fatalf("%s in run %d, sealed again: the chain ends at %d, want behind it", what, at, got)
		}
	}
	runs[at] = was
	if at+1 < len(runs) {
		damages++
		runs[at], runs[at+1] = runs[at+1], runs[at]
		if got := chained(runs); got > at {
			t.Fatalf("runs %d and %d swapped: the chain ends at %d", at, at+1, got)
		}
		runs[at], runs[at+1] = runs[at+1], runs[at]
	}
	return damages
}

// Somebody who makes the sum of a segment right again, whatever its bytes, is found by
// the seal; and no such segment makes a reader leave it.
func TestAForgedSegmentIsFoundByItsSeal(t *testing.T) {
	t.Parallel()
	first := keys.Position(5)
	seal, value := pack(first, events(first, 12))
	const header = 17
	size := int(binary.BigEndian.Uint32(value[5:]))
	raw, err := codec.DecodeZstd(nil, value[header:], size)
	if err != nil {
		t.Fatal(err)
	}
	var (
		records          segment.Records
		rec              segment.Record
		damages, refused int
	)
	try := func(what string, at, events int, raw []byte) {
		t.Helper()
		damages++
		forged := codec.AppendZstd(bytes.Clone(value[:header]), raw)
		binary.BigEndian.PutUint32(forged[1:], uint32(events))
		binary.BigEndian.PutUint32(forged[5:], uint32(len(raw)))
		segment.Resum(first, forged)
		if err := segment.Verify(forged, &seal); err == nil {
			t.Fatalf("%s at %d: the segment passes for the run", what, at)
		}
		if records.Open(first, forged) != nil {
			refused++
			return
		}
		n := 0
		for ; records.Next(&rec); n++ {
			var e codec.Envelope
			_ = e.ParsePacked(rec.Header[:], rec.Position, rec.Body) // it may be anything, but must not panic
		}
		if n != events {
			t.Fatalf("%s at %d: got %d events, want %d", what, at, n, events)
		}
	}
	for bit := range 8 * len(raw) {
		changed := bytes.Clone(raw)
		changed[bit/8] ^= 1 << (bit % 8)
		try("a flip", bit, 12, changed)
	}
	for n := range raw {
		try("a cut", n, 12, raw[:n])
	}
	try("a byte more", len(raw), 12, append(bytes.Clone(raw), 0))
	for n := range 16 {
		if n != 12 {
			try("other events", n, n, raw)
		}
	}
	if refused == 0 || refused == damages {
		t.Errorf("%d of %d did not open, want some and not all", refused, damages)
	}
	campaign.Count(t, campaign.Damages, damages)
}

// A seal whose sum is right must still name a run that can be.
func TestASealNamesAsManyEventsAsPositions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		first, last keys.Position
		events      uint32
		want        bool
	}{
		{5, 5, 1, true},
		{5, 6, 2, true},
		{1, 1<<32 - 1, 1<<32 - 1, true},
		{5, 4, 0, false},
		{5, 3, 1, false},
		{5, 5, 0, false},
		{5, 5, 2, false},
		{5, 6, 1, false},
		{1, 1 << 32, 0, false},   // as many as fit, and wrap round to none
		{1, 1<<32 + 1, 1, false}, // and to one
		{0, 1<<64 - 1, 0, false},
	} {
		s := segment.Seal{First: tt.first, Last: tt.last, Events: tt.events}
		got, err := segment.ParseSeal(tt.first, segment.AppendSeal(nil, &s))
		if (err == nil) != tt.want || err == nil && got != s {
			t.Errorf("positions %d to %d, %d events: got %+v, %v, want it to pass: %v", tt.first, tt.last, tt.events, got, err, tt.want)
		}
	}
}
