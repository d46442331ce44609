package cursor_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream/cursor"
	"github.com/nexus-erp/eventstream/internal/campaign"
)

// expected is what a ring must say of a token, told from its history alone.
type expected struct {
	token    string
	place    []byte
	key      uint32
	notAfter time.Time // of its key; zero while that is the active one
	expires  time.Time
	claims   cursor.Claims
}

func (e *expected) reason(active uint32, rotation bool, now time.Time) cursor.Reason {
	switch {
	case e.key != active && (!rotation || now.After(e.notAfter)):
		return cursor.UnknownKey
	case now.After(e.expires):
		return cursor.Expired
	}
	return ""
}

// Whatever happens to a ring - rotations, a clock that goes back and forth, rotation
// switched off, the ring written and read again - each token is accepted exactly while
// its key and its own end allow.
func TestARingInEveryState(t *testing.T) {
	t.Parallel()
	refusals := make(map[cursor.Reason]int)
	for _, seed := range campaign.Seeds(t, campaign.Scale(t, campaign.Cases{Short: 20, PullRequest: 200, Nightly: 5000})) {
		rnd := campaign.Rand(t, seed)
		r := ring(t, key(1+rnd.Uint32N(5)))
		active := r.Keys()[0].ID
		clock, rotation := now, true
		dropped := make(map[uint32]bool)
		var tokens []expected
		for range 60 {
			clock = clock.Add(time.Duration(rnd.Int64N(int64(time.Hour))) - 20*time.Minute)
			switch rnd.IntN(8) {
			case 0, 1:
				c := claims()
				c.Place = bytes.Repeat([]byte{byte(rnd.Uint32())}, rnd.IntN(cursor.MaxPlace+1))
				c.Issued, c.Expires = clock, clock.Add(time.Duration(rnd.Int64N(int64(2*time.Hour))))
				tokens = append(tokens, expected{token: seal(t, r, c), place: c.Place, key: active, expires: c.Expires, claims: c})
				if again := seal(t, r, c); again != tokens[len(tokens)-1].token {
					t.Fatal("the same claims give another token")
				}
			case 2:
				until := clock.Add(time.Duration(rnd.Int64N(int64(time.Hour))) - 10*time.Minute)
				fresh := r.Rotate(until, clock)
				for i := range tokens {
					if tokens[i].key == active {
						tokens[i].notAfter = until
					}
					if clock.After(tokens[i].notAfter) {
						dropped[tokens[i].key] = true // for good, wherever the clock goes
					}
				}
				if fresh.ID == active || fresh.Root == [32]byte{} {
					t.Fatalf("got key %+v after %d", fresh, active)
				}
				active = fresh.ID
			case 3:
				rotation = rnd.IntN(2) == 0
				r.AllowKeyRotation(rotation)
			case 4:
				text, err := r.MarshalText()
				if err != nil {
					t.Fatal(err)
				}
				again, err := cursor.ParseRing(text)
				if err != nil {
					t.Fatalf("%v:\n%s", err, text)
				}
				if !slices.EqualFunc(again.Keys(), r.Keys(), func(x, y cursor.Key) bool {
					return x.ID == y.ID && x.Root == y.Root && x.NotAfter.Equal(y.NotAfter)
				}) {
					t.Fatalf("got keys %v, want %v", again.Keys(), r.Keys())
				}
				r = again
				r.AllowKeyRotation(rotation)
			default:
				for _, e := range tokens {
					want := e.reason(active, rotation, clock)
					if dropped[e.key] {
						want = cursor.UnknownKey
					}
					place, err := r.Open(e.token, e.claims, clock)
					refusals[want]++
					if want == "" {
						if err != nil || !bytes.Equal(place, e.place) {
							t.Fatalf("got %x, %v, want %x", place, err, e.place)
						}
						continue
					}
					refused(t, "a token", err, want)
				}
			}
		}
		ids := make(map[uint32]bool)
		for _, k := range r.Keys() {
			if ids[k.ID] {
				t.Fatalf("two keys have the id %d", k.ID)
			}
			ids[k.ID] = true
		}
	}
	for _, reason := range []cursor.Reason{"", cursor.UnknownKey, cursor.Expired} {
		if refusals[reason] == 0 {
			t.Errorf("no token was refused for %q", reason)
		}
	}
}

// A ring that was used up to the last id goes on with one that no key has.
func TestIDsOfKeysAreNeverShared(t *testing.T) {
	t.Parallel()
	for _, ids := range [][]uint32{{math.MaxUint32}, {math.MaxUint32, 0}, {math.MaxUint32, 0, 1, 3}, {0, math.MaxUint32}, {7, math.MaxUint32, 0}} {
		var retired []cursor.Key
		for _, id := range ids[1:] {
			k := cursor.NewKey(id)
			k.NotAfter = now.Add(time.Hour)
			retired = append(retired, k)
		}
		r := ring(t, cursor.NewKey(ids[0]), retired...)
		old := seal(t, r, claims())
		r.Rotate(now.Add(time.Hour), now)
		text, err := r.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cursor.ParseRing(text); err != nil {
			t.Errorf("ids %d: rotated, it is read as %v", ids, err)
		}
		for _, token := range []string{old, seal(t, r, claims())} {
			if _, err := r.Open(token, claims(), now); err != nil {
				t.Errorf("ids %d: a token from before or after the rotation: %v", ids, err)
			}
		}
	}
}

// The times of keys and tokens are far in the future if somebody says "for ever".
func TestTimesFarAwayAreKept(t *testing.T) {
	t.Parallel()
	for _, until := range []time.Time{
		time.Unix(0, math.MaxInt64), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
		time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), now.AddDate(300, 0, 0), now.AddDate(100_000, 0, 0),
	} {
		r := ring(t, key(1))
		old := seal(t, r, claims())
		r.Rotate(until, now)
		text, err := r.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		again, err := cursor.ParseRing(text)
		if err != nil {
			t.Errorf("accepted until %s: the ring is read as %v", until, err)
			continue
		}
		if _, err := again.Open(old, claims(), now); err != nil {
			t.Errorf("accepted until %s: %v", until, err)
		}
		c := claims()
		c.Expires = until
		if _, err := again.Open(seal(t, again, c), c, now); err != nil {
			t.Errorf("expires %s: %v", until, err)
		}
	}
}

// resummed is a ring's text of these lines, with a sum that is right.
func resummed(lines ...string) []byte {
	text := "eventstream cursor keys, format 1\n" + strings.Join(lines, "")
	return fmt.Appendf(nil, "%ssha256: %x\n", text, sha256.Sum256([]byte(text)))
}

// A sum that is right does not make a ring of what is none.
func TestARingThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	root := strings.Repeat("0f", 32)
	retired := "key: 1 " + root + " 2026-01-02T03:04:05.6Z\n"
	active := "key: 2 " + root + " active\n"
	if _, err := cursor.ParseRing(resummed(retired, active)); err != nil {
		t.Fatalf("a ring: %v", err)
	}
	for name, text := range map[string][]byte{
		"no key":             resummed(),
		"none active":        resummed(retired),
		"a key behind it":    resummed(active, retired),
		"two active":         resummed(active, active),
		"an id twice":        resummed(strings.Replace(retired, "key: 1", "key: 2", 1), active),
		"no id":              resummed("key: " + root + " active\n"),
		"an id too great":    resummed("key: 4294967296 " + root + " active\n"),
		"an id below zero":   resummed("key: -1 " + root + " active\n"),
		"another word":       resummed("lock: 2 " + root + " active\n"),
		"a root too short":   resummed("key: 2 " + root[2:] + " active\n"),
		"a root too long":    resummed("key: 2 " + root + "00 active\n"),
		"a root of zeros":    resummed("key: 2 " + strings.Repeat("0", 64) + " active\n"),
		"a root in no hex":   resummed("key: 2 " + "x" + root[1:] + " active\n"),
		"an end of no time":  resummed(strings.Replace(retired, "2026-01", "2026-13", 1), active),
		"more in a line":     resummed("key: 2 " + root + " active more\n"),
		"less in a line":     resummed("key: 2 " + root + "\n"),
		"an empty line":      resummed(retired, "\n", active),
		"no end of the line": resummed("key: 2 " + root + " active"),
		"another format":     bytes.Replace(resummed(active), []byte("format 1"), []byte("format 2"), 1),
		"nothing":            nil,
		"more behind it":     append(resummed(active), '\n'),
	} {
		r, err := cursor.ParseRing(text)
		if !errors.Is(err, cursor.ErrRing) || r != nil {
			t.Errorf("%s: got %v, %v, want ErrRing", name, r, err)
		} else if strings.Contains(err.Error(), root[4:20]) {
			t.Errorf("%s: the error tells a root: %v", name, err)
		}
	}
}

// The token's fields stand where the package says, and its sum is of the tenant's key.
func TestTokensNeverChange(t *testing.T) {
	t.Parallel()
	token := seal(t, ring(t, key(1)), claims())
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	want := "01" + "00000001" + hex.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(now.UnixNano()))) +
		hex.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(now.Add(time.Hour).UnixNano()))) +
		"01" + strings.Repeat("00", 15) + "02" + strings.Repeat("00", 15) + hex.EncodeToString([]byte("place"))
	if got := hex.EncodeToString(raw[:len(raw)-16]); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := hex.EncodeToString(raw[len(raw)-16:]); got != pinnedTag {
		t.Errorf("got tag %s, want %s", got, pinnedTag)
	}
}

const pinnedTag = "878131bafa575d261abe3dbc08551b0b"

// Two flips, lost, doubled and swapped bytes, and the tail of one token behind the head
// of another: nothing that was not sealed is accepted.
func TestNoTokenIsMadeOfOthers(t *testing.T) {
	t.Parallel()
	r := ring(t, key(1))
	other := claims()
	other.Place, other.Digest = []byte("other"), claims().Digest
	decode := func(token string) []byte {
		raw, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	raw, second := decode(seal(t, r, claims())), decode(seal(t, r, other))
	damages := 0
	try := func(what string, b []byte) {
		if bytes.Equal(b, raw) || bytes.Equal(b, second) {
			return
		}
		damages++
		if place, err := r.Open(base64.RawURLEncoding.EncodeToString(b), claims(), now); err == nil {
			t.Fatalf("%s: %x leads to %q", what, b, place)
		}
	}
	step := campaign.Scale(t, campaign.Cases{Short: 97, PullRequest: 13, Nightly: 1})
	for x := range 8 * len(raw) {
		for y := x + 1; y < 8*len(raw); y += step {
			b := bytes.Clone(raw)
			b[x/8] ^= 1 << (x % 8)
			b[y/8] ^= 1 << (y % 8)
			try("two flips", b)
		}
	}
	for at := range raw {
		try("a lost byte", append(bytes.Clone(raw[:at]), raw[at+1:]...))
		try("a doubled byte", append(bytes.Clone(raw[:at+1]), raw[at:]...))
		try("cut", raw[:at])
		try("two heads and tails", append(bytes.Clone(raw[:at]), second[at:]...))
		for to := range at {
			b := bytes.Clone(raw)
			b[at], b[to] = b[to], b[at]
			try("swapped bytes", b)
		}
	}
	campaign.Count(t, campaign.Damages, damages)
}
