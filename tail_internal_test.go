package eventstream

import (
	"bytes"
	"encoding/binary"
	"sync"
	"testing"
)

// tailRecord returns the record of the event at position, its envelope size bytes
// long.
func tailRecord(position Position, size int) record {
	envelope := bytes.Repeat([]byte{byte(position)}, size)
	binary.BigEndian.PutUint64(envelope, uint64(position))
	return record{stream: "s", version: Version(position), envelope: envelope}
}

func isTailRecord(r record, position Position, size int) bool {
	want := tailRecord(position, size)
	return r.stream == want.stream && r.version == want.version && bytes.Equal(r.envelope, want.envelope)
}

func filledTail(capacity, size int, from, to Position) *tail {
	t := newTail(capacity, from-1)
	for p := from; p <= to; p++ {
		t.add(tailRecord(p, size))
	}
	return t
}

func TestTheTailReadsAcrossBlocks(t *testing.T) {
	t.Parallel()
	const size, last = 1000, 500 // about eight blocks
	tl := filledTail(1<<20, size, 1, last)
	if len(tl.blocks) < 5 {
		t.Fatalf("%d blocks, want several", len(tl.blocks))
	}
	for _, r := range []struct {
		from, to Position
		room     int
		want     int
	}{
		{1, last, last, last},
		{1, last, 10, 10},
		{60, 70, 100, 11}, // over the end of the first block
		{last, last, 5, 1},
		{last, last + 10, 5, 1},
		{7, 6, 5, 0},
		{3, 9, 0, 0},
	} {
		got, ok := tl.read(make([]record, 0, r.room), r.from, r.to)
		if !ok || len(got) != r.want {
			t.Errorf("from %d to %d with room for %d: got %d records, %v, want %d", r.from, r.to, r.room, len(got), ok, r.want)
			continue
		}
		for i := range got {
			if p := r.from + Position(i); !isTailRecord(got[i], p, size) {
				t.Errorf("from %d: record %d is not that of position %d", r.from, i, p)
			}
		}
	}
}

func TestTheTailReachesOnlyWhatItHolds(t *testing.T) {
	t.Parallel()
	empty := newTail(1<<20, 41)
	if got, ok := empty.read(nil, 42, 50); ok || got != nil {
		t.Errorf("an empty tail: got %v, %v, want not to reach", got, ok)
	}
	tl := filledTail(1<<20, 100, 42, 50)
	kept := []record{tailRecord(7, 10)}
	if got, ok := tl.read(kept, 41, 50); ok || len(got) != 1 {
		t.Errorf("below the first: got %d records, %v, want the one that was there and not to reach", len(got), ok)
	}
	if got, ok := tl.read(make([]record, 0, 20), 42, 50); !ok || len(got) != 9 {
		t.Errorf("from the first: got %d records, %v, want 9", len(got), ok)
	}
	if got, ok := tl.read(make([]record, 0, 20), 51, 60); ok || len(got) != 0 {
		t.Errorf("above the last: got %d records, %v, want not to reach: who waits for them there turns in a circle", len(got), ok)
	}
}

// The bytes of the tail stay within its capacity and one block, whatever the size
// of events; it never drops the newest.
func TestTheTailIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ capacity, size, events int }{
		{256 << 10, 100, 5000},
		{256 << 10, 40_000, 50},       // one to a block
		{256 << 10, 1 << 20, 5},       // larger than the tail
		{64 << 10, tailBlockBytes, 5}, // exactly a block
		{64 << 10, tailBlockBytes + 1, 5},
	} {
		tl := newTail(tt.capacity, 0)
		for p := Position(1); p <= Position(tt.events); p++ {
			tl.add(tailRecord(p, tt.size))
			held := 0
			for _, b := range tl.blocks {
				held += cap(b.bytes)
			}
			if held != tl.bytes {
				t.Fatalf("size %d: %d bytes are held, %d are counted", tt.size, held, tl.bytes)
			}
			if newest := cap(tl.blocks[len(tl.blocks)-1].bytes); held > max(tt.capacity, newest) {
				t.Fatalf("size %d: %d bytes are held, want at most %d", tt.size, held, max(tt.capacity, newest))
			}
			if got, ok := tl.read(make([]record, 0, 1), p, p); !ok || len(got) != 1 || !isTailRecord(got[0], p, tt.size) {
				t.Fatalf("size %d: the newest event is not in the tail", tt.size)
			}
		}
		if _, ok := tl.read(nil, 1, 1); ok {
			t.Errorf("size %d: the oldest event is still there", tt.size)
		}
	}
}

// What was read stays as it is when the tail drops it, and adding copies: the
// caller's array is free again.
func TestWhatTheTailHandedOutNeverChanges(t *testing.T) {
	t.Parallel()
	const size = 5000
	tl := newTail(128<<10, 0)
	reused := make([]byte, size)
	add := func(p Position) {
		r := tailRecord(p, size)
		copy(reused, r.envelope)
		r.envelope = reused
		tl.add(r)
	}
	for p := Position(1); p <= 10; p++ {
		add(p)
	}
	early, ok := tl.read(make([]record, 0, 10), 1, 10)
	if !ok || len(early) != 10 {
		t.Fatalf("got %d records, %v, want 10", len(early), ok)
	}
	for p := Position(11); p <= 500; p++ {
		add(p)
	}
	if _, ok := tl.read(nil, 1, 10); ok {
		t.Fatal("the first events are still in the tail")
	}
	for i, r := range early {
		if !isTailRecord(r, Position(i+1), size) {
			t.Errorf("record %d changed after it was dropped", i+1)
		}
		if cap(r.envelope) != len(r.envelope) {
			t.Errorf("record %d has room behind it that belongs to its neighbour", i+1)
		}
	}
}

func TestTheTailIsReadWhileItGrows(t *testing.T) {
	t.Parallel()
	const size, last = 700, 4000
	tl := newTail(256<<10, 0)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			dst := make([]record, 0, 64)
			for next := Position(1); next <= last; {
				got, ok := tl.read(dst[:0], next, last)
				if !ok { // dropped: the log would serve it
					tl.mu.RLock()
					if len(tl.blocks) > 0 {
						next = tl.blocks[0].first
					}
					tl.mu.RUnlock()
					continue
				}
				for _, r := range got {
					if !isTailRecord(r, next, size) {
						t.Errorf("got another record than that of position %d", next)
						return
					}
					next++
				}
			}
		})
	}
	for p := Position(1); p <= last; p++ {
		tl.add(tailRecord(p, size))
	}
	wg.Wait()
}
