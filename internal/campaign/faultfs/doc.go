// Package faultfs makes file systems that break, for tests. Errors come through
// [Trigger], on top of Pebble's errorfs: any operation fails, once or from then on.
// [Lie], [Tear], [Misdirect] and [Rot] do what an error code cannot say: the disk
// answers that all is well, and it is not. They are the faults of section 4 of
// "Redundancy Does Not Imply Fault Tolerance" (Ganesan et al., FAST 2017) and of
// "Understanding the Robustness of SSDs under Power Fault" (Zheng et al., FAST 2013).
//
// All wrap a [vfs.FS], as a rule one of [vfs.NewCrashableMem], and can be stacked. They
// are safe for concurrent use, as the file system below is.
package faultfs
