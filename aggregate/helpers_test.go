package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/aggregate"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/estest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var ctx = context.Background()

// The events of an account.
type (
	opened struct {
		Owner string `msgpack:"owner" json:"owner"`
	}
	posted struct {
		Cents int64  `msgpack:"cents" json:"cents"`
		Text  string `msgpack:"text" json:"text"`
	}
	closed struct{}
)

// account is a plain struct: it knows nothing of this package.
type account struct {
	Owner    string           `msgpack:"owner" json:"owner"`
	Open     bool             `msgpack:"open" json:"open"`
	Balance  int64            `msgpack:"balance" json:"balance"`
	Postings int              `msgpack:"postings" json:"postings"`
	ByText   map[string]int64 `msgpack:"by_text" json:"by_text"`
	Last     []string         `msgpack:"last" json:"last"` // the last three texts: their order matters
}

func (a *account) Apply(event any) {
	switch e := event.(type) {
	case opened:
		a.Owner, a.Open = e.Owner, true
	case posted:
		a.Balance += e.Cents
		a.Postings++
		if a.ByText == nil {
			a.ByText = make(map[string]int64)
		}
		a.ByText[e.Text] += e.Cents
		if a.Last = append(a.Last, e.Text); len(a.Last) > 3 {
			a.Last = a.Last[1:]
		}
	case closed:
		a.Open = false
	}
}

var errOverdrawn = errors.New("overdrawn")

// withdraw is a command.
func (a *account) withdraw(cents int64) ([]any, error) {
	if a.Balance < cents {
		return nil, fmt.Errorf("%w: %d of %d", errOverdrawn, cents, a.Balance)
	}
	return []any{posted{-cents, "withdrawal"}}, nil
}

func post(cents int64, text string) aggregate.Command[account] {
	return func(*account) ([]any, error) { return []any{posted{cents, text}}, nil }
}

func withdraw(cents int64) aggregate.Command[account] {
	return func(a *account) ([]any, error) { return a.withdraw(cents) }
}

func accountEvents(t testing.TB) *codec.Registry {
	t.Helper()
	r, err := codec.NewRegistry(
		codec.Type[opened]("Opened", 1), codec.Type[posted]("Posted", 1), codec.Type[closed]("Closed", 1),
	)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

type accounts = aggregate.Repository[*account, aggregate.Command[account]]

// newAccounts returns a repository that is closed with the test, before the store is.
func newAccounts(t testing.TB, db *estest.DB, opts *aggregate.Options) *accounts {
	t.Helper()
	r, err := aggregate.New(db.DB, accountEvents(t), aggregate.Struct[account](), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// faults are what a repository reports.
type faults struct {
	mu  sync.Mutex
	all []error
}

func (f *faults) add(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, err)
}

// take returns what was reported since it was last asked.
func (f *faults) take() []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.all
	f.all = nil
	return all
}

func mustPost(t testing.TB, r *accounts, stream eventstream.StreamID, n int) {
	t.Helper()
	for i := range n {
		if _, err := r.Execute(ctx, stream, post(int64(i+1), fmt.Sprintf("text %d", i%7))); err != nil {
			t.Fatal(err)
		}
	}
}

func mustLoad[S, C any](t testing.TB, r *aggregate.Repository[S, C], stream eventstream.StreamID) aggregate.Loaded[S] {
	t.Helper()
	loaded, err := r.Load(ctx, stream)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

func mustWait(t testing.TB, r interface{ Wait(context.Context) error }) {
	t.Helper()
	if err := r.Wait(ctx); err != nil {
		t.Fatal(err)
	}
}

// replayed returns what the events alone come to.
func replayed(t testing.TB, db *estest.DB, stream eventstream.StreamID) aggregate.Loaded[*account] {
	t.Helper()
	return mustLoad(t, newAccounts(t, db, &aggregate.Options{NoSnapshots: true}), stream)
}

// sameState compares two states with their versions and times, however they were loaded.
func sameState[S any](t testing.TB, what string, got, want aggregate.Loaded[S]) {
	t.Helper()
	got.Snapshot, got.Events = want.Snapshot, want.Events
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s differs (-want +got):\n%s", what, diff)
	}
}

// snapshotVersions lists the versions of a stream's snapshots, damaged ones with a mark.
func snapshotVersions(t testing.TB, db *estest.DB, stream eventstream.StreamID) string {
	t.Helper()
	text := ""
	for s, err := range db.Snapshots(ctx, stream) {
		if err != nil {
			t.Fatal(err)
		}
		if text += " " + s.Version.String(); s.Err != nil {
			text += "!"
		}
	}
	return text
}

func mustAppend(t testing.TB, db *estest.DB, stream eventstream.StreamID, events ...eventstream.NewEvent) eventstream.AppendResult {
	t.Helper()
	res, err := db.Append(ctx, stream, eventstream.Any, events...)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func errAs[E error](t testing.TB, err error) E {
	t.Helper()
	e, ok := errors.AsType[E](err)
	if !ok {
		t.Fatalf("got error %v (%T), want a %T", err, err, e)
	}
	return e
}
