package bench

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/keys"
)

func TestTheSameSeedMakesTheSameEvents(t *testing.T) {
	t.Parallel()
	a := newGenerator(7, 1000, DefaultPayloadBytes).pool(200)
	b := newGenerator(7, 1000, DefaultPayloadBytes).pool(200)
	if diff := cmp.Diff(a, b, cmp.AllowUnexported(proposal{})); diff != "" {
		t.Errorf("two runs of seed 7 differ:\n%s", diff)
	}
}

func TestAnotherSeedMakesOtherEvents(t *testing.T) {
	t.Parallel()
	a := newGenerator(7, 1000, DefaultPayloadBytes).pool(10)
	b := newGenerator(8, 1000, DefaultPayloadBytes).pool(10)
	if cmp.Equal(a, b, cmp.AllowUnexported(proposal{})) {
		t.Error("seeds 7 and 8 make the same events")
	}
}

// meanSizes returns the mean sizes of payloads and of stored events.
func meanSizes(t *testing.T, size int) (payload, stored int) {
	t.Helper()
	pool := newGenerator(1, 1000, size).pool(2000)
	for _, p := range pool {
		data, err := codec.Encode(nil, codec.Msgpack, p.event.Data)
		if err != nil {
			t.Fatal(err)
		}
		payload += len(data)
		stored += len(codec.AppendEnvelope(nil, &codec.Envelope{Payload: data}, p.event.Type, p.event.CorrelationID, p.event.CausationID, p.event.UserID))
	}
	return payload / len(pool), stored / len(pool)
}

func TestAGeneratedEventIsStoredInAbout350Bytes(t *testing.T) {
	t.Parallel()
	payload, stored := meanSizes(t, DefaultPayloadBytes)
	if payload < DefaultPayloadBytes-8 || payload > DefaultPayloadBytes+8 {
		t.Errorf("payload has %d bytes on average, want about %d", payload, DefaultPayloadBytes)
	}
	if stored < 340 || stored > 370 {
		t.Errorf("stored event has %d bytes on average, want 340 to 370", stored)
	}
}

func TestTheSizeOfPayloadsCanBeChosen(t *testing.T) {
	t.Parallel()
	for _, size := range []int{300, 1000, 8000} {
		if got, _ := meanSizes(t, size); got < size-10 || got > size+10 {
			t.Errorf("payloads of size %d have %d bytes on average", size, got)
		}
	}
}

func TestAFewStreamsGetMostEvents(t *testing.T) {
	t.Parallel()
	count := map[eventstream.StreamID]int{}
	const n = 20_000
	g := newGenerator(1, 100_000, DefaultPayloadBytes)
	for range n {
		count[g.stream()]++
	}
	most := 0
	for stream, c := range count {
		if err := keys.ValidateName("stream", string(stream)); err != nil {
			t.Fatalf("stream name %q: %v", stream, err)
		}
		most = max(most, c)
	}
	if most < n/100 {
		t.Errorf("the busiest stream got %d of %d events, want at least a hundredth", most, n)
	}
	if len(count) < 500 {
		t.Errorf("events went to %d streams, want a long tail of at least 500", len(count))
	}
}
