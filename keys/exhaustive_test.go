package keys_test

import (
	"bytes"
	"errors"
	"io"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/keys"
)

// allParts returns every text of up to three of the bytes that escaping is about, and
// the longest that a name may be.
func allParts() []string {
	parts := []string{""}
	for at := 0; at < len(parts); at++ {
		if len(parts[at]) == 3 {
			continue
		}
		for _, c := range []byte{0x00, 0x01, 'a', 0xfe, 0xff} {
			parts = append(parts, parts[at]+string([]byte{c}))
		}
	}
	for _, c := range []string{"\x00", "\x01", "a", "\xff"} {
		long := strings.Repeat(c, keys.MaxNameBytes)
		parts = append(parts, long, long[1:], long[1:]+"\x00", long[1:]+"\xff")
	}
	return parts
}

// For every pair of short texts with the hardest bytes: encoded parts sort as the texts
// do, none is another's beginning, and the range of a text's prefix holds exactly the
// texts that begin with it, with whatever follows the part in a key.
func TestEveryPairOfPartsSortsAndIsFound(t *testing.T) {
	t.Parallel()
	parts := allParts()
	type part struct {
		encoded, lower, upper []byte
	}
	all := make([]part, len(parts))
	for i, p := range parts {
		all[i].encoded = keys.AppendPart(nil, p)
		got, rest, ok := keys.ParsePart(append(bytes.Clone(all[i].encoded), "rest"...))
		if !ok || got != p || string(rest) != "rest" {
			t.Fatalf("%q: parsed into %q and %q, %v", p, got, rest, ok)
		}
		lower, upper, err := keys.Range(keys.StreamPrefix(nil, 3, p))
		if err != nil {
			t.Fatal(err)
		}
		all[i].lower, all[i].upper = lower, upper
	}
	for i, x := range parts {
		for j, y := range parts {
			a, b := all[i].encoded, all[j].encoded
			if got, want := bytes.Compare(a, b), strings.Compare(x, y); got != want {
				t.Fatalf("%q and %q: their parts compare as %d, want %d", x, y, got, want)
			}
			if x != y && bytes.HasPrefix(a, b) {
				t.Fatalf("the part of %q begins with that of %q", x, y)
			}
			for _, version := range []keys.Version{0, 1, 1<<64 - 1} {
				key := keys.AppendEvent(nil, 3, keys.StreamID(y), version)
				got := bytes.Compare(all[i].lower, key) <= 0 && bytes.Compare(key, all[i].upper) < 0
				if want := strings.HasPrefix(y, x); got != want {
					t.Fatalf("the range of %q holds version %d of %q: %v, want %v", x, version, y, got, want)
				}
			}
		}
	}
}

// No bytes but those that AppendPart writes are read as a part: of all texts of up to
// four hard bytes, exactly those that begin with one.
func TestNothingElseIsAPart(t *testing.T) {
	t.Parallel()
	texts := [][]byte{{}}
	for at := 0; at < len(texts); at++ {
		if len(texts[at]) < 6 {
			for _, c := range []byte{0x00, 0x01, 'a', 0xff} {
				texts = append(texts, append(bytes.Clone(texts[at]), c))
			}
		}
		got, rest, ok := keys.ParsePart(texts[at])
		if !ok {
			if got != "" || rest != nil {
				t.Fatalf("%x: got %q and %x, and that it is none", texts[at], got, rest)
			}
			// A plain reader: it is one if its zeros are escaped up to an end.
			plain := bytes.ReplaceAll(texts[at], []byte{0, 0xff}, []byte{2, 2})
			if end := bytes.IndexByte(plain, 0); end >= 0 && end+1 < len(plain) && plain[end+1] == 1 {
				t.Fatalf("%x: refused, and it begins with a part", texts[at])
			}
			continue
		}
		if again := append(keys.AppendPart(nil, got), rest...); !bytes.Equal(again, texts[at]) {
			t.Fatalf("%x: read as %q and %x, which is written as %x", texts[at], got, rest, again)
		}
	}
}

// source gives bytes of the test's choice, and fails when it says so.
type source struct {
	r    *rand.Rand
	fail bool
	gave []byte
}

var errDry = errors.New("no entropy")

func (s *source) Read(p []byte) (int, error) {
	if s.fail {
		n := s.r.IntN(len(p)) // some may come first
		return n, errDry
	}
	// Mostly the greatest numbers, so that counting upwards overflows.
	for i := range p {
		p[i] = 0xff
	}
	if s.r.IntN(2) == 0 {
		p[s.r.IntN(len(p))] = byte(s.r.Uint32())
	}
	p[len(p)-1] -= byte(s.r.IntN(4))
	s.gave = append(s.gave[:0], p...)
	return len(p), nil
}

var _ io.Reader = (*source)(nil)

// Whatever clock and entropy do, each id is the one before plus one, or is made of a
// later millisecond and what the source gave; and a failure costs no id and no order.
func TestIDsAreCountedAsWholeNumbers(t *testing.T) {
	t.Parallel()
	overflows, failures := 0, 0
	for _, seed := range campaign.Seeds(t, campaign.Scale(t, campaign.Cases{Short: 20, PullRequest: 300, Nightly: 5000})) {
		r := campaign.Rand(t, seed)
		c, s := &clock{ms: r.Int64N(1 << 47)}, &source{r: r}
		g := keys.NewIDGenerator(c.now, s)
		last := new(big.Int)
		lastMS := int64(-1)
		for range 200 {
			c.ms += []int64{0, 0, 0, 1, -1, 1000, -1000, 1 << 20}[r.IntN(8)]
			s.fail, s.gave = r.IntN(6) == 0, s.gave[:0]
			ids := make([]keys.EventID, 1)
			err := g.Next(ids)
			plusOne := new(big.Int).Add(last, big.NewInt(1))
			counted := max(c.ms, 0) <= lastMS && new(big.Int).Rsh(plusOne, 80).Int64() == lastMS
			if err != nil {
				failures++
				if counted || !s.fail || !errors.Is(err, errDry) {
					t.Fatalf("got %v, and no entropy was needed: %v", err, counted)
				}
				continue
			}
			got := new(big.Int).SetBytes(ids[0][:])
			want := plusOne
			if !counted {
				ms := max(c.ms, 0)
				if ms <= lastMS {
					ms = lastMS + 1
					overflows++
				}
				want = new(big.Int).SetBytes(s.gave)
				want.Or(want, new(big.Int).Lsh(big.NewInt(ms), 80))
				lastMS = ms
			}
			if got.Cmp(want) != 0 || got.Cmp(last) <= 0 {
				t.Fatalf("got %x, want %x after %x", got, want, last)
			}
			last = got
		}
	}
	if overflows == 0 || failures == 0 {
		t.Errorf("%d overflows and %d failures, want some of both", overflows, failures)
	}
}

// A name that the namer makes is always valid, comes apart into the parts it was made
// of, and is made of exactly what its rules allow.
func TestTheNamerFollowsItsRules(t *testing.T) {
	t.Parallel()
	made := 0
	for _, seed := range campaign.Seeds(t, 1) {
		r := campaign.Rand(t, seed)
		text := func(alphabet []string) string {
			var b strings.Builder
			for range []int{0, 1, 2, 3, 5, 100, 200}[r.IntN(7)] {
				b.WriteString(alphabet[r.IntN(len(alphabet))])
			}
			return b.String()
		}
		plain := []string{"a", "z", "0", "9", "_", "A", "Z"}
		odd := []string{"a", "Z", "-", " ", "\u00a0", "é", "\xff", "\x00", "/", "İ", "K"}
		for range campaign.Scale(t, campaign.Cases{Short: 1_000, PullRequest: 20_000, Nightly: 200_000}) {
			pick := func() string {
				if r.IntN(4) == 0 {
					return text(odd)
				}
				return text(plain)
			}
			context, kind, id := pick(), pick(), pick()
			if r.IntN(8) == 0 { // as long as a name may be, or a byte off
				id = strings.Repeat("a", max(1, keys.MaxNameBytes-2-len(context)-len(kind)+r.IntN(3)-1))
			}
			name := strings.Map(func(c rune) rune {
				if 'A' <= c && c <= 'Z' {
					return c + 32
				}
				return c
			}, context+"-"+kind+"-"+id)
			fits := func(s, more string) bool {
				return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"+more) == "" && s != ""
			}
			want := fits(context, "") && fits(kind, "") && fits(id, "-") && len(name) <= keys.MaxNameBytes
			got, err := keys.DefaultNamer(context, kind, id)
			if (err == nil) != want || err == nil && string(got) != name {
				t.Fatalf("%q, %q, %q: got %q, %v, want that it is made: %v", context, kind, id, got, err, want)
			}
			safe := keys.SafeID(id)
			if again := keys.SafeID(safe); again != safe {
				t.Fatalf("SafeID(%q) = %q, which is not safe itself: %q", id, safe, again)
			}
			if _, err := keys.DefaultNamer("c", "t", safe); err != nil {
				t.Fatalf("SafeID(%q) = %q: %v", id, safe, err)
			}
			if err != nil {
				e, ok := errors.AsType[*keys.NameError](err)
				if !ok || !slices.Contains([]string{"context", "type", "id", "stream"}, e.Part) || !errors.Is(err, keys.ErrInvalidName) {
					t.Fatalf("got %v, want a *NameError that names the part", err)
				}
				continue
			}
			made++
		}
	}
	if made == 0 {
		t.Error("no name was made")
	}
}
