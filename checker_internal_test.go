package eventstream

import (
	"context"
	"encoding/binary"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
)

// damagedStore is a store whose records a test changes behind its back.
type damagedStore struct {
	*DB
	t *testing.T
}

// newDamagedStore returns a store with two commits: events 1 to 3 over streams a and
// b, then event 4 in a. Event 2 came with an id.
func newDamagedStore(t *testing.T) *damagedStore {
	t.Helper()
	now := time.Unix(1000, 0)
	db, err := Open("store", &Options{FS: vfs.NewMem(), MemTableBytes: 256 << 10, CacheBytes: 1 << 20, Clock: func() time.Time { now = now.Add(time.Second); return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	e := NewEvent{Type: "X", Codec: codec.JSON, Data: map[string]int{"n": 1}}
	given := e
	given.ID = EventID{2}
	ctx := context.Background()
	if _, err := db.AppendAll(ctx, []StreamAppend{
		{Stream: "a", Expect: NoStream, Events: []NewEvent{e, given}},
		{Stream: "b", Expect: NoStream, Events: []NewEvent{e}},
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Append(ctx, "a", Exact(2), e); err != nil {
		t.Fatal(err)
	}
	return &damagedStore{db, t}
}

// forgetTail empties the tail, as after a restart: reads go to the log. Others read it
// meanwhile.
func (d *damagedStore) forgetTail() {
	d.tail.mu.Lock()
	d.tail.blocks, d.tail.bytes = nil, 0
	d.tail.mu.Unlock()
}

func (d *damagedStore) write(change func(engine.Batch)) {
	d.t.Helper()
	b := d.eng.NewBatch()
	change(b)
	if err := d.eng.Write(b, ignored{}); err != nil {
		d.t.Fatal(err)
	}
}

type ignored struct{}

func (ignored) Report(error) {}

func (d *damagedStore) get(key []byte) []byte {
	d.t.Helper()
	value, ok, err := d.eng.Get(nil, key)
	if err != nil || !ok {
		d.t.Fatalf("get %x: %v, %v", key, ok, err)
	}
	return value
}

func eventKey(stream StreamID, version Version) []byte {
	return keys.AppendEvent(nil, 1, stream, version)
}

// change rewrites the envelope of an event and makes its sums right again.
func (d *damagedStore) change(stream StreamID, version Version, change func(env []byte)) {
	d.t.Helper()
	env := d.get(eventKey(stream, version))
	parsed, err := codec.ParseEnvelope(env, 1, stream, version)
	if err != nil {
		d.t.Fatal(err)
	}
	recordedAt, position := parsed.RecordedAt, parsed.Position
	change(env)
	if at := int64(binary.BigEndian.Uint64(env[24:])); at != recordedAt {
		recordedAt = at
	}
	if at := Position(binary.BigEndian.Uint64(env[16:])); at != position {
		position = at
	}
	codec.SealEnvelope(env, 1, stream, version, position, recordedAt)
	d.write(func(b engine.Batch) { b.Set(eventKey(stream, version), env) })
}

func (d *damagedStore) idKey(stream StreamID, version Version) []byte {
	d.t.Helper()
	env, err := codec.ParseEnvelope(d.get(eventKey(stream, version)), 1, stream, version)
	if err != nil {
		d.t.Fatal(err)
	}
	return keys.AppendEventID(nil, 1, env.EventID)
}

func TestCheckNamesEveryDamage(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		damage func(*damagedStore)
		deep   bool // only a deep check sees it
		kinds  []string
		detail string
	}{
		{"nothing", func(*damagedStore) {}, false, nil, ""},
		{"an event is gone", func(d *damagedStore) {
			d.write(func(b engine.Batch) { b.Delete(eventKey("a", 2)) })
		}, false, []string{ProblemPosition, ProblemVersion}, "missing"},
		{"the last event of a stream is gone", func(d *damagedStore) {
			d.write(func(b engine.Batch) { b.Delete(eventKey("b", 1)) })
		}, false, []string{ProblemPosition}, "missing"},
		{"a position is gone", func(d *damagedStore) {
			d.write(func(b engine.Batch) { b.Delete(keys.AppendPosition(nil, 2)) })
		}, false, []string{ProblemPosition, ProblemOrphan}, "positions 2 to 2 are missing"},
		{"the last position is gone", func(d *damagedStore) {
			d.write(func(b engine.Batch) { b.Delete(keys.AppendPosition(nil, 4)) })
		}, false, []string{ProblemPosition, ProblemOrphan}, "positions 4 to 4 are missing"},
		{"a position leads to no key", func(d *damagedStore) {
			d.write(func(b engine.Batch) { b.Set(keys.AppendPosition(nil, 2), []byte("x")) })
		}, false, []string{ProblemPosition}, "leads to no event"},
		{"two positions lead to one event", func(d *damagedStore) {
			d.write(func(b engine.Batch) { b.Set(keys.AppendPosition(nil, 2), eventKey("a", 1)) })
		}, false, []string{ProblemEvent}, "it names position 1"},
		{"a bit of an envelope's header flipped", func(d *damagedStore) {
			env := d.get(eventKey("a", 1))
			env[40] ^= 1
			d.write(func(b engine.Batch) { b.Set(eventKey("a", 1), env) })
		}, false, []string{ProblemEvent}, "header sum"},
		{"a bit of a payload flipped", func(d *damagedStore) {
			env := d.get(eventKey("a", 1))
			env[len(env)-1] ^= 1
			d.write(func(b engine.Batch) { b.Set(eventKey("a", 1), env) })
		}, false, []string{ProblemEvent}, "body sum"},
		{"an envelope is cut off", func(d *damagedStore) {
			env := d.get(eventKey("a", 1))
			d.write(func(b engine.Batch) { b.Set(eventKey("a", 1), env[:20]) })
		}, false, []string{ProblemEvent}, "shorter"},
		{"two events changed places", func(d *damagedStore) {
			first, second := d.get(eventKey("a", 1)), d.get(eventKey("a", 2))
			d.write(func(b engine.Batch) { b.Set(eventKey("a", 1), second); b.Set(eventKey("a", 2), first) })
		}, false, []string{ProblemEvent}, "another event's place"},
		{"an event that no position leads to", func(d *damagedStore) {
			d.write(func(b engine.Batch) { b.Set(eventKey("c", 1), d.get(eventKey("b", 1))) })
		}, false, []string{ProblemOrphan}, "no position leads"},
		{"a commit says it is larger", func(d *damagedStore) {
			d.change("a", 3, func(env []byte) { env[15] = 2 })
		}, false, []string{ProblemCommit}, ""},
		{"a commit's middle says it is the start", func(d *damagedStore) {
			d.change("a", 2, func(env []byte) { env[13] = 0 })
		}, false, []string{ProblemCommit}, "number 1 of a commit of 3"},
		{"recorded at goes back", func(d *damagedStore) {
			d.change("a", 3, func(env []byte) { binary.BigEndian.PutUint64(env[24:], 5) })
		}, false, []string{ProblemTime}, "recorded at 5 ns"},
		{"an event id is gone", func(d *damagedStore) {
			key := d.idKey("a", 2)
			d.write(func(b engine.Batch) { b.Delete(key) })
		}, false, []string{ProblemEventID}, "leads nowhere"},
		{"an event id leads elsewhere", func(d *damagedStore) {
			key := d.idKey("a", 2)
			d.write(func(b engine.Batch) { b.Set(key, codec.AppendEventIDRecord(nil, 1, codec.ContentHash{})) })
		}, false, []string{ProblemEventID}, "leads to position 1"},
		{"an event id's record is malformed", func(d *damagedStore) {
			key := d.idKey("a", 2)
			d.write(func(b engine.Batch) { b.Set(key, []byte("x")) })
		}, false, []string{ProblemEventID}, "malformed"},
		{"an event id that no event has", func(d *damagedStore) {
			d.write(func(b engine.Batch) {
				b.Set(keys.AppendEventID(nil, 1, EventID{9}), codec.AppendEventIDRecord(nil, 2, codec.ContentHash{}))
			})
		}, false, []string{ProblemOrphan}, "no event of its own"},
		{"an event id that leads beyond the head", func(d *damagedStore) {
			d.write(func(b engine.Batch) {
				b.Set(keys.AppendEventID(nil, 1, EventID{9}), codec.AppendEventIDRecord(nil, 5, codec.ContentHash{}))
			})
		}, false, []string{ProblemOrphan}, "no event of its own"},
		{"an event id that tells its position has a record", func(d *damagedStore) {
			key := d.idKey("a", 1)
			d.write(func(b engine.Batch) { b.Set(key, codec.AppendEventIDRecord(nil, 1, codec.ContentHash{})) })
		}, false, []string{ProblemOrphan}, "tells its position itself"},
		{"an event id tells another position", func(d *damagedStore) {
			d.change("a", 1, func(env []byte) { env[55]++ })
		}, false, []string{ProblemEventID}, "leads nowhere"},
		{"an event beyond the head", func(d *damagedStore) {
			env := d.get(eventKey("b", 1))
			codec.SealEnvelope(env, 1, "c", 1, 5, 1)
			d.write(func(b engine.Batch) { b.Set(eventKey("c", 1), env) })
		}, false, []string{ProblemOrphan}, "no position leads"},
		{"a key of no known kind", func(d *damagedStore) {
			d.write(func(b engine.Batch) { b.Set([]byte("what is this"), nil) })
		}, false, []string{ProblemKey}, "no known kind"},
		{"a malformed event key", func(d *damagedStore) {
			d.write(func(b engine.Batch) { b.Set([]byte{byte(keys.KindEvent), 0, 0}, nil) })
		}, false, []string{ProblemKey}, "too short"},
		{"a malformed event-id key", func(d *damagedStore) {
			d.write(func(b engine.Batch) { b.Set([]byte{byte(keys.KindEventID), 0, 0}, nil) })
		}, false, []string{ProblemKey}, "too short"},
		{"the content is not what the id recorded", func(d *damagedStore) {
			key := d.idKey("a", 2)
			d.write(func(b engine.Batch) { b.Set(key, codec.AppendEventIDRecord(nil, 2, codec.ContentHash{7})) })
		}, true, []string{ProblemContent}, "content"},
		{"a payload is not of its codec", func(d *damagedStore) {
			d.change("a", 2, func(env []byte) { env[2] = byte(codec.Msgpack) })
		}, true, []string{ProblemPayload, ProblemContent}, "msgpack"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newDamagedStore(t)
			tt.damage(d)
			shallow, err := d.Check(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if tt.deep && !shallow.OK() {
				t.Errorf("the shallow check found %+v, which only the deep one should", shallow.Problems)
			}
			report, err := d.Check(context.Background(), Deep())
			if err != nil {
				t.Fatal(err)
			}
			found := make(map[string]bool)
			detail := false
			for _, p := range report.Problems {
				found[p.Kind] = true
				detail = detail || strings.Contains(p.Detail, tt.detail)
			}
			for _, kind := range tt.kinds {
				if !found[kind] {
					t.Errorf("no problem of kind %q among %+v", kind, report.Problems)
				}
			}
			if (len(tt.kinds) == 0) != report.OK() {
				t.Errorf("problems: %+v, want kinds %v", report.Problems, tt.kinds)
			}
			if !report.OK() && !detail {
				t.Errorf("no detail contains %q: %+v", tt.detail, report.Problems)
			}
		})
	}
}

// What Check finds, no read passes over: each damage in the way of a read is an
// error that names the place, not a shorter result.
func TestReadsReportDamage(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	readAll := func(d *damagedStore, opts ...ReadOption) error {
		for _, err := range d.ReadAll(ctx, opts...) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	readStream := func(d *damagedStore, opts ...ReadOption) error {
		for _, err := range d.ReadStream(ctx, "a", opts...) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	gone := func(version Version) func(*damagedStore) {
		return func(d *damagedStore) { d.write(func(b engine.Batch) { b.Delete(eventKey("a", version)) }) }
	}
	flipped := func(d *damagedStore) {
		env := d.get(eventKey("a", 2))
		env[len(env)-1] ^= 1
		d.write(func(b engine.Batch) { b.Set(eventKey("a", 2), env) })
	}
	noPointer := func(d *damagedStore) {
		d.write(func(b engine.Batch) { b.Delete(keys.AppendPosition(nil, 2)) })
	}
	otherPointer := func(d *damagedStore) {
		d.write(func(b engine.Batch) { b.Set(keys.AppendPosition(nil, 2), eventKey("a", 1)) })
	}
	for _, tt := range []struct {
		name   string
		damage func(*damagedStore)
		read   func(*damagedStore) error
	}{
		{"a stream's first event is gone", gone(1), func(d *damagedStore) error { return readStream(d) }},
		{"a stream's first event is gone, backward", gone(1), func(d *damagedStore) error { return readStream(d, Backward()) }},
		{"a stream's second event is gone", gone(2), func(d *damagedStore) error { return readStream(d) }},
		{"a stream's second event is gone, backward", gone(2), func(d *damagedStore) error { return readStream(d, Backward()) }},
		{"a stream's event is damaged", flipped, func(d *damagedStore) error { return readStream(d) }},
		{"the global order misses an event", gone(2), func(d *damagedStore) error { return readAll(d) }},
		{"the global order misses an event, backward", gone(2), func(d *damagedStore) error { return readAll(d, Backward()) }},
		{"the global order has a damaged event", flipped, func(d *damagedStore) error { return readAll(d) }},
		{"the global order misses a position", noPointer, func(d *damagedStore) error { return readAll(d) }},
		{"the global order misses a position, backward", noPointer, func(d *damagedStore) error { return readAll(d, Backward()) }},
		{"the start of the global order misses a position", noPointer, func(d *damagedStore) error { return readAll(d, Limit(3)) }},
		{"the global order has an event twice", otherPointer, func(d *damagedStore) error { return readAll(d) }},
		{"a position leads to another event", otherPointer, func(d *damagedStore) error { _, err := d.EventAt(ctx, 2); return err }},
		{"a position leads a query to another event", func(d *damagedStore) { awaitIndexed(d.t, d.DB); otherPointer(d) }, func(d *damagedStore) error {
			d.lookupCost = 0 // it uses the index
			for _, err := range d.Query(ctx, Query{}.Types("X")) {
				if err != nil {
					return err
				}
			}
			return nil
		}},
		{"an event at a position is gone", gone(2), func(d *damagedStore) error { _, err := d.EventAt(ctx, 2); return err }},
		{"a position is gone", noPointer, func(d *damagedStore) error { _, err := d.EventAt(ctx, 2); return err }},
		{"a listed stream has no first event", gone(1), func(d *damagedStore) error { _, err := d.Stream(ctx, "a"); return err }},
		{"the head of a stream is damaged", func(d *damagedStore) {
			env := d.get(eventKey("b", 1))
			env[30] ^= 1
			d.write(func(b engine.Batch) { b.Set(eventKey("b", 1), env) })
			d.heads = newHeadCache(10)
		}, func(d *damagedStore) error {
			_, err := d.Append(ctx, "b", Any, NewEvent{Type: "X"})
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newDamagedStore(t)
			d.forgetTail()
			tt.damage(d)
			err := tt.read(d)
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("got %v, want ErrCorrupt", err)
			}
		})
	}
}

// A head above the events is damage to whoever asks for what should be there, though the
// tail in memory ends below it: nobody waits for it in a circle, and Close ends.
func TestAHeadAboveTheEventsIsDamage(t *testing.T) {
	t.Parallel()
	for name, read := range map[string]func(*damagedStore) iter.Seq2[Event, error]{
		"read":   func(d *damagedStore) iter.Seq2[Event, error] { return d.ReadAll(context.Background()) },
		"follow": func(d *damagedStore) iter.Seq2[Event, error] { return d.Follow(context.Background()) },
		"above the events": func(d *damagedStore) iter.Seq2[Event, error] {
			return d.ReadAll(context.Background(), After(d.Head()-1))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDamagedStore(t)
			d.eng.Durable.Rise(d.Head() + 1)
			for _, err := range read(d) {
				if errors.Is(err, ErrCorrupt) {
					return
				}
				if err != nil {
					t.Fatalf("got %v, want ErrCorrupt", err)
				}
			}
			t.Error("no error, want ErrCorrupt")
		})
	}
}

// What does not pass its check is no backup: nothing stands where it was to be.
func TestABackupOfADamagedStoreIsNotPublished(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(*damagedStore){
		"an event id is gone": func(d *damagedStore) { // Open does not see that
			key := d.idKey("a", 2)
			d.write(func(b engine.Batch) { b.Delete(key) })
		},
		"a durable event is gone": func(d *damagedStore) { d.eng.Durable.Rise(d.Head() + 1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDamagedStore(t)
			damage(d)
			_, err := d.Backup(context.Background(), "backup")
			if !errors.Is(err, ErrBackup) || !errors.Is(err, ErrCorrupt) {
				t.Errorf("got %v, want an error that matches ErrBackup and ErrCorrupt", err)
			}
			names, err := d.opts.FS.List("")
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				if strings.HasPrefix(name, "backup") {
					t.Errorf("%s was left", name)
				}
			}
		})
	}
}
