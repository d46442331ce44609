//go:build race

package eventstream_test

// raceEnabled: under the race detector, sync.Pool drops at random, so allocations
// are not what they are.
const raceEnabled = true
