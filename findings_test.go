package eventstream_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
)

// Pebble takes damage at the end of its newest log for the end of the log, and a log
// that is gone for none: internal/engine's tests show it. The high-water mark tells.
func TestEventsLostFromTheEndOfTheLogAreMissed(t *testing.T) {
	t.Parallel()
	mem := vfs.NewCrashableMem()
	mustClose(t, openSpecimen(t, mem)) // what is written at creation is in a table from then on
	db := openSpecimen(t, mem)
	var head eventstream.Position
	for range 50 {
		head = mustAppendAll(t, db, eventstream.StreamAppend{Stream: "order-1", Expect: eventstream.Any, Events: []eventstream.NewEvent{event("T")}}).LastPosition
	}
	awaitDerived(t, db) // it is in the log too, behind the events
	if err := db.Sync(ctx); err != nil {
		t.Fatal(err)
	}
	if err := eventstream.WriteMark(db); err != nil {
		t.Fatal(err)
	}
	last := mustEventAt(t, db, head).ID
	whole := imageOf(t, mem.CrashClone(vfs.CrashCloneCfg{}))
	mustClose(t, db)
	log := "" // the newest, in which all of them are
	for path, content := range whole {
		if filepath.Ext(path) == ".log" && len(content) > 0 {
			log = max(log, path)
		}
	}
	inLast := bytes.LastIndex(whole[log], last[:])
	if inLast < 0 {
		t.Fatal("the last event is not in the log")
	}
	for name, change := range map[string]func(image){
		"a bit in the middle flipped": func(i image) { i[log][len(i[log])/2] ^= 4 },
		"a bit of the last flipped":   func(i image) { i[log][inLast] ^= 4 },
		"the log halved":              func(i image) { i[log] = i[log][:len(i[log])/2] },
		"the log empty":               func(i image) { i[log] = nil },
		"the log zeroed":              func(i image) { clear(i[log]) },
		"the log deleted":             func(i image) { delete(i, log) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			files := make(image)
			for path, content := range whole {
				files[path] = bytes.Clone(content)
			}
			change(files)
			for _, readOnly := range []bool{true, false} {
				fs, err := memOf(files)
				if err != nil {
					t.Fatal(err)
				}
				opts := specimenOptions(fs)
				opts.ReadOnly = readOnly
				db, err := eventstream.Open("store", opts)
				if err == nil {
					mustClose(t, db)
					t.Fatal("the store opened with fewer events")
				}
				wantErr(t, err, eventstream.ErrHistoryDamaged)
				wantErr(t, err, eventstream.ErrCorrupt)
				damage := errAs[*eventstream.HistoryDamagedError](t, err)
				if damage.From != 0 && (damage.From > head || damage.To != head) {
					t.Errorf("got positions %d to %d, want them to end at %d", damage.From, damage.To, head)
				}
				if damage.From == 0 && damage.File == "" && damage.Err == nil {
					t.Errorf("got %v, which names neither positions nor a cause", err)
				}
				for path, want := range files {
					if got, err := contentOf(fs, "store/"+path); err != nil || !bytes.Equal(got, want) {
						t.Errorf("%s was changed: %v", path, err)
					}
				}
			}
		})
	}
}

func TestADatabaseOfANewerPebbleIsRefusedByName(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	mustClose(t, openSpecimen(t, mem))
	writeMem(t, mem, "db/marker.format-version.999999.999", nil)
	before := imageOf(t, mem)
	_, err := eventstream.Open("store", specimenOptions(mem))
	wantErr(t, err, eventstream.ErrFormatTooNew)
	after := imageOf(t, mem)
	equal(t, "files", len(after), len(before))
	for path, content := range before {
		equal(t, path, string(after[path]), string(content))
	}
}

// A manifest that has lost its last record may be one that a crash cut off, so it passes;
// but then the tables beside it are looked at. Without a mark and without the log, which
// is used again, nothing else tells of the events in them.
func TestATableThatTheManifestHasLostIsMissed(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	mustClose(t, openSpecimen(t, mem))
	db := openSpecimen(t, mem)
	for range 50 {
		mustAppend(t, db, "order-1", eventstream.Any, event("T"))
	}
	mustClose(t, db)
	for _, cut := range []bool{false, true} {
		files := imageOf(t, mem)
		manifest := ""
		for path := range files {
			switch name := filepath.Base(path); {
			case name == "HWM", filepath.Ext(path) == ".log":
				delete(files, path)
			case strings.HasPrefix(name, "MANIFEST-"):
				manifest = max(manifest, path)
			}
		}
		if cut {
			files[manifest] = files[manifest][:len(files[manifest])-3]
		}
		fs, err := memOf(files)
		if err != nil {
			t.Fatal(err)
		}
		db, err := eventstream.Open("store", specimenOptions(fs))
		if err == nil {
			equal(t, "events", db.Head(), 50)
			mustClose(t, db)
		}
		if !cut {
			if err != nil {
				t.Errorf("with a whole manifest: %v", err)
			}
			continue
		}
		wantErr(t, err, eventstream.ErrHistoryDamaged)
		damage := errAs[*eventstream.HistoryDamagedError](t, err)
		if filepath.Ext(damage.File) != ".sst" || damage.From != 1 || damage.To != 50 {
			t.Errorf("got file %q and positions %d to %d, want a table and 1 to 50", damage.File, damage.From, damage.To)
		}
	}
}
