package eventstream_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/keys"
)

// TestMain runs the tests, or the part of one that must not run in this process
// since the store may end it. See child_test.go.
func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		os.Exit(runChild(role))
	}
	goleak.VerifyTestMain(m)
}

var ctx = context.Background()

// event returns an event of the given type with a small payload.
func event(eventType string) eventstream.NewEvent {
	return eventstream.NewEvent{Type: eventType, Data: map[string]any{"amount": 100}}
}

// withID returns an event that brings its id.
func withID(id eventstream.EventID, eventType string) eventstream.NewEvent {
	e := event(eventType)
	e.ID = id
	return e
}

// id returns the n-th of a row of ids.
func id(n int) eventstream.EventID {
	return eventstream.EventID{0: 1, 14: byte(n >> 8), 15: byte(n)}
}

// appender is what DB and Tenant share for writing.
type appender interface {
	Append(ctx context.Context, stream eventstream.StreamID, expect eventstream.Expected, events ...eventstream.NewEvent) (eventstream.AppendResult, error)
	AppendAll(ctx context.Context, entries []eventstream.StreamAppend) (eventstream.CommitResult, error)
}

func mustAppend(t testing.TB, db appender, stream eventstream.StreamID, expect eventstream.Expected, events ...eventstream.NewEvent) eventstream.AppendResult {
	t.Helper()
	res, err := db.Append(ctx, stream, expect, events...)
	if err != nil {
		t.Fatalf("append to %q: %v", stream, err)
	}
	return res
}

func mustAppendAll(t testing.TB, db appender, entries ...eventstream.StreamAppend) eventstream.CommitResult {
	t.Helper()
	res, err := db.AppendAll(ctx, entries)
	if err != nil {
		t.Fatalf("append all: %v", err)
	}
	return res
}

// collect returns what an iterator yields up to its first error.
func collect[T any](seq iter.Seq2[T, error]) (items []T, err error) {
	for item, err := range seq {
		if err != nil {
			return items, err
		}
		items = append(items, item)
	}
	return items, nil
}

func mustCollect[T any](t testing.TB, seq iter.Seq2[T, error]) []T {
	t.Helper()
	items, err := collect(seq)
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return items
}

// places returns "stream@version:position" of each event.
func places(events []eventstream.Event) []string {
	var s []string
	for _, e := range events {
		s = append(s, fmt.Sprintf("%s@%d:%d", e.Stream, e.Version, e.Position))
	}
	return s
}

func wantErr(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want one that matches %v", err, want)
	}
	if !errors.Is(err, eventstream.ErrEventStore) {
		t.Errorf("error %v does not match ErrEventStore", err)
	}
}

func errAs[E error](t testing.TB, err error) E {
	t.Helper()
	e, ok := errors.AsType[E](err)
	if !ok {
		t.Fatalf("got error %v (%T), want a %T", err, err, e)
	}
	return e
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func equalSlices[T comparable](t testing.TB, what string, got, want []T) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: got %d items %v, want %d items %v", what, len(got), got, len(want), want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("%s: item %d: got %v, want %v", what, i, got[i], want[i])
		}
	}
}

// wantEmpty fails unless the store is as it was made.
func wantEmpty(t testing.TB, db interface{ Head() eventstream.Position }) {
	t.Helper()
	equal(t, "head after what must write nothing", db.Head(), keys.Position(0))
}

// newRand returns a source of random numbers that repeats for the same seed.
func newRand(seed int) *rand.Rand { return rand.New(rand.NewPCG(uint64(seed), 0)) }
