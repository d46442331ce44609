package keys_test

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream/keys"
)

// tuple is what a key is made of: values of type uint64, descending and string.
type tuple []any

// descending is a number whose keys run downwards.
type descending uint64

func compareTuples(x, y tuple) int {
	for i := range x {
		var c int
		switch xi := x[i].(type) {
		case uint64:
			c = cmp.Compare(xi, y[i].(uint64))
		case descending:
			c = cmp.Compare(y[i].(descending), xi)
		case string:
			c = strings.Compare(xi, y[i].(string))
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// family is one kind of key.
type family struct {
	kind   keys.Kind
	draw   func(t *rapid.T, label string) tuple
	encode func(dst []byte, x tuple) []byte
	parse  func(key []byte) (tuple, error)
	open   bool // ends in bytes of the caller's, so a key may start with another
}

var families = []family{
	{
		kind: keys.KindMeta,
		draw: func(t *rapid.T, l string) tuple { return tuple{part(t, l)} },
		encode: func(dst []byte, x tuple) []byte {
			return keys.AppendMeta(dst, x[0].(string))
		},
		parse: func(key []byte) (tuple, error) {
			name, err := keys.ParseMeta(key)
			return tuple{name}, err
		},
	},
	{
		kind: keys.KindEvent,
		draw: func(t *rapid.T, l string) tuple { return tuple{number(t, l, 32), part(t, l), number(t, l, 64)} },
		encode: func(dst []byte, x tuple) []byte {
			return keys.AppendEvent(dst, keys.TenantID(x[0].(uint64)), keys.StreamID(x[1].(string)), keys.Version(x[2].(uint64)))
		},
		parse: func(key []byte) (tuple, error) {
			tenant, stream, version, err := keys.ParseEvent(key)
			return tuple{uint64(tenant), string(stream), uint64(version)}, err
		},
	},
	{
		kind: keys.KindPosition,
		draw: func(t *rapid.T, l string) tuple { return tuple{number(t, l, 64)} },
		encode: func(dst []byte, x tuple) []byte {
			return keys.AppendPosition(dst, keys.Position(x[0].(uint64)))
		},
		parse: func(key []byte) (tuple, error) {
			position, err := keys.ParsePosition(key)
			return tuple{uint64(position)}, err
		},
	},
	{
		kind: keys.KindEventID,
		draw: func(t *rapid.T, l string) tuple {
			return tuple{number(t, l, 32), string(rapid.SliceOfN(tricky, 16, 16).Draw(t, l))}
		},
		encode: func(dst []byte, x tuple) []byte {
			return keys.AppendEventID(dst, keys.TenantID(x[0].(uint64)), keys.EventID([]byte(x[1].(string))))
		},
		parse: func(key []byte) (tuple, error) {
			tenant, id, err := keys.ParseEventIDKey(key)
			return tuple{uint64(tenant), string(id[:])}, err
		},
	},
	{
		kind: keys.KindSeal,
		draw: func(t *rapid.T, l string) tuple { return tuple{number(t, l, 64)} },
		encode: func(dst []byte, x tuple) []byte {
			return keys.AppendSeal(dst, keys.Position(x[0].(uint64)))
		},
		parse: func(key []byte) (tuple, error) {
			first, err := keys.ParseSeal(key)
			return tuple{uint64(first)}, err
		},
	},
	{
		kind: keys.KindSegment,
		draw: func(t *rapid.T, l string) tuple { return tuple{number(t, l, 64)} },
		encode: func(dst []byte, x tuple) []byte {
			return keys.AppendSegment(dst, keys.Position(x[0].(uint64)))
		},
		parse: func(key []byte) (tuple, error) {
			first, err := keys.ParseSegment(key)
			return tuple{uint64(first)}, err
		},
	},
	{
		kind: keys.KindIndex,
		draw: func(t *rapid.T, l string) tuple {
			return tuple{number(t, l, 32), number(t, l, 16), part(t, l), number(t, l, 64)}
		},
		encode: func(dst []byte, x tuple) []byte {
			return keys.AppendIndex(dst, keys.TenantID(x[0].(uint64)), keys.IndexID(x[1].(uint64)), x[2].(string), keys.Position(x[3].(uint64)))
		},
		parse: func(key []byte) (tuple, error) {
			tenant, index, term, position, err := keys.ParseIndex(key)
			return tuple{uint64(tenant), uint64(index), term, uint64(position)}, err
		},
	},
	{
		kind: keys.KindSnapshot,
		draw: func(t *rapid.T, l string) tuple {
			return tuple{number(t, l, 32), part(t, l), descending(number(t, l, 64))}
		},
		encode: func(dst []byte, x tuple) []byte {
			return keys.AppendSnapshot(dst, keys.TenantID(x[0].(uint64)), keys.StreamID(x[1].(string)), keys.Version(x[2].(descending)))
		},
		parse: func(key []byte) (tuple, error) {
			tenant, stream, version, err := keys.ParseSnapshot(key)
			return tuple{uint64(tenant), string(stream), descending(version)}, err
		},
	},
	{
		kind: keys.KindView,
		draw: func(t *rapid.T, l string) tuple {
			return tuple{number(t, l, 32), part(t, l), number(t, l, 64), part(t, l)}
		},
		encode: func(dst []byte, x tuple) []byte {
			return keys.AppendView(dst, keys.TenantID(x[0].(uint64)), x[1].(string), x[2].(uint64), []byte(x[3].(string)))
		},
		parse: func(key []byte) (tuple, error) {
			tenant, projection, generation, userKey, err := keys.ParseView(key)
			return tuple{uint64(tenant), projection, generation, string(userKey)}, err
		},
		open: true,
	},
	{
		kind: keys.KindDerived,
		draw: func(t *rapid.T, l string) tuple { return tuple{part(t, l), part(t, l)} },
		encode: func(dst []byte, x tuple) []byte {
			return keys.AppendDerived(dst, x[0].(string), x[1].(string))
		},
		parse: func(key []byte) (tuple, error) {
			what, name, err := keys.ParseDerived(key)
			return tuple{what, name}, err
		},
	},
}

// tricky draws the bytes that escaping is about, and some others.
var tricky = rapid.SampledFrom([]byte{0x00, 0x01, 0x02, '-', 'a', 'b', 0xfe, 0xff})

func part(t *rapid.T, label string) string {
	return string(rapid.SliceOfN(tricky, 0, 5).Draw(t, label))
}

// number draws numbers of that many bits, with 0x00 and 0xFF in every byte place.
func number(t *rapid.T, label string, bits int) uint64 {
	var n uint64
	for range bits / 8 {
		n = n<<8 | uint64(tricky.Draw(t, label))
	}
	return n
}

func TestEveryKindHasAFamily(t *testing.T) {
	t.Parallel()
	all := keys.Kinds()
	if len(families) != len(all) {
		t.Fatalf("%d families are tested, want %d", len(families), len(all))
	}
	for i, f := range families {
		if f.kind != all[i] {
			t.Errorf("family %d is %s, want %s", i, f.kind, all[i])
		}
	}
}

func TestKeysSortAsTheirTuplesDo(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(families).Draw(t, "family")
		x, y := f.draw(t, "x"), f.draw(t, "y")
		for i := range x { // or few pairs would differ in their last place alone
			if rapid.Bool().Draw(t, "same") {
				y[i] = x[i]
			} else {
				break
			}
		}
		kx, ky := f.encode(nil, x), f.encode(nil, y)
		if got, want := bytes.Compare(kx, ky), compareTuples(x, y); got != want {
			t.Fatalf("%s: %x and %x compare as %d, want %d as %v and %v do", f.kind, kx, ky, got, want, x, y)
		}
		if !f.open && !bytes.Equal(kx, ky) && (bytes.HasPrefix(kx, ky) || bytes.HasPrefix(ky, kx)) {
			t.Fatalf("%s: one of %x and %x starts with the other, want neither", f.kind, kx, ky)
		}
	})
}

func TestKeysParseIntoTheirTuples(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(families).Draw(t, "family")
		x := f.draw(t, "x")
		key := f.encode([]byte("before"), x)
		if !bytes.HasPrefix(key, []byte("before")) {
			t.Fatalf("%s: encoder wrote over dst: %q", f.kind, key)
		}
		key = key[len("before"):]
		if keys.Kind(key[0]) != f.kind {
			t.Fatalf("%s: first byte 0x%02x, want 0x%02x", f.kind, key[0], byte(f.kind))
		}
		got, err := f.parse(key)
		if err != nil || compareTuples(got, x) != 0 {
			t.Fatalf("%s: %x parsed to %v, %v, want %v", f.kind, key, got, err, x)
		}
	})
}

func TestParsersRefuseEveryTruncationAndTrailingBytes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.SampledFrom(families).Draw(t, "family")
		x := f.draw(t, "x")
		if f.open {
			x[len(x)-1] = ""
		}
		key := f.encode(nil, x)
		for cut := range key {
			checkKeyError(t, f, key[:cut])
		}
		if !f.open {
			checkKeyError(t, f, append(bytes.Clone(key), tricky.Draw(t, "trailing")))
		}
		other := bytes.Clone(key)
		other[0] ^= 0x80
		checkKeyError(t, f, other)
	})
}

func checkKeyError(t *rapid.T, f family, key []byte) {
	_, err := f.parse(key)
	var e *keys.KeyError
	if !errors.As(err, &e) {
		t.Fatalf("%s: parsing %x gave error %v, want a *KeyError", f.kind, key, err)
	}
	if e.Kind != f.kind || !bytes.Equal(e.Key, key) || e.Reason == "" {
		t.Fatalf("%s: error %+v, want one about this key", f.kind, e)
	}
	if !errors.Is(err, keys.ErrInvalidKey) || !errors.Is(err, keys.ErrEventStore) {
		t.Fatalf("%s: error %v, want one that matches ErrInvalidKey and ErrEventStore", f.kind, err)
	}
	if !strings.Contains(err.Error(), f.kind.String()) || !strings.Contains(err.Error(), e.Reason) {
		t.Fatalf("%s: error text %q, want it to name the kind and the fault", f.kind, err)
	}
}

func TestMalformedPartsAreRefused(t *testing.T) {
	t.Parallel()
	for _, part := range []string{
		"", "a", "\x00", "a\x00", "\x00\x00", "\x00\x02", "a\x00\xfe", "\x00\xff", "\x00\xffa", "\x00\xff\x00", "\x00\xff\x00\x02", "\x00\xff\x00\xff",
	} {
		key := append([]byte{byte(keys.KindMeta)}, part...)
		if name, err := keys.ParseMeta(key); !errors.Is(err, keys.ErrInvalidKey) {
			t.Errorf("ParseMeta(%q) = %q, %v, want ErrInvalidKey", key, name, err)
		}
	}
}

func TestParsedKeyErrorKeepsItsOwnCopy(t *testing.T) {
	t.Parallel()
	key := []byte{byte(keys.KindPosition), 1}
	_, err := keys.ParsePosition(key)
	clear(key)
	var e *keys.KeyError
	if !errors.As(err, &e) || !bytes.Equal(e.Key, []byte{byte(keys.KindPosition), 1}) {
		t.Errorf("error %v, want one that keeps the key as it was", err)
	}
}

// A range holds a key exactly if the key belongs to it, whatever the bytes.
func TestRangesHoldTheirOwnKeysAlone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tenant, other := keys.TenantID(number(t, "tenant", 32)), keys.TenantID(number(t, "other tenant", 32))
		if rapid.Bool().Draw(t, "same tenant") {
			other = tenant
		}
		a, b := part(t, "a"), part(t, "b")
		if rapid.Bool().Draw(t, "extended") {
			b = a + b
		}
		n, m := number(t, "n", 64), number(t, "m", 64)
		index := keys.IndexID(number(t, "index", 16))
		same := tenant == other
		for _, tt := range []struct {
			name   string
			prefix []byte
			key    []byte
			want   bool
		}{
			{"stream", keys.AppendStream(nil, tenant, keys.StreamID(a)), keys.AppendEvent(nil, other, keys.StreamID(b), keys.Version(n)), same && a == b},
			{"streams by prefix", keys.StreamPrefix(nil, tenant, a), keys.AppendEvent(nil, other, keys.StreamID(b), keys.Version(n)), same && strings.HasPrefix(b, a)},
			{"tenant", keys.StreamPrefix(nil, tenant, ""), keys.AppendEvent(nil, other, keys.StreamID(b), keys.Version(n)), same},
			{"term", keys.AppendIndexTerm(nil, tenant, index, a), keys.AppendIndex(nil, other, index, b, keys.Position(n)), same && a == b},
			{"snapshots", keys.AppendSnapshots(nil, tenant, keys.StreamID(a)), keys.AppendSnapshot(nil, other, keys.StreamID(b), keys.Version(n)), same && a == b},
			{"generation", keys.AppendViewGeneration(nil, tenant, a, n), keys.AppendView(nil, other, b, m, []byte(a)), same && a == b && n == m},
		} {
			lower, upper, err := keys.Range(tt.prefix)
			if err != nil {
				t.Fatalf("%s: Range(%x): %v", tt.name, tt.prefix, err)
			}
			got := bytes.Compare(lower, tt.key) <= 0 && bytes.Compare(tt.key, upper) < 0
			if got != tt.want {
				t.Fatalf("%s: range %x to %x holds %x: %v, want %v", tt.name, lower, upper, tt.key, got, tt.want)
			}
		}
	})
}

func TestRange(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ prefix, upper string }{
		{"a", "b"},
		{"a\xff", "b"},
		{"a\xff\xff", "b"},
		{"a\x00", "a\x01"},
		{"\xfe\xff\xff\xff", "\xff"},
		{"\xff\x00", "\xff\x01"},
	} {
		prefix := []byte(tt.prefix)
		lower, upper, err := keys.Range(prefix)
		if err != nil || string(lower) != tt.prefix || string(upper) != tt.upper {
			t.Errorf("Range(%q) = %q, %q, %v, want %q, %q", tt.prefix, lower, upper, err, tt.prefix, tt.upper)
		}
		clear(prefix)
		if string(lower) != tt.prefix {
			t.Errorf("Range(%q) shares memory with its argument, want a copy", tt.prefix)
		}
	}
	for _, prefix := range []string{"", "\xff", "\xff\xff\xff\xff"} {
		lower, upper, err := keys.Range([]byte(prefix))
		if !errors.Is(err, keys.ErrNoSuccessor) || lower != nil || upper != nil {
			t.Errorf("Range(%q) = %q, %q, %v, want ErrNoSuccessor", prefix, lower, upper, err)
		}
	}
}

func TestRangeHoldsExactlyWhatStartsWithThePrefix(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		prefix, key := []byte(part(t, "prefix")), []byte(part(t, "key"))
		lower, upper, err := keys.Range(prefix)
		if err != nil {
			if len(bytes.Trim(prefix, "\xff")) != 0 {
				t.Fatalf("Range(%x): %v, want bounds", prefix, err)
			}
			return
		}
		got := bytes.Compare(lower, key) <= 0 && bytes.Compare(key, upper) < 0
		if want := bytes.HasPrefix(key, prefix); got != want {
			t.Fatalf("range %x to %x holds %x: %v, want %v", lower, upper, key, got, want)
		}
	})
}

func TestOffsetsPointAtWhatIsPatched(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		stream := keys.StreamID(part(t, "stream"))
		event := keys.AppendEvent(nil, 0x01020304, stream, 0x1112131415161718)
		if got := keys.EventKeyLen(stream); got != len(event) {
			t.Fatalf("EventKeyLen(%q) = %d, want %d", stream, got, len(event))
		}
		if got := event[keys.TenantOffset : keys.TenantOffset+4]; !bytes.Equal(got, []byte{1, 2, 3, 4}) {
			t.Fatalf("tenant in %x at %d is %x", event, keys.TenantOffset, got)
		}
		version := []byte{0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18}
		if got := event[len(event)-keys.VersionFromEnd:]; !bytes.Equal(got, version) {
			t.Fatalf("version in %x is %x, want %x", event, got, version)
		}
	})
	position := keys.AppendPosition(nil, math.MaxUint64)
	if len(position) != 9 || !bytes.Equal(position[1:], bytes.Repeat([]byte{0xff}, 8)) {
		t.Errorf("position key %x, want 9 bytes with the position behind the kind", position)
	}
	if id := keys.AppendEventID(nil, 1, keys.EventID{}); len(id) != keys.EventIDKeyLen {
		t.Errorf("event-id key has %d bytes, want %d", len(id), keys.EventIDKeyLen)
	}
}

// FuzzParseKey feeds anything to every parser: what one accepts must encode to the
// same bytes again, so that no two keys mean the same.
func FuzzParseKey(f *testing.F) {
	for _, key := range exampleKeys {
		f.Add([]byte(key.want))
	}
	f.Fuzz(func(t *testing.T, key []byte) {
		parsed := 0
		for _, fam := range families {
			x, err := fam.parse(key)
			if err != nil {
				if !errors.Is(err, keys.ErrInvalidKey) {
					t.Errorf("%s: error %v, want one that matches ErrInvalidKey", fam.kind, err)
				}
				continue
			}
			parsed++
			if again := fam.encode(nil, x); !bytes.Equal(again, key) {
				t.Errorf("%s: %x parsed to %v, which encodes to %x", fam.kind, key, x, again)
			}
		}
		if parsed > 1 {
			t.Errorf("%x parsed as %d kinds, want at most one", key, parsed)
		}
	})
}
