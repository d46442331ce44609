// Package engine is the store's boundary to Pebble and to the directory: nothing
// else in the product calls Pebble.
//
// What it adds to Pebble:
//
//   - Every write passes one guarded function, and the first failure of the log
//     stops all of them for good (poison). Pebble itself answers a failed log with
//     Logger.Fatalf, which by default ends the process, and acknowledges the lost
//     write if Fatalf returns.
//   - A batch is handed over and awaited in two steps, ApplyNoSyncWait and
//     SyncWait, so that the order of commits is decided under a lock that is never
//     held across a sync, and so that the log's error comes back as an error.
//   - It knows which positions are durable. Pebble shows a batch to readers before
//     it is durable, and also after its sync failed.
//   - The store's identity is kept beside Pebble's files in two copies, and the
//     directory is locked on its canonical path.
package engine
