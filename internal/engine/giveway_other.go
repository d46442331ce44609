//go:build !linux

package engine

// GiveWay does nothing where the kernel interrupts a time slice for its own work.
func GiveWay() {}
