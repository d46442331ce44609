package aggregate_test

import (
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/aggregate"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/snapshot"
)

const stream = eventstream.StreamID("finance-account-1000")

func TestAStreamWithoutEventsIsTheInitialState(t *testing.T) {
	t.Parallel()
	r := newAccounts(t, estest.Open(t), nil)
	got := mustLoad(t, r, stream)
	if got.Version != 0 || got.State == nil || got.State.Open || got.Events != 0 || got.Snapshot != 0 || got.Stream != stream {
		t.Errorf("got %+v", got)
	}
}

func TestAStateComesWithItsVersion(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	r := newAccounts(t, db, nil)
	db.Clock.Advance(time.Hour)
	late := db.Clock.Now().Add(-48 * time.Hour)
	mustAppend(t, db, stream, eventstream.NewEvent{Type: "Opened", Data: opened{"Ada"}})
	mustAppend(t, db, stream,
		eventstream.NewEvent{Type: "Posted", Data: posted{100, "a"}},
		eventstream.NewEvent{Type: "Posted", Data: posted{-30, "b"}, OccurredAt: late})
	got := mustLoad(t, r, stream)
	if got.Version != 3 || got.State.Balance != 70 || got.State.Owner != "Ada" || got.Events != 3 {
		t.Errorf("got %+v", got)
	}
	if now := db.Clock.Now(); !got.OccurredUntil.Equal(now) || !got.RecordedUntil.Equal(now) {
		t.Errorf("got times %v and %v, want the greatest, %v", got.OccurredUntil, got.RecordedUntil, now)
	}
	if _, err := db.Append(ctx, stream, eventstream.Exact(got.Version), eventstream.NewEvent{Type: "Closed", Data: closed{}}); err != nil {
		t.Error(err)
	}
}

// Two callers that load the same aggregate have two states.
func TestAStateIsTheCallersOwn(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	r := newAccounts(t, db, &aggregate.Options{Policy: snapshot.EveryN(2)})
	mustPost(t, r, stream, 5)
	mustWait(t, r)
	want := replayed(t, db, stream)
	for range 2 {
		got := mustLoad(t, r, stream)
		sameState(t, "state", got, want)
		got.State.Balance, got.State.ByText["text 1"], got.State.Last[0] = 999, 999, "changed"
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	events := accountEvents(t)
	type hidden struct{ balance int64 }
	type untyped struct{ Extra any }
	_ = hidden{balance: 1}.balance
	counter := aggregate.Decider[int64, int64]{Evolve: func(n int64, _ aggregate.Event) int64 { return n + 1 }}
	for _, tt := range []struct {
		name string
		make func() error
		want string // "" is accepted
	}{
		{"all is there", func() error { return makeOf(db, events, counter, nil) }, ""},
		{"no store", func() error { return makeOf(nil, events, counter, nil) }, "db: it is nil"},
		{"no registry", func() error { return makeOf(db, nil, counter, nil) }, "events: it is nil"},
		{"no Evolve", func() error { return makeOf(db, events, aggregate.Decider[int64, int64]{}, nil) }, "Decider.Evolve"},
		{"a pointer without Initial", func() error {
			return makeOf(db, events, aggregate.Decider[*account, int]{Evolve: func(a *account, _ aggregate.Event) *account { return a }}, nil)
		}, "Decider.Initial: it is required, since a zero *aggregate_test.account is nil"},
		{"a negative number kept", func() error { return makeOf(db, events, counter, &aggregate.Options{Keep: -1}) }, "Options.Keep"},
		{"an unknown codec", func() error { return makeOf(db, events, counter, &aggregate.Options{StateCodec: 9}) }, "Options.StateCodec"},
		{"an unknown algorithm", func() error { return makeOf(db, events, counter, &aggregate.Options{Algorithm: 9}) }, "Options.Algorithm"},
		{"a state in raw", func() error { return makeOf(db, events, counter, &aggregate.Options{StateCodec: codec.Raw}) }, "bytes and texts alone"},
		{"a state with a hidden field", func() error { return makeOf(db, events, deciderOf[hidden](), nil) }, "balance: it is not exported"},
		{"a state with an interface", func() error { return makeOf(db, events, deciderOf[untyped](), nil) }, "Extra: interface {} is an interface"},
		{"one without snapshots", func() error {
			return makeOf(db, events, deciderOf[hidden](), &aggregate.Options{NoSnapshots: true})
		}, ""},
	} {
		err := tt.make()
		if tt.want == "" {
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			continue
		}
		if !errors.Is(err, eventstream.ErrInvalidArgument) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an *ArgumentError with %q", tt.name, err, tt.want)
		}
	}
}

func makeOf[S, C any](db *estest.DB, events *codec.Registry, d aggregate.Decider[S, C], opts *aggregate.Options) error {
	if db == nil {
		_, err := aggregate.New(nil, events, d, opts)
		return err
	}
	_, err := aggregate.New(db.DB, events, d, opts)
	return err
}

func deciderOf[S any]() aggregate.Decider[S, int] {
	return aggregate.Decider[S, int]{Evolve: func(s S, _ aggregate.Event) S { return s }}
}

// FUN-7209: after 100 events, not after 99; then after 200.
func TestSnapshotsAreTakenByPolicy(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	r := newAccounts(t, db, nil)
	for n, want := range map[int]string{99: "", 100: " 100", 101: " 100", 199: " 100", 200: " 200 100"} {
		s := eventstream.StreamID(fmt.Sprintf("finance-account-%d", n))
		for range n {
			if _, err := r.Execute(ctx, s, post(1, "x")); err != nil {
				t.Fatal(err)
			}
			mustWait(t, r)
		}
		if got := snapshotVersions(t, db, s); got != want {
			t.Errorf("after %d events: snapshots%s, want%s", n, got, want)
		}
	}
}

func TestALoadRestsOnTheNewestSnapshot(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	r := newAccounts(t, db, &aggregate.Options{Policy: snapshot.EveryN(10), Keep: 3})
	mustPost(t, r, stream, 47)
	mustWait(t, r)
	got := mustLoad(t, r, stream)
	if got.Snapshot == 0 || got.Version != 47 || got.Events != int(47-got.Snapshot) {
		t.Errorf("got version %d, snapshot %d, %d events", got.Version, got.Snapshot, got.Events)
	}
	sameState(t, "state", got, replayed(t, db, stream))
	if s := snapshotVersions(t, db, stream); strings.Count(s, " ") > 3 {
		t.Errorf("snapshots%s, want at most 3", s)
	}
}

// A store that was filled without a repository gets its snapshots when it is first read.
func TestALoadAsksForASnapshotToo(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	for range 120 {
		mustAppend(t, db, stream, eventstream.NewEvent{Type: "Posted", Data: posted{1, "x"}})
	}
	r := newAccounts(t, db, nil)
	mustLoad(t, r, stream)
	mustWait(t, r)
	if got := snapshotVersions(t, db, stream); got != " 120" {
		t.Errorf("snapshots%s, want 120", got)
	}
	if got := mustLoad(t, r, stream); got.Events != 0 || got.Snapshot != 120 {
		t.Errorf("got %+v", got)
	}
}

// Each policy decides by what there is since the newest snapshot.
func TestPoliciesSeeTheSituation(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		policy snapshot.Policy
		want   string
	}{
		{"bytes", snapshot.ByBytes(100), " 7"}, // six of 18, and one of 1
		{"types", snapshot.AfterTypes("Closed"), " 6"},
		{"age", snapshot.All(snapshot.ByAge(4*time.Hour), snapshot.EveryN(2)), " 10 6 2"},
		{"never", snapshot.Never(), ""},
	} {
		db := estest.Open(t)
		r := newAccounts(t, db, &aggregate.Options{Policy: tt.policy})
		for n := 1; n <= 10; n++ {
			db.Clock.Advance(time.Hour)
			command := post(int64(n), "0123")
			if n == 6 {
				command = func(*account) ([]any, error) { return []any{closed{}}, nil }
			}
			if _, err := r.Execute(ctx, stream, command); err != nil {
				t.Fatal(err)
			}
			mustWait(t, r)
		}
		if got := snapshotVersions(t, db, stream); got != tt.want {
			t.Errorf("%s: snapshots%s, want%s", tt.name, got, tt.want)
		}
	}
}

func TestASnapshotIsTakenByHand(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	r := newAccounts(t, db, nil)
	if version, err := r.Snapshot(ctx, stream); version != 0 || err != nil {
		t.Errorf("without events: got %d, %v", version, err)
	}
	mustPost(t, r, stream, 3)
	for range 2 { // the second time there is nothing to do
		if version, err := r.Snapshot(ctx, stream); version != 3 || err != nil {
			t.Errorf("got %d, %v", version, err)
		}
	}
	if got := r.Stats().SnapshotsTaken; got != 1 {
		t.Errorf("%d snapshots were taken, want 1", got)
	}
	none := newAccounts(t, db, &aggregate.Options{NoSnapshots: true})
	if _, err := none.Snapshot(ctx, stream); !errors.Is(err, eventstream.ErrInvalidArgument) {
		t.Errorf("got %v, want ErrInvalidArgument", err)
	}
}

func TestSnapshotsAreStoredAsTheOptionsSay(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	for i, opts := range []aggregate.Options{
		{},
		{StateCodec: codec.JSON, Algorithm: snapshot.SHA256, Uncompressed: true},
	} {
		s := eventstream.StreamID(fmt.Sprintf("finance-account-%d", i))
		r := newAccounts(t, db, &opts)
		mustPost(t, r, s, 50)
		if _, err := r.Snapshot(ctx, s); err != nil {
			t.Fatal(err)
		}
		for found, err := range db.Snapshots(ctx, s) {
			if err != nil || found.Err != nil {
				t.Fatal(err, found.Err)
			}
			got := fmt.Sprint(found.Snapshot.Codec, found.Snapshot.Algorithm, found.Snapshot.Compression)
			if want := []string{"msgpack xxhash64 zstd", "json sha256 none"}[i]; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
		sameState(t, "state", mustLoad(t, r, s), replayed(t, db, s))
		if got := mustLoad(t, r, s); got.Events != 0 {
			t.Errorf("%d events were read: the snapshot was not used", got.Events)
		}
	}
}

// A state of another type, or of another version of it, is not what a load wants: it
// reads the events, and the next snapshot is of the new one.
func TestSnapshotsOfAnotherStateAreDiscarded(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	r := newAccounts(t, db, nil)
	mustPost(t, r, stream, 30)
	if _, err := r.Snapshot(ctx, stream); err != nil {
		t.Fatal(err)
	}
	type balance struct{ Sum int64 }
	other, err := aggregate.New(db.DB, accountEvents(t), aggregate.Decider[balance, int]{Evolve: func(b balance, e aggregate.Event) balance {
		return balance{b.Sum + e.Value.(posted).Cents}
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if got := mustLoad(t, other, stream); got.State.Sum != 30*31/2 || got.Snapshot != 0 || got.Events != 30 {
		t.Errorf("got %+v", got)
	}
	if got := other.Stats(); got.SnapshotsDiscarded != 1 || got.Replays != 1 {
		t.Errorf("got %+v", got)
	}
	newer := newAccounts(t, db, &aggregate.Options{StateVersion: 2})
	if got := mustLoad(t, newer, stream); got.Snapshot != 0 || got.State.Postings != 30 {
		t.Errorf("another version: got %+v", got)
	}
	mustPost(t, r, stream, 1)
	if _, err := newer.Snapshot(ctx, stream); err != nil {
		t.Fatal(err)
	}
	// The program of the old version passes over the new one, to its own.
	if got := mustLoad(t, r, stream); got.Snapshot != 30 || got.Events != 1 {
		t.Errorf("the old version: got snapshot %d, %d events", got.Snapshot, got.Events)
	}
}

// An event that cannot be taken is named, and nothing is skipped.
func TestAnEventThatCannotBeTakenIsNamed(t *testing.T) {
	t.Parallel()
	type other struct{ A int }
	for _, tt := range []struct {
		name  string
		event eventstream.NewEvent
		as    any
		want  string
	}{
		{"of an unknown type", eventstream.NewEvent{Type: "Moved"}, new(*codec.UnknownTypeError), `event type "Moved" is not registered`},
		{"of a newer version", eventstream.NewEvent{Type: "Posted", SchemaVersion: 2, Data: posted{}}, new(*codec.NewerSchemaError), "versions up to 1 are known"},
		{"with another payload", eventstream.NewEvent{Type: "Posted", Data: "text"}, new(*codec.Error), "decode msgpack payload"},
	} {
		db := estest.Open(t)
		r := newAccounts(t, db, nil)
		mustAppend(t, db, stream, eventstream.NewEvent{Type: "Opened", Data: opened{"Ada"}})
		bad := mustAppend(t, db, stream, tt.event)
		mustAppend(t, db, stream, eventstream.NewEvent{Type: "Closed", Data: closed{}})
		_, err := r.Load(ctx, stream)
		fault := errAs[*aggregate.FoldError](t, err)
		if fault.Version != 2 || fault.Stream != stream || fault.EventID != bad.EventIDs[0] || fault.Position != 2 || fault.Type != tt.event.Type {
			t.Errorf("%s: got %+v", tt.name, fault)
		}
		if !errors.As(err, tt.as) || !strings.Contains(err.Error(), tt.want) || !errors.Is(err, eventstream.ErrEventStore) {
			t.Errorf("%s: got %v, want a %T with %q", tt.name, err, tt.as, tt.want)
		}
		if _, err := r.Execute(ctx, stream, post(1, "x")); !errors.As(err, tt.as) {
			t.Errorf("%s: a command: got %v", tt.name, err)
		}
		if got := db.Head(); got != 3 {
			t.Errorf("%s: head %d, want 3: the command went through", tt.name, got)
		}
	}
	db := estest.Open(t)
	mustAppend(t, db, stream, eventstream.NewEvent{Type: "Opened", Data: opened{"Ada"}})
	r, err := aggregate.New(db.DB, accountEvents(t), aggregate.Decider[other, int]{Evolve: func(other, aggregate.Event) other { panic("oh") }}, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Load(ctx, stream)
	if fault := errAs[*aggregate.FoldError](t, err); fault.Version != 1 || !strings.Contains(err.Error(), "panic: oh") {
		t.Errorf("a panic: got %v", err)
	}
}

// The registry's steps apply to what aggregates read: a stream of mixed versions comes to
// one state. An event that is split counts once, one that is dropped too.
func TestAStreamOfMixedVersionsComesToOneState(t *testing.T) {
	t.Parallel()
	type v1 struct {
		Euros int64 `msgpack:"euros" json:"euros"`
	}
	type v2 struct {
		Cents int64 `msgpack:"cents" json:"cents"`
	}
	events, err := codec.NewRegistry(
		codec.Type[opened]("Opened", 1), codec.Type[closed]("Closed", 1), codec.Type[posted]("Posted", 3),
		codec.Upcast("Posted", 1, 2, func(old v1) (v2, error) { return v2{100 * old.Euros}, nil }),
		codec.Upcast("Posted", 2, 3, func(old v2) (posted, error) { return posted{old.Cents, "old"}, nil }),
		codec.Rename("Booked", 1, codec.Target{Type: "Posted", Schema: 1}),
		codec.Drop("Printed", 1),
		codec.Split("OpenedWith", 1, []codec.Target{{Type: "Opened", Schema: 1}, {Type: "Posted", Schema: 2}}, func(p codec.Payload) ([]codec.Payload, error) {
			return []codec.Payload{
				{Type: "Opened", Schema: 1, Data: p.Data},
				{Type: "Posted", Schema: 2, Codec: codec.JSON, Data: []byte(`{"cents":5}`)},
			}, nil
		}),
	)
	if err != nil {
		t.Fatal(err)
	}
	n := 10_000
	if testing.Short() {
		n = 2_000
	}
	db := estest.Open(t, estest.Options(unsynced))
	mustAppend(t, db, stream, eventstream.NewEvent{Type: "OpenedWith", Data: opened{"Ada"}})
	var batch []eventstream.NewEvent
	want := account{Owner: "Ada", Open: true, Balance: 5, Postings: 1}
	for i := range n - 1 {
		e := eventstream.NewEvent{Codec: []codec.ID{codec.Msgpack, codec.JSON}[i%2]}
		switch i % 5 {
		case 0:
			e.Type, e.Data = "Posted", v1{2}
			want.Balance += 200
		case 1:
			e.Type, e.SchemaVersion, e.Data = "Posted", 2, v2{3}
			want.Balance += 3
		case 2:
			e.Type, e.SchemaVersion, e.Data = "Posted", 3, posted{4, "new"}
			want.Balance += 4
		case 3:
			e.Type, e.Data = "Booked", v1{1}
			want.Balance += 100
		case 4:
			e.Type = "Printed"
			want.Postings--
		}
		want.Postings++
		if batch = append(batch, e); len(batch) == 1000 || i == n-2 {
			mustAppend(t, db, stream, batch...)
			batch = batch[:0]
		}
	}
	r, err := aggregate.New(db.DB, events, aggregate.Struct[account](), &aggregate.Options{Policy: snapshot.EveryN(500)})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	first := mustLoad(t, r, stream)
	mustWait(t, r)
	second := mustLoad(t, r, stream)
	for _, got := range []aggregate.Loaded[*account]{first, second} {
		s := got.State
		if got.Version != eventstream.Version(n) || s.Owner != "Ada" || !s.Open || s.Balance != want.Balance || s.Postings != want.Postings {
			t.Errorf("got version %d, %+v, want %d, %+v", got.Version, *s, n, want)
		}
	}
	if first.Events != n || second.Events != 0 {
		t.Errorf("read %d and %d events, want %d and 0", first.Events, second.Events, n)
	}
	sameState(t, "with a snapshot", second, first)
}

func TestARepositoryWorksOnItsTenant(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	var log strings.Builder
	r := newAccounts(t, db, &aggregate.Options{Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})), Tenant: "acme"})
	mustPost(t, r, stream, 100)
	mustWait(t, r)
	if got := snapshotVersions(t, db, stream); got != "" {
		t.Errorf("the tenant default has snapshots%s", got)
	}
	for s, err := range db.Tenant("acme").Snapshots(ctx, stream) {
		if err != nil || s.Err != nil || s.Version != 100 {
			t.Errorf("got %+v, %v", s, err)
		}
		if want := codec.FingerprintOf(reflect.TypeFor[*account](), codec.Msgpack, 1); s.Snapshot.Fingerprint != want {
			t.Errorf("fingerprint %s, want %s", s.Snapshot.Fingerprint, want)
		}
	}
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "stream="+string(stream)+" version=100") {
		t.Errorf("logged %s, want the one snapshot", got)
	}
}
