package eventstream

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
)

// anchor is what somebody outside of the store keeps of it: a printed receipt, another
// machine.
type anchor struct {
	position Position
	sum      uint64 // of the header of the event there, which covers its content
}

func (d *damagedStore) anchor() anchor {
	d.t.Helper()
	return d.anchorAt(d.Head())
}

func (d *damagedStore) anchorAt(p Position) anchor {
	d.t.Helper()
	sum, err := d.headerSumAt(p)
	if err != nil {
		d.t.Fatal(err)
	}
	return anchor{p, sum}
}

// finds reports whether the store is another than the one that the anchor was taken of.
func (a anchor) finds(db *DB) bool {
	if db.Head() < a.position {
		return true
	}
	sum, err := db.headerSumAt(a.position)
	return err != nil || sum != a.sum
}

// keyAt returns the key of the event at a position, and a copy of its envelope.
func (d *damagedStore) keyAt(p Position) (key, envelope []byte) {
	d.t.Helper()
	key = bytes.Clone(d.get(keys.AppendPosition(nil, p)))
	return key, bytes.Clone(d.get(key))
}

// idKeyOf returns the key of an event's id.
func (d *damagedStore) idKeyOf(key, envelope []byte) []byte {
	d.t.Helper()
	id, stream, version, err := keys.ParseEvent(key)
	if err != nil {
		d.t.Fatal(err)
	}
	env, err := codec.ParseEnvelope(envelope, id, stream, version)
	if err != nil {
		d.t.Fatal(err)
	}
	return keys.AppendEventID(nil, id, env.EventID)
}

// place puts an envelope at the place of another, and makes its sums right.
func (d *damagedStore) place(key, envelope []byte, p Position) []byte {
	d.t.Helper()
	id, stream, version, err := keys.ParseEvent(key)
	if err != nil {
		d.t.Fatal(err)
	}
	placed := bytes.Clone(envelope)
	at, err := d.eventAt(p) // what is there now
	if err != nil {
		d.t.Fatal(err)
	}
	codec.SealEnvelope(placed, id, stream, version, p, at.RecordedAt.UnixNano())
	return placed
}

// Somebody who can write events with sums that are right changes the history. What lies
// under a seal is found by the seals, whoever has none of them forged too; the end of the
// log, which is not sealed yet, is found by what else is kept of it, or by an anchor alone.
// Each row says exactly by what.
func TestTamperedHistoryIsFound(t *testing.T) {
	t.Parallel()
	const middle = Position(33) // in the fourth run of ten or so
	edit := func(p func(*damagedStore) Position, content bool) func(*damagedStore, engine.Batch) {
		return func(d *damagedStore, b engine.Batch) {
			key, envelope := d.keyAt(p(d))
			reforge(d.t, key, envelope)
			b.Set(key, envelope)
			if content { // and what is kept of its content beside it
				id, stream, version, err := keys.ParseEvent(key)
				if err != nil {
					d.t.Fatal(err)
				}
				env, err := codec.ParseEnvelope(envelope, id, stream, version)
				if err != nil {
					d.t.Fatal(err)
				}
				hash := codec.HashContent(stream, env.Schema, env.Codec, env.Flags&codec.FlagOccurredGiven != 0, env.OccurredAt, codec.Body(envelope))
				b.Set(d.idKeyOf(key, envelope), codec.AppendEventIDRecord(nil, p(d), hash))
			}
		}
	}
	sealed := func(*damagedStore) Position { return middle }
	end := func(d *damagedStore) Position { return d.Head() }
	for _, tt := range []struct {
		name   string
		tamper func(*damagedStore, engine.Batch)
		check  []string // kinds of problems of which a deep check names one; nil: it finds nothing
		opens  bool
		newest EventID // of the newest event; zero: the store made it
	}{
		{"an event is edited", edit(sealed, true), []string{ProblemSeal}, true, EventID{}},
		{"two events of one length are swapped", func(d *damagedStore, b engine.Batch) {
			key, envelope := d.keyAt(middle)
			for p := middle + 1; ; p++ {
				other, otherEnvelope := d.keyAt(p)
				if len(otherEnvelope) == len(envelope) && bytes.Equal(other[:len(other)-8], key[:len(key)-8]) && !bytes.Equal(codec.Body(envelope), codec.Body(otherEnvelope)) {
					b.Set(key, d.place(key, otherEnvelope, middle))
					b.Set(other, d.place(other, envelope, p))
					return
				}
			}
		}, []string{ProblemSeal}, true, EventID{}},
		{"an event is dropped", func(d *damagedStore, b engine.Batch) {
			key, envelope := d.keyAt(middle)
			b.Delete(key)
			b.Delete(keys.AppendPosition(nil, middle))
			b.Delete(d.idKeyOf(key, envelope))
		}, []string{ProblemPosition}, false, EventID{}},
		{"an event is inserted at the end of a stream", func(d *damagedStore, b engine.Batch) {
			_, envelope := d.keyAt(middle)
			key := keys.AppendEvent(nil, 1, "finance-account-new", 1)
			b.Set(key, d.place(key, envelope, middle))
		}, []string{ProblemOrphan, ProblemEvent}, true, EventID{}},
		{"the newest event is edited", edit(end, false), nil, true, EventID{}},
		{"the newest event, which came with an id, is edited", edit(end, false), []string{ProblemContent}, true, EventID{1}},
		{"the newest event, which came with an id, is edited, and what its id says", edit(end, true), nil, true, EventID{1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fs := vfs.NewMem()
			db := sealedStore(t, fs, 7)
			if db.sealer.reached() < middle+10 || db.sealer.reached() >= db.Head() {
				t.Fatalf("%d of %d events are sealed", db.sealer.reached(), db.Head())
			}
			if _, err := db.Append(context.Background(), "finance-account-newest", Any, NewEvent{ID: tt.newest, Type: "X", Data: "newest"}); err != nil {
				t.Fatal(err)
			}
			kept := db.anchor()
			if report, err := db.Check(context.Background(), Deep()); err != nil || !report.OK() || kept.finds(db.DB) {
				t.Fatalf("before: %+v, %v", report.Problems, err)
			}
			db.write(func(b engine.Batch) { tt.tamper(db, b) })
			found := func(db *DB, when string) {
				report, err := db.Check(context.Background(), Deep())
				if err != nil {
					t.Fatal(err)
				}
				if report.OK() != (tt.check == nil) || tt.check != nil && !slices.ContainsFunc(report.Problems, func(p Problem) bool { return slices.Contains(tt.check, p.Kind) }) {
					t.Errorf("%s: got %+v, want a problem of %v", when, report.Problems, tt.check)
				}
				if tt.check == nil && !kept.finds(db) {
					t.Errorf("%s: the anchor does not find it", when)
				}
			}
			found(db.DB, "at once")
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			again, err := Open("store", sealedOptions(fs))
			if (err == nil) != tt.opens {
				t.Fatalf("open: got %v", err)
			}
			if err != nil {
				return
			}
			found(again, "after Open")
			if err := again.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// The whole store is put back to an older copy of itself. Nothing in it can tell: it opens
// and every check passes. Only an anchor finds it, also once others events stand where the
// lost ones stood. With the mark of the newer one, Open finds it.
func TestAStoreThatIsPutBackIsFoundByAnAnchorAlone(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	db := openSealed(t, sealedOptions(fs))
	db.fill(7, 40)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	older, original := copyStore(t, fs), copyStore(t, fs)
	db = openSealed(t, sealedOptions(fs))
	db.fill(8, 40)
	kept := db.anchor()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	marked := copyStore(t, fs)
	put := openSealed(t, sealedOptions(older))
	if report, err := put.Check(context.Background(), Deep()); err != nil || !report.OK() {
		t.Errorf("the older copy: %+v, %v", report.Problems, err)
	}
	if put.Head() >= kept.position || !kept.finds(put.DB) {
		t.Errorf("the anchor at %d does not find a store that ends at %d", kept.position, put.Head())
	}
	if early := put.anchorAt(10); early.finds(put.DB) {
		t.Error("an anchor from before the copy finds something")
	}
	put.fill(9, 60)
	if put.Head() < kept.position || !kept.finds(put.DB) {
		t.Errorf("the anchor at %d does not find that other events were appended, up to %d", kept.position, put.Head())
	}
	if err := put.Close(); err != nil {
		t.Fatal(err)
	}

	// But for the mark, which is the newer one's, all of it is older.
	if err := marked.RemoveAll("store/db"); err != nil {
		t.Fatal(err)
	}
	if _, err := vfs.Clone(original, marked, "store/db", "store/db"); err != nil {
		t.Fatal(err)
	}
	_, err := Open("store", sealedOptions(marked))
	if damage, ok := errors.AsType[*HistoryDamagedError](err); !ok || damage.To != kept.position {
		t.Errorf("the older database under the newer mark: got %v, want one that names position %d", err, kept.position)
	}
}

// copyStore copies the directory "store".
func copyStore(t *testing.T, from vfs.FS) *vfs.MemFS {
	t.Helper()
	to := vfs.NewMem()
	if _, err := vfs.Clone(from, to, "store", "store"); err != nil {
		t.Fatal(err)
	}
	return to
}
