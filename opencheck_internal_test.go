package eventstream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
)

// Records that are missing or changed under a database that is sound: what Open does not
// see it would serve as the whole history. The mark stands as it was when all was well.
func TestOpenRefusesAHistoryThatIsNotWhole(t *testing.T) {
	t.Parallel()
	drop := func(b engine.Batch, d *damagedStore, stream StreamID, version Version, position Position) {
		b.Delete(d.idKey(stream, version))
		b.Delete(eventKey(stream, version))
		b.Delete(keys.AppendPosition(nil, position))
	}
	const head = 4 // see newDamagedStore
	for _, tt := range []struct {
		name     string
		damage   func(*damagedStore)
		markGone bool
		from, to Position // what the error names
		detail   string
	}{
		{name: "a position is gone", damage: func(d *damagedStore) {
			d.write(func(b engine.Batch) { b.Delete(keys.AppendPosition(nil, 2)) })
		}, from: 2, to: 2, detail: "in the middle"},
		{name: "the first position is gone", damage: func(d *damagedStore) {
			d.write(func(b engine.Batch) { b.Delete(keys.AppendPosition(nil, 1)) })
		}, from: 1, to: 1, detail: "in the middle"},
		{name: "an event is gone", damage: func(d *damagedStore) {
			d.write(func(b engine.Batch) { b.Delete(eventKey("a", 2)) })
		}, from: 2, to: 2, detail: "missing"},
		{name: "a bit of a payload flipped", damage: func(d *damagedStore) {
			env := d.get(eventKey("a", 1))
			env[len(env)-1] ^= 1
			d.write(func(b engine.Batch) { b.Set(eventKey("a", 1), env) })
		}, from: 1, to: 1, detail: "body sum"},
		{name: "the newest commit is gone", damage: func(d *damagedStore) {
			d.write(func(b engine.Batch) { drop(b, d, "a", 3, head) })
		}, from: head, to: head, detail: "missing from the end"},
		{name: "another event stands at the mark", damage: func(d *damagedStore) {
			d.change("a", 3, func(env []byte) { binary.BigEndian.PutUint64(env[24:], 1<<62) })
		}, from: head, to: head, detail: "another event"},
		{name: "the newest commit has lost its end, and the mark is gone", damage: func(d *damagedStore) {
			d.write(func(b engine.Batch) { drop(b, d, "a", 3, head); drop(b, d, "b", 1, 3) })
		}, markGone: true, from: 2, to: 2, detail: "cut off"},
	} {
		for _, readOnly := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, read-only %v", tt.name, readOnly), func(t *testing.T) {
				t.Parallel()
				d := newDamagedStore(t)
				fs := d.opts.FS.(*vfs.MemFS)
				if err := d.writeMark(head); err != nil {
					t.Fatal(err)
				}
				mark := readMemFile(t, fs, "store/HWM")
				tt.damage(d)
				if err := d.Close(); err != nil {
					t.Fatal(err)
				}
				if tt.markGone {
					if err := fs.Remove("store/HWM"); err != nil {
						t.Fatal(err)
					}
				} else {
					writeMemFile(t, fs, "store/HWM", mark)
				}
				db, err := Open("store", &Options{FS: fs, ReadOnly: readOnly, MemTableBytes: 256 << 10, CacheBytes: 1 << 20})
				if err == nil {
					t.Error("the store opened")
					_ = db.Close()
					return
				}
				damage, ok := errors.AsType[*HistoryDamagedError](err)
				if !ok || !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), tt.detail) {
					t.Fatalf("got %v (%T), want a HistoryDamagedError that says %q", err, err, tt.detail)
				}
				if damage.From != tt.from || damage.To != tt.to {
					t.Errorf("got positions %d to %d, want %d to %d: %v", damage.From, damage.To, tt.from, tt.to, err)
				}
			})
		}
	}
}

// With a sound mark Open looks up the newest positions alone; without one, all of them.
func TestOpenLooksUpEveryPositionWithoutAMark(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	opts := &Options{FS: fs, CacheBytes: 1 << 20, Indexes: []Index{}, Unstable: Unstable{RunEvents: -1}}
	db, err := Open("store", opts)
	if err != nil {
		t.Fatal(err)
	}
	events := make([]NewEvent, maxAppendEvents)
	for i := range events {
		events[i] = NewEvent{Type: "X"}
	}
	for range openPositions/maxAppendEvents + 1 {
		if _, err := db.Append(context.Background(), "s", Any, events...); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil { // and with it the log, whose size tells Open to read more
		t.Fatal(err)
	}
	if db, err = Open("store", opts); err != nil {
		t.Fatal(err)
	}
	(&damagedStore{db, t}).write(func(b engine.Batch) { b.Delete(keys.AppendPosition(nil, 7)) })
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := fs.Remove("store/HWM"); err != nil {
		t.Fatal(err)
	}
	db, err = Open("store", opts)
	if err == nil {
		_ = db.Close()
	}
	if damage, ok := errors.AsType[*HistoryDamagedError](err); !ok || damage.From != 7 || damage.To != 7 {
		t.Errorf("got %v (%T), want a HistoryDamagedError that names position 7", err, err)
	}
}

func readMemFile(t *testing.T, fs *vfs.MemFS, path string) []byte {
	t.Helper()
	f, err := fs.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	var content bytes.Buffer
	if _, err := content.ReadFrom(f); err != nil || f.Close() != nil {
		t.Fatalf("%s was not read: %v", path, err)
	}
	return content.Bytes()
}

func writeMemFile(t *testing.T, fs *vfs.MemFS, path string, content []byte) {
	t.Helper()
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(content); err != nil || f.Close() != nil {
		t.Fatalf("%s was not written: %v", path, err)
	}
}
