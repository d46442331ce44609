package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// backedUp returns a store with commits at positions 1, 2 to 3, and 4, and a backup of
// it.
func backedUp(t *testing.T) (p *program, backup string) {
	t.Helper()
	p = newStore(t)
	p.must("append", "a-b-1", "First")
	p.with(`{"stream":"a-b-1","type":"Second"}`+"\n"+`{"stream":"a-b-2","type":"Third"}`+"\n").must("append", "-")
	p.must("append", "a-b-1", "Fourth")
	return p, filepath.Join(t.TempDir(), "backup")
}

func TestBackupAndRestoreGiveTheStoreBack(t *testing.T) {
	t.Parallel()
	p, backup := backedUp(t)
	out := p.must("backup", backup)
	if got, want := keysOf(t, out), "path store_id incarnation head durable_head events streams files bytes recorded_at created_at"; got != want {
		t.Errorf("got fields %s, want %s", got, want)
	}
	made := decode[backupInfo](t, out)
	if made.Head != 4 || made.Events != 4 || made.Streams != 2 || made.Path != backup || made.CreatedAt != "2026-03-01T12:00:00Z" {
		t.Errorf("got %s", out)
	}
	want := p.must("all")
	p.dir = filepath.Join(t.TempDir(), "again")
	out = p.must("restore", backup, p.dir)
	if got, want := keysOf(t, out), "path store_id incarnation previous_incarnation head backup_head events streams recorded_at cut_commit"; got != want {
		t.Errorf("got fields %s, want %s", got, want)
	}
	if restored := decode[restoreInfo](t, out); restored.StoreID != made.StoreID || restored.PreviousIncarnation != made.Incarnation || restored.Incarnation == made.Incarnation {
		t.Errorf("got %s", out)
	}
	if got := p.must("all"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	p.must("verify", "--deep")
}

func TestRestoreAsOf(t *testing.T) {
	t.Parallel()
	p, backup := backedUp(t)
	p.must("backup", backup)
	for asOf, head := range map[string]int{"1": 1, "3": 3, "4": 4, "now": 4, "2026-03-01T12:00:00Z": 4} {
		p.dir = filepath.Join(t.TempDir(), "again")
		out := p.must("restore", backup, p.dir, "--as-of", asOf)
		if info := decode[restoreInfo](t, out); int(info.Head) != head || info.BackupHead != 4 {
			t.Errorf("as of %s: got %s, want head %d", asOf, out, head)
		}
		if got := strings.Count(p.must("all"), "\n"); got != head {
			t.Errorf("as of %s: got %d events, want %d", asOf, got, head)
		}
	}
	again := filepath.Join(t.TempDir(), "again")
	for asOf, message := range map[string]string{
		"0": "nothing would be left", "5": "above the backup's head, which is 4", "": "", "yesterday": "--as-of", "-1d": "nothing was recorded by",
	} {
		p.fails(exitUsage, message, "restore", backup, again, "--as-of="+asOf)
	}
	if _, err := os.Stat(again); err == nil {
		t.Error("a store stands where nothing was restored")
	}
}

func TestBackupAndRestoreRefuse(t *testing.T) {
	t.Parallel()
	p, backup := backedUp(t)
	p.fails(exitUsage, "accepts 1 arg(s)", "backup")
	p.fails(exitUsage, "accepts 2 arg(s)", "restore", backup)
	p.fails(exitError, "does not exist", "restore", backup, backup+"2")
	p.must("backup", backup)
	p.fails(exitUsage, "holds files", "backup", backup)
	p.fails(exitUsage, "holds files", "restore", backup, p.dir)
	p.fails(exitError, "Restore makes a store of a backup", "all", "--dir", backup)
	p.fails(exitError, "not a backup", "restore", p.dir, backup+"2")
	logs, err := filepath.Glob(filepath.Join(backup, "db", "MANIFEST-*"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("got %v, %v, want one manifest", logs, err)
	}
	if err := os.Truncate(logs[0], 3); err != nil {
		t.Fatal(err)
	}
	r := p.fails(exitDamage, "use another backup", "restore", backup, backup+"2", "-o", "json")
	if got := decode[map[string]map[string]string](t, r.stderr)["error"]["code"]; got != "backup_damaged" {
		t.Errorf("got code %s", got)
	}
	left, err := filepath.Glob(backup + "2*")
	if err != nil || left != nil {
		t.Errorf("left over: %v, %v", left, err)
	}
}
