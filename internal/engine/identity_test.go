package engine

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream/keys"
)

func anIdentity() Identity {
	return Identity{
		Format:      1,
		Store:       keys.EventID{1, 2, 3},
		Incarnation: keys.EventID{4, 5, 6},
		Node:        "shop \"12\"\nnorth",
		CreatedAt:   time.Date(2026, 11, 23, 7, 18, 35, 688924326, time.UTC),
	}
}

func TestIdentityRoundTrips(t *testing.T) {
	t.Parallel()
	want := anIdentity()
	got, err := parseIdentity(want.encode())
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if !strings.HasPrefix(string(want.encode()), "eventstream store\nformat: 1\nstore: 01") &&
		!strings.HasPrefix(string(want.encode()), "eventstream store\nformat: 1\nstore: 0") {
		t.Errorf("the form changed:\n%s", want.encode())
	}
}

// Every flipped bit and every cut is noticed; only a change that reads as a newer
// format says so.
func TestIdentityNoticesEveryDamage(t *testing.T) {
	t.Parallel()
	sound := anIdentity().encode()
	check := func(what string, text []byte) {
		id, err := parseIdentity(text)
		if err == nil {
			t.Errorf("%s: read as %+v", what, id)
		}
		if _, tooNew := errors.AsType[*FormatTooNewError](err); tooNew && !strings.Contains(string(text), "format: ") {
			t.Errorf("%s: taken for a newer format", what)
		}
	}
	for i := range sound {
		for bit := range 8 {
			damaged := []byte(string(sound))
			damaged[i] ^= 1 << bit
			check("flipped", damaged)
		}
		check("cut", sound[:i])
	}
	check("longer", append([]byte(string(sound)), '\n'))
}

func FuzzParseIdentity(f *testing.F) {
	f.Add(anIdentity().encode())
	f.Add([]byte("eventstream store\nformat: 2\n"))
	f.Add([]byte(""))
	f.Fuzz(func(t *testing.T, text []byte) {
		id, err := parseIdentity(text)
		if err == nil && string(id.encode()) != string(text) {
			t.Errorf("read %q as %+v, which writes otherwise", text, id)
		}
	})
}
