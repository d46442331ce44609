package eventstream_test

import (
	"testing"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
)

func TestStatsCountWhatHappened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := mustOpen(t, dir, nil)
	mustAppend(t, db, "a", eventstream.NoStream, withID(id(1), "X"), event("Y"))
	mustAppend(t, db, "b", eventstream.NoStream, eventstream.NewEvent{Type: "Z", Codec: codec.Raw, Data: make([]byte, 100_000)})
	mustAppend(t, db, "a", eventstream.NoStream, withID(id(1), "X"), event("Y")) // again
	_, err := db.Append(ctx, "a", eventstream.NoStream, event("X"))
	wantErr(t, err, eventstream.ErrConflict)
	_, err = db.Append(ctx, "a", eventstream.Any, eventstream.NewEvent{})
	wantErr(t, err, eventstream.ErrInvalidArgument)
	mustCollect(t, db.ReadAll(ctx))

	stats, err := db.Stats()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "appends", stats.Appends, 2)
	equal(t, "events", stats.Events, 3)
	equal(t, "deduplicated", stats.Deduplicated, 1)
	equal(t, "conflicts", stats.Conflicts, 1)
	equal(t, "failures", stats.Failures, 1)
	equal(t, "events read", stats.EventsRead, 3)
	if stats.EventBytes < 100_000 || stats.EventBytes > 110_000 {
		t.Errorf("event bytes: got %d, want a little above 100,000", stats.EventBytes)
	}
	mustClose(t, db)

	db = mustOpen(t, dir, &eventstream.Options{ReadOnly: true})
	stats, err = db.Stats()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "appends of a store that was just opened", stats.Appends, 0)
	if stats.BytesOnDisk == 0 || stats.KindBytes["event"] == 0 {
		t.Errorf("sizes: %d on disk, by kind %v, want some", stats.BytesOnDisk, stats.KindBytes)
	}
}
