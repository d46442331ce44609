package eventstream_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cursor"
	"github.com/nexus-erp/eventstream/estest"
	"github.com/nexus-erp/eventstream/internal/campaign"
)

func wantReason(t *testing.T, what string, err error, want cursor.Reason) {
	t.Helper()
	wantErr(t, err, cursor.ErrInvalid)
	if e, ok := errors.AsType[*eventstream.CursorError](err); !ok || e.Reason != want {
		t.Errorf("%s: got %v, want reason %s", what, err, want)
	}
}

// firstPage returns the first page of a query of which there are more.
func firstPage(t *testing.T, of *eventstream.Tenant, q eventstream.Query) eventstream.Page {
	t.Helper()
	page, err := of.QueryPage(ctx, q, eventstream.PageOptions{Size: 2})
	if err != nil || !page.HasMore() {
		t.Fatalf("got %+v, %v", page, err)
	}
	return page
}

func TestACursorIsForItsQueryAlone(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	for _, tenant := range []string{eventstream.DefaultTenant, "acme"} {
		mustAppend(t, db.Tenant(tenant), "a-a-1", eventstream.NoStream, event("X"), event("X"), event("X"), event("X"), event("Y"))
	}
	tenant := defaultTenant(db.DB)
	q := eventstream.Query{}.Types("X")
	page := firstPage(t, tenant, q)
	next := func(of *eventstream.Tenant, q eventstream.Query) error {
		_, err := of.QueryPage(ctx, q, eventstream.PageOptions{Cursor: page.Next})
		return err
	}
	for name, other := range map[string]eventstream.Query{
		"another type":      eventstream.Query{}.Types("Y"),
		"another direction": q.Backward(),
		"narrower":          q.Streams("a-a-1"),
		"other positions":   q.After(1),
		"other versions":    q.Versions(1, 0),
		"another time":      q.OccurredSince(scriptTime),
		"a tag":             q.Tag("k", "v"),
		"a comparison":      q.Where("data.a", eventstream.Equal, 1),
		"alternatives":      eventstream.Query{}.AnyOf(q),
	} {
		if name == "other versions" { // from 1 on is no restriction, but another text: told apart all the same
			continue
		}
		wantReason(t, name, next(tenant, other), cursor.WrongQuery)
	}
	wantReason(t, "another tenant", next(db.Tenant("acme"), q), cursor.InvalidSignature)
	if err := next(tenant, q.Budget(7)); err != nil {
		t.Errorf("another budget: %v", err)
	}
	a, b := q.Where("data.a", eventstream.Equal, "1"), q.Where("data.a", eventstream.Equal, 1)
	page = firstPage(t, tenant, eventstream.Query{}.AnyOf(a, q))
	wantReason(t, "a text instead of a number", next(tenant, eventstream.Query{}.AnyOf(b, q)), cursor.WrongQuery)

	page = firstPage(t, tenant, q)
	db.Clock.Advance(7*24*time.Hour + 1)
	wantReason(t, "a week later", next(tenant, q), cursor.Expired)
}

// Keys are kept with the store, rotate, and are never in a backup; a restored store refuses
// what was signed before.
func TestTheKeysOfCursors(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	open := func(dir string) *eventstream.DB {
		t.Helper()
		db, err := eventstream.Open(dir, scriptOptions(fs))
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := open("store")
	mustAppend(t, db, "a-a-1", eventstream.NoStream, event("X"), event("X"), event("X"), event("X"))
	q := eventstream.Query{}.Types("X")
	page := firstPage(t, defaultTenant(db), q)
	next := func(db *eventstream.DB) error {
		_, err := db.QueryPage(ctx, q, eventstream.PageOptions{Cursor: page.Next})
		return err
	}
	mustClose(t, db)
	db = open("store")
	if err := next(db); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if err := db.RotateCursorKey(time.Hour); err != nil {
		t.Fatal(err)
	}
	if err := next(db); err != nil {
		t.Errorf("after a rotation: %v", err)
	}
	mustClose(t, db)
	db = open("store")
	if err := next(db); err != nil {
		t.Errorf("after a rotation and a restart: %v", err)
	}
	page = firstPage(t, defaultTenant(db), q)
	if err := db.RotateCursorKey(-time.Nanosecond); err != nil {
		t.Fatal(err)
	}
	wantReason(t, "a key that ended", next(db), cursor.UnknownKey)

	page = firstPage(t, defaultTenant(db), q)
	if _, err := db.Backup(ctx, "backup"); err != nil {
		t.Fatal(err)
	}
	mustClose(t, db)
	if _, err := fs.Stat("backup/keys"); err == nil {
		t.Error("the backup holds keys")
	}
	if _, err := eventstream.Restore(ctx, "backup", "restored", &eventstream.RestoreOptions{Options: scriptOptions(fs)}); err != nil {
		t.Fatal(err)
	}
	db = open("restored")
	wantReason(t, "a restored store", next(db), cursor.UnknownKey)
	mustClose(t, db)

	// The same keys for both: then the incarnation tells.
	ring, err := cursor.NewRing(cursor.NewKey(1))
	if err != nil {
		t.Fatal(err)
	}
	opts := scriptOptions(fs)
	opts.CursorKeys = ring
	db = mustOpen(t, "store", opts)
	page = firstPage(t, defaultTenant(db), q)
	if err := db.RotateCursorKey(time.Hour); !errors.Is(err, eventstream.ErrInvalidArgument) {
		t.Errorf("the caller's keys: got %v", err)
	}
	mustClose(t, db)
	db = mustOpen(t, "restored", opts)
	wantReason(t, "a restored store with the same keys", next(db), cursor.Stale)
	mustClose(t, db)

	// Damaged keys cost the tokens, and nothing else.
	f, err := fs.Create("store/keys/cursor", vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("damaged")); err != nil || f.Close() != nil {
		t.Fatal(err)
	}
	db = open("store")
	wantReason(t, "with new keys", next(db), cursor.InvalidSignature)
	page = firstPage(t, defaultTenant(db), q)
	mustClose(t, db)
	opts = scriptOptions(fs)
	opts.ReadOnly = true
	db = mustOpen(t, "store", opts)
	if err := next(db); err != nil {
		t.Errorf("read-only: %v", err)
	}
	if err := db.RotateCursorKey(time.Hour); !errors.Is(err, eventstream.ErrReadOnly) {
		t.Errorf("read-only: got %v", err)
	}
	mustClose(t, db)
}

// Whatever is wrong with a token, the store says the same: who guesses learns nothing.
func TestARefusedTokenTellsNothing(t *testing.T) {
	t.Parallel()
	db := estest.Open(t)
	for _, tenant := range []string{eventstream.DefaultTenant, "acme"} {
		mustAppend(t, db.Tenant(tenant), "a-a-1", eventstream.NoStream, event("X"), event("X"), event("X"))
	}
	q := eventstream.Query{}.Types("X")
	token := firstPage(t, defaultTenant(db.DB), q).Next
	texts := map[string]int{}
	reasons := map[cursor.Reason]int{}
	refused := func(what string, of *eventstream.Tenant, q eventstream.Query, token string) {
		t.Helper()
		page, err := of.QueryPage(ctx, q, eventstream.PageOptions{Cursor: token})
		if err == nil || len(page.Events) > 0 {
			t.Errorf("%s: got %d events and %v", what, len(page.Events), err)
			return
		}
		wantErr(t, err, cursor.ErrInvalid)
		texts[err.Error()]++
		reasons[errAs[*eventstream.CursorError](t, err).Reason]++
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(raw) {
		changed := bytes.Clone(raw)
		changed[bit/8] ^= 1 << (bit % 8)
		refused(fmt.Sprintf("bit %d", bit), defaultTenant(db.DB), q, base64.RawURLEncoding.EncodeToString(changed))
	}
	for n := 1; n < len(token); n++ {
		refused(fmt.Sprintf("the first %d characters", n), defaultTenant(db.DB), q, token[:n])
		refused(fmt.Sprintf("without the first %d characters", n), defaultTenant(db.DB), q, token[n:])
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for _, last := range alphabet { // of which the last bits stand for nothing
		if other := token[:len(token)-1] + string(last); other != token {
			refused("another last character", defaultTenant(db.DB), q, other)
		}
	}
	for what, other := range map[string]string{
		"a character behind": token + "A", "a blank behind": token + " ", "padding": token + "=", "twice": token + token, "oversize": strings.Repeat(token, 100),
		"no token": "!", "NUL": "\x00", "another alphabet": "+/" + token[2:], "huge": strings.Repeat("A", 1<<20),
	} {
		refused(what, defaultTenant(db.DB), q, other)
	}
	refused("another tenant", db.Tenant("acme"), q, token)
	refused("a tenant without events", db.Tenant("nobody"), q, token)
	refused("another query", defaultTenant(db.DB), q.Backward(), token)
	db.Clock.Advance(8 * 24 * time.Hour)
	refused("expired", defaultTenant(db.DB), q, token)
	db.Clock.Advance(-8 * 24 * time.Hour)
	if _, err := db.QueryPage(ctx, q, eventstream.PageOptions{Cursor: token}); err != nil {
		t.Errorf("the token itself: %v", err)
	}
	if err := db.RotateCursorKey(-time.Nanosecond); err != nil {
		t.Fatal(err)
	}
	refused("a retired key", defaultTenant(db.DB), q, token)
	if len(texts) != 1 {
		t.Errorf("got the texts %v, want one", texts)
	}
	for _, want := range []cursor.Reason{cursor.Malformed, cursor.UnknownKey, cursor.InvalidSignature, cursor.WrongQuery, cursor.Expired} {
		if reasons[want] == 0 {
			t.Errorf("no token was refused for %s: %v", want, reasons)
		}
	}
	campaign.Count(t, campaign.Damages, 8*len(raw)+2*(len(token)-1))
}
