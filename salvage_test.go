package eventstream_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
)

// A sound store is salvaged whole: tenants, metadata and all. It stays as it was.
func TestSalvageGivesWhatTheStoreGives(t *testing.T) {
	t.Parallel()
	mem := vfs.NewMem()
	db := openSpecimen(t, mem)
	appendCommits(t, db, split(purchases(t), 20)[:40])
	mustAppend(t, db.Tenant("acme"), "finance-account-1", eventstream.NoStream, event("Posted"))
	want := map[eventstream.Position]string{}
	for _, tenant := range db.Tenants() {
		for _, e := range mustCollect(t, db.Tenant(tenant).ReadAll(ctx)) {
			want[e.Position] = describe(&e)
		}
	}
	mustClose(t, db)
	before := imageOf(t, mem)

	s, err := eventstream.OpenSalvage(ctx, "store", &eventstream.SalvageOptions{FS: mem})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // it can be read again
		events := mustCollect(t, s.ReadAll(ctx))
		equal(t, "events", len(events), len(want))
		for i := range events {
			equal(t, "event", describe(&events[i]), want[events[i].Position])
		}
	}
	equal(t, "events counted", s.Events(), uint64(len(want)))
	equal(t, "missing", len(s.Missing()), 0)
	equal(t, "problems", len(s.Problems()), 0)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	after := imageOf(t, mem)
	for path, content := range after {
		if string(before[path]) != string(content) && !strings.EqualFold(filepath.Base(path), "lock") {
			t.Errorf("%s was changed", path)
		}
	}
	equal(t, "files", len(after), len(before))
}

func TestSalvageRefusesWhatIsNoStore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := eventstream.OpenSalvage(ctx, filepath.Join(dir, "nowhere"), nil)
	wantErr(t, err, eventstream.ErrNotExist)
	_, err = eventstream.OpenSalvage(ctx, dir, nil)
	wantErr(t, err, eventstream.ErrNotAStore)

	store := filepath.Join(dir, "store")
	db, err := eventstream.Open(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = eventstream.OpenSalvage(ctx, store, nil)
	wantErr(t, err, eventstream.ErrInUse)
	mustClose(t, db)
	s, err := eventstream.OpenSalvage(ctx, store, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = eventstream.Open(store, nil)
	wantErr(t, err, eventstream.ErrInUse)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err = eventstream.Open(store, nil)
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, db)
}
