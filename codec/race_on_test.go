//go:build race

package codec

// RaceEnabled: under the race detector, sync.Pool drops at random and everything is
// several times slower, so neither allocations nor times are what they are.
const RaceEnabled = true
