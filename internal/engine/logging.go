package engine

import (
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// fatalSignal unwinds a commit out of Pebble. See pebbleLogger.Fatalf.
type fatalSignal struct{ err error }

// pebbleLogger receives what Pebble logs.
type pebbleLogger struct {
	log    *slog.Logger
	poison *poison
}

var _ pebble.Logger = (*pebbleLogger)(nil)

// Infof drops Pebble's chatter.
func (l *pebbleLogger) Infof(string, ...any) {}

// Errorf logs at level error.
func (l *pebbleLogger) Errorf(format string, args ...any) {
	l.log.Error("pebble: " + fmt.Sprintf(format, args...))
}

// Fatalf poisons the engine and never returns to Pebble: if it did, Pebble would
// acknowledge a write that is lost, or go on after an error it cannot handle. It
// does not end the host either.
//
// A commit that failed calls Fatalf on the committing goroutine with no lock held:
// there a panic unwinds to the guard in Engine.apply, and the caller gets an error.
// Everywhere else Pebble may hold locks, whose deferred unlocking would crash the
// process or let others in, so the goroutine stays here for good, and nobody may wait
// for a lock of Pebble from then on.
func (l *pebbleLogger) Fatalf(format string, args ...any) {
	commit := calledByCommit()
	if !commit {
		l.poison.dead.Store(true) // before anybody is told
	}
	err := l.poison.set(fmt.Errorf(format, args...))
	l.log.Error("pebble: fatal: " + err.Err.Error())
	if commit {
		panic(fatalSignal{err})
	}
	select {}
}

// calledByCommit reports whether the caller of Fatalf is Pebble's commit function
// itself rather than something below it.
func calledByCommit() bool {
	var pc [1]uintptr
	if runtime.Callers(3, pc[:]) == 0 {
		return false
	}
	frame, _ := runtime.CallersFrames(pc[:]).Next()
	return strings.HasSuffix(frame.Function, "pebble/v2.(*DB).applyInternal")
}

// limiter lets one message a second pass and counts the others. Pebble retries a
// failing flush without a pause and reports each failure.
type limiter struct {
	mu      sync.Mutex
	next    time.Time
	dropped int
}

// allow reports whether to log now, and how many messages were dropped since the
// last one.
func (l *limiter) allow(now time.Time) (dropped int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Before(l.next) {
		l.dropped++
		return 0, false
	}
	dropped, l.dropped, l.next = l.dropped, 0, now.Add(time.Second)
	return dropped, true
}

// newListener reports what happens behind the API. None of its functions ends the
// process; Pebble's own default for corruption does.
func newListener(log *slog.Logger) *pebble.EventListener {
	var background, corruption, slow limiter
	warn := func(l *limiter, text string, args ...any) {
		if dropped, ok := l.allow(time.Now()); ok {
			log.Warn(text, append(args, slog.Int("dropped", dropped))...)
		}
	}
	return &pebble.EventListener{
		BackgroundError: func(err error) {
			warn(&background, "background work failed and is retried", slog.Any("error", err))
		},
		DataCorruption: func(info pebble.DataCorruptionInfo) {
			warn(&corruption, "damage found in a table", slog.String("path", info.Path), slog.Any("error", info.Details))
		},
		DiskSlow: func(info vfs.DiskSlowInfo) {
			warn(&slow, "disk is slow", slog.String("path", info.Path), slog.Duration("duration", info.Duration))
		},
		LowDiskSpace: func(info pebble.LowDiskSpaceInfo) {
			log.Warn("disk is nearly full", slog.Uint64("available_bytes", info.AvailBytes), slog.Uint64("total_bytes", info.TotalBytes))
		},
	}
}
