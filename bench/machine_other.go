//go:build !linux

package bench

import (
	"runtime"
	"time"
)

// processorTime is known on Linux alone.
func processorTime() time.Duration { return 0 }

// cpuName returns the architecture: only Linux tells more without a dependency.
func cpuName() string { return cpuModel("") }

// filesystemName is known on Linux alone.
func filesystemName(string) string { return "unknown" }

// residentBytes falls back to what Go's runtime got from the system, which leaves
// out what C code holds.
func residentBytes() (int64, error) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.Sys - m.HeapReleased), nil
}
