package eventstream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/internal/segment"
	"github.com/nexus-erp/eventstream/keys"
)

// sealedOptions makes runs of ten events, and a tail that soon forgets.
func sealedOptions(fs vfs.FS) *Options {
	return &Options{
		FS: fs, MemTableBytes: 256 << 10, CacheBytes: 1 << 20, TailBytes: 64 << 10, Unstable: Unstable{RunEvents: 10},
		Clock: func() time.Time { return time.Unix(1_800_000_000, 0) }, Entropy: &counting{},
	}
}

// counting is entropy that is the same in every test.
type counting struct{ n byte }

func (c *counting) Read(b []byte) (int, error) {
	for i := range b {
		c.n++
		b[i] = c.n
	}
	return len(b), nil
}

func openSealed(t *testing.T, o *Options) *damagedStore {
	t.Helper()
	db, err := Open("store", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return &damagedStore{db, t}
}

// fill appends n commits of one to four events, over three streams and two tenants,
// and waits until they are sealed, as far as runs are full.
func (d *damagedStore) fill(seed uint64, n int) {
	d.t.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	for range n {
		var entries []StreamAppend
		for s := range 1 + rng.IntN(2) {
			e := NewEvent{Type: []string{"Posted", "Counted"}[rng.IntN(2)], Data: map[string]int{"n": rng.IntN(1000)}, UserID: "clerk"}
			entries = append(entries, StreamAppend{
				Stream: StreamID(fmt.Sprintf("finance-account-%d", s+rng.IntN(2)*2)), Expect: Any, Events: slices.Repeat([]NewEvent{e}, 1+rng.IntN(2)),
			})
		}
		if _, err := d.Tenant([]string{DefaultTenant, "acme"}[rng.IntN(2)]).AppendAll(context.Background(), entries); err != nil {
			d.t.Fatal(err)
		}
	}
	d.awaitSealed()
}

func (d *damagedStore) awaitSealed() {
	d.t.Helper()
	if head := d.Head(); head > 20 && !AwaitSealed(d.DB, head-20) {
		d.t.Fatalf("sealed up to %d of %d", d.sealer.reached(), head)
	}
}

// sealedStore returns a store whose sealer has done its work and is off: which run is the
// newest does not change.
func sealedStore(t *testing.T, fs vfs.FS, seed uint64) *damagedStore {
	t.Helper()
	db := openSealed(t, sealedOptions(fs))
	db.fill(seed, 80)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	o := sealedOptions(fs)
	o.Unstable.RunEvents = -1
	return openSealed(t, o)
}

// seals returns all seals, in order.
func (d *damagedStore) seals() (all []segment.Seal) {
	d.t.Helper()
	for p := Position(1); p <= d.sealer.reached(); p = all[len(all)-1].Last + 1 {
		seal, err := d.sealAt(p)
		if err != nil {
			d.t.Fatal(err)
		}
		all = append(all, seal)
	}
	return all
}

// list returns what an iterator gives, as text.
func list(t *testing.T, seq iter.Seq2[Event, error]) []string {
	t.Helper()
	var all []string
	for e, err := range seq {
		if err != nil {
			t.Fatalf("after %d events: %v", len(all), err)
		}
		all = append(all, fmt.Sprintf("%d %s %s@%d %s %s %d/%d %q", e.Position, e.Tenant, e.Stream, e.Version, e.ID, e.Type, e.CommitIndex, e.CommitSize, e.Data))
	}
	return all
}

// unsealed hides the segments from a store: it reads the log.
func (d *damagedStore) unsealed(read func() []string) []string {
	reached := d.sealer.sealed.Swap(0)
	defer d.sealer.sealed.Store(reached)
	return read()
}

// Whatever is read, it is the same from the segments as from the log.
func TestSegmentsGiveWhatTheLogGives(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	db := openSealed(t, sealedOptions(fs))
	db.fill(1, 120)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openSealed(t, sealedOptions(fs)) // its tail is empty
	if db.sealer.reached() < 100 {
		t.Fatalf("sealed up to %d: the test reads no segments", db.sealer.reached())
	}
	rng := rand.New(rand.NewPCG(2, 0))
	head := int(db.Head())
	for i := range 300 {
		opts := []ReadOption{After(Position(rng.IntN(head + 3))), Until(Position(rng.IntN(head + 3)))}
		if rng.IntN(2) == 0 {
			opts = append(opts, Backward())
		}
		if rng.IntN(2) == 0 {
			opts = append(opts, Limit(1+rng.IntN(40)))
		}
		if rng.IntN(3) == 0 {
			opts = append(opts, Types("Counted"))
		}
		if rng.IntN(3) == 0 {
			opts = append(opts, Category("finance-account"))
		}
		if i%10 == 0 {
			opts = opts[2:]
		}
		tenant := db.Tenant([]string{DefaultTenant, "acme", "nobody"}[rng.IntN(3)])
		ctx := context.Background()
		got := list(t, tenant.ReadAll(ctx, opts...))
		want := db.unsealed(func() []string { return list(t, tenant.ReadAll(ctx, opts...)) })
		if !slices.Equal(got, want) {
			t.Fatalf("read %d: got %d events from the segments, %d from the log:\n%s\n\n%s", i, len(got), len(want), strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// Runs depend on the log alone: it does not matter how often the store was opened
// meanwhile, or how far behind the sealer was.
func TestTheSameLogIsCutIntoTheSameRuns(t *testing.T) {
	t.Parallel()
	fill := func(db *damagedStore, i int) {
		for j := range 10 {
			db.fill(uint64(i*1000+j), 1)
		}
	}
	db := openSealed(t, sealedOptions(vfs.NewMem()))
	for i := range 10 {
		fill(db, i)
	}
	once := db.seals()
	if len(once) < 5 {
		t.Fatalf("only %d runs", len(once))
	}

	fs := vfs.NewMem()
	o := sealedOptions(fs)
	for i := range 10 {
		db := openSealed(t, o) // with the same clock and entropy as before
		fill(db, i)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	db = openSealed(t, o)
	if last := once[len(once)-1].Last; !AwaitSealed(db.DB, last) {
		t.Fatalf("sealed up to %d, want %d", db.sealer.reached(), last)
	}
	for _, want := range once {
		got, err := db.sealAt(want.First)
		if err != nil || got.Last != want.Last {
			t.Fatalf("run at %d: got %+v, %v, want the end %d", want.First, got, err, want.Last)
		}
	}
}

// A commit is never cut, whatever its size.
func TestARunNeverCutsACommit(t *testing.T) {
	t.Parallel()
	db := openSealed(t, sealedOptions(vfs.NewMem()))
	ctx := context.Background()
	big := slices.Repeat([]NewEvent{{Type: "X", Data: 1}}, 25)
	for range 3 {
		if _, err := db.Append(ctx, "s", Any, big...); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Append(ctx, "s", Any, big[:3]...); err != nil {
			t.Fatal(err)
		}
	}
	if !AwaitSealed(db.DB, 81) {
		t.Fatalf("sealed up to %d, want 81", db.sealer.reached())
	}
	for _, want := range [][2]Position{{1, 25}, {26, 28}, {29, 53}, {54, 56}, {57, 81}} {
		if seal, err := db.sealAt(want[0]); err != nil || seal.Last != want[1] {
			t.Errorf("run at %d: got %+v, %v, want it to end at %d", want[0], seal, err, want[1])
		}
	}
}

// damages are what can befall a segment. The run at 11 is the second or third.
func damages(d *damagedStore, seal *segment.Seal) map[string]func() {
	key := keys.AppendSegment(nil, seal.First)
	return map[string]func(){
		"flipped": func() {
			value := d.get(key)
			value[len(value)/2] ^= 4
			d.write(func(b engine.Batch) { b.Set(key, value) })
		},
		"missing": func() { d.write(func(b engine.Batch) { b.Delete(key) }) },
		"empty":   func() { d.write(func(b engine.Batch) { b.Set(key, nil) }) },
		"another run's": func() {
			d.write(func(b engine.Batch) { b.Set(key, d.get(keys.AppendSegment(nil, 1))) })
		},
	}
}

// A damaged segment costs nobody anything: the log is read, Check names it, and it is
// packed again.
func TestADamagedSegmentIsBuiltAgain(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"flipped", "missing", "empty", "another run's"} {
		for _, how := range []string{"forward", "backward", "check"} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				fs := vfs.NewMem()
				filled := openSealed(t, sealedOptions(fs))
				filled.fill(3, 60)
				if err := filled.Close(); err != nil {
					t.Fatal(err)
				}
				db := openSealed(t, sealedOptions(fs)) // with an empty tail
				ctx := context.Background()
				first, err := db.sealAt(1)
				if err != nil {
					t.Fatal(err)
				}
				seal, err := db.sealAt(first.Last + 1)
				if err != nil {
					t.Fatal(err)
				}
				want := list(t, db.ReadAll(ctx))
				backward := slices.Clone(want)
				slices.Reverse(backward)
				damages(db, &seal)[name]()
				switch how {
				case "forward":
					if got := list(t, db.ReadAll(ctx)); !slices.Equal(got, want) {
						t.Errorf("got %d events, want %d", len(got), len(want))
					}
				case "backward":
					if got := list(t, db.ReadAll(ctx, Backward())); !slices.Equal(got, backward) {
						t.Errorf("got %d events, want %d", len(got), len(want))
					}
				default:
					report, err := db.Check(ctx)
					if err != nil {
						t.Fatal(err)
					}
					if len(report.Problems) != 1 || report.Problems[0].Kind != ProblemSegment || report.Problems[0].Position != seal.First {
						t.Errorf("got problems %v, want the segment at %d", report.Problems, seal.First)
					}
				}
				awaitRebuilt(t, db.DB)
				report, err := db.Check(ctx)
				if err != nil || !report.OK() {
					t.Errorf("after it was built again: %v, %v", report.Problems, err)
				}
				if got := list(t, db.ReadAll(ctx)); !slices.Equal(got, want) {
					t.Errorf("after it was built again: got %d events, want %d", len(got), len(want))
				}
			})
		}
	}
}

// A long read has segments unpacked ahead of it. If one of them is damaged, or holds
// another run than its seal says, the log is read in its place, and no event is lost or
// comes twice.
func TestADamagedSegmentIsReadAhead(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	o := sealedOptions(fs)
	o.Unstable.RunEvents = 64
	db := openSealed(t, o)
	for n := range 16 {
		events := slices.Repeat([]NewEvent{{Type: "X", Data: n}}, 450)
		if _, err := db.Append(context.Background(), "s", Any, events...); err != nil {
			t.Fatal(err)
		}
		events = slices.Repeat([]NewEvent{{Type: "Y"}}, 1+n%3)
		for range 30 {
			if _, err := db.Append(context.Background(), "t", Any, events...); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !AwaitSealed(db.DB, db.Head()-100) {
		t.Fatalf("sealed up to %d of %d", db.sealer.reached(), db.Head())
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	o.Unstable.RunEvents = -1 // nothing is built again
	db = openSealed(t, o)
	want := db.unsealed(func() []string { return list(t, db.ReadAll(context.Background())) })
	if len(want) < 2*pageMost-400 {
		t.Fatalf("only %d events: they are not read ahead", len(want))
	}
	seals := db.seals()
	for i, name := range []string{"flipped", "missing", "empty", "another run's"} {
		for at := len(seals) / 3; at < len(seals); at += 7 + i {
			damages(db, &seals[at])[name]()
		}
		if got := list(t, db.ReadAll(context.Background())); !slices.Equal(got, want) {
			t.Errorf("%s: got %d events, want %d", name, len(got), len(want))
		}
	}
}

func awaitRebuilt(t *testing.T, db *DB) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for range 20_000 {
		if stats, err := db.Stats(); err != nil || stats.Rebuilt > 0 {
			return
		}
		<-ticker.C
	}
	t.Fatal("the segment was not built again")
}

// Seals in the middle are made again, since the next one names them; the newest are
// sealed again.
func TestMissingSealsAreMadeAgain(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"first", "middle two", "last", "all", "flipped"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fs := vfs.NewMem()
			db := sealedStore(t, fs, 4)
			seals := db.seals()
			lost := map[string][]segment.Seal{"first": seals[:1], "middle two": seals[3:5], "last": seals[len(seals)-1:], "all": seals, "flipped": seals[4:5]}[name]
			db.write(func(b engine.Batch) {
				for _, s := range lost {
					if name == "flipped" {
						b.Set(keys.AppendSeal(nil, s.First), append(segment.AppendSeal(nil, &s)[:84], 0))
						continue
					}
					b.Delete(keys.AppendSeal(nil, s.First))
					b.Delete(keys.AppendSegment(nil, s.First))
				}
			})
			if report, err := db.Check(context.Background()); err != nil || report.OK() {
				t.Errorf("Check does not see that seals are missing: %v, %v", report.Problems, err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			db = openSealed(t, sealedOptions(fs))
			if last := seals[len(seals)-1].Last; !AwaitSealed(db.DB, last) {
				t.Fatalf("sealed up to %d, want %d", db.sealer.reached(), last)
			}
			for _, want := range seals {
				if got, err := db.sealAt(want.First); err != nil || got != want {
					t.Errorf("run at %d: got %+v, %v", want.First, got, err)
				}
			}
			if report, err := db.Check(context.Background()); err != nil || !report.OK() {
				t.Errorf("got %v, %v", report.Problems, err)
			}
		})
	}
}

// What is packed again is what was sealed, or nothing is: a segment is all that is left of
// events that were changed.
func TestASegmentIsNotBuiltOfOtherEvents(t *testing.T) {
	t.Parallel()
	db := sealedStore(t, vfs.NewMem(), 5)
	seal := db.seals()[3]
	key := db.get(keys.AppendPosition(nil, seal.First+1))
	envelope := bytes.Clone(db.get(key))
	reforge(t, key, envelope)
	packed := db.get(keys.AppendSegment(nil, seal.First))
	db.write(func(b engine.Batch) { b.Set(key, envelope) })
	db.sealer.mend(seal.First)
	if damage, ok := errors.AsType[*CorruptionError](db.sealer.repack()); !ok || damage.Position != seal.First {
		t.Errorf("got %v, want a CorruptionError at position %d", damage, seal.First)
	}
	if !bytes.Equal(db.get(keys.AppendSegment(nil, seal.First)), packed) {
		t.Error("the segment was replaced")
	}
}

// If the events of a hole are not those that were sealed, and if those of the newest
// run are not, Open refuses; Check finds those in between.
func TestEventsThatAreNotThoseThatWereSealed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		run        int // -1: the newest
		loseSeal   bool
		loseEvent  bool
		openFails  bool
		checkFinds string
	}{
		{"an event of the newest run is another", -1, false, false, true, ProblemSeal},
		{"an event of the newest run is missing", -1, false, true, true, ProblemPosition},
		{"an event behind a lost seal is another", 3, true, false, true, ProblemSeal},
		{"an event behind a lost seal is missing", 3, true, true, true, ProblemPosition},
		{"an event in the middle is another", 3, false, false, false, ProblemSeal},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fs := vfs.NewMem()
			db := sealedStore(t, fs, 5)
			seals := db.seals()
			seal := seals[(tt.run+len(seals))%len(seals)]
			key := db.get(keys.AppendPosition(nil, seal.First+1))
			envelope := bytes.Clone(db.get(key))
			db.write(func(b engine.Batch) {
				if tt.loseSeal {
					b.Delete(keys.AppendSeal(nil, seal.First))
				}
				if tt.loseEvent {
					b.Delete(keys.AppendPosition(nil, seal.First+1))
					b.Delete(key)
					return
				}
				reforge(t, key, envelope)
				b.Set(key, envelope)
			})
			report, err := db.Check(context.Background())
			if err != nil || !slices.ContainsFunc(report.Problems, func(p Problem) bool { return p.Kind == tt.checkFinds }) {
				t.Errorf("got %v, %v, want a problem of kind %q", report.Problems, err, tt.checkFinds)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			again, err := Open("store", sealedOptions(fs))
			if tt.openFails {
				if !errors.Is(err, ErrCorrupt) {
					t.Fatalf("Open: got %v, want ErrCorrupt", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := again.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// reforge changes an event's payload and makes its sums right: what bit rot above all
// checksums, or somebody with a tool, would do.
func reforge(t *testing.T, key, envelope []byte) {
	t.Helper()
	tenantID, stream, version, err := keys.ParseEvent(key)
	if err != nil {
		t.Fatal(err)
	}
	env, err := codec.ParseEnvelope(envelope, tenantID, stream, version)
	if err != nil {
		t.Fatal(err)
	}
	envelope[len(envelope)-1] ^= 1
	binary.BigEndian.PutUint64(envelope[56:], xxhash.Sum64(codec.Body(envelope)))
	codec.SealEnvelope(envelope, tenantID, stream, version, env.Position, env.RecordedAt)
}

// A sealer that cannot write does not disturb the appends, and goes on later.
func TestAReadOnlyStoreReadsItsSegments(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	db := openSealed(t, sealedOptions(fs))
	db.fill(6, 60)
	want := list(t, db.ReadAll(context.Background()))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	o := sealedOptions(fs)
	o.ReadOnly = true
	o.Logger = slog.New(slog.NewTextHandler(io.Writer(&logged), nil))
	db = openSealed(t, o)
	if got := list(t, db.ReadAll(context.Background())); !slices.Equal(got, want) {
		t.Errorf("got %d events, want %d", len(got), len(want))
	}
	if logged.Len() > 0 {
		t.Errorf("logged: %s", logged.String())
	}
}

// A follower that starts at the beginning reads segments, then the log, then what is
// live, without a gap or a repeat.
func TestAFollowerGoesFromSegmentsToLive(t *testing.T) {
	t.Parallel()
	db := openSealed(t, sealedOptions(vfs.NewMem()))
	db.fill(7, 100)
	done := make(chan error, 1)
	go func() {
		for range 200 {
			if _, err := db.Append(context.Background(), "live", Any, NewEvent{Type: "X", Data: 1}); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var last Position
	live := 0
	for e, err := range db.Follow(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Position <= last {
			t.Fatalf("position %d after %d", e.Position, last)
		}
		last = e.Position
		if e.Stream == "live" {
			if live++; live == 200 {
				break
			}
		}
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	all := list(t, db.ReadAll(context.Background()))
	if n := len(all); live != 200 || n < 200 {
		t.Errorf("followed %d live events, the store has %d events", live, n)
	}
}
