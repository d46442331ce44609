package eventstream

import "testing"

// Appends that are refused take up room in a group: a storm of them does not hold up those
// that commit with it.
func TestAGroupEndsThoughAllAreRefused(t *testing.T) {
	t.Parallel()
	var s sequencer
	const queued = groupRequests + 3
	for range queued {
		s.queue = append(s.queue, &appendRequest{size: 100})
	}
	var g commitGroup
	s.take(&g)
	if len(g.taken) != groupRequests || len(s.queue) != queued-groupRequests || !s.more {
		t.Fatalf("took %d, left %d, more %v", len(g.taken), len(s.queue), s.more)
	}
	g.taken = g.taken[:0] // none commits
	s.take(&g)
	if len(g.taken) != 0 || !s.more {
		t.Errorf("a full group took %d more, more %v", len(g.taken), s.more)
	}
	s.take(new(commitGroup))
	if len(s.queue) != 0 || s.more {
		t.Errorf("the next group left %d, more %v", len(s.queue), s.more)
	}
}
