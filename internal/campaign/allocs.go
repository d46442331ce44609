package campaign

import "testing"

// Allocs returns the allocations of one call of f, on average over runs: the least of ten
// measurements, or the first that is within the budget. What else goes on in the process,
// and a collection that empties the pools, only adds to what f needs, so whoever goes
// beyond the budget does so every time.
func Allocs(runs int, budget float64, f func()) float64 {
	least := testing.AllocsPerRun(runs, f)
	for range 9 {
		if least <= budget {
			break
		}
		least = min(least, testing.AllocsPerRun(runs, f))
	}
	return least
}
