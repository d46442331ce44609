// Package segment is the format of sealed runs.
//
// A run is a stretch of consecutive positions, cut by a rule that depends on the log
// alone, so that whoever packs the same log cuts the same runs. A run has a seal,
// small and chained to the seal before, which says what must be there; and a
// segment, its events packed and compressed, for those who read the global order.
// Both are derived from the log and can be built again.
package segment
