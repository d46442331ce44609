package eventstream_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/internal/segment"
)

// posting returns the n-th of a row of events as a shop records them: few types, some
// users, a correlation of its own, a payload of about 230 bytes.
func posting(n int) eventstream.NewEvent {
	return eventstream.NewEvent{
		Type:          "JournalEntryPosted",
		Codec:         codec.Raw,
		Data:          codec.Encoded(strings.Repeat("payload ", 28)[:220] + fmt.Sprintf("%08d", n)),
		CorrelationID: fmt.Sprintf("01JX%022d", n),
		UserID:        fmt.Sprintf("clerk-%d", n*7%40),
	}
}

// storeOf returns a reopened store of streams "account-0", "account-1", … with length
// events each, so that what reads meet lies in tables.
func storeOf(tb testing.TB, streams, length int) *eventstream.DB {
	tb.Helper()
	dir := tb.TempDir()
	db, err := eventstream.Open(dir, &eventstream.Options{Durability: eventstream.None})
	if err != nil {
		tb.Fatalf("open: %v", err)
	}
	n := 0
	batch := make([]eventstream.NewEvent, min(length, 1000))
	for s := range streams {
		for range length / len(batch) {
			for i := range batch {
				batch[i] = posting(n)
				n++
			}
			mustAppend(tb, db, accountStream(s), eventstream.Any, batch...)
		}
	}
	if head := db.Head(); head > 2*segment.RunEvents && !eventstream.AwaitSealed(db, head-2*segment.RunEvents) {
		tb.Fatal("the store was not sealed")
	}
	if err := db.Close(); err != nil {
		tb.Fatalf("close: %v", err)
	}
	// It reads segments, and packs none while something is measured.
	if db, err = eventstream.Open(dir, &eventstream.Options{Unstable: eventstream.Unstable{RunEvents: -1}}); err != nil {
		tb.Fatalf("open again: %v", err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return db
}

func accountStream(n int) eventstream.StreamID {
	return eventstream.StreamID(fmt.Sprintf("finance-account-%06d", n))
}

// loadStream reads a whole stream of length events.
func loadStream(tb testing.TB, db *eventstream.DB, stream eventstream.StreamID, length int) {
	events, bytes := 0, 0
	for e, err := range db.ReadStream(ctx, stream) {
		if err != nil {
			tb.Fatalf("read %q: %v", stream, err)
		}
		events++
		bytes += len(e.Data)
	}
	if events != length || bytes == 0 {
		tb.Fatalf("%q: got %d events of %d bytes, want %d events", stream, events, bytes, length)
	}
}

// Reading costs a few allocations a stream and an array for every hundred or so
// events, none an event. What Pebble pools may be gone after a collection, so the
// budgets leave room for that.
func TestReadingAStreamStaysWithinItsAllocationBudget(t *testing.T) {
	if raceEnabled {
		t.Skip("allocations are not what they are under the race detector")
	}
	for _, tt := range []struct {
		length int
		budget float64
	}{{10, 16}, {10_000, 250}} {
		db := storeOf(t, 1, tt.length)
		got := campaign.Allocs(20, tt.budget, func() { loadStream(t, db, accountStream(0), tt.length) })
		if got > tt.budget {
			t.Errorf("a stream of %d events: got %v allocations, want at most %v", tt.length, got, tt.budget)
		}
	}
}

func TestAnEventSharesNoMemoryThatACallerCanWrite(t *testing.T) {
	t.Parallel()
	db := storeOf(t, 1, 100)
	events := mustCollect(t, db.ReadStream(ctx, accountStream(0)))
	for i := range events {
		clear(events[i].Data)
		_ = append(events[i].Data, "more than there is room for"...)
	}
	for i, e := range events {
		want := posting(i)
		equal(t, "type", e.Type, want.Type)
		equal(t, "correlation", e.CorrelationID, want.CorrelationID)
		equal(t, "user", e.UserID, want.UserID)
		equalSlices(t, "data", e.Data, make([]byte, len(e.Data)))
	}
	again := mustCollect(t, db.ReadStream(ctx, accountStream(0)))
	for i, e := range again {
		equal(t, "data read again", string(e.Data), string(posting(i).Data.(codec.Encoded)))
	}
}

func BenchmarkReadStream(b *testing.B) {
	for _, bm := range []struct{ streams, length int }{{2_000, 10}, {4, 10_000}} {
		b.Run(fmt.Sprintf("%d events", bm.length), func(b *testing.B) {
			db := storeOf(b, bm.streams, bm.length)
			for s := range bm.streams {
				loadStream(b, db, accountStream(s), bm.length) // into the cache
			}
			b.ReportAllocs()
			b.ResetTimer()
			rng := newRand(1)
			for range b.N {
				loadStream(b, db, accountStream(rng.IntN(bm.streams)), bm.length)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*bm.length), "ns/event")
		})
	}
}

func BenchmarkReadAll(b *testing.B) {
	db := storeOf(b, 10_000, 10)
	b.ReportAllocs()
	b.ResetTimer()
	events := 0
	for range b.N {
		for _, err := range db.ReadAll(ctx) {
			if err != nil {
				b.Fatalf("read all: %v", err)
			}
			events++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events), "ns/event")
}
