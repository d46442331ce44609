package eventstream_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/internal/campaign/faultfs"
)

// smallSource is a store in the directory "store" with 7 events, some in tables.
func smallSource(t *testing.T, fs vfs.FS) *eventstream.DB {
	t.Helper()
	for session := range 2 {
		db, err := eventstream.Open("store", scriptOptions(fs))
		if err != nil {
			t.Fatal(err)
		}
		mustAppend(t, db, "a-b-1", eventstream.Any, withID(id(10*session+1), "A"), withID(id(10*session+2), "B"))
		if session == 1 {
			mustAppend(t, db.Tenant("acme"), "a-b-1", eventstream.Any, withID(id(21), "A"), withID(id(22), "B"), withID(id(23), "C"))
			return db
		}
		mustClose(t, db)
	}
	return nil
}

// wantWhole fails unless the store in dir opens and holds the events 1 to head.
func wantWhole(t *testing.T, what string, fs vfs.FS, dir string, head eventstream.Position) {
	t.Helper()
	db, err := eventstream.Open(dir, scriptOptions(fs))
	if err != nil {
		t.Errorf("%s: open %s: %v", what, dir, err)
		return
	}
	report, err := db.Check(ctx, eventstream.Deep())
	if err != nil || !report.OK() || report.Head != head || report.Events != uint64(head) {
		t.Errorf("%s: %s has %d events, head %d, %v, %v, want %d", what, dir, report.Events, report.Head, report.Problems, err, head)
	}
	mustClose(t, db)
}

// verifyBackups restores what stands where a backup was made, and makes sure that what
// lies beside it does not open and is no backup unless it is whole.
func verifyBackups(t *testing.T, what string, fs vfs.FS, head eventstream.Position) (found bool) {
	t.Helper()
	names, err := fs.List("backups")
	if err != nil {
		return false
	}
	for _, name := range names {
		dir := fs.PathJoin("backups", name)
		if _, err := eventstream.Open(dir, &eventstream.Options{FS: fs, ReadOnly: true}); err == nil {
			t.Errorf("%s: %s opens as a store", what, dir)
		}
		_, err := eventstream.Restore(ctx, dir, "again-"+name, &eventstream.RestoreOptions{Options: scriptOptions(fs)})
		switch {
		case err == nil:
			wantWhole(t, what, fs, "again-"+name, head)
		case name == "b" || !errors.Is(err, eventstream.ErrBackup):
			t.Errorf("%s: restore %s: %v", what, dir, err)
		}
		found = found || name == "b"
	}
	return found
}

// crashAtEvery lets the power fail before one operation after the other that play does
// between ops.Resume and ops.Pause, and once after the last: the call had returned then.
// It closes the store that play leaves open, gives judge what each failure leaves, and
// returns how many operations there are.
func crashAtEvery(t *testing.T, stride int, play func(vfs.FS, *faultfs.Trigger) *eventstream.DB, judge func(what string, fs *vfs.MemFS, returned bool)) (points int) {
	t.Helper()
	left := remainders(t)
	verified := 0
	for n := 1; ; n += stride {
		mem := vfs.NewCrashableMem()
		var clones []*vfs.MemFS
		crash := func() {
			for _, r := range left {
				clones = append(clones, r.of(mem, n))
			}
		}
		ops := &faultfs.Trigger{At: n, Do: func(errorfs.Op) error {
			crash()
			return nil
		}}
		ops.Pause()
		db := play(ops.Wrap(mem), ops)
		if !ops.Fired() {
			crash()
		}
		mustClose(t, db)
		for i, fs := range clones {
			judge(fmt.Sprintf("crash at operation %d, %v", n, left[i]), fs, !ops.Fired())
			verified++
		}
		if !ops.Fired() {
			campaign.Count(t, campaign.CrashPoints, verified)
			return points
		}
		points++
	}
}

// The power fails before any one operation of a backup. Where it was to stand is
// nothing, or a whole backup; the store has lost nothing.
func TestACrashDuringABackupLeavesNoneOrAWholeOne(t *testing.T) {
	t.Parallel()
	stride := 1
	if testing.Short() {
		stride = 7
	}
	whole := 0
	points := crashAtEvery(t, stride, func(fs vfs.FS, ops *faultfs.Trigger) *eventstream.DB {
		db := smallSource(t, fs)
		ops.Resume()
		mustBackup(t, db, "backups/b")
		ops.Pause()
		return db
	}, func(what string, fs *vfs.MemFS, returned bool) {
		found := verifyBackups(t, what, fs, 7)
		if found {
			whole++
		}
		if returned && !found {
			t.Errorf("%s: Backup had returned, but there is none", what)
		}
		if !manifestLost(t, fs) {
			wantWhole(t, what, fs, "store", 7)
		}
	})
	t.Logf("%d operations, %d crashes left a whole backup", points, whole)
	if points < 40/stride || whole < 3 {
		t.Errorf("only %d points and %d whole backups were seen", points, whole)
	}
}

// The same during a restore that cuts: there is no store, or a whole one.
func TestACrashDuringARestoreLeavesNoneOrAWholeStore(t *testing.T) {
	t.Parallel()
	stride := 1
	if testing.Short() {
		stride = 11
	}
	var backup eventstream.BackupInfo
	whole := 0
	points := crashAtEvery(t, stride, func(fs vfs.FS, ops *faultfs.Trigger) *eventstream.DB {
		db := smallSource(t, fs)
		backup = mustBackup(t, db, "backups/b")
		mustClose(t, db)
		ops.Resume()
		mustRestore(t, "backups/b", "stores/again", &eventstream.RestoreOptions{AsOfPosition: 5, Options: scriptOptions(fs)})
		ops.Pause()
		return db
	}, func(what string, fs *vfs.MemFS, returned bool) {
		names, err := fs.List("stores")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		for _, name := range names {
			dir := fs.PathJoin("stores", name)
			db, err := eventstream.Open(dir, &eventstream.Options{FS: fs, ReadOnly: true})
			switch {
			case err != nil && name == "again":
				t.Errorf("%s: open: %v", what, err)
			case err == nil:
				equal(t, what+": same incarnation", db.Info().Incarnation == backup.Incarnation, false)
				mustClose(t, db)
				wantWhole(t, what, fs, dir, 4) // 5 lies inside a commit
				whole++
			}
		}
		if returned && !strings.Contains(strings.Join(names, " ")+" ", "again ") {
			t.Errorf("%s: Restore had returned, but there is no store", what)
		}
		verifyBackups(t, what, fs, 7)
	})
	t.Logf("%d operations, %d crashes left a whole store", points, whole)
	if points < 80/stride || whole < 3 {
		t.Errorf("only %d points and %d whole stores were seen", points, whole)
	}
}

// An operation on the files of a backup fails, once or from then on. The call fails or
// the backup is whole, and the store goes on.
func TestAFaultDuringABackupLeavesNone(t *testing.T) {
	t.Parallel()
	stride := 1
	if testing.Short() {
		stride = 9
	}
	for name, fault := range map[string]struct {
		forever bool
		err     syscall.Errno
		match   func(errorfs.Op) bool
	}{
		"disk full once":         {false, syscall.ENOSPC, faultfs.Changes},
		"disk full from then on": {true, syscall.ENOSPC, faultfs.Changes},
		"EIO once":               {false, syscall.EIO, func(errorfs.Op) bool { return true }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			points, failed := 0, 0
			for n := 1; ; n += stride {
				mem := vfs.NewMem()
				ops := &faultfs.Trigger{
					At: n, Onward: fault.forever,
					Match: func(op errorfs.Op) bool { return strings.Contains(op.Path, "backups/b") && fault.match(op) },
					Do:    faultfs.Fail(fault.err),
				}
				ops.Pause()
				db := smallSource(t, ops.Wrap(mem))
				ops.Resume()
				_, err := db.Backup(ctx, "backups/b")
				ops.Pause()
				what := fmt.Sprintf("fault at operation %d (%v)", n, err)
				found := verifyBackups(t, what, mem, 7)
				if err == nil && !found || err != nil && found {
					t.Errorf("%s: found a backup: %v", what, found)
				}
				if names, _ := mem.List("backups"); err != nil && len(names) > 0 && !fault.forever && !errors.Is(err, fault.err) {
					t.Errorf("%s: left over: %v", what, names)
				}
				mustAppend(t, db, "a-b-1", eventstream.Any, event("Later"))
				mustBackup(t, db, "backups2/b")
				mustClose(t, db)
				if !ops.Fired() {
					break
				}
				points++
				if err != nil {
					failed++
				}
			}
			campaign.Count(t, campaign.FaultPoints, points)
			t.Logf("%d of them with an error", failed)
			if points < 30/stride || failed < points/2 {
				t.Errorf("only %d points were seen, %d with an error", points, failed)
			}
		})
	}
}

// The same while a restore copies, and while it puts the store in place. In between,
// Pebble is at work, which may end the process when a file fails: that is a crash.
func TestAFaultDuringARestoreLeavesNone(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	db := smallSource(t, mem)
	mustBackup(t, db, "backups/b")
	mustClose(t, db)
	points := 0
	for n := 1; ; n++ {
		var database atomic.Bool
		ops := &faultfs.Trigger{
			At: n,
			Match: func(op errorfs.Op) bool {
				if strings.HasSuffix(op.Path, "db/LOCK") {
					database.Store(true)
				}
				return strings.Contains(op.Path, "stores/again") && !(database.Load() && strings.Contains(op.Path, "/db"))
			},
			Do: faultfs.Fail(syscall.ENOSPC),
		}
		_, err := eventstream.Restore(ctx, "backups/b", "stores/again", &eventstream.RestoreOptions{Options: scriptOptions(ops.Wrap(mem))})
		what := fmt.Sprintf("fault at operation %d", n)
		if _, missing := mem.Stat("stores/again"); err != nil && missing == nil {
			t.Errorf("%s: Restore failed (%v), but there is a store", what, err)
		}
		if err == nil {
			wantWhole(t, what, mem, "stores/again", 7)
		}
		if err := mem.RemoveAll("stores"); err != nil {
			t.Fatal(err)
		}
		if !ops.Fired() {
			break
		}
		points++
	}
	campaign.Count(t, campaign.FaultPoints, points)
	if points < 30 {
		t.Errorf("only %d points were seen", points)
	}
}
