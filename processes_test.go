package eventstream_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/internal/campaign"
)

// A holder opens a store and keeps it open until it is killed. A sleeper is a process that
// a holder started.
const (
	holderRole  = "holder"
	sleeperRole = "sleeper"
)

type holderTask struct{ Dir string }

// holderLine says that the store is open.
type holderLine struct {
	PID, Sleeper int
	Acked        eventstream.Position
}

func holderChild(task holderTask) error {
	opts := smallTables
	db, err := eventstream.Open(task.Dir, &opts)
	if err != nil {
		return err
	}
	res, err := db.Append(ctx, "s", eventstream.Any, event("X"))
	if err != nil {
		return err
	}
	// Whoever copies the directory reads the locks too, in the holder's own process.
	for _, name := range []string{"lock", "db/LOCK"} {
		if _, err := os.ReadFile(filepath.Join(task.Dir, name)); err != nil {
			return err
		}
	}
	sleeper := exec.Command(os.Args[0])
	sleeper.Env = append(os.Environ(), childRole+"="+sleeperRole)
	if err := sleeper.Start(); err != nil {
		return err
	}
	if err := say(holderLine{PID: os.Getpid(), Sleeper: sleeper.Process.Pid, Acked: res.LastPosition}); err != nil {
		return err
	}
	<-time.After(childPatience)
	return errors.New("nobody killed the holder")
}

// Another process has the store open: it is in use, however it is opened. Then that process
// is killed, though one that it started lives on, and the store opens at once, with all that
// was acknowledged.
func TestAStoreOfAnotherProcess(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, "store")
	working, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(working, dir)
	if err != nil {
		t.Fatal(err)
	}
	paths := map[string]string{
		"its path": dir, "a relative path": relative, "a detour": filepath.Join(dir, "db") + "/..", "a slash behind": dir + "/",
	}
	if link := filepath.Join(root, "link"); runtime.GOOS != "windows" {
		if err := os.Symlink(dir, link); err != nil {
			t.Fatal(err)
		}
		paths["a link"] = link
	}
	rounds := campaign.Scale(t, campaign.Cases{Short: 1, PullRequest: 5, Nightly: 100})
	for round := range rounds {
		death, err := startChild(holderRole, holderTask{Dir: dir}, func(holder holderLine) {
			before := digest(t, dir)
			for name, path := range paths {
				for what, opts := range map[string]*eventstream.Options{"for writing": nil, "read-only": {ReadOnly: true}, "as a new one": {ErrorIfExists: true}} {
					_, err := eventstream.Open(path, opts)
					if !errors.Is(err, eventstream.ErrInUse) && (opts == nil || !opts.ErrorIfExists || !errors.Is(err, eventstream.ErrExists)) {
						t.Errorf("opened by %s %s: got %v, want ErrInUse", name, what, err)
					}
				}
				if _, err := eventstream.OpenSalvage(ctx, path, nil); !errors.Is(err, eventstream.ErrInUse) {
					t.Errorf("salvaged by %s: got %v, want ErrInUse", name, err)
				}
			}
			equal(t, "what is in the directory", digest(t, dir), before)
			kill(t, holder.PID)
			defer kill(t, holder.Sleeper)
			// A killed process is gone a moment later; nothing else has to happen.
			db, err := openWhenFree(dir)
			if err != nil {
				t.Error(err)
				return
			}
			equal(t, "head", db.Head(), holder.Acked)
			equal(t, "the round's event", holder.Acked, eventstream.Position(round+1))
			mustClose(t, db)
		})
		if err != nil || death == "" {
			t.Fatalf("the holder ended with %q, %v", death, err)
		}
	}
	campaign.Count(t, campaign.KillRounds, rounds)
}

func kill(t *testing.T, pid int) {
	t.Helper()
	process, err := os.FindProcess(pid)
	if err == nil {
		err = process.Kill()
	}
	if err != nil {
		t.Error(err)
	}
}

// openWhenFree opens a store whose holder is about to be gone.
func openWhenFree(dir string) (*eventstream.DB, error) {
	opts := smallTables
	for began := time.Now(); ; {
		db, err := eventstream.Open(dir, &opts)
		if !errors.Is(err, eventstream.ErrInUse) || time.Since(began) > 10*time.Second {
			return db, err
		}
	}
}
