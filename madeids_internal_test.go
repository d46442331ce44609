package eventstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream/keys"
)

// idRecords returns the ids that have a record.
func (db *DB) idRecords(t *testing.T) (ids []EventID) {
	t.Helper()
	it, err := db.eng.NewPrefixIter([]byte{byte(keys.KindEventID)})
	if err != nil {
		t.Fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		_, id, err := keys.ParseEventIDKey(it.Key())
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return ids
}

// wantAt makes sure that the event with an id is found, at a position.
func (db *DB) wantAt(t *testing.T, id EventID, position Position) {
	t.Helper()
	if e, err := db.Event(context.Background(), id); err != nil || e.Position != position || e.ID != id {
		t.Errorf("event %s: got %s at position %d, %v, want position %d", id, e.ID, e.Position, err, position)
	}
}

// wantChecked makes sure that a deep check finds nothing.
func (db *DB) wantChecked(t *testing.T) {
	t.Helper()
	if report, err := db.Check(context.Background(), Deep()); err != nil || !report.OK() {
		t.Errorf("check: %+v, %v", report.Problems, err)
	}
}

func openMade(t *testing.T, fs vfs.FS, dir string, entropy io.Reader) *DB {
	t.Helper()
	db, err := Open(dir, &Options{FS: fs, Entropy: entropy, MemTableBytes: 256 << 10, CacheBytes: 1 << 20, Clock: func() time.Time { return time.Unix(1_800_000_000, 0) }})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func appendMade(t *testing.T, db *DB, stream StreamID, events ...NewEvent) AppendResult {
	t.Helper()
	for i := range events {
		events[i].Type = "X"
	}
	res, err := db.Append(context.Background(), stream, Any, events...)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// Ids that the store makes lead to their events without a record, also in an opening that
// makes others and in a store that is only read; ids that came with an event have one.
func TestIDsThatTheStoreMadeNeedNoRecord(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	db := openMade(t, fs, "store", nil)
	given := EventID{15: 3} // ends like the id of position 3
	first := appendMade(t, db, "s", NewEvent{}, NewEvent{ID: given}, NewEvent{})
	ids := first.EventIDs
	for reopened := range 2 {
		for i, id := range ids {
			db.wantAt(t, id, Position(i+1))
		}
		if got := db.idRecords(t); len(got) != 1 || got[0] != given {
			t.Errorf("records: got %v, want that of %s", got, given)
		}
		res := appendMade(t, db, "s", NewEvent{ID: ids[0]}, NewEvent{}, NewEvent{ID: ids[2]})
		if !res.Deduplicated || res.FirstPosition != 1 || res.EventIDs[1] != given {
			t.Errorf("again: got %+v", res)
		}
		if _, err := db.Append(context.Background(), "s", Any, NewEvent{ID: ids[2], Type: "Y"}); !errors.Is(err, ErrDuplicateEvent) {
			t.Errorf("with other content: got %v", err)
		}
		db.wantChecked(t)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		var err error
		if db, err = Open("store", &Options{FS: fs, ReadOnly: reopened == 1}); err != nil {
			t.Fatal(err)
		}
	}
	db.wantAt(t, ids[2], 3)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// An id belongs to its tenant: in another one it names another event, wherever that is.
func TestAMadeIDInAnotherTenantIsAnotherEvent(t *testing.T) {
	t.Parallel()
	db := openMade(t, vfs.NewMem(), "store", nil)
	id := appendMade(t, db, "s", NewEvent{}).EventIDs[0]
	other := db.Tenant("other")
	if _, err := other.Append(context.Background(), "s", NoStream, NewEvent{Type: "X"}); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Event(context.Background(), id); !errors.Is(err, ErrEventNotFound) {
		t.Errorf("another tenant finds it: %v", err)
	}
	res, err := other.Append(context.Background(), "s", Any, NewEvent{ID: id, Type: "Y"})
	if err != nil || res.Deduplicated {
		t.Fatalf("got %+v, %v", res, err)
	}
	if e, err := other.Event(context.Background(), id); err != nil || e.Position != 3 || e.Type != "Y" {
		t.Errorf("got %+v, %v", e, err)
	}
	db.wantAt(t, id, 1)
	db.wantChecked(t)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// The end of the log was lost, or cut off by a restore: the same events are appended again
// under the ids that they had, one where it was and one elsewhere. Both are found, and
// what gets the place of the other has an id of its own.
func TestIDsThatTellAPositionMayComeElsewhere(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	db := openMade(t, fs, "store", nil)
	appendMade(t, db, "s", NewEvent{})
	lost := [2]EventID{appendMade(t, db, "s", NewEvent{}).EventIDs[0], appendMade(t, db, "s", NewEvent{}).EventIDs[0]}
	elsewhere := appendMade(t, db, "s", NewEvent{}).EventIDs[0] // position 4
	if _, err := db.Backup(context.Background(), "backup"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(context.Background(), "backup", "restored", &RestoreOptions{AsOfPosition: 1, Options: &Options{FS: fs}}); err != nil {
		t.Fatal(err)
	}
	db = openMade(t, fs, "restored", nil)
	appendMade(t, db, "s", NewEvent{ID: lost[0]})
	appendMade(t, db, "s", NewEvent{ID: elsewhere}) // to position 3
	if _, err := db.Event(context.Background(), lost[1]); !errors.Is(err, ErrEventNotFound) {
		t.Errorf("what was cut off: got %v", err)
	}
	made := appendMade(t, db, "s", NewEvent{}).EventIDs[0] // at position 4
	if made == elsewhere {
		t.Error("two events have one id")
	}
	for position, id := range map[Position]EventID{2: lost[0], 3: elsewhere, 4: made} {
		db.wantAt(t, id, position)
		if res := appendMade(t, db, "s", NewEvent{ID: id}); !res.Deduplicated || res.FirstPosition != position {
			t.Errorf("again: got %+v, want position %d", res, position)
		}
	}
	if got := db.idRecords(t); len(got) != 1 || got[0] != elsewhere {
		t.Errorf("records: got %v, want that of %s", got, elsewhere)
	}
	db.wantChecked(t)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// Beyond 2^40 ids do not tell their positions any more, and are recorded.
func TestBeyondTheBitsOfAnIDThereAreRecords(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	db, err := Open("store", &Options{FS: vfs.NewMem(), Clock: func() time.Time { now = now.Add(time.Second); return now }})
	if err != nil {
		t.Fatal(err)
	}
	appendMade(t, db, "s", NewEvent{}, NewEvent{})
	const beyond = Position(1 << 40)
	db.seq.head = beyond - 2
	ids := appendMade(t, db, "s", NewEvent{}, NewEvent{}, NewEvent{}).EventIDs
	for i, id := range ids {
		db.wantAt(t, id, beyond-1+Position(i))
		if res := appendMade(t, db, "s", NewEvent{ID: id}); !res.Deduplicated || res.FirstPosition != beyond-1+Position(i) {
			t.Errorf("again: got %+v", res)
		}
	}
	if got := db.idRecords(t); len(got) != 2 {
		t.Errorf("records: got %v, want those of %v", got, ids[1:])
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// A pointer that is lost is damage, not an id that nobody used: what it names would be
// recorded twice.
func TestAMadeIDWithoutItsPositionIsDamage(t *testing.T) {
	t.Parallel()
	d := newDamagedStore(t)
	e, err := d.EventAt(context.Background(), 1)
	if err != nil {
		t.Fatal(err)
	}
	batch := d.eng.NewBatch()
	batch.Delete(keys.AppendPosition(nil, 1))
	if err := d.eng.Write(batch, ignored{}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Event(context.Background(), e.ID); !errors.Is(err, ErrCorrupt) {
		t.Errorf("read: got %v", err)
	}
	if _, err := d.Append(context.Background(), "a", Any, NewEvent{ID: e.ID, Type: "X"}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("append: got %v", err)
	}
}

// Each opening makes ids of its own. If its random bytes cannot be had, the store is not
// opened for writing, and can be read.
func TestEachOpeningMakesIDsOfItsOwn(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	if err := openMade(t, fs, "store", nil).Close(); err != nil {
		t.Fatal(err)
	}
	ids := map[EventID]bool{}
	for n := range 4 {
		fresh := vfs.NewMem() // to begin at the same position each time
		if _, err := vfs.Clone(fs, fresh, "store", "store"); err != nil {
			t.Fatal(err)
		}
		db := openMade(t, fresh, "store", bytes.NewReader([]byte{0, 0, byte(n)}))
		id := appendMade(t, db, "s", NewEvent{}).EventIDs[0]
		if ids[id] {
			t.Errorf("id %s was made twice", id)
		}
		ids[id] = true
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open("store", &Options{FS: fs, Entropy: strings.NewReader("ab")}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("without entropy: got %v", err)
	}
	db, err := Open("store", &Options{FS: fs, Entropy: strings.NewReader(""), ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
