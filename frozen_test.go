package eventstream_test

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/keys"
)

// updateFrozen makes the frozen store anew. That is for a new format alone: a store
// of a released format is never written again, since it stands for those that users
// have.
var updateFrozen = flag.Bool("update-frozen", false, "make testdata/format-1 anew")

const (
	frozenDir    = "testdata/format-1/store"
	frozenEvents = "testdata/format-1/events.json"
)

// frozenEvent is an event as the golden file has it.
type frozenEvent struct {
	Tenant, Stream    string
	Version, Position uint64
	ID, Type          string
	SchemaVersion     uint32
	OccurredAt        time.Time
	OccurredGiven     bool
	RecordedAt        time.Time
	CorrelationID     string            `json:",omitempty"`
	CausationID       string            `json:",omitempty"`
	UserID            string            `json:",omitempty"`
	Metadata          map[string]string `json:",omitempty"`
	Codec             string
	Data              string // in hexadecimal
	CommitIndex       int
	CommitSize        int
}

func allFrozenEvents(t *testing.T, db *eventstream.DB) []frozenEvent {
	t.Helper()
	var all []frozenEvent
	for _, tenant := range db.Tenants() {
		for _, e := range mustCollect(t, db.Tenant(tenant).ReadAll(ctx)) {
			all = append(all, frozenEvent{
				Tenant: e.Tenant, Stream: string(e.Stream), Version: uint64(e.Version), Position: uint64(e.Position),
				ID: e.ID.String(), Type: e.Type, SchemaVersion: uint32(e.SchemaVersion),
				OccurredAt: e.OccurredAt, OccurredGiven: e.OccurredGiven(), RecordedAt: e.RecordedAt,
				CorrelationID: e.CorrelationID, CausationID: e.CausationID, UserID: e.UserID, Metadata: e.Metadata,
				Codec: e.Codec.String(), Data: hex.EncodeToString(e.Data), CommitIndex: e.CommitIndex, CommitSize: e.CommitSize,
			})
		}
	}
	return all
}

// frozenID is an id that an append can be repeated with.
func frozenID(t testing.TB) eventstream.EventID {
	t.Helper()
	parsed, err := keys.ParseEventID("01HQ0000000000000000000001")
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// frozenOrder is the append of the frozen store that its tests repeat.
func frozenOrder(t testing.TB) []eventstream.NewEvent {
	return []eventstream.NewEvent{{
		ID: frozenID(t), Type: "OrderPlaced", SchemaVersion: 2, Codec: codec.JSON,
		Data:       map[string]any{"customer": "c-7", "cents": 129900},
		OccurredAt: time.Date(2024, 2, 29, 23, 59, 59, 999999999, time.UTC), // recorded later
		UserID:     "ada", CorrelationID: "order-42", CausationID: "click-9",
		Metadata: map[string]string{"ip": "192.0.2.7", "app": "shop ünïcode"},
	}}
}

func freeze(t *testing.T) {
	t.Helper()
	if err := os.RemoveAll(filepath.Dir(frozenDir)); err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)
	db, err := eventstream.Open(frozenDir, &eventstream.Options{
		Node:  "shop-1",
		Clock: func() time.Time { now = now.Add(time.Second); return now }, Entropy: rand.NewChaCha8([32]byte{1}),
		MemTableBytes: 256 << 10, CacheBytes: 1 << 20,
	})
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, db, "sales-order-42", eventstream.NoStream, frozenOrder(t)...)
	mustAppendAll(t, db,
		eventstream.StreamAppend{Stream: "sales-order-42", Expect: eventstream.Exact(1), Events: []eventstream.NewEvent{
			{Type: "LineAdded", Data: map[string]any{"no": 1, "quantity": int64(-1) << 40, "at": now}},
			{Type: "LineAdded", Data: map[string]any{"no": uint64(1<<63 + 1), "text": "größe", "raw": []byte{0, 255}}},
		}},
		eventstream.StreamAppend{Stream: "stock-item-Schraube M4/16", Expect: eventstream.NoStream, Events: []eventstream.NewEvent{
			{Type: "Reserved", Codec: codec.Raw, Data: []byte("\x00\x01raw\xff")},
		}},
	)
	mustAppend(t, db.Tenant("acme"), "sales-order-42", eventstream.NoStream, withID(frozenID(t), "OrderPlaced"))
	mustAppend(t, db, "stock-item-Schraube M4/16", eventstream.Any, eventstream.NewEvent{Type: "Counted"}, eventstream.NewEvent{Type: "Noted", Codec: codec.JSON, Data: nil})
	events := allFrozenEvents(t, db)
	mustClose(t, db)
	golden, err := json.MarshalIndent(events, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(frozenEvents, append(golden, '\n'), 0o600); err != nil {
		t.Fatal(err)
	}
}

// A store that an earlier version wrote reads as it did, to the byte, and can be
// appended to.
func TestAStoreOfFormat1Opens(t *testing.T) {
	t.Parallel()
	if *updateFrozen {
		freeze(t)
	}
	golden, err := os.ReadFile(frozenEvents)
	if err != nil {
		t.Fatal(err)
	}
	var want []frozenEvent
	if err := json.Unmarshal(golden, &want); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(dir, os.DirFS(frozenDir)); err != nil {
		t.Fatal(err)
	}
	for _, opts := range []*eventstream.Options{{ReadOnly: true}, {ErrorIfNotExists: true}} {
		db := mustOpen(t, dir, opts)
		if diff := cmp.Diff(want, allFrozenEvents(t, db)); diff != "" {
			t.Errorf("read-only %v: events differ (-want +got):\n%s", opts.ReadOnly, diff)
		}
		info := db.Info()
		equal(t, "format", info.Format, 1)
		equal(t, "node", info.Node, "shop-1")
		equal(t, "store", info.StoreID.String(), "01KDYAK4RPDBK7GFTFQQMHPVNR")
		equal(t, "head", info.Head, eventstream.Position(len(want)))
		wantSound(t, db)
		mustClose(t, db)
	}

	db := mustOpen(t, dir, nil)
	again := mustAppend(t, db, "sales-order-42", eventstream.NoStream, frozenOrder(t)...)
	equal(t, "the first append again: deduplicated", again.Deduplicated, true)
	equal(t, "the first append again: position", again.FirstPosition, 1)
	changed := frozenOrder(t)
	changed[0].UserID = "bob"
	_, err = db.Append(ctx, "sales-order-42", eventstream.Any, changed...)
	wantErr(t, err, eventstream.ErrDuplicateEvent)
	_, err = db.Append(ctx, "sales-order-42", eventstream.NoStream, event("X"))
	equal(t, "the conflict's version", errAs[*eventstream.ConflictError](t, err).Actual, 3)
	res := mustAppend(t, db, "sales-order-42", eventstream.Exact(3), event("X"))
	equal(t, "the new event's position", res.FirstPosition, eventstream.Position(len(want)+1))
	acme := mustAppend(t, db.Tenant("acme"), "sales-order-42", eventstream.Exact(1), event("X"))
	equal(t, "the other tenant's version", acme.LastVersion, 2)
	wantSound(t, db)
}

func wantSound(t testing.TB, db *eventstream.DB) {
	t.Helper()
	report, err := db.Check(ctx, eventstream.Deep())
	if err != nil || !report.OK() {
		t.Errorf("check: %+v, %v", report, err)
	}
}
