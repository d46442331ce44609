package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/aggregate"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/snapshot"
)

// gate holds whoever encodes a state until it is opened.
type gate struct {
	entered chan struct{} // receives when somebody arrives
	open    chan struct{} // closed to let all through
}

// gated is a state that is encoded when its gate lets it. Each test has its own gate, by
// number.
type gated struct {
	Gate  int
	Count int
}

var gates sync.Map // of *gate by number

func newGate(number int) *gate {
	g := &gate{entered: make(chan struct{}, 1), open: make(chan struct{})}
	gates.Store(number, g)
	return g
}

func (g *gated) MarshalText() ([]byte, error) {
	if waits, ok := gates.Load(g.Gate); ok {
		w := waits.(*gate)
		select {
		case w.entered <- struct{}{}:
		default:
		}
		<-w.open
	}
	return fmt.Appendf(nil, "%d %d", g.Gate, g.Count), nil
}

func (g *gated) UnmarshalText(text []byte) error {
	_, err := fmt.Sscan(string(text), &g.Gate, &g.Count)
	return err
}

func newGated(t testing.TB, db *estest.DB, number int, opts *aggregate.Options) *aggregate.Repository[gated, int] {
	t.Helper()
	r, err := aggregate.New(db.DB, accountEvents(t), aggregate.Decider[gated, int]{
		Initial: func() gated { return gated{Gate: number} },
		Evolve:  func(g gated, _ aggregate.Event) gated { return gated{g.Gate, g.Count + 1} },
		Decide:  func(_ gated, n int) ([]any, error) { return make([]any, 0, n), nil },
	}, opts)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// A snapshot that takes for ever holds nobody: neither loads nor commands on the same
// aggregate. What is asked for meanwhile is bounded.
func TestASnapshotHoldsNobody(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	g := newGate(1)
	var reported faults
	r := newGated(t, db, 1, &aggregate.Options{Policy: snapshot.EveryN(1), OnFault: reported.add})
	mustAppend(t, db, stream, eventstream.NewEvent{Type: "Closed", Data: closed{}})
	mustLoad(t, r, stream)
	<-g.entered // the snapshot is under way, and held
	const streams = 1100
	var entries []eventstream.StreamAppend
	for n := range streams {
		entries = append(entries, eventstream.StreamAppend{
			Stream: eventstream.StreamID(fmt.Sprintf("finance-cost-%d", n)), Expect: eventstream.NoStream,
			Events: []eventstream.NewEvent{{Type: "Closed", Data: closed{}}},
		})
		if len(entries) == 550 {
			if _, err := db.AppendAll(ctx, entries); err != nil {
				t.Fatal(err)
			}
			entries = entries[:0]
		}
	}
	for n := range streams {
		got := mustLoad(t, r, eventstream.StreamID(fmt.Sprintf("finance-cost-%d", n)))
		if got.State.Count != 1 {
			t.Fatalf("got %+v", got)
		}
	}
	if got := r.Stats().SnapshotsSkipped; got != streams-1024 {
		t.Errorf("%d were skipped, want %d", got, streams-1024)
	}
	short, cancel := context.WithCancel(ctx)
	cancel()
	if err := r.Wait(short); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: got %v, want context.Canceled", err)
	}
	close(g.open)
	mustWait(t, r)
	if got := r.Stats().SnapshotsTaken; got != 1025 {
		t.Errorf("%d snapshots were taken, want 1025", got)
	}
	if got := mustLoad(t, r, stream); got.Snapshot != 1 || got.State.Count != 1 {
		t.Errorf("got %+v", got)
	}
	if got := reported.take(); len(got) > 0 {
		t.Errorf("got %v", got)
	}
	r.Close()
}

// Close waits for the snapshot under way, and takes none that waits; the repository goes
// on without.
func TestAClosedRepositoryTakesNoSnapshots(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	g := newGate(2)
	var reported faults
	r := newGated(t, db, 2, &aggregate.Options{Policy: snapshot.EveryN(1), OnFault: reported.add})
	for _, s := range []eventstream.StreamID{stream, "finance-account-2", "finance-account-3"} {
		mustAppend(t, db, s, eventstream.NewEvent{Type: "Closed", Data: closed{}})
	}
	mustLoad(t, r, stream)
	<-g.entered
	mustLoad(t, r, "finance-account-2")
	done := make(chan struct{})
	go func() {
		r.Close()
		close(done)
	}()
	for !r.Closing() {
		runtime.Gosched()
	}
	select {
	case <-done:
		t.Error("Close did not wait for the snapshot under way")
	default:
	}
	close(g.open)
	<-done
	r.Close() // once more
	if got := mustLoad(t, r, "finance-account-3"); got.State.Count != 1 {
		t.Errorf("got %+v", got)
	}
	mustWait(t, r)
	for _, s := range []eventstream.StreamID{"finance-account-2", "finance-account-3"} {
		if got := snapshotVersions(t, db, s); got != "" {
			t.Errorf("%s has snapshots%s", s, got)
		}
	}
	if got := reported.take(); len(got) > 0 {
		t.Errorf("got %v: an end is no fault", got)
	}
}

// A store that is closed ends the snapshots without a complaint.
func TestSnapshotsEndWithTheStore(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	var reported faults
	r := newAccounts(t, db, &aggregate.Options{Policy: snapshot.EveryN(1), OnFault: reported.add})
	mustPost(t, r, stream, 50)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	mustWait(t, r)
	if _, err := r.Load(ctx, stream); !errors.Is(err, eventstream.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	if got := reported.take(); len(got) > 0 {
		t.Errorf("got %v", got)
	}
}

// broken is a state that is encoded, and does not come back the same.
type broken struct{ N int }

func (b broken) MarshalText() ([]byte, error) {
	if b.N == 3 {
		return nil, errors.New("three cannot be written")
	}
	return fmt.Appendf(nil, "%d", b.N), nil
}

func (b *broken) UnmarshalText(text []byte) error {
	_, err := fmt.Sscan(string(text), &b.N)
	b.N++
	return err
}

// A state that cannot be stored, or would not come back, is reported and not stored. It
// is not tried again with each event, and commands go through.
func TestASnapshotThatCannotBeTakenIsReported(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	var reported faults
	var log strings.Builder
	r, err := aggregate.New(db.DB, accountEvents(t), aggregate.Decider[broken, int]{
		Evolve: func(b broken, _ aggregate.Event) broken { return broken{b.N + 1} },
		Decide: func(broken, int) ([]any, error) { return []any{closed{}}, nil },
	}, &aggregate.Options{Policy: snapshot.EveryN(1), OnFault: reported.add, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for n := range 10 {
		res, err := r.Execute(ctx, stream, n)
		if err != nil || res.State.N != n+1 {
			t.Fatalf("got %+v, %v", res, err)
		}
		mustWait(t, r)
	}
	got := reported.take()
	if len(got) != 1 {
		t.Fatalf("got %d reports %v, want one", len(got), got)
	}
	fault := errAs[*aggregate.SnapshotError](t, got[0])
	if fault.Stream != stream || fault.Version != 1 || !strings.Contains(fault.Error(), "does not decode to what it was") || !errors.Is(fault, eventstream.ErrEventStore) {
		t.Errorf("got %v", fault)
	}
	if !strings.Contains(log.String(), "a snapshot was not taken") || !strings.Contains(log.String(), string(stream)) {
		t.Errorf("logged %s", log.String())
	}
	if s := r.Stats(); s.SnapshotsFailed != 1 || s.SnapshotsTaken != 0 {
		t.Errorf("got %+v", s)
	}
	mustAppend(t, db, "finance-account-3", closedEvents(3)...)
	_, err = r.Snapshot(ctx, "finance-account-3")
	if !strings.Contains(err.Error(), "three cannot be written") || errAs[*aggregate.SnapshotError](t, err).Version != 3 {
		t.Errorf("by hand: got %v", err)
	}
	if got := snapshotVersions(t, db, stream) + snapshotVersions(t, db, "finance-account-3"); got != "" {
		t.Errorf("snapshots%s were stored", got)
	}
}

func closedEvents(n int) []eventstream.NewEvent {
	var all []eventstream.NewEvent
	for range n {
		all = append(all, eventstream.NewEvent{Type: "Closed", Data: closed{}})
	}
	return all
}

// A state with more values than any payload may have goes without snapshots.
func TestAStateThatIsTooLargeGoesWithoutSnapshots(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	var reported faults
	r, err := aggregate.New(db.DB, accountEvents(t), aggregate.Decider[[]int32, int]{
		Evolve: func(s []int32, _ aggregate.Event) []int32 { return append(s, make([]int32, 60_000)...) },
	}, &aggregate.Options{OnFault: reported.add, Policy: snapshot.EveryN(1)})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for n := range 2 {
		mustAppend(t, db, stream, closedEvents(1)...)
		got := mustLoad(t, r, stream)
		mustWait(t, r)
		if len(got.State) != 60_000*(n+1) {
			t.Errorf("got %d values", len(got.State))
		}
	}
	if got := reported.take(); len(got) != 1 || !errors.Is(got[0], codec.ErrCodec) || !strings.Contains(got[0].Error(), "more than 100000 values") {
		t.Errorf("got %v", got)
	}
	if got := snapshotVersions(t, db, stream); got != " 1" {
		t.Errorf("snapshots%s, want that of the smaller state", got)
	}
}
