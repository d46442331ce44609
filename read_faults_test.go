package eventstream_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/internal/campaign/faultfs"
)

// question is something that a store can be asked, and what it answers, a line each.
type question struct {
	what string
	ask  func(db *eventstream.DB) ([]string, error)
}

// eventsOf asks with what reads events.
func eventsOf(what string, read func(db *eventstream.DB) ([]eventstream.Event, error)) question {
	return question{what, func(db *eventstream.DB) ([]string, error) { return lines(read(db)) }}
}

// questions are all ways to ask.
func questions() []question {
	one := func(e eventstream.Event, err error) ([]string, error) { return lines([]eventstream.Event{e}, err) }
	return []question{
		eventsOf("all events", func(db *eventstream.DB) ([]eventstream.Event, error) { return collect(db.ReadAll(ctx)) }),
		eventsOf("all events, backward", func(db *eventstream.DB) ([]eventstream.Event, error) {
			return collect(db.ReadAll(ctx, eventstream.Backward()))
		}),
		eventsOf("a stream", func(db *eventstream.DB) ([]eventstream.Event, error) { return collect(db.ReadStream(ctx, "r-r-3")) }),
		eventsOf("a stream, backward", func(db *eventstream.DB) ([]eventstream.Event, error) {
			return collect(db.ReadStream(ctx, "r-r-3", eventstream.Backward(), eventstream.Limit(20)))
		}),
		eventsOf("another tenant's events", func(db *eventstream.DB) ([]eventstream.Event, error) { return collect(db.Tenant("acme").ReadAll(ctx)) }),
		eventsOf("a query by type", func(db *eventstream.DB) ([]eventstream.Event, error) {
			return collect(db.Query(ctx, eventstream.Query{}.Types("Rare")))
		}),
		eventsOf("a query of two indexes, backward", func(db *eventstream.DB) ([]eventstream.Event, error) {
			return collect(db.Query(ctx, eventstream.Query{}.Types("T1").Correlations("c4", "c5").Backward()))
		}),
		eventsOf("a query that looks at every event", func(db *eventstream.DB) ([]eventstream.Event, error) {
			return collect(db.Query(ctx, eventstream.Query{}.Where("data.n", eventstream.Equal, 7)))
		}),
		{"an event by id", func(db *eventstream.DB) ([]string, error) { return one(db.Event(ctx, id(41))) }},
		{"an event by position", func(db *eventstream.DB) ([]string, error) { return one(db.EventAt(ctx, 77)) }},
		{"a stream's facts", func(db *eventstream.DB) ([]string, error) {
			info, err := db.Stream(ctx, "r-r-5")
			return []string{fmt.Sprintf("%+v", info)}, err
		}},
		{"the streams", func(db *eventstream.DB) ([]string, error) {
			all, err := collect(db.Streams(ctx, "r-"))
			return sprints(all), err
		}},
		{"a count", func(db *eventstream.DB) ([]string, error) {
			n, err := db.Count(ctx, eventstream.Query{}.Categories("r-r").Types("T2"))
			return []string{fmt.Sprint(n)}, err
		}},
		{"a page", func(db *eventstream.DB) ([]string, error) {
			page, err := db.QueryPage(ctx, eventstream.Query{}.Types("T0"), eventstream.PageOptions{Size: 15})
			if err != nil {
				return nil, err
			}
			return lines(page.Events, nil)
		}},
		{"a trace", func(db *eventstream.DB) ([]string, error) {
			nodes, err := db.Trace(ctx, "c9")
			var events []eventstream.Event
			for _, n := range nodes {
				events = append(events, n.Event)
			}
			return lines(events, err)
		}},
		{"snapshots", func(db *eventstream.DB) ([]string, error) {
			all, err := collect(db.Snapshots(ctx, "r-r-1"))
			for i := range all {
				if all[i].Err != nil {
					err = errors.Join(err, all[i].Err)
				}
			}
			return sprints(all), err
		}},
		{"check", func(db *eventstream.DB) ([]string, error) {
			report, err := db.Check(ctx, eventstream.Deep())
			return sprints(report.Problems), err
		}},
	}
}

func sprints[T any](items []T) []string {
	var all []string
	for _, i := range items {
		all = append(all, fmt.Sprintf("%+v", i))
	}
	return all
}

// readOptions let nothing be read from memory that could be read from the disk.
func readOptions(fs vfs.FS) *eventstream.Options {
	return &eventstream.Options{
		FS: fs, MemTableBytes: 256 << 10, CacheBytes: 1, TailBytes: 64 << 10, StreamHeads: 1, ReadOnly: true,
		Unstable: eventstream.Unstable{RunEvents: 32},
	}
}

// readSource is a store with everything in it that can be asked for.
func readSource(t *testing.T) *vfs.MemFS {
	t.Helper()
	mem := vfs.NewMem()
	opts := readOptions(mem)
	opts.ReadOnly, opts.CacheBytes = false, 1<<20
	for session := range 2 {
		db, err := eventstream.Open("store", opts)
		if err != nil {
			t.Fatal(err)
		}
		for i := session * 150; i < session*150+150; i++ {
			eventType := fmt.Sprintf("T%d", i%3)
			if i%40 == 0 {
				eventType = "Rare"
			}
			e := eventstream.NewEvent{
				ID: id(i + 1), Type: eventType, CorrelationID: fmt.Sprintf("c%d", i/8), OccurredAt: scriptTime,
				Data: map[string]any{"n": i % 50, "text": strings.Repeat("x", 300)}, Codec: codec.JSON,
			}
			mustAppend(t, db.Tenant([]string{eventstream.DefaultTenant, "acme"}[i%8/7]), eventstream.StreamID(fmt.Sprintf("r-r-%d", i%7)), eventstream.Any, e)
		}
		info, err := db.Stream(ctx, "r-r-1")
		if err != nil {
			t.Fatal(err)
		}
		mustSave(t, db, snapshotAt("r-r-1", info.Version, scriptTime), 5)
		if !eventstream.AwaitSealed(db, db.Head()-40) {
			t.Fatal("it was not sealed")
		}
		mustClose(t, db)
	}
	return mem
}

// A read of the disk fails, whichever it is, whatever is asked. The answer is an error
// that says so, or the whole answer: never a shorter one. Asked again, the store answers.
func TestAFailedReadIsNeverAShorterAnswer(t *testing.T) {
	t.Parallel()
	mem := readSource(t)
	points, failed := 0, 0
	for _, q := range questions() {
		db := mustOpen(t, "store", readOptions(mem))
		want, err := q.ask(db)
		if err != nil {
			t.Fatalf("%s: %v", q.what, err)
		}
		mustClose(t, db)
		if len(want) == 0 && q.what != "check" {
			t.Fatalf("%s: there is nothing to be asked for", q.what)
		}
		for n := 1; ; {
			hit := &faultfs.Trigger{
				At: n, Do: faultfs.Fail(syscall.EIO),
				Match: func(op errorfs.Op) bool { return op.Kind.ReadOrWrite() == errorfs.OpIsRead },
			}
			hit.Pause()
			db, err := eventstream.Open("store", readOptions(hit.Wrap(mem)))
			if err != nil {
				t.Fatal(err)
			}
			hit.Resume()
			got, err := q.ask(db)
			hit.Pause()
			what := fmt.Sprintf("%s, read %d fails", q.what, n)
			switch {
			case err == nil && !slices.Equal(got, want):
				// A check says what it could not read as a problem of the store.
				if q.what != "check" || len(got) == 0 {
					t.Errorf("%s: got without an error\n%.2000q, want\n%.2000q", what, got, want)
				}
			case err != nil:
				failed++
				if !errors.Is(err, syscall.EIO) {
					t.Errorf("%s: the error does not say what failed: %v", what, err)
				}
			}
			if got, err := q.ask(db); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s, asked again: got %d lines and error %v, want %d", what, len(got), err, len(want))
			}
			if err := db.Close(); err != nil {
				t.Errorf("%s: close: %v", what, err)
			}
			if !hit.Fired() {
				break
			}
			points++
			n += max(1, n/campaign.Scale(t, campaign.Cases{Short: 2, PullRequest: 16, Nightly: 1 << 20}))
		}
	}
	campaign.Count(t, campaign.FaultPoints, points)
	t.Logf("%d answers were errors", failed)
	if points < 100 && !testing.Short() || failed < points/2 {
		t.Errorf("only %d reads failed, %d answers were errors", points, failed)
	}
}

// openRole is a child that opens a store on which a read fails. Pebble leaves goroutines
// behind where it does not open for writing, so that happens in no process that goes on.
const openRole = "open"

type openTask struct {
	Files    image
	ReadOnly bool
	Stride   int
}

// openLine is what came of one read that failed.
type openLine struct {
	Hit     bool   // there are that many reads
	Refused string // what Open said, if it did not open
	Fault   string // the promise that was broken
}

func openChild(task openTask) error {
	for n := 1; ; n += task.Stride {
		line, err := openAt(task, n)
		if err != nil {
			return err
		}
		if err := say(line); err != nil || !line.Hit {
			return err
		}
	}
}

// openAt opens the store with the n-th read failing, and once more if that did not go
// well. Either has all events.
func openAt(task openTask, n int) (line openLine, err error) {
	mem, err := memOf(task.Files)
	if err != nil {
		return line, err
	}
	hit := &faultfs.Trigger{
		At: n, Do: faultfs.Fail(syscall.EIO),
		Match: func(op errorfs.Op) bool { return op.Kind.ReadOrWrite() == errorfs.OpIsRead },
	}
	opts := readOptions(hit.Wrap(mem))
	opts.ReadOnly = task.ReadOnly
	db, err := eventstream.Open("store", opts)
	hit.Pause()
	line.Hit = hit.Fired()
	if err != nil {
		line.Refused = err.Error()
		if !errors.Is(err, syscall.EIO) && !errors.Is(err, eventstream.ErrEventStore) {
			line.Fault = "the error does not say what failed: " + err.Error()
		}
		opts.FS = mem
		if db, err = eventstream.Open("store", opts); err != nil {
			line.Fault = "open again: " + err.Error()
			return line, nil
		}
	}
	own, err := collect(db.ReadAll(ctx))
	other, otherErr := collect(db.Tenant("acme").ReadAll(ctx))
	report, checkErr := db.Check(ctx, eventstream.Deep())
	if err := errors.Join(err, otherErr, checkErr, db.Close()); err != nil {
		line.Fault = err.Error()
	} else if len(own)+len(other) != 300 || !report.OK() {
		line.Fault = fmt.Sprintf("%d events of 300, %+v", len(own)+len(other), report)
	}
	return line, nil
}

// A read fails while the store is opened, for writing or not. It does not open, and says
// why, or it has everything; nothing is lost for the next time.
func TestAReadThatFailsAtOpenLosesNothing(t *testing.T) {
	t.Parallel()
	files := imageOf(t, readSource(t))
	path := filepath.Join(t.TempDir(), "task")
	points, refused := 0, 0
	for _, readOnly := range []bool{true, false} {
		text, err := json.Marshal(openTask{files, readOnly, campaign.Scale(t, campaign.Cases{Short: 9, PullRequest: 1})})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil { // too long for the environment
			t.Fatal(err)
		}
		death, err := startChild(openRole, path, func(line openLine) {
			if line.Hit {
				points++
			}
			if line.Refused != "" {
				refused++
			}
			if line.Fault != "" {
				t.Errorf("read-only %v, read %d (%s): %s", readOnly, points, line.Refused, line.Fault)
			}
		})
		if err != nil || death != "" {
			t.Errorf("read-only %v: the child ended after %d reads: %s, %v", readOnly, points, death, err)
		}
	}
	campaign.Count(t, campaign.FaultPoints, points)
	t.Logf("%d times the store did not open", refused)
	if points < 30 && !testing.Short() || refused == 0 {
		t.Errorf("only %d reads failed, %d times the store did not open", points, refused)
	}
}
