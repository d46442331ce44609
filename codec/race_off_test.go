//go:build !race

package codec

const RaceEnabled = false
