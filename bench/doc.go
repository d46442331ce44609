// Package bench measures the store with named, seeded workloads, each against a
// baseline in the same run.
//
// Absolute figures say more about a disk than about a store: the same machine's
// sync time moves threefold within a day. So every figure is a contest of two
// sides, the product and a baseline, which take turns on the same disk, round by
// round; the ratio is taken within each round, and the report gives its median,
// its least and its greatest value.
//
//	figure prepared          data sets, pools of events, the baseline's bytes
//	  round 1   product      open, warm up, measure, close
//	            baseline     open, warm up, measure, close
//	  round 2   product …
//	report                   median rate of each side, median ratio, latencies
//
// A side is opened and closed in each of its turns, so that its compactions and
// its sealing end with its turn and are not paid for by the other side.
//
// The append baseline writes one key with the very bytes that the store would
// store, with the store's own Pebble options and the same sync: both are taken from
// a small store that the run makes first. The read baselines read a copy of the
// store's own files.
//
// What is not measured here: appends in the steady state of compaction (rounds are
// too short for it), a cold page cache, and disks that stall.
package bench
