package estest

import (
	"context"
	"fmt"
	"testing"

	"github.com/nexus-erp/eventstream"
)

// Fork returns a store of its own that holds what db holds up to position, event by
// event the same, and goes on from there: what would have happened if. Its clock shows
// what db's shows, and moves by itself. position must be the last of a commit. What is
// derived from events, as views and snapshots, is made again.
func Fork(t testing.TB, db *DB, position eventstream.Position) *DB {
	t.Helper()
	if position == 0 {
		t.Fatalf("fork store: position 0 lies before the first event: use Open")
	}
	ctx := context.Background()
	n := opened.Add(1)
	backup, path := fmt.Sprintf("fork-%d-backup", n), fmt.Sprintf("fork-%d", n)
	if _, err := db.Backup(ctx, backup); err != nil {
		t.Fatalf("fork store: %v", err)
	}
	forked := &DB{Clock: NewClock(db.Clock.Now()), fs: db.fs, path: path, options: db.options, random: db.random}
	forked.options.Clock = forked.Clock.Now
	forked.options.FS = db.fs
	info, err := eventstream.Restore(ctx, backup, path, &eventstream.RestoreOptions{AsOfPosition: position, Options: &forked.options})
	if err != nil {
		t.Fatalf("fork store: %v", err)
	}
	if info.CutCommit != 0 {
		t.Fatalf("fork store: position %d lies inside a commit that began at %d: fork at its last position", position, info.CutCommit)
	}
	forked.open(t)
	return forked
}
