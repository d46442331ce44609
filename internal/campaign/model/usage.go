package model

import (
	"os"
	"runtime"
)

// Usage is what a process uses that a leak would add to.
type Usage struct {
	Goroutines int
	Files      int // that are open; 0 where the system does not tell
}

// Used tells what this process uses now.
func Used() Usage {
	u := Usage{Goroutines: runtime.NumGoroutine()}
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		u.Files = len(open)
	}
	return u
}

// Plus returns a bound with room for some more of each.
func (u Usage) Plus(more int) *Usage {
	return &Usage{Goroutines: u.Goroutines + more, Files: u.Files + more}
}
