package eventstream_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/nexus-erp/eventstream"
)

// Runs of ten events: wherever it is cut, no seal or segment tells of what is gone, and
// those that the store makes next are right. What was derived is gone too.
func TestACutStoreSealsAgainAndDerivesAnew(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	opts := &eventstream.Options{Unstable: eventstream.Unstable{RunEvents: 10}}
	db := mustOpen(t, filepath.Join(dir, "store"), opts)
	for range 20 {
		mustAppend(t, db, "a-b-1", eventstream.Any, event("A"), event("B"))
	}
	acme := db.Tenant("acme")
	mustAppend(t, acme, "a-b-1", eventstream.Any, event("C")) // and a run is sealed when more comes
	if !eventstream.AwaitSealed(db, 40) {
		t.Fatal("the store was not sealed")
	}
	put(t, acme, balances, "1000=11900")
	if ok, err := db.SwapState("mark", nil, []byte("at 41")); err != nil || !ok {
		t.Fatalf("got %v, %v", ok, err)
	}
	backup := mustBackup(t, db, filepath.Join(dir, "backup")).Path
	whole := mustOpen(t, mustRestore(t, backup, filepath.Join(dir, "whole"), nil).Path, opts)
	equalSlices(t, "view of the whole", viewOf(t, whole.Tenant("acme"), balances, nil, nil), []string{"1000=11900"})
	for _, head := range []eventstream.Position{2, 8, 10, 12, 20, 22, 30, 38, 40} {
		t.Run(fmt.Sprintf("cut at %d", head), func(t *testing.T) {
			t.Parallel()
			again := mustOpen(t, mustRestore(t, backup, filepath.Join(t.TempDir(), "again"), &eventstream.RestoreOptions{AsOfPosition: head}).Path, opts)
			state, err := again.DerivedState("mark")
			if err != nil || state != nil {
				t.Errorf("got state %q, %v, want none", state, err)
			}
			for range 15 {
				mustAppend(t, again, "a-b-1", eventstream.Any, event("D"), event("E"))
			}
			mustAppend(t, again.Tenant("acme"), "a-b-1", eventstream.NoStream, event("C"))
			equalSlices(t, "view", viewOf(t, again.Tenant("acme"), balances, nil, nil), nil)
			if full := (head + 30) / 10 * 10; !eventstream.AwaitSealed(again, full) {
				t.Errorf("the store was not sealed up to %d", full)
			}
			report, err := again.Check(ctx, eventstream.Deep())
			if err != nil || !report.OK() || report.Events != uint64(head)+31 {
				t.Errorf("check: %d events, %v, %v", report.Events, report.Problems, err)
			}
			equal(t, "events read", len(mustCollect(t, again.ReadAll(ctx))), int(head)+30)
		})
	}
}
