package aggregate_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/google/go-cmp/cmp"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/aggregate"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/internal/campaign/faultfs"
	"github.com/nexus-erp/eventstream/snapshot"
)

// diskOptions let nothing be read from memory that could be read from the disk.
func diskOptions(fs vfs.FS, clock *estest.Clock) *eventstream.Options {
	return &eventstream.Options{
		FS: fs, Clock: clock.Now, MemTableBytes: 256 << 10, CacheBytes: 1, TailBytes: 64 << 10, StreamHeads: 1,
		Unstable: eventstream.Unstable{RunEvents: 32},
	}
}

func diskAccounts(t *testing.T, db *eventstream.DB) *accounts {
	t.Helper()
	r, err := aggregate.New(db, accountEvents(t), aggregate.Struct[account](), &aggregate.Options{Policy: snapshot.Never(), Keep: 4})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// diskSource is a store with a stream of postings, some of them back-dated, and several
// snapshots of it.
func diskSource(t *testing.T, clock *estest.Clock) *vfs.MemFS {
	t.Helper()
	mem := vfs.NewCrashableMem()
	for session := range 3 {
		db, err := eventstream.Open("store", diskOptions(mem, clock))
		if err != nil {
			t.Fatal(err)
		}
		r := diskAccounts(t, db)
		for i := range 30 {
			clock.Advance(time.Minute)
			var opts []aggregate.Option
			if i%7 == 3 {
				opts = append(opts, aggregate.OccurredAt(clock.Now().Add(-10*time.Minute)))
			}
			if _, err := r.Execute(ctx, stream, post(int64(100*session+i), fmt.Sprintf("text %d", i)), opts...); err != nil {
				t.Fatal(err)
			}
			if i == 12 || i == 24 {
				if _, err := r.Snapshot(ctx, stream); err != nil {
					t.Fatal(err)
				}
			}
		}
		r.Close()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return mem
}

// A read of the disk fails while an aggregate is loaded, now or as of the past, is
// compared, carries out a command or is saved. The answer is an error that says so, or
// what it always is: never a state of fewer events. A command is carried out once.
func TestAFailedReadIsNeverAStateOfFewerEvents(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	clock := estest.NewClock(begin)
	mem := diskSource(t, clock)
	id := eventstream.EventID{1, 15: 99}
	state := func(l aggregate.Loaded[*account], err error) (any, error) {
		l.Snapshot, l.Events = 0, 0 // a damaged snapshot may be passed over
		return l, err
	}
	points, failed := 0, 0
	for _, tt := range []struct {
		what string
		do   func(r *accounts) (any, error)
	}{
		{"load", func(r *accounts) (any, error) { return state(r.Load(ctx, stream)) }},
		{"a version of the past", func(r *accounts) (any, error) { return state(r.StateAt(ctx, stream, eventstream.To(50))) }},
		{"what had happened by a time", func(r *accounts) (any, error) {
			return state(r.StateAt(ctx, stream, eventstream.OccurredUntil(begin.Add(40*time.Minute))))
		}},
		{"as it was known at a time", func(r *accounts) (any, error) {
			return state(r.StateAt(ctx, stream, eventstream.RecordedUntil(begin.Add(65*time.Minute))))
		}},
		{"what differs", func(r *accounts) (any, error) {
			return r.Diff(ctx, stream, []eventstream.ReadOption{eventstream.To(20)}, []eventstream.ReadOption{eventstream.To(70)})
		}},
		{"a command", func(r *accounts) (any, error) {
			res, err := r.Execute(ctx, stream, withdraw(7), aggregate.CommandID(id))
			return state(res.Loaded, err)
		}},
		{"a snapshot", func(r *accounts) (any, error) { return r.Snapshot(ctx, stream) }},
	} {
		var want any
		for n := 0; ; { // 0: no read fails
			hit := &faultfs.Trigger{
				At: n, Do: faultfs.Fail(syscall.EIO),
				Match: func(op errorfs.Op) bool { return op.Kind.ReadOrWrite() == errorfs.OpIsRead },
			}
			hit.Pause()
			left := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(0, 0))})
			db, err := eventstream.Open("store", diskOptions(hit.Wrap(left), clock))
			if err != nil {
				t.Fatal(err)
			}
			r := diskAccounts(t, db)
			what := fmt.Sprintf("%s, read %d fails", tt.what, n)
			if n == 0 {
				if want, err = tt.do(r); err != nil {
					t.Fatalf("%s: %v", tt.what, err)
				}
			}
			hit.Resume()
			got, err := tt.do(r)
			hit.Pause()
			if err != nil {
				if failed++; !errors.Is(err, syscall.EIO) {
					t.Errorf("%s: the error does not say what failed: %v", what, err)
				}
				if got, err = tt.do(r); err != nil {
					t.Errorf("%s, again: %v", what, err)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", what, diff)
			}
			if db.Head() != 90 && tt.what != "a command" || db.Head() != 91 && tt.what == "a command" {
				t.Errorf("%s: the head is %d", what, db.Head())
			}
			r.Close()
			if err := db.Close(); err != nil {
				t.Errorf("%s: close: %v", what, err)
			}
			if n > 0 && !hit.Fired() {
				break
			}
			if n > 0 {
				points++
			}
			n += max(1, n/campaign.Scale(t, campaign.Cases{Short: 2, PullRequest: 8, Nightly: 1 << 20}))
		}
	}
	campaign.Count(t, campaign.FaultPoints, points)
	t.Logf("%d answers were errors", failed)
	if points < 30 && !testing.Short() || failed < points/3 {
		t.Errorf("only %d reads failed, %d answers were errors", points, failed)
	}
}
