package eventstream_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/aggregate"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/snapshot"
)

// till is an aggregate in which the order of its events shows.
type till struct {
	Sum  int64
	Last string
	Log  string
}

type sold struct {
	Cents int64
	Text  string
}

func (s *till) Apply(event any) {
	e := event.(sold)
	s.Sum = 3*s.Sum + e.Cents
	s.Last = e.Text
	s.Log += e.Text[:1]
}

func tills(t testing.TB, db *eventstream.DB, opts *aggregate.Options) *aggregate.Repository[*till, aggregate.Command[till]] {
	t.Helper()
	events, err := codec.NewRegistry(codec.Type[sold]("Sold", 1))
	if err != nil {
		t.Fatal(err)
	}
	r, err := aggregate.New(db, events, aggregate.Struct[till](), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// A flipped byte, whichever it is, in the newest snapshot or in all of them, changes no
// state: the load rests on an older snapshot, or on the events, and says so.
func TestADamagedSnapshotChangesNoState(t *testing.T) {
	t.Parallel()
	const stream = "a-b-1"
	for _, options := range []aggregate.Options{{}, {Algorithm: snapshot.SHA256, Uncompressed: true, StateCodec: codec.JSON}} {
		db := estest.Open(t)
		var reported []error
		options.Policy, options.OnFault = snapshot.Never(), func(err error) { reported = append(reported, err) }
		r := tills(t, db.DB, &options)
		for v := range 12 {
			mustAppend(t, db, stream, eventstream.Any, eventstream.NewEvent{Type: "Sold", Data: sold{int64(v), fmt.Sprintf("%d pieces, and some more to compress: %d%d%d", v%10, v, v, v)}})
			if v == 5 || v == 9 {
				if _, err := r.Snapshot(ctx, stream); err != nil {
					t.Fatal(err)
				}
			}
		}
		load := func() aggregate.Loaded[*till] {
			t.Helper()
			got, err := r.Load(ctx, stream)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		want := load()
		equal(t, "snapshot", want.Snapshot, 10)
		check := func(what string, wantSnapshot eventstream.Version, damaged ...eventstream.Version) {
			t.Helper()
			reported = nil
			got := load()
			if *got.State != *want.State || got.Version != want.Version || !got.OccurredUntil.Equal(want.OccurredUntil) || !got.RecordedUntil.Equal(want.RecordedUntil) {
				t.Fatalf("%s: got %+v at version %d, want %+v at %d", what, *got.State, got.Version, *want.State, want.Version)
			}
			if got.Snapshot != wantSnapshot || len(reported) != len(damaged) {
				t.Fatalf("%s: rests on snapshot %d with %d reports, want %d with %d", what, got.Snapshot, len(reported), wantSnapshot, len(damaged))
			}
			for i, err := range reported {
				if e := errAs[*eventstream.SnapshotCorruptError](t, err); e.Stream != stream || e.Version != damaged[i] || e.Err == nil {
					t.Fatalf("%s: reported %+v", what, e)
				}
			}
		}
		newest, older := eventstream.SnapshotRecordOf(db.DB, stream, 10), eventstream.SnapshotRecordOf(db.DB, stream, 6)
		put := func(version eventstream.Version, record []byte) {
			t.Helper()
			if err := eventstream.PutSnapshotRecord(db.DB, stream, version, record); err != nil {
				t.Fatal(err)
			}
		}
		for i := range newest {
			put(10, flipped(newest, i))
			check(fmt.Sprintf("byte %d of the newest", i), 6, 10)
		}
		for i := range older {
			put(6, flipped(older, i))
			check(fmt.Sprintf("byte %d of both", i), 0, 10, 6)
		}
		put(10, newest)
		check("the newest is sound", 10)
		for i := range newest {
			put(10, newest[:i])
			check(fmt.Sprintf("cut short after %d bytes", i), 0, 10, 6)
		}
		put(6, older)
		put(10, newest)
		check("all are sound", 10)
		equal(t, "damaged snapshots counted", int(r.Stats().SnapshotsDamaged), len(newest)+2*len(older)+2*len(newest))
	}
}

// A load that met damage asks for a snapshot, by the policy, so that the next one does
// not meet it.
func TestADamagedSnapshotIsReplaced(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	r := tills(t, db.DB, &aggregate.Options{Policy: snapshot.EveryN(10), OnFault: func(error) {}})
	for v := range 12 {
		mustAppend(t, db, "a-b-1", eventstream.Any, eventstream.NewEvent{Type: "Sold", Data: sold{int64(v), "x"}})
		if v == 8 || v == 9 {
			if _, err := r.Snapshot(ctx, "a-b-1"); err != nil {
				t.Fatal(err)
			}
		}
	}
	equal(t, "snapshots", tillSnapshots(t, db.DB), "10 9")
	damageSnapshot(t, db.DB, 10)
	for range 2 {
		got, err := r.Load(ctx, "a-b-1")
		if err != nil || got.Version != 12 {
			t.Fatal(got, err)
		}
		if err := r.Wait(ctx); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, "snapshots", tillSnapshots(t, db.DB), "12 10! 9")
	equal(t, "damage that was met", r.Stats().SnapshotsDamaged, 2) // by the load, and by the snapshot that it asked for
	if _, err := db.PruneSnapshots(ctx, "a-b-1", 10); err != nil {
		t.Fatal(err)
	}
	equal(t, "snapshots", tillSnapshots(t, db.DB), "12 9")
}

func tillSnapshots(t testing.TB, db *eventstream.DB) string {
	t.Helper()
	var b bytes.Buffer
	for s, err := range db.Snapshots(ctx, "a-b-1") {
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, " %d", s.Version)
		if s.Err != nil {
			b.WriteByte('!')
		}
	}
	return string(bytes.TrimSpace(b.Bytes()))
}

// Damage in a table, which the engine itself finds: wherever it is, a load gives the
// right state or says that events are damaged, and it gives the right state where the
// damage is in a snapshot.
func TestASnapshotInADamagedTableChangesNoState(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	db := openSpecimen(t, fs)
	rng, text := newRand(3), make([]byte, 10_000)
	streams := []eventstream.StreamID{"a-b-0", "a-b-1", "a-b-2", "a-b-3", "a-b-4"}
	r := tills(t, db, &aggregate.Options{Uncompressed: true})
	want := make(map[eventstream.StreamID]till)
	for _, stream := range streams {
		for v := range 3 {
			for i := range text { // does not compress
				text[i] = byte(rng.Uint32())
			}
			mustAppend(t, db, stream, eventstream.Any, eventstream.NewEvent{Type: "Sold", Data: sold{int64(v), hex.EncodeToString(text)}})
		}
		if _, err := r.Snapshot(ctx, stream); err != nil {
			t.Fatal(err)
		}
		got, err := r.Load(ctx, stream)
		if err != nil || got.Snapshot != 3 {
			t.Fatal(got, err)
		}
		want[stream] = *got.State
	}
	mustClose(t, db)
	files := imageOf(t, fs)
	opts := specimenOptions(fs)
	opts.ReadOnly = true
	passedOver := 0
	for path, content := range files {
		if !strings.HasSuffix(path, ".sst") {
			continue
		}
		for at := 8; at < len(content); at += 8 << 10 {
			writeMem(t, fs, path, flipped(content, at))
			db, err := eventstream.Open("store", opts)
			if err != nil {
				wantErr(t, err, eventstream.ErrCorrupt)
				continue
			}
			var reported []error
			r := tills(t, db, &aggregate.Options{OnFault: func(err error) { reported = append(reported, err) }})
			for _, stream := range streams {
				reported = nil
				got, err := r.Load(ctx, stream)
				switch {
				case err != nil:
					wantErr(t, err, eventstream.ErrCorrupt)
				case *got.State != want[stream] || got.Version != 3:
					t.Errorf("%s, byte %d: %s came to %d", path, at, stream, got.State.Sum)
				case got.Snapshot == 0:
					if len(reported) != 1 || !errors.Is(reported[0], eventstream.ErrSnapshotCorrupt) {
						t.Errorf("%s, byte %d: reported %v, want one damaged snapshot", path, at, reported)
					}
					passedOver++
				}
			}
			mustClose(t, db)
		}
		writeMem(t, fs, path, content)
	}
	if passedOver == 0 {
		t.Error("no snapshot was passed over: the test proves nothing")
	}
}
