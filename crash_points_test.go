package eventstream_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/internal/campaign"
)

// The power fails before any one operation on the file system, from the creation of
// a store on. What was acknowledged is there, to the byte, commits are whole, and
// the same calls again lead to the same store.
func TestACrashAtEveryOperationLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	reference := scriptReference(t)
	stride := campaign.Scale(t, campaign.Cases{Short: 20, PullRequest: 1})
	c := crashPoints{left: remainders(t), every: campaign.Scale(t, campaign.Cases{Short: 1, PullRequest: 2, Nightly: 1}), reference: reference}
	var done atomic.Bool
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !done.Load() {
				if !c.try(t, int(next.Add(1)-1)*stride+1) {
					done.Store(true)
				}
			}
		})
	}
	wg.Wait()
	campaign.Count(t, campaign.CrashPoints, int(c.verified.Load()))
	campaign.Exception(t, campaign.LostManifest, int(c.manifests.Load()))
	t.Logf("%d operations, before the last append at %d of them", c.operations.Load(), c.partial.Load())
	if c.operations.Load() < int64(170/stride) || c.partial.Load() < int64(150/stride) {
		t.Errorf("only %d operations were seen, %d before the last append", c.operations.Load(), c.partial.Load())
	}
}

// crashPoints tries what a power failure leaves at an operation, in every way.
type crashPoints struct {
	left      []remainder
	every     int // of those is looked at, at one operation others than at the next
	reference []eventstream.Event

	operations, partial, verified, manifests atomic.Int64
}

// try plays the script with a power failure before the n-th operation. It returns false
// if there are fewer.
func (c *crashPoints) try(t *testing.T, n int) bool {
	mem := vfs.NewCrashableMem()
	var head atomic.Uint64
	var acked eventstream.Position
	var crashed []*vfs.MemFS
	fs := onOperation(mem, n, func() {
		acked = eventstream.Position(head.Load()) // before the clones: what is acknowledged meanwhile does not count
		for _, r := range c.left {
			crashed = append(crashed, r.of(mem, n))
		}
	})
	s := script{
		open:  func() (*eventstream.DB, error) { return eventstream.Open("store", scriptOptions(fs)) },
		acked: func(p eventstream.Position) { head.Store(max(head.Load(), uint64(p))) },
	}
	if err := s.run(); err != nil {
		t.Errorf("operation %d: the script itself: %v", n, err)
	}
	if crashed == nil {
		return false
	}
	for i, fs := range crashed {
		if (n+i)%c.every != 0 {
			continue
		}
		if r := c.left[i]; r.percent > 0 && r.percent < 100 && manifestLost(t, fs) {
			c.manifests.Add(1)
			continue
		}
		verifyScript(t, fmt.Sprintf("crash at operation %d, %v", n, c.left[i]), "store", scriptOptions(fs), c.reference, acked)
		c.verified.Add(1)
	}
	c.operations.Add(1)
	if int(acked) < len(c.reference) {
		c.partial.Add(1)
	}
	return true
}
