package engine

import "syscall"

// GiveWay lets the kernel run what waits for this processor. Whoever works behind the log
// for milliseconds on end, without a system call, calls it every few dozen microseconds.
//
// A sync ends with work that the kernel does on the processor where the disk reports, and
// the kernel does not interrupt for it whoever has just begun a time slice there, of up to
// four milliseconds, even if all other processors are idle. Then each append in flight
// waits for the slice: the sealer alone, which is at work a fifth of the time, made two
// syncs in a hundred ten times as long. A call costs a third of a microsecond if nobody
// waits.
//
// Source: sched_yield(2).
func GiveWay() { _, _, _ = syscall.Syscall(syscall.SYS_SCHED_YIELD, 0, 0, 0) }
