package eventstream_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/internal/campaign"
)

// soakVariable names the environment variable that says how long the soak goes on, as
// "8h", which it is without.
const soakVariable = "EVENTSTREAM_SOAK"

// Most that a process may hold while it appends at a steady pace, however long.
const (
	soakGoroutines = 100
	soakFiles      = 400
	soakHeap       = 256 << 20
)

// reportHoldings says, each second, what this process holds.
func reportHoldings() {
	for range time.Tick(time.Second) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		files, _ := os.ReadDir("/proc/self/fd") // none on other systems
		_ = say(victimLine{Writer: -1, Goroutines: runtime.NumGoroutine(), Files: len(files), HeapBytes: m.HeapAlloc})
	}
}

// For hours, on the real disk: four writers at a steady pace, a kill each 20 to 40
// seconds and a look at everything behind it, a backup that is restored and verified each
// hour, then a new store. What a process holds stays within bounds.
func TestTheStoreSoaks(t *testing.T) {
	campaign.Only(t, campaign.Weekly)
	long := 8 * time.Hour
	if text := os.Getenv(soakVariable); text != "" {
		var err error
		if long, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	rng := campaign.Rand(t, campaign.Seed(t))
	killed, backups := 0, 0
	for end := time.Now().Add(long); time.Now().Before(end) && !t.Failed(); backups++ {
		dir := filepath.Join(t.TempDir(), "store")
		o := newVictimOracle()
		for hour := min(time.Hour, long); hour > 0 && !t.Failed(); killed++ {
			hour -= soakRound(t, dir, o, rng)
		}
		backUpAndVerify(t, dir, o)
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	}
	campaign.Count(t, campaign.KillRounds, killed)
	t.Logf("%d backups were restored and verified", backups)
}

// soakRound lets a process append for a while, kills it, and verifies what it left.
func soakRound(t *testing.T, dir string, o *victimOracle, rng *rand.Rand) time.Duration {
	t.Helper()
	began := time.Now()
	after := 20*time.Second + time.Duration(rng.Int64N(int64(20*time.Second)))
	_, err := killVictim(victimTask{Dir: dir, Pace: 20 * time.Millisecond}, true, after, func(line victimLine) {
		o.hear(line)
		if line.Goroutines > soakGoroutines || line.Files > soakFiles || line.HeapBytes > soakHeap {
			t.Errorf("a process holds %d goroutines, %d files and %d bytes; at most %d, %d and %d are allowed",
				line.Goroutines, line.Files, line.HeapBytes, soakGoroutines, soakFiles, soakHeap)
		}
	})
	if err != nil {
		t.Error(err)
	}
	o.verify(t, "soak", dir)
	return time.Since(began)
}

// backUpAndVerify restores a backup of the store beside it, and holds the restored one to
// the same oracle.
func backUpAndVerify(t *testing.T, dir string, o *victimOracle) {
	t.Helper()
	db := mustOpen(t, dir, victimOptions(nil))
	mustBackup(t, db, dir+".backup")
	mustClose(t, db)
	mustRestore(t, dir+".backup", dir+".restored", &eventstream.RestoreOptions{Options: victimOptions(nil)})
	o.verify(t, "restored", dir+".restored")
	for _, path := range []string{dir + ".backup", dir + ".restored"} {
		if err := os.RemoveAll(path); err != nil {
			t.Error(err)
		}
	}
}
