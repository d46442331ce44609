package eventstream

import (
	"fmt"
	"strings"
	"time"
)

// Durability says when an append is acknowledged. It is chosen at Open, stored in
// the store, and shown by DB.Info.
type Durability time.Duration

const (
	// Sync acknowledges an append once the log is on disk. Concurrent appends share
	// one sync. It is the default.
	Sync Durability = 0
	// None acknowledges an append once it is in memory, and never asks for a sync.
	// A crash of the machine loses what the operating system had not written yet.
	// It is for fixtures and for loads that can be repeated.
	None Durability = -1
)

// SyncEvery acknowledges an append once it is in memory, and syncs the log every
// d: a crash loses at most the appends of the last d. d is at least 1 ms.
func SyncEvery(d time.Duration) Durability { return Durability(d) }

// String returns "sync", "none", or "sync-every" and the time between syncs.
func (d Durability) String() string {
	switch d {
	case Sync:
		return "sync"
	case None:
		return "none"
	default:
		return fmt.Sprintf("sync-every %v", time.Duration(d))
	}
}

// parseDurability reads what [Durability.String] writes. ok is false for anything
// else.
func parseDurability(s string) (_ Durability, ok bool) {
	switch s {
	case "sync":
		return Sync, true
	case "none":
		return None, true
	}
	every, ok := strings.CutPrefix(s, "sync-every ")
	d, err := time.ParseDuration(every)
	return SyncEvery(d), ok && err == nil && d > 0
}

// interval returns the time between syncs, or 0 if there is none.
func (d Durability) interval() time.Duration { return max(time.Duration(d), 0) }
