package eventstream

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nexus-erp/eventstream/codec"
)

func TestAppendsOfOneIDMeetAtOneClaim(t *testing.T) {
	t.Parallel()
	f := newInflightIDs()
	key := idKey{id: EventID{1}}
	first, shared := f.pin(key)
	if shared {
		t.Error("the first claim is shared with nobody")
	}
	second, shared := f.pin(key)
	if second != first || !shared {
		t.Errorf("a second pin: got %p, shared %v, want %p, shared", second, shared, first)
	}
	if other, shared := f.pin(idKey{id: EventID{1}, tenant: &tenant{}}); other == first || shared {
		t.Error("another tenant's id is the same claim")
	}
	f.unpin(first)
	if third, shared := f.pin(key); third != first || !shared {
		t.Error("the claim went while somebody held it")
	}
	f.unpin(first)
	f.unpin(first)
	if fresh, shared := f.pin(key); fresh == first || shared {
		t.Error("the claim stayed after everybody let go of it")
	}
}

func TestAClaimIsLoadedOnce(t *testing.T) {
	t.Parallel()
	f := newInflightIDs()
	key := idKey{id: EventID{1}}
	var calls, failures atomic.Int64
	find := func(idKey) (Position, codec.ContentHash, error) {
		if calls.Add(1) == 1 {
			return 3, codec.ContentHash{3}, errLoad
		}
		return 5, codec.ContentHash{5}, nil
	}
	held, _ := f.pin(key) // so that all meet at this claim
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			c, _ := f.pin(key)
			defer f.unpin(c)
			switch err := c.warm(find); {
			case errors.Is(err, errLoad):
				failures.Add(1)
			case err != nil || c.position != 5 || c.content != codec.ContentHash{5}:
				t.Errorf("got position %d, content %x, error %v", c.position, c.content, err)
			}
		})
	}
	wg.Wait()
	if calls.Load() != 2 || failures.Load() != 1 {
		t.Errorf("%d loads, %d failures: want one that failed and one more", calls.Load(), failures.Load())
	}
	f.unpin(held)
	if len(f.claims) != 0 {
		t.Errorf("%d claims are left, want none", len(f.claims))
	}
}
