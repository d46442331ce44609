package engine

import (
	"log/slog"
	"sync"
	"time"
)

// stallPatience is how long writes may wait for flushes and compactions before it is
// logged as something that does not end by itself, and again and again after.
const stallPatience = 10 * time.Second

// stall knows whether Pebble holds whoever writes, since flushes or compactions do not
// keep up. It is safe for concurrent use.
type stall struct {
	log *slog.Logger

	mu     sync.Mutex
	count  uint64
	since  time.Time // zero: nobody is held
	reason string
	warned time.Time
}

func (s *stall) begin(now time.Time, reason string) {
	s.mu.Lock()
	s.count++
	s.since, s.warned, s.reason = now, now, reason
	s.mu.Unlock()
	s.log.Warn("writes wait for flush or compaction", slog.String("reason", reason))
}

func (s *stall) end(now time.Time) {
	s.mu.Lock()
	took := now.Sub(s.since)
	s.since = time.Time{}
	s.mu.Unlock()
	s.log.Info("writes go on", slog.Duration("waited", took))
}

// get returns how often writes were held, and since when they are: 0 if they are not.
func (s *stall) get(now time.Time) (count uint64, held time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.since.IsZero() {
		return s.count, 0
	}
	return s.count, max(now.Sub(s.since), 1)
}

// check warns of writes that are held for long. failures is how often background work
// failed in a row: that is why, as a rule.
func (s *stall) check(now time.Time, failures int) {
	s.mu.Lock()
	long := !s.since.IsZero() && now.Sub(s.warned) >= stallPatience
	if long {
		s.warned = now
	}
	held, reason := now.Sub(s.since), s.reason
	s.mu.Unlock()
	if long {
		s.log.Error("writes are held for long: see whether the disk is full or broken",
			slog.Duration("held", held), slog.String("reason", reason), slog.Int("failures_in_a_row", failures))
	}
}
