package eventstream_test

import (
	"bytes"
	"maps"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
)

// The high-water mark is damaged, lost, or another's. What it says is believed if it is
// sound: a store that ends before it is refused. If there is nothing to believe, the store
// opens with all it has, and the next mark is as good as any.
func TestTheMarkIsDamagedOrAnothers(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	session := func(events int) image {
		db := openSpecimen(t, mem)
		for range events {
			mustAppend(t, db, "s", eventstream.Any, event("X"))
		}
		mustClose(t, db)
		return imageOf(t, mem)
	}
	older, newer := session(20), session(20)
	foreign := vfs.NewMem()
	mustClose(t, openSpecimen(t, foreign))
	db := openSpecimen(t, foreign)
	for range 60 {
		mustAppend(t, db, "s", eventstream.Any, event("X"))
	}
	mustClose(t, db)
	const second = 4096 // where the second slot is
	spoil := func(mark []byte, at ...int) []byte {
		mark = bytes.Clone(mark)
		for _, at := range at {
			mark[at+20] ^= 1
		}
		return mark
	}
	mark := newer["HWM"]
	if len(mark) < second+64 || bytes.Equal(mark[:64], mark[second:second+64]) {
		t.Fatalf("the mark has %d bytes", len(mark))
	}
	for _, tt := range []struct {
		name  string
		files image // but for the mark
		mark  []byte
		opens bool
	}{
		{"it is sound", newer, mark, true},
		{"it is lost", newer, nil, true},
		{"it is empty", newer, []byte{}, true},
		{"it is cut in the first slot", newer, mark[:40], true},
		{"it is cut behind the first slot", newer, mark[:second], true},
		{"it is all zero", newer, make([]byte, len(mark)), true},
		{"it has more behind it", newer, append(bytes.Clone(mark), mark...), true},
		{"the first slot is bad", newer, spoil(mark, 0), true},
		{"the second slot is bad", newer, spoil(mark, second), true},
		{"both slots are bad", newer, spoil(mark, 0, second), true},
		{"it is an older one", newer, older["HWM"], true},
		{"it is another store's, which went further", newer, imageOf(t, foreign)["HWM"], true},
		{"the store is older than it", older, mark, false},
		{"the store is older than it, and more stands behind it", older, append(bytes.Clone(mark), 1, 2, 3), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			files := maps.Clone(tt.files)
			if files["HWM"] = tt.mark; tt.mark == nil {
				delete(files, "HWM")
			}
			fs, err := memOf(files)
			if err != nil {
				t.Fatal(err)
			}
			db, err := eventstream.Open("store", specimenOptions(fs))
			if !tt.opens {
				wantErr(t, err, eventstream.ErrHistoryDamaged)
				damage := errAs[*eventstream.HistoryDamagedError](t, err)
				equal(t, "the first position that is missing", damage.From, 21)
				equal(t, "the last position that is missing", damage.To, 40)
				for path, want := range files {
					if got, err := contentOf(fs, "store/"+path); err != nil || !bytes.Equal(got, want) {
						t.Errorf("%s was changed: %v", path, err)
					}
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "events", len(mustCollect(t, db.ReadAll(ctx))), 40)
			wantSound(t, db)
			mustAppend(t, db, "s", eventstream.Exact(40), event("X"))
			mustClose(t, db)
			// The mark that this session left is believed: the older database is refused.
			lost := maps.Clone(older)
			lost["HWM"] = imageOf(t, fs)["HWM"]
			if fs, err = memOf(lost); err != nil {
				t.Fatal(err)
			}
			_, err = eventstream.Open("store", specimenOptions(fs))
			wantErr(t, err, eventstream.ErrHistoryDamaged)
			equal(t, "the end of what is missing", errAs[*eventstream.HistoryDamagedError](t, err).To, 41)
		})
	}
}
