package cursor_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nexus-erp/eventstream/cursor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func key(id uint32) cursor.Key {
	return cursor.Key{ID: id, Root: [32]byte{0: byte(id), 31: 1}}
}

func ring(t testing.TB, active cursor.Key, retired ...cursor.Key) *cursor.Ring {
	t.Helper()
	r, err := cursor.NewRing(active, retired...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func claims() cursor.Claims {
	return cursor.Claims{
		Tenant: "acme", Incarnation: [16]byte{1}, Digest: [16]byte{2}, Place: []byte("place"),
		Issued: now, Expires: now.Add(time.Hour),
	}
}

func seal(t testing.TB, r *cursor.Ring, c cursor.Claims) string {
	t.Helper()
	token, err := r.Seal(c)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func refused(t testing.TB, what string, err error, want cursor.Reason) {
	t.Helper()
	e, ok := errors.AsType[*cursor.Error](err)
	if !ok || e.Reason != want || !errors.Is(err, cursor.ErrInvalid) {
		t.Errorf("%s: got %v (%+v), want reason %s", what, err, e, want)
		return
	}
	if text := (&cursor.Error{Reason: cursor.Malformed}).Error(); err.Error() != text {
		t.Errorf("%s: the text %q tells the reason", what, err)
	}
}

func TestATokenLeadsToItsPlace(t *testing.T) {
	t.Parallel()
	r := ring(t, key(1))
	for _, place := range [][]byte{nil, []byte("place"), bytes.Repeat([]byte{0xff}, cursor.MaxPlace)} {
		c := claims()
		c.Place = place
		token := seal(t, r, c)
		if strings.ContainsAny(token, "+/=") {
			t.Errorf("token %q needs escaping in an address", token)
		}
		got, err := r.Open(token, c, now.Add(time.Hour)) // at its very end
		if err != nil || !bytes.Equal(got, place) {
			t.Errorf("got %x, %v, want %x", got, err, place)
		}
	}
	c := claims()
	c.Place = make([]byte, cursor.MaxPlace+1)
	if _, err := r.Seal(c); !errors.Is(err, cursor.ErrPlace) {
		t.Errorf("a place too long: got %v", err)
	}
}

// Each bit of a token counts.
func TestATokenThatWasChangedIsRefused(t *testing.T) {
	t.Parallel()
	r := ring(t, key(1))
	token := seal(t, r, claims())
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(raw) {
		changed := bytes.Clone(raw)
		changed[bit/8] ^= 1 << (bit % 8)
		_, err := r.Open(base64.RawURLEncoding.EncodeToString(changed), claims(), now)
		want := cursor.InvalidSignature
		switch {
		case bit < 8:
			want = cursor.Malformed
		case bit < 40:
			want = cursor.UnknownKey
		}
		refused(t, "bit", err, want)
	}
	for n := range token {
		if _, err := r.Open(token[:n], claims(), now); err == nil {
			t.Errorf("cut to %d characters: accepted", n)
		}
	}
	for _, tt := range []string{"", "!", token + "=", token + "A", " " + token, token + "\n", strings.Repeat("A", 513), token[:len(token)-1] + string(token[len(token)-1]+1)} {
		if _, err := r.Open(tt, claims(), now); err == nil {
			t.Errorf("%q: accepted", tt)
		}
	}
}

func TestATokenIsForOneQueryOfOneTenantOfOneStore(t *testing.T) {
	t.Parallel()
	r := ring(t, key(1))
	token := seal(t, r, claims())
	for _, tt := range []struct {
		name   string
		change func(*cursor.Claims)
		at     time.Time
		want   cursor.Reason
	}{
		{"another tenant", func(c *cursor.Claims) { c.Tenant = "acm" }, now, cursor.InvalidSignature},
		{"another incarnation", func(c *cursor.Claims) { c.Incarnation[15]++ }, now, cursor.Stale},
		{"another query", func(c *cursor.Claims) { c.Digest[0]++ }, now, cursor.WrongQuery},
		{"too late", func(*cursor.Claims) {}, now.Add(time.Hour + 1), cursor.Expired},
	} {
		want := claims()
		tt.change(&want)
		_, err := r.Open(token, want, tt.at)
		refused(t, tt.name, err, tt.want)
	}
	other := ring(t, cursor.Key{ID: 1, Root: [32]byte{9}})
	_, err := other.Open(token, claims(), now)
	refused(t, "another root", err, cursor.InvalidSignature)
	_, err = ring(t, key(2)).Open(token, claims(), now)
	refused(t, "another key", err, cursor.UnknownKey)
}

func TestARetiredKeyIsAcceptedUntilItsEnd(t *testing.T) {
	t.Parallel()
	r := ring(t, key(1))
	old := seal(t, r, claims())
	r.Rotate(now.Add(30*time.Minute), now)
	fresh := seal(t, r, claims())
	for _, token := range []string{old, fresh} {
		if _, err := r.Open(token, claims(), now.Add(30*time.Minute)); err != nil {
			t.Errorf("until the end: %v", err)
		}
	}
	_, err := r.Open(old, claims(), now.Add(30*time.Minute+1))
	refused(t, "behind the end", err, cursor.UnknownKey)
	r.AllowKeyRotation(false)
	_, err = r.Open(old, claims(), now)
	refused(t, "without rotation", err, cursor.UnknownKey)
	if _, err := r.Open(fresh, claims(), now); err != nil {
		t.Errorf("the active key: %v", err)
	}
	r.AllowKeyRotation(true)
	r.Rotate(now.Add(2*time.Hour), now.Add(time.Hour)) // drops what has ended
	if n := len(r.Keys()); n != 2 {
		t.Errorf("got %d keys, want 2", n)
	}
	if ids := r.Keys(); ids[0].ID != 2 || ids[1].ID != 3 {
		t.Errorf("got %+v: an id is never used twice", ids)
	}
}

func TestARingIsKeptAsText(t *testing.T) {
	t.Parallel()
	r := ring(t, key(1))
	token := seal(t, r, claims())
	r.Rotate(now.Add(time.Hour), now)
	text, err := r.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	again, err := cursor.ParseRing(text)
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{token, seal(t, r, claims())} {
		if _, err := again.Open(token, claims(), now); err != nil {
			t.Errorf("the ring that was read: %v", err)
		}
	}
	for i := range text {
		changed := bytes.Clone(text)
		changed[i] ^= 1
		if _, err := cursor.ParseRing(changed); !errors.Is(err, cursor.ErrRing) {
			t.Errorf("byte %d changed: got %v", i, err)
		}
		if _, err := cursor.ParseRing(text[:i]); !errors.Is(err, cursor.ErrRing) {
			t.Errorf("cut to %d bytes: got %v", i, err)
		}
	}
}

func TestARingThatIsNotWholeIsRefused(t *testing.T) {
	t.Parallel()
	retired := key(2)
	retired.NotAfter = now
	for name, make := range map[string]func() (*cursor.Ring, error){
		"no root":        func() (*cursor.Ring, error) { return cursor.NewRing(cursor.Key{ID: 1}) },
		"an id twice":    func() (*cursor.Ring, error) { return cursor.NewRing(key(2), retired) },
		"without an end": func() (*cursor.Ring, error) { return cursor.NewRing(key(1), key(2)) },
	} {
		if _, err := make(); !errors.Is(err, cursor.ErrRing) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if a, b := cursor.NewKey(1), cursor.NewKey(1); a.Root == b.Root {
		t.Error("two keys have one root")
	}
}

func FuzzOpen(f *testing.F) {
	r := ring(f, key(1))
	token := seal(f, r, claims())
	f.Add(token)
	f.Add(token[1:])
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		place, err := r.Open(text, claims(), now)
		if err == nil && (text != token || string(place) != "place") {
			t.Errorf("token %q was accepted, and leads to %q", text, place)
		}
		if err != nil && !errors.Is(err, cursor.ErrInvalid) {
			t.Errorf("untyped error %v", err)
		}
	})
}
