package engine

import (
	"log/slog"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Tables are written by what may take its time; the log is not.
func TestTablesGiveWay(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	ed := newEdge(&Config{FS: mem, Logger: slog.New(slog.DiscardHandler)}, func(vfs.DiskSlowInfo) {})
	for name, want := range map[string]bool{"000001.sst": true, "000001.log": false, "MANIFEST-000001": false} {
		f, err := ed.fs.Create(name, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, gives := f.(givingFile); gives != want {
			t.Errorf("%s gives way: %v, want %v", name, gives, want)
		}
		if _, err := f.Write([]byte(name)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := f.Close(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if info, err := mem.Stat(name); err != nil || info.Size() != int64(len(name)) {
			t.Errorf("%s: what was written is not there: %v, %v", name, info, err)
		}
	}
	if err := ed.health.Close(); err != nil {
		t.Error(err)
	}
}

// Beside others that never rest, giving way costs a time slice each time: it takes a
// fifth of the time and not more. If nobody waits, it is done each time.
func TestGivingWayCostsAFifth(t *testing.T) {
	t.Parallel()
	const work, calls = 50 * time.Microsecond, 100_000
	for slice, least := range map[time.Duration]int{300 * time.Nanosecond: calls, 3 * time.Millisecond: 400} {
		var c courtesy
		var now, given time.Duration
		times := 0
		for range calls {
			now += work
			c.offer(func() time.Duration { return now }, func() { now, given, times = now+slice, given+slice, times+1 })
		}
		if given > now/5+slice || times < least {
			t.Errorf("slices of %v: %v of %v went to others, in %d times", slice, given, now, times)
		}
	}
}
