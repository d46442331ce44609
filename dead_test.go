package eventstream_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/internal/campaign/faultfs"
)

const deadRole = "dead"

// deadLine tells how a call ended on a store whose Pebble has died.
type deadLine struct {
	Call     string
	Begun    bool // before Pebble died
	Returned bool
	Poisoned bool
	Error    string
}

// Pebble does not survive a failure of its manifest: it holds its lock for good. Nobody
// is held with it: what had begun ends, reads of events go on, whoever would need that
// lock or writes is told that the store is poisoned, and Close returns.
func TestNobodyIsHeldByAPebbleThatDied(t *testing.T) {
	t.Parallel()
	goesOn := []string{"Event", "EventAt", "Stream", "Count", "Check", "ReadAll", "Read", "Snapshots"}
	calls := 0
	death, err := startChild(deadRole, struct{}{}, func(line deadLine) {
		calls++
		switch {
		case !line.Returned:
			t.Errorf("%+v: it did not return", line)
		case line.Call == "Close":
			if !strings.Contains(line.Error, "only by a new process") {
				t.Errorf("%+v: want an error that says who can open the store again", line)
			}
		case line.Error != "" && !line.Poisoned:
			t.Errorf("%+v: want no error, or ErrPoisoned", line)
		case !line.Begun && line.Poisoned == slices.Contains(goesOn, line.Call):
			t.Errorf("%+v: want an error only of what cannot go on", line)
		}
	})
	if err != nil || death != "" {
		t.Fatalf("the child: %q, %v", death, err)
	}
	equal(t, "calls", calls, 4+9+len(goesOn)+1)
}

const deadRestoreRole = "dead restore"

// Wherever the manifest fails while a restore cuts off what was later, the restore
// returns, with an error and no store or with a whole one.
func TestARestoreReturnsThoughPebbleDied(t *testing.T) {
	t.Parallel()
	failed, whole := 0, 0
	death, err := startChild(deadRestoreRole, struct{}{}, func(line deadLine) {
		switch {
		case !line.Returned:
			t.Errorf("%+v: it did not return", line)
		case line.Error == "":
			whole++
		case !strings.HasSuffix(line.Error, "no store"):
			t.Errorf("%+v: want that there is no store", line)
		case !strings.Contains(line.Error, "input/output error") && !strings.Contains(line.Error, "only by a new process"):
			t.Errorf("%+v: want the failure, or that Pebble did not let go", line)
		default:
			failed++
		}
	})
	if err != nil || death != "" {
		t.Fatalf("the child: %q, %v", death, err)
	}
	if failed < 5 || whole == 0 {
		t.Errorf("%d restores failed, %d did not: the test shows little", failed, whole)
	}
}

// deadRestoreChild restores a backup as of a position, and lets one write or sync of a
// manifest fail each time.
func deadRestoreChild(struct{}) error {
	const points = 40
	ends := make(chan deadLine, points)
	for n := range points {
		mem := vfs.NewMem()
		manifest := failingManifest(n + 1)
		manifest.Pause()
		opts := scriptOptions(manifest.Wrap(mem))
		opts.Unstable.ClosePatience = time.Second
		db, err := eventstream.Open("store", opts)
		if err != nil {
			return err
		}
		for range 3 {
			if _, err := db.Append(ctx, "a-b-1", eventstream.Any, event("X"), event("X")); err != nil {
				return err
			}
		}
		_, backupErr := db.Backup(ctx, "backup")
		if err := errors.Join(backupErr, db.Close()); err != nil {
			return err
		}
		manifest.Resume()
		go func() {
			ends <- endOf(fmt.Sprintf("restore, failure %d", n+1), func() error {
				_, err := eventstream.Restore(ctx, "backup", "again", &eventstream.RestoreOptions{AsOfPosition: 4, Options: opts})
				if _, missing := mem.Stat("again"); err != nil && missing != nil {
					return fmt.Errorf("%w: no store", err)
				}
				return err
			})
		}()
	}
	for range points {
		if err := say(<-ends); err != nil {
			return err
		}
	}
	return nil
}

// failingManifest fails the n-th write or sync of a manifest, and all that follow.
func failingManifest(n int) *faultfs.Trigger {
	return &faultfs.Trigger{
		At: n, Onward: true, Do: faultfs.Fail(syscall.EIO),
		Match: func(op errorfs.Op) bool {
			return strings.Contains(op.Path, "MANIFEST") && slices.Contains([]errorfs.OpKind{errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpFileSyncData}, op.Kind)
		},
	}
}

// deadPatience is how long a call may take, which is no measure of speed.
const deadPatience = 10 * time.Second

// deadChild lets Pebble die under readers, and makes every kind of call then.
func deadChild(struct{}) error {
	manifest := failingManifest(1)
	manifest.Pause()
	opts := &eventstream.Options{FS: manifest.Wrap(vfs.NewMem()), MemTableBytes: 256 << 10, CacheBytes: 1 << 20}
	opts.Unstable.ClosePatience = time.Second
	db, err := eventstream.Open("store", opts)
	if err != nil {
		return err
	}
	first, err := db.Append(ctx, "a-b-1", eventstream.Any, event("X"))
	if err != nil {
		return err
	}
	derivation := eventstream.Derivation{View: eventstream.ViewID{Projection: "sums", Generation: 1}}
	put := func(tx *eventstream.Tx) error { return tx.Put([]byte("k"), []byte("v")) }
	if err := db.Derive(derivation, put); err != nil {
		return err
	}

	inside, died := make(chan struct{}), make(chan struct{})
	wait := func() {
		inside <- struct{}{}
		<-died
	}
	begun := map[string]func() error{
		"Read": func() error {
			return db.Read(ctx, func(r *eventstream.Reader) error {
				wait()
				_, err := r.EventAt(ctx, first.LastPosition)
				return err
			})
		},
		"ReadView": func() error {
			return db.ReadView(derivation.View, func(r *eventstream.ViewReader) error {
				wait()
				_, _, err := r.Get([]byte("k"))
				return err
			})
		},
		"ReadDerived": func() error {
			return db.ReadDerived(func(*eventstream.DerivedReader) error {
				wait()
				return nil
			})
		},
		"Update": func() error {
			_, err := db.Update(ctx, func(tx *eventstream.UpdateTx) error {
				wait()
				return tx.Append("s", eventstream.NoStream, event("X"))
			})
			return err
		},
	}
	ends := make(chan deadLine, len(begun))
	for name, call := range begun {
		go func() { ends <- endOf(name, call) }()
		<-inside
	}
	manifest.Resume()
	for err == nil {
		_, err = db.Append(ctx, "a-b-2", eventstream.Any, eventstream.NewEvent{Type: "X", Data: make([]byte, 100<<10)})
	}
	if !errors.Is(err, eventstream.ErrPoisoned) {
		return err
	}
	close(died)
	timeout := time.After(deadPatience)
	for range begun {
		line := deadLine{Call: "what was under way"}
		select {
		case line = <-ends:
		case <-timeout:
		}
		line.Begun = true
		if err := say(line); err != nil {
			return err
		}
	}
	for name, call := range map[string]func() error{
		"Append":      func() error { _, err := db.Append(ctx, "s", eventstream.Any, event("X")); return err },
		"Backup":      func() error { _, err := db.Backup(ctx, "backup"); return err },
		"Stats":       func() error { _, err := db.Stats(); return err },
		"Sync":        func() error { return db.Sync(ctx) },
		"Update":      func() error { _, err := db.Update(ctx, func(*eventstream.UpdateTx) error { return nil }); return err },
		"Derive":      func() error { return db.Derive(derivation, put) },
		"ReadView":    func() error { return db.ReadView(derivation.View, func(*eventstream.ViewReader) error { return nil }) },
		"ReadDerived": func() error { return db.ReadDerived(func(*eventstream.DerivedReader) error { return nil }) },
		"Follow":      func() error { _, err := collect(db.Follow(ctx)); return err },
		"Event":       func() error { _, err := db.Event(ctx, first.EventIDs[0]); return err },
		"EventAt":     func() error { _, err := db.EventAt(ctx, first.LastPosition); return err },
		"Stream":      func() error { _, err := db.Stream(ctx, "a-b-1"); return err },
		"Count":       func() error { _, err := db.Count(ctx, eventstream.Query{}); return err },
		"Check":       func() error { _, err := db.Check(ctx); return err },
		"ReadAll":     func() error { _, err := collect(db.ReadAll(ctx)); return err },
		"Read": func() error {
			return db.Read(ctx, func(r *eventstream.Reader) error { _, err := r.Stream(ctx, "a-b-1"); return err })
		},
		"Snapshots": func() error {
			for _, err := range db.Snapshots(ctx, "a-b-1") {
				if err != nil {
					return err
				}
			}
			return nil
		},
	} {
		if err := say(endOf(name, call)); err != nil {
			return err
		}
	}
	return say(endOf("Close", db.Close))
}

// endOf waits for the end of a call, or for so long that there will be none.
func endOf(name string, call func() error) deadLine {
	done := make(chan error, 1)
	go func() { done <- call() }()
	line := deadLine{Call: name}
	select {
	case err := <-done:
		line.Returned, line.Poisoned = true, errors.Is(err, eventstream.ErrPoisoned)
		if err != nil {
			line.Error = err.Error()
		}
	case <-time.After(deadPatience):
	}
	return line
}
