package eventstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/snapshot"
)

// day returns the n-th day of 2026 as an event's time.
func day(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }

// snapshotAt is a state of stream at version, the events of which happened up to occurred.
func snapshotAt(stream eventstream.StreamID, version eventstream.Version, occurred time.Time) snapshot.Snapshot {
	return snapshot.Snapshot{
		Stream: stream, Version: version, Fingerprint: 5, Codec: codec.JSON,
		State: fmt.Appendf(nil, `{"version":%d}`, version), OccurredUntil: occurred, Algorithm: snapshot.XXHash64,
	}
}

type snapshotSaver interface {
	SaveSnapshot(ctx context.Context, s snapshot.Snapshot, keep int) error
}

func mustSave(t testing.TB, db snapshotSaver, s snapshot.Snapshot, keep int) {
	t.Helper()
	if err := db.SaveSnapshot(ctx, s, keep); err != nil {
		t.Fatal(err)
	}
}

// ledger has a stream of ten events: the n-th occurred on day n, but for the fifth, which
// is back-dated by a week, and was recorded n hours after the first day of the year.
func ledger(t testing.TB) *estest.DB {
	t.Helper()
	db := estest.Open(t)
	for n := 1; n <= 10; n++ {
		db.Clock.Advance(time.Hour)
		e := event("Posted")
		e.OccurredAt = day(10 + n)
		if n == 5 {
			e.OccurredAt = day(8)
		}
		mustAppend(t, db, "a-b-1", eventstream.Exact(eventstream.Version(n-1)), e)
	}
	return db
}

// found returns "version" or "version!" of each, damaged ones with the mark.
func found(t testing.TB, db interface {
	Snapshots(context.Context, eventstream.StreamID, ...eventstream.ReadOption) iter.Seq2[eventstream.StoredSnapshot, error]
}, stream eventstream.StreamID, opts ...eventstream.ReadOption,
) string {
	t.Helper()
	var all []string
	for s, err := range db.Snapshots(ctx, stream, opts...) {
		if err != nil {
			t.Fatal(err)
		}
		text := s.Version.String()
		if s.Err != nil {
			wantErr(t, s.Err, eventstream.ErrSnapshotCorrupt)
			text += "!"
		} else if want := fmt.Sprintf(`{"version":%d}`, s.Version); string(s.Snapshot.State) != want {
			t.Errorf("state at version %d: got %s, want %s", s.Version, s.Snapshot.State, want)
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

func TestSnapshotsAreFoundNewestFirst(t *testing.T) {
	t.Parallel()
	db := ledger(t)
	recorded := db.Clock.Now().Add(-10 * time.Hour)
	for _, v := range []int{3, 6, 9} {
		mustSave(t, db, snapshotAt("a-b-1", eventstream.Version(v), day(10+v)), 10)
	}
	for _, tt := range []struct {
		name string
		opts []eventstream.ReadOption
		want string
	}{
		{"all", nil, "9 6 3"},
		{"up to a version, inclusive", []eventstream.ReadOption{eventstream.To(6)}, "6 3"},
		{"up to a version between two", []eventstream.ReadOption{eventstream.To(8)}, "6 3"},
		{"below the first", []eventstream.ReadOption{eventstream.To(2)}, ""},
		{"up to version 0", []eventstream.ReadOption{eventstream.To(0)}, ""},
		{"up to a time, inclusive", []eventstream.ReadOption{eventstream.OccurredUntil(day(16))}, "6 3"},
		{"just before it", []eventstream.ReadOption{eventstream.OccurredUntil(day(16).Add(-1))}, "3"},
		{"as known at a time, inclusive", []eventstream.ReadOption{eventstream.RecordedUntil(recorded.Add(6 * time.Hour))}, "6 3"},
		{"as known just before", []eventstream.ReadOption{eventstream.RecordedUntil(recorded.Add(6*time.Hour - 1))}, "3"},
		{"both times and a version", []eventstream.ReadOption{eventstream.OccurredUntil(day(16)), eventstream.RecordedUntil(recorded.Add(3 * time.Hour)), eventstream.To(9)}, "3"},
	} {
		if got := found(t, db, "a-b-1", tt.opts...); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
	equal(t, "another stream", found(t, db, "a-b-10"), "")
	equal(t, "a stream that the name begins", found(t, db, "a-b-"), "")
	equal(t, "another tenant", found(t, db.Tenant("acme"), "a-b-1"), "")

	for _, opt := range []eventstream.ReadOption{eventstream.Backward(), eventstream.Limit(1), eventstream.From(1), eventstream.OccurredSince(day(1))} {
		_, err := collect(db.Snapshots(ctx, "a-b-1", opt))
		wantErr(t, err, eventstream.ErrInvalidArgument)
	}
	_, err := collect(db.Snapshots(ctx, ""))
	wantErr(t, err, eventstream.ErrInvalidArgument)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := collect(db.Snapshots(cancelled, "a-b-1")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestASnapshotIsFilledIn(t *testing.T) {
	t.Parallel()
	db := ledger(t)
	db.Clock.Advance(time.Minute)
	s := snapshotAt("a-b-1", 4, day(14).In(time.FixedZone("east", 3600)))
	s.Algorithm, s.Compression, s.State = snapshot.SHA256, snapshot.Zstd, fmt.Appendf(nil, "%q", strings.Repeat(" ", 1000))
	mustSave(t, db, s, 1)
	all := mustCollect(t, db.Snapshots(ctx, "a-b-1"))
	got := all[0].Snapshot
	s.OccurredUntil = day(14)
	s.RecordedUntil = db.Clock.Now().Add(-6*time.Hour - time.Minute)
	s.TakenAt = db.Clock.Now()
	s.Position, s.Anchor = 4, got.Anchor
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", s) {
		t.Errorf("got %+v\nwant %+v", got, s)
	}
	if n := all[0].Bytes; n < 88 || n > 200 {
		t.Errorf("%d bytes, want the record's, packed", n)
	}
	stats, err := db.Stats()
	if err != nil || stats.Snapshots != 1 || stats.SnapshotsDamaged != 0 {
		t.Errorf("got %d snapshots, %d damaged, %v", stats.Snapshots, stats.SnapshotsDamaged, err)
	}
}

func TestSaveSnapshotRefuses(t *testing.T) {
	t.Parallel()
	db := ledger(t)
	for _, tt := range []struct {
		name   string
		change func(*snapshot.Snapshot)
		keep   int
		want   string
	}{
		{"a version beyond the head", func(s *snapshot.Snapshot) { s.Version = 11 }, 1, "no readable event at version 11"},
		{"version 0", func(s *snapshot.Snapshot) { s.Version = 0 }, 1, "no readable event at version 0"},
		{"a stream that does not exist", func(s *snapshot.Snapshot) { s.Stream = "a-b-2" }, 1, "no readable event"},
		{"no stream", func(s *snapshot.Snapshot) { s.Stream = "" }, 1, "stream"},
		{"a time before the event's", func(s *snapshot.Snapshot) { s.OccurredUntil = day(14).Add(-1) }, 1, "give the greatest of all"},
		{"no time", func(s *snapshot.Snapshot) { s.OccurredUntil = time.Time{} }, 1, "give the greatest of all"},
		{"a time after all", func(s *snapshot.Snapshot) { s.OccurredUntil = time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC) }, 1, "lies after"},
		{"no algorithm", func(s *snapshot.Snapshot) { s.Algorithm = 0 }, 1, "unknown algorithm"},
		{"no codec", func(s *snapshot.Snapshot) { s.Codec = 0 }, 1, "unknown codec"},
		{"a state beyond the limit", func(s *snapshot.Snapshot) { s.State = make([]byte, snapshot.MaxStateBytes+1) }, 1, "at most 16777216"},
		{"nothing kept", func(*snapshot.Snapshot) {}, 0, "less than 1"},
	} {
		s := snapshotAt("a-b-1", 4, day(14))
		tt.change(&s)
		err := db.SaveSnapshot(ctx, s, tt.keep)
		if !errors.Is(err, eventstream.ErrInvalidArgument) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
		equal(t, tt.name+": snapshots", found(t, db, "a-b-1"), "")
	}
	s := snapshotAt("a-b-1", 4, day(14))
	wantErr(t, db.Tenant("nobody").SaveSnapshot(ctx, s, 1), eventstream.ErrInvalidArgument)
	wantErr(t, db.Tenant("").SaveSnapshot(ctx, s, 1), eventstream.ErrInvalidArgument)
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if err := db.SaveSnapshot(cancelled, s, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	equal(t, "snapshots", found(t, db, "a-b-1"), "")
	mustClose(t, db.DB)
	wantErr(t, db.SaveSnapshot(ctx, s, 1), eventstream.ErrClosed)
}

func TestAReadOnlyStoreShowsSnapshotsAndTakesNone(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	db := openSpecimen(t, mem)
	mustAppend(t, db, "a-b-1", eventstream.NoStream, event("A"))
	s := snapshotAt("a-b-1", 1, time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC))
	mustSave(t, db, s, 1)
	mustClose(t, db)
	opts := specimenOptions(mem)
	opts.ReadOnly = true
	db, err := eventstream.Open("store", opts)
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, db)
	equal(t, "snapshots", found(t, db, "a-b-1"), "1")
	wantErr(t, db.SaveSnapshot(ctx, s, 1), eventstream.ErrReadOnly)
	wantErr(t, db.DeleteSnapshot(ctx, "a-b-1", 1), eventstream.ErrReadOnly)
	_, err = db.PruneSnapshots(ctx, "a-b-1", 5) // even if there is nothing to be pruned
	wantErr(t, err, eventstream.ErrReadOnly)
}

func TestTheNewestSnapshotsAreKept(t *testing.T) {
	t.Parallel()
	db := ledger(t)
	save := func(version, keep int) {
		mustSave(t, db, snapshotAt("a-b-1", eventstream.Version(version), day(20)), keep)
	}
	for v := 1; v <= 5; v++ {
		save(v, 3)
	}
	equal(t, "of five, three are kept", found(t, db, "a-b-1"), "5 4 3")
	save(4, 3)
	equal(t, "one is replaced", found(t, db, "a-b-1"), "5 4 3")
	save(9, 3)
	equal(t, "one more", found(t, db, "a-b-1"), "9 5 4")
	save(7, 3)
	equal(t, "one that comes late", found(t, db, "a-b-1"), "9 7 5")
	save(2, 3)
	equal(t, "one that comes too late", found(t, db, "a-b-1"), "9 7 5")
	save(6, 10)
	equal(t, "more are kept", found(t, db, "a-b-1"), "9 7 6 5")
	save(1, 1)
	equal(t, "one is kept, the newest", found(t, db, "a-b-1"), "9")
}

func TestSnapshotsAreDeletedButForTheNewest(t *testing.T) {
	t.Parallel()
	db := ledger(t)
	for _, v := range []eventstream.Version{2, 4, 6} {
		mustSave(t, db, snapshotAt("a-b-1", v, day(20)), 10)
	}
	if err := db.DeleteSnapshot(ctx, "a-b-1", 4); err != nil {
		t.Fatal(err)
	}
	equal(t, "left", found(t, db, "a-b-1"), "6 2")
	wantErr(t, db.DeleteSnapshot(ctx, "a-b-1", 4), eventstream.ErrSnapshotNotFound)
	wantErr(t, db.DeleteSnapshot(ctx, "a-b-2", 4), eventstream.ErrSnapshotNotFound)
	wantErr(t, db.DeleteSnapshot(ctx, "", 4), eventstream.ErrInvalidArgument)
	err := db.DeleteSnapshot(ctx, "a-b-1", 6)
	wantErr(t, err, eventstream.ErrInvalidArgument)
	if !strings.Contains(err.Error(), "newest") {
		t.Errorf("got %v", err)
	}
	equal(t, "left", found(t, db, "a-b-1"), "6 2")
}

func TestPruningKeepsWhatIsSound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		damaged []eventstream.Version
		keep    int
		left    string
		deleted int
	}{
		{"all are sound", nil, 2, "8 6", 2},
		{"all are kept", nil, 10, "8 6 4 2", 0},
		{"the newest is damaged", []eventstream.Version{8}, 1, "6", 3},
		{"one in the middle is damaged", []eventstream.Version{6}, 2, "8 4", 2},
		{"the oldest alone is sound", []eventstream.Version{8, 6, 4}, 1, "2", 3},
		{"none is sound", []eventstream.Version{8, 6, 4, 2}, 3, "8!", 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db := ledger(t)
			for _, v := range []eventstream.Version{2, 4, 6, 8} {
				mustSave(t, db, snapshotAt("a-b-1", v, day(20)), 10)
			}
			for _, v := range tt.damaged {
				damageSnapshot(t, db.DB, v)
			}
			deleted, err := db.PruneSnapshots(ctx, "a-b-1", tt.keep)
			if err != nil || deleted != tt.deleted {
				t.Errorf("deleted %d, %v, want %d", deleted, err, tt.deleted)
			}
			equal(t, "left", found(t, db, "a-b-1"), tt.left)
			_, err = db.PruneSnapshots(ctx, "a-b-1", 0)
			wantErr(t, err, eventstream.ErrInvalidArgument)
			mendSnapshots(t, db.DB)
		})
	}
}

// damageSnapshot flips a bit of a snapshot of a-b-1.
func damageSnapshot(t testing.TB, db *eventstream.DB, version eventstream.Version) {
	t.Helper()
	record := eventstream.SnapshotRecordOf(db, "a-b-1", version)
	record[len(record)-1] ^= 1
	if err := eventstream.PutSnapshotRecord(db, "a-b-1", version, record); err != nil {
		t.Fatal(err)
	}
}

// mendSnapshots replaces the damaged snapshots of a-b-1: the check at the end of the
// test would find them.
func mendSnapshots(t testing.TB, db *eventstream.DB) {
	t.Helper()
	for s, err := range db.Snapshots(ctx, "a-b-1") {
		if err != nil {
			t.Fatal(err)
		}
		if s.Err != nil {
			mustSave(t, db, snapshotAt("a-b-1", s.Version, day(20)), 100)
		}
	}
}

// E5: what is wrong is told with the sums, and everywhere where the snapshot is met.
func TestADamagedSnapshotIsToldAndPassedOver(t *testing.T) {
	t.Parallel()
	db := ledger(t)
	for _, v := range []eventstream.Version{2, 4, 6} {
		mustSave(t, db, snapshotAt("a-b-1", v, day(20)), 10)
	}
	sound := eventstream.SnapshotRecordOf(db.DB, "a-b-1", 4)
	other := ledger(t) // the same stream with other event ids
	mustAppend(t, other, "a-b-2", eventstream.NoStream, event("A"))
	for _, tt := range []struct {
		name   string
		record []byte
		sums   bool
		want   string
	}{
		{"a bit of the state", flipped(sound, len(sound)-1), true, "xxhash64 does not match"},
		{"a bit of the fingerprint", flipped(sound, 10), true, "xxhash64 does not match"},
		{"the record of another version", eventstream.SnapshotRecordOf(db.DB, "a-b-1", 2), true, "xxhash64 does not match"},
		{"nothing", nil, false, "not a snapshot"},
		{"a later form", append([]byte{2}, sound[1:]...), false, "unknown record version 2"},
		{"a record of another history", anotherHistory(t), false, "not the one in the log"},
	} {
		if err := eventstream.PutSnapshotRecord(db.DB, "a-b-1", 4, tt.record); err != nil {
			t.Fatal(err)
		}
		equal(t, tt.name, found(t, db, "a-b-1"), "6 4! 2")
		for s := range db.Snapshots(ctx, "a-b-1", eventstream.To(4)) {
			e := errAs[*eventstream.SnapshotCorruptError](t, s.Err)
			if e.Stream != "a-b-1" || e.Version != 4 || e.Tenant != eventstream.DefaultTenant || (e.Want != "") != tt.sums || (e.Got != "") != tt.sums || e.Want == e.Got && tt.sums {
				t.Errorf("%s: got %+v", tt.name, e)
			}
			if !strings.Contains(e.Error(), tt.want) || !strings.Contains(e.Error(), "version 4") || !errors.Is(e, eventstream.ErrCorrupt) {
				t.Errorf("%s: got %v, want %q in it", tt.name, e, tt.want)
			}
			break
		}
		report, err := db.Check(ctx)
		if err != nil || len(report.Problems) != 1 {
			t.Fatalf("%s: check: %+v, %v, want one problem", tt.name, report.Problems, err)
		}
		if p := report.Problems[0]; p.Kind != eventstream.ProblemSnapshot || p.Stream != "a-b-1" || p.Version != 4 || p.Tenant != eventstream.DefaultTenant || !strings.Contains(p.Detail, tt.want) {
			t.Errorf("%s: check found %+v", tt.name, p)
		}
	}
	stats, err := db.Stats()
	if err != nil || stats.SnapshotsDamaged != 12 {
		t.Errorf("%d damaged snapshots were counted, %v, want 12", stats.SnapshotsDamaged, err)
	}
	mendSnapshots(t, db.DB)
}

func flipped(record []byte, at int) []byte {
	record = bytes.Clone(record)
	record[at] ^= 0x10
	return record
}

// anotherHistory returns a sound record of version 4 of a stream of the same name, whose
// events are others.
func anotherHistory(t testing.TB) []byte {
	t.Helper()
	db := estest.Open(t, estest.Seed(99))
	for range 4 {
		mustAppend(t, db, "a-b-1", eventstream.Any, event("Else"))
	}
	mustSave(t, db, snapshotAt("a-b-1", 4, day(20)), 1)
	return eventstream.SnapshotRecordOf(db.DB, "a-b-1", 4)
}

// A snapshot of more than the stream has is a problem, however sound it is in itself.
func TestASnapshotBeyondTheHeadIsAProblem(t *testing.T) {
	t.Parallel()
	db := ledger(t)
	s := snapshotAt("a-b-1", 11, day(20))
	s.Position, s.RecordedUntil, s.TakenAt = 11, day(20), day(20)
	record, err := snapshot.Append(nil, 1, &s)
	if err != nil {
		t.Fatal(err)
	}
	if err := eventstream.PutSnapshotRecord(db.DB, "a-b-1", 11, record); err != nil {
		t.Fatal(err)
	}
	equal(t, "snapshots", found(t, db, "a-b-1"), "11!")
	report, err := db.Check(ctx, eventstream.Deep())
	if err != nil || len(report.Problems) != 1 || report.Problems[0].Kind != eventstream.ProblemSnapshot || !strings.Contains(report.Problems[0].Detail, "the stream has no version 11") {
		t.Errorf("check: %+v, %v", report.Problems, err)
	}
	mustAppend(t, db, "a-b-1", eventstream.Exact(10), event("Posted"))
	mendSnapshots(t, db.DB)
}

// Deep also decodes the states.
func TestADeepCheckDecodesStates(t *testing.T) {
	t.Parallel()
	db := ledger(t)
	s := snapshotAt("a-b-1", 4, day(20))
	s.State = []byte(`{"a":1,"a":2}`)
	mustSave(t, db, s, 1)
	for deep, want := range map[bool]int{false: 0, true: 1} {
		var opts []eventstream.CheckOption
		if deep {
			opts = append(opts, eventstream.Deep())
		}
		report, err := db.Check(ctx, opts...)
		if err != nil || len(report.Problems) != want {
			t.Errorf("deep %v: got %+v, %v, want %d problems", deep, report.Problems, err, want)
		}
	}
	mustSave(t, db, snapshotAt("a-b-1", 4, day(20)), 1)
}

func TestSnapshotsOfTenantsDoNotMix(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	for i, name := range []string{"default", "a", "b"} {
		for range i + 1 {
			mustAppend(t, db.Tenant(name), "a-b-1", eventstream.Any, event("A"))
		}
		mustSave(t, db.Tenant(name), snapshotAt("a-b-1", eventstream.Version(i+1), day(20)), 1)
	}
	for i, name := range []string{"default", "a", "b"} {
		equal(t, name, found(t, db.Tenant(name), "a-b-1"), fmt.Sprint(i+1))
	}
}

func TestStreamsWithSnapshotsAreListed(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	for _, stream := range []eventstream.StreamID{"a", "a-b", "a-b-1", "a-b-10", "a-b-2", "b", "c"} {
		for v := eventstream.Version(1); v <= 3; v++ {
			mustAppend(t, db, stream, eventstream.Exact(v-1), event("A"))
			if stream != "a-b-10" {
				mustSave(t, db, snapshotAt(stream, v, day(20)), 10)
			}
		}
	}
	mustAppend(t, db.Tenant("acme"), "a-z", eventstream.NoStream, event("A"))
	mustSave(t, db.Tenant("acme"), snapshotAt("a-z", 1, day(20)), 10)
	for prefix, want := range map[string]string{
		"": "a a-b a-b-1 a-b-2 b c", "a": "a a-b a-b-1 a-b-2", "a-b-": "a-b-1 a-b-2", "a-b-1": "a-b-1", "b": "b", "d": "",
	} {
		var got []string
		for stream, err := range db.SnapshotStreams(ctx, prefix) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, string(stream))
		}
		equal(t, fmt.Sprintf("prefix %q", prefix), strings.Join(got, " "), want)
	}
	if got := mustCollect(t, db.Tenant("nobody").SnapshotStreams(ctx, "")); len(got) > 0 {
		t.Errorf("a tenant without events: got %v", got)
	}
	_, err := collect(db.SnapshotStreams(ctx, "\xff"))
	wantErr(t, err, eventstream.ErrInvalidArgument)
}

// A reader sees no snapshot of what it does not see.
func TestAReaderSeesTheSnapshotsOfItsHead(t *testing.T) {
	t.Parallel()
	db := ledger(t)
	mustSave(t, db, snapshotAt("a-b-1", 10, day(20)), 10)
	var reader *eventstream.Reader
	if err := db.Read(ctx, func(r *eventstream.Reader) error { reader = r; return nil }); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, db, "a-b-1", eventstream.Exact(10), event("Posted"))
	mustSave(t, db, snapshotAt("a-b-1", 11, day(20)), 10)
	equal(t, "the reader", found(t, reader, "a-b-1"), "10")
	equal(t, "the store", found(t, db, "a-b-1"), "11 10")
}

// There is one log: whatever a crash takes, no snapshot is left without its events. The
// check at the end of each store's life looks at all of them.
func TestASnapshotNeverOutlivesItsEvents(t *testing.T) {
	t.Parallel()
	for _, durability := range []eventstream.Durability{eventstream.Sync, eventstream.None} {
		left := 0
		for seed := range uint64(20) {
			db := estest.Open(t, estest.Seed(seed), estest.Options(func(o *eventstream.Options) { o.Durability = durability }))
			for v := eventstream.Version(1); v <= 20; v++ {
				mustAppend(t, db, "a-b-1", eventstream.Exact(v-1), event("A"))
				mustSave(t, db, snapshotAt("a-b-1", v, day(20)), 100)
				if v == 10 {
					if err := db.Sync(ctx); err != nil {
						t.Fatal(err)
					}
				}
			}
			db = estest.Crash(t, db)
			info, err := db.Stream(ctx, "a-b-1")
			if err != nil && !errors.Is(err, eventstream.ErrStreamNotFound) {
				t.Fatal(err)
			}
			for s, err := range db.Snapshots(ctx, "a-b-1") {
				if err != nil || s.Err != nil || s.Version > info.Version {
					t.Errorf("after a crash: snapshot at version %d of %d, %v, %v", s.Version, info.Version, s.Err, err)
				}
				left++
			}
		}
		if left == 0 {
			t.Errorf("%s: no crash left a snapshot: the test proves nothing", durability)
		}
	}
}

func TestABackupHoldsTheSnapshots(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := mustOpen(t, filepath.Join(dir, "store"), nil)
	for v := eventstream.Version(1); v <= 6; v++ {
		mustAppend(t, db, "a-b-1", eventstream.Exact(v-1), event("A"))
		mustSave(t, db, snapshotAt("a-b-1", v, time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)), 3)
	}
	backup := mustBackup(t, db, filepath.Join(dir, "backup"))
	whole := mustRestore(t, backup.Path, filepath.Join(dir, "whole"), nil)
	equal(t, "a store that is restored whole", found(t, mustOpen(t, whole.Path, nil), "a-b-1"), "6 5 4")

	// As of a position, no snapshot may tell of what was cut off. They are made again.
	cut := mustRestore(t, backup.Path, filepath.Join(dir, "cut"), &eventstream.RestoreOptions{AsOfPosition: 5})
	restored := mustOpen(t, cut.Path, nil)
	equal(t, "a store that was cut", found(t, restored, "a-b-1"), "")
	mustAppend(t, restored, "a-b-1", eventstream.Exact(5), event("Other"))
	report, err := restored.Check(ctx, eventstream.Deep())
	if err != nil || !report.OK() {
		t.Errorf("check: %+v, %v", report.Problems, err)
	}
}

// Salvage finds events; what is made of them is made again.
func TestSalvagePassesSnapshotsOver(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	db := openSpecimen(t, mem)
	for v := eventstream.Version(1); v <= 6; v++ {
		mustAppend(t, db, "a-b-1", eventstream.Exact(v-1), event("A"))
		mustSave(t, db, snapshotAt("a-b-1", v, time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)), 3)
	}
	damageSnapshot(t, db, 6)
	mustClose(t, db)
	s, err := eventstream.OpenSalvage(ctx, "store", &eventstream.SalvageOptions{FS: mem})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "events", s.Events(), 6)
	equal(t, "problems", len(s.Problems()), 0)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A snapshot of an event that is not durable would show what nobody may see yet.
func TestASnapshotIsTakenOfWhatIsReadable(t *testing.T) {
	t.Parallel()
	db, gate, _ := openGated(t)
	mustAppend(t, db, "a-b-1", eventstream.NoStream, event("A"))
	gate.close()
	appended := make(chan error, 1)
	go func() {
		_, err := db.Append(ctx, "a-b-1", eventstream.Exact(1), event("A"))
		appended <- err
	}()
	<-gate.held
	late := time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)
	wantErr(t, db.SaveSnapshot(ctx, snapshotAt("a-b-1", 2, late), 1), eventstream.ErrInvalidArgument)
	if err := db.SaveSnapshot(ctx, snapshotAt("a-b-1", 1, late), 1); err != nil {
		t.Errorf("of the event before: %v", err)
	}
	gate.open(nil)
	if err := <-appended; err != nil {
		t.Fatal(err)
	}
	if err := db.SaveSnapshot(ctx, snapshotAt("a-b-1", 2, late), 1); err != nil {
		t.Errorf("once it is durable: %v", err)
	}
	mustClose(t, db)
}
