package eventstream_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/campaign/model"
)

// script is a store's short life: it is created, appended to in every way, closed,
// opened again and appended to. All ids are given and the clock stands still, so
// that the events are the same whenever and however often it runs: what is there
// already is deduplicated.
type script struct {
	open func() (*eventstream.DB, error)
	// acked is called after each acknowledged append with the position that must be
	// there from then on.
	acked func(eventstream.Position)
	// marked is called after each Close with the head: from then on the high-water mark
	// knows it. It may be nil.
	marked func(eventstream.Position)
	// left is set if a store did not close, and somebody may still be at work on its files.
	left bool
}

var scriptTime = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

func scriptOptions(fs vfs.FS) *eventstream.Options {
	return &eventstream.Options{
		FS: fs, Clock: func() time.Time { return scriptTime },
		MemTableBytes: 256 << 10, CacheBytes: 1 << 20, TailBytes: 64 << 10,
		Unstable: eventstream.Unstable{RunEvents: 4},
	}
}

// step is one call, and what must come of it.
type step func(*eventstream.DB) (eventstream.Position, error)

func appends(tenant string, stream eventstream.StreamID, expect eventstream.Expected, events ...eventstream.NewEvent) step {
	return func(db *eventstream.DB) (eventstream.Position, error) {
		res, err := db.Tenant(tenant).Append(ctx, stream, expect, events...)
		return res.LastPosition, err
	}
}

func appendsAll(entries ...eventstream.StreamAppend) step {
	return func(db *eventstream.DB) (eventstream.Position, error) {
		res, err := db.AppendAll(ctx, entries)
		return res.LastPosition, err
	}
}

// refused is a step whose append must fail as want says.
func refused(s step, want error) step {
	return func(db *eventstream.DB) (eventstream.Position, error) {
		switch _, err := s(db); {
		case err == nil:
			return 0, fmt.Errorf("%w: an append went through that had to fail with %v", errContract, want)
		case errors.Is(err, want):
			return 0, nil
		default:
			return 0, err
		}
	}
}

// notes is the namespace of the records that updates write.
const notes = "notes"

// updates is a step that appends an event and notes it in a record, unless it is noted.
func updates(expect eventstream.Expected, e eventstream.NewEvent) step {
	return func(db *eventstream.DB) (eventstream.Position, error) {
		res, err := db.Update(ctx, func(tx *eventstream.UpdateTx) error {
			records := tx.Records(notes)
			if _, noted, err := records.Get(e.ID[:]); err != nil || noted {
				return err
			}
			return errors.Join(records.Put(e.ID[:], []byte(e.Type)), tx.Append("notes", expect, e))
		})
		return res.LastPosition, err
	}
}

// saves is a step that saves the state of a stream.
func saves(stream eventstream.StreamID, version eventstream.Version) step {
	return func(db *eventstream.DB) (eventstream.Position, error) {
		return 0, db.SaveSnapshot(ctx, snapshotAt(stream, version, scriptTime), 2)
	}
}

// errContract marks what a store must never do, whatever fails below it.
var errContract = errors.New("broken promise")

func large(n int) eventstream.NewEvent {
	return eventstream.NewEvent{ID: id(n), Type: "Scanned", Codec: codec.Raw, Data: codec.Encoded(bytes.Repeat([]byte{byte(n)}, 120<<10))}
}

// sessions are the steps of the script, each list between an Open and a Close.
func sessions() [2][]step {
	const tenant = eventstream.DefaultTenant
	first := appends(tenant, "a-a-1", eventstream.NoStream, withID(id(1), "Opened"))
	journal := appendsAll(
		eventstream.StreamAppend{Stream: "a-a-1", Expect: eventstream.Exact(1), Events: []eventstream.NewEvent{withID(id(2), "X"), withID(id(3), "Y")}},
		eventstream.StreamAppend{Stream: "b-b-1", Expect: eventstream.NoStream, Events: []eventstream.NewEvent{{
			ID: id(4), Type: "Posted", Codec: codec.JSON, Data: map[string]any{"cents": 1}, SchemaVersion: 3,
			OccurredAt: scriptTime.Add(-time.Hour), CorrelationID: "c", CausationID: "d", UserID: "ada", Metadata: map[string]string{"b": "2", "a": "1"},
		}}},
		eventstream.StreamAppend{Stream: "c-c-1", Expect: eventstream.NoStream, Events: []eventstream.NewEvent{{ID: id(5), Type: "Empty", Codec: codec.Raw}}},
	)
	return [2][]step{
		{
			first,
			journal,
			first, // again
			refused(appends(tenant, "a-a-1", eventstream.NoStream, withID(id(90), "X")), eventstream.ErrConflict),
			appends("acme", "a-a-1", eventstream.NoStream, withID(id(1), "Opened")),
			updates(eventstream.NoStream, withID(id(21), "Noted")),
			saves("a-a-1", 3),
			refused(appends(tenant, "a-a-1", eventstream.Any, withID(id(2), "X"), withID(id(91), "Y")), eventstream.ErrDuplicateEvent),
			appends(tenant, "big", eventstream.NoStream, large(6)),
			appends(tenant, "big", eventstream.Exact(1), large(7)),
			appends(tenant, "big", eventstream.Exact(2), large(8)), // no room for it in the table in memory
			appendsAll(
				eventstream.StreamAppend{Stream: "b-b-1", Expect: eventstream.Exact(1)},
				eventstream.StreamAppend{Stream: "big", Expect: eventstream.Exact(3), Events: []eventstream.NewEvent{large(9), large(10)}},
			),
		},
		{
			appends(tenant, "a-a-1", eventstream.Exact(3), withID(id(11), "Z")),
			journal, // again
			refused(appends(tenant, "c-c-1", eventstream.NoStream, withID(id(92), "X")), eventstream.ErrConflict),
			updates(eventstream.NoStream, withID(id(21), "Noted")), // again
			updates(eventstream.Exact(1), withID(id(22), "Noted")),
			saves("a-a-1", 4),
			appends("acme", "a-a-1", eventstream.Exact(1), withID(id(12), "Y")),
		},
	}
}

// closeMost is what Close may take: two times the ten seconds that it waits.
const closeMost = 25 * time.Second

// run plays the script. It returns nil if everything went as it must on a sound
// disk, the first error otherwise, and an error that matches errContract if the
// store broke a promise on the way.
func (s *script) run() error {
	for _, steps := range sessions() {
		db, err := s.open()
		if err != nil {
			s.left = letGo(err)
			return fmt.Errorf("open: %w", err)
		}
		failed := s.play(db, steps)
		head := db.Head()
		started := time.Now()
		err = db.Close()
		s.left = err != nil // perhaps not all of it was let go
		if took := time.Since(started); took > closeMost {
			return fmt.Errorf("%w: Close took %v", errContract, took)
		}
		if failed != nil {
			return failed
		}
		if err != nil {
			return fmt.Errorf("close: %w", err)
		}
		if s.marked != nil {
			s.marked(head)
		}
	}
	return nil
}

// letGo reports whether err says that Pebble was given up.
func letGo(err error) bool {
	return err != nil && strings.Contains(err.Error(), "only by a new process")
}

// heldAfter is when a call counts as held.
const heldAfter = 10 * time.Second

// call makes the call of a step in a goroutine that may be left behind.
func call(db *eventstream.DB, do step) (last eventstream.Position, err error) {
	returned := make(chan struct{})
	var position eventstream.Position
	var failure error
	go func() {
		defer close(returned)
		position, failure = do(db)
	}()
	held := time.NewTimer(heldAfter)
	defer held.Stop()
	select {
	case <-returned:
		return position, failure
	case <-held.C:
		return 0, fmt.Errorf("%w: the call did not return", errContract)
	}
}

// play makes the calls. Once one failed, all that follow must fail: the store is
// poisoned. A call that was refused for want of room ends the script: what follows would
// rest on it.
func (s *script) play(db *eventstream.DB, steps []step) (failed error) {
	for i, do := range steps {
		head := db.Head()
		last, err := call(db, do)
		switch {
		case errors.Is(err, errContract):
			return err
		case err == nil && failed != nil:
			return fmt.Errorf("%w: step %d went through after %v", errContract, i, failed)
		case err == nil:
			s.acked(last)
		case failed == nil && errors.Is(err, eventstream.ErrDiskFull):
			if now := db.Head(); now != head {
				return fmt.Errorf("%w: step %d was refused, and the head went from %d to %d: %w", errContract, i, head, now, err)
			}
			return s.reads(db, fmt.Errorf("step %d: %w", i, err))
		case failed == nil && !errors.Is(err, eventstream.ErrPoisoned), failed != nil && (!errors.Is(err, eventstream.ErrPoisoned) || errors.Is(err, eventstream.ErrCommitUnknown)):
			return fmt.Errorf("%w: step %d: the error does not say that the store is poisoned: %w", errContract, i, err)
		case failed == nil:
			failed = fmt.Errorf("step %d: %w", i, err)
		}
	}
	return s.reads(db, failed)
}

// reads returns failed, unless the store does not read any more.
func (s *script) reads(db *eventstream.DB, failed error) error {
	if failed == nil {
		return nil
	}
	if _, err := collect(db.ReadAll(ctx)); err != nil {
		return fmt.Errorf("%w: a store that failed does not read: %w", errContract, err)
	}
	return failed
}

// scriptEvents returns all events of both tenants, by position.
func scriptEvents(t testing.TB, db *eventstream.DB) []eventstream.Event {
	t.Helper()
	events := make([]eventstream.Event, db.Head())
	for _, tenant := range []string{eventstream.DefaultTenant, "acme"} {
		for _, e := range mustCollect(t, db.Tenant(tenant).ReadAll(ctx)) {
			events[e.Position-1] = e
		}
	}
	return events
}

// scriptReference returns what the script leaves on a sound disk.
func scriptReference(t testing.TB) []eventstream.Event {
	t.Helper()
	opts := scriptOptions(vfs.NewMem())
	s := script{
		open:  func() (*eventstream.DB, error) { return eventstream.Open("store", opts) },
		acked: func(eventstream.Position) {},
	}
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
	db, err := eventstream.Open("store", opts)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, db)
	return scriptEvents(t, db)
}

// scriptOracle returns what a store must show, in every way, that has these events of the
// script: the records that came with them too, and the snapshots that were saved between
// two of them.
func scriptOracle(t testing.TB, what string, events []eventstream.Event) *model.Store {
	t.Helper()
	oracle := model.New()
	for len(events) > 0 {
		size := max(1, min(events[0].CommitSize, len(events)))
		commit := model.Append{Tenant: events[0].Tenant}
		for i := range events[:size] {
			e := &events[i]
			if i == 0 || e.Stream != events[i-1].Stream {
				commit.Entries = append(commit.Entries, eventstream.StreamAppend{Stream: e.Stream, Expect: eventstream.Exact(e.Version - 1)})
			}
			entry := &commit.Entries[len(commit.Entries)-1]
			entry.Events = append(entry.Events, asGiven(e))
			if e.Stream == "notes" {
				commit.Records = append(commit.Records, model.Record{Namespace: notes, Key: string(e.ID[:]), Value: []byte(e.Type)})
			}
		}
		answer, err := oracle.Decide(commit, scriptTime)
		if err != nil {
			t.Errorf("%s: the store holds what nobody can have appended: %v", what, err)
			return oracle
		}
		oracle.Acknowledge(commit, answer)
		if events[0].Stream == "notes" {
			version := eventstream.Version(2) + eventstream.Version(events[0].Version) // see sessions
			oracle.SaveSnapshot(eventstream.DefaultTenant, snapshotAt("a-a-1", version, scriptTime), 2)
		}
		events = events[size:]
	}
	oracle.Crash() // nothing syncs a snapshot but what comes after it
	return oracle
}

// asGiven is the event as it was given to the store.
func asGiven(e *eventstream.Event) eventstream.NewEvent {
	given := eventstream.NewEvent{
		ID: e.ID, Type: e.Type, SchemaVersion: e.SchemaVersion, Codec: e.Codec, Data: codec.Encoded(e.Data),
		CorrelationID: e.CorrelationID, CausationID: e.CausationID, UserID: e.UserID, Metadata: e.Metadata,
	}
	if !e.OccurredAt.Equal(e.RecordedAt) {
		given.OccurredAt = e.OccurredAt
	}
	return given
}

// verifyScript opens a store in which the script was interrupted, and checks that
// it holds whole commits from the first on, byte by byte, at least up to acked. Then
// it plays the script again, which must bring about the rest, once.
func verifyScript(t testing.TB, what, dir string, opts *eventstream.Options, reference []eventstream.Event, acked eventstream.Position) {
	t.Helper()
	db, err := eventstream.Open(dir, opts)
	if err != nil {
		t.Errorf("%s: open again: %v", what, err)
		return
	}
	got := scriptEvents(t, db)
	switch n := eventstream.Position(len(got)); {
	case n < acked:
		t.Errorf("%s: %d events, but %d were acknowledged", what, n, acked)
	case n > eventstream.Position(len(reference)):
		t.Errorf("%s: %d events, more than were appended", what, n)
	default:
		compareEvents(t, what, got, reference[:n])
		if n > 0 && got[n-1].CommitIndex != got[n-1].CommitSize-1 {
			t.Errorf("%s: the last commit is there in part", what)
		}
	}
	if report := model.Verify(ctx, db, scriptOracle(t, what, got)); !report.OK() {
		t.Errorf("%s: %v", what, report)
	}
	if err := db.Close(); err != nil {
		t.Errorf("%s: close: %v", what, err)
	}
	again := script{
		open:  func() (*eventstream.DB, error) { return eventstream.Open(dir, opts) },
		acked: func(eventstream.Position) {},
	}
	if err := again.run(); err != nil {
		t.Errorf("%s: the script once more: %v", what, err)
		return
	}
	if db, err = eventstream.Open(dir, opts); err != nil {
		t.Errorf("%s: open after the script: %v", what, err)
		return
	}
	compareEvents(t, what+", the script once more", scriptEvents(t, db), reference)
	if err := db.Close(); err != nil {
		t.Errorf("%s: close: %v", what, err)
	}
}

func compareEvents(t testing.TB, what string, got, want []eventstream.Event) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: got %d events, want %d", what, len(got), len(want))
		return
	}
	for i := range got {
		if g, w := describe(&got[i]), describe(&want[i]); g != w {
			t.Errorf("%s: event %d differs:\n got %s\nwant %s", what, i, g, w)
		}
	}
}

// describe tells all of an event, its payload by its hash.
func describe(e *eventstream.Event) string {
	c := *e
	c.Data = nil
	return fmt.Sprintf("%+v, %d bytes of payload %x", c, len(e.Data), sha256.Sum256(e.Data))
}
