package codec

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream/internal/campaign"
)

// The lengths of these claim gigabytes; the five bytes dd ff ff ff ff make the
// decoding library ask for 64 GiB. In the last two, the library takes the content
// of an extension for the header of a map of four billion entries.
var giants = []string{
	"dcffff", "ddffffffff", "deffff", "dfffffffff",
	"d9ff", "daffff", "dbffffffff", "c4ff", "c5ffff", "c6ffffffff",
	"c7ff00", "c8ffff00", "c9ffffffff00",
	"ddffffffff" + "01", "dd7fffffff", "df7fffffff", "dd80000000", "df80000000", "dd0001869f",
	"9fdfffffffff", "81a161ddffffffff", "9191919191ddffffffff", "92c0dbffffffff",
	"dd000186a0" + "c0", "df0000c350" + "c0c0", "ddfffffffe" + "c0",
	"c70500dfffffffff", "d6ffdfffffff",
}

func TestGiantLengthsAllocateNothing(t *testing.T) {
	for _, text := range giants {
		data := unhex(t, text)
		for _, target := range []func() any{
			func() any { return new(any) },
			func() any { return new([]int64) },
			func() any { return new([]any) },
			func() any { return new(map[string]any) },
			func() any { return new(map[string]string) },
			func() any { return new(map[int]int) },
			func() any { return new([]byte) },
			func() any { return new(string) },
		} {
			v := target()
			took, allocated, err := measure(func() error { return Decode(Msgpack, "T", 1, data, v) })
			if err == nil {
				t.Errorf("Decode(%s, %T) gave no error, want one", text, v)
			}
			if allocated > 64<<10 {
				t.Errorf("Decode(%s, %T) allocated %d bytes, want at most 64 KiB", text, v, allocated)
			}
			if took > 10*time.Millisecond {
				t.Errorf("Decode(%s, %T) took %s, want microseconds", text, v, took)
			}
		}
	}
	for _, text := range giants[:len(giants)-2] {
		data := unhex(t, text)
		if _, _, err := ToJSON(Msgpack, data); err == nil {
			t.Errorf("ToJSON(%s) gave no error, want one", text)
		}
		if _, err := Encode(nil, Msgpack, Encoded(data)); err == nil {
			t.Errorf("Encode(Encoded %s) gave no error, want one", text)
		}
	}
}

// measure returns the best of three runs, so that what else runs on the machine
// does not count.
func measure(f func() error) (took time.Duration, allocated uint64, err error) {
	took, allocated = time.Hour, 1<<62
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		err = f()
		took = min(took, time.Since(start))
		runtime.ReadMemStats(&after)
		allocated = min(allocated, after.TotalAlloc-before.TotalAlloc)
	}
	return took, allocated, err
}

func TestTimesWhereMapsBelongAreRefused(t *testing.T) {
	t.Parallel()
	// 2026, 2038 to 2046 (a map of up to 15 entries), and 2088 (four billion).
	for _, text := range []string{"d6ff69229a80", "d6ff80000000", "d6ff8fffffff", "d6ffdfffffff", "d7ff00000000dfffffff"} {
		for _, v := range []any{new(map[string]any), new(map[string]string), new(map[string]bool), new(map[int]int)} {
			if err := Decode(Msgpack, "T", 1, unhex(t, text), v); !errors.Is(err, errExtension) {
				t.Errorf("Decode(%s, %T) error %v, want %v", text, v, err, errExtension)
			}
		}
		type times struct {
			Skipped int
			Tags    map[string]string
			At      time.Time
		}
		var got times
		data := append(unhex(t, "83"+"a2"+hex.EncodeToString([]byte("At"))), unhex(t, text)...)
		data = append(data, unhex(t, "a4"+hex.EncodeToString([]byte("Tags"))+"81a161a162"+"a16e")...)
		data = append(data, unhex(t, text)...)
		if err := Decode(Msgpack, "T", 1, data, &got); err != nil || got.At.IsZero() || got.Tags["a"] != "b" {
			t.Errorf("Decode of a struct with the time %s = %+v, %v, want the time and the map", text, got, err)
		}
	}
}

func TestScanAcceptsEveryKindOfValue(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"00", "7f", "e0", "ff", "80", "90", "a0", "bf" + strings.Repeat("61", 31), "c0", "c2", "c3",
		"c400", "c401ff", "c50001ff", "c600000001ff",
		"c70101ff", "c8000101ff", "c90000000101ff", "c70001",
		"ca00000000", "cb0000000000000000",
		"cc00", "cd0000", "ce00000000", "cf0000000000000000",
		"d000", "d10000", "d200000000", "d30000000000000000",
		"d401ff", "d501ffff", "d601ffffffff", "d701" + strings.Repeat("ff", 8), "d801" + strings.Repeat("ff", 16),
		"d900", "da0000", "db00000000", "dc0000", "dd00000000", "de0000", "df00000000",
		"dc000101", "dd0000000101", "de00010102", "df000000010102",
		strings.Repeat("91", MaxDepth) + "01", strings.Repeat("8101", MaxDepth) + "01",
	} {
		data := unhex(t, text)
		var s scanner
		if err := s.finish(data); err != nil {
			t.Errorf("scan of %s: %v, want no error", text, err)
		}
		for cut := range data {
			var s scanner
			if err := s.finish(data[:cut]); err == nil {
				t.Errorf("scan of %s cut to %d bytes gave no error, want one", text, cut)
			}
		}
	}
}

func TestScanEnforcesItsLimits(t *testing.T) {
	t.Parallel()
	full := append(unhex(t, fmt.Sprintf("dd%08x", MaxElements-1)), bytes.Repeat([]byte{0xc0}, MaxElements-1)...)
	for _, tt := range []struct {
		name string
		data []byte
		want error
	}{
		{"as deep as allowed", unhex(t, strings.Repeat("91", MaxDepth)+"01"), nil},
		{"a level too deep", unhex(t, strings.Repeat("91", MaxDepth+1)+"01"), errTooDeep},
		{"an empty array in the deepest level", unhex(t, strings.Repeat("91", MaxDepth)+"90"), nil},
		{"a million levels", bytes.Repeat([]byte{0x91}, 1e6), errTooDeep},
		{"as many values as allowed", full, nil},
		{"one value too many", append(unhex(t, fmt.Sprintf("dd%08x", MaxElements)), bytes.Repeat([]byte{0xc0}, MaxElements)...), errTooMany},
		{"too many values in two arrays", append(append(unhex(t, "92"), full...), full...), errTooMany},
		{"too many keys", append(unhex(t, fmt.Sprintf("df%08x", MaxElements/2)), bytes.Repeat([]byte{0xc0}, MaxElements)...), errTooMany},
		{"nothing", nil, errTruncated},
		{"the reserved byte", unhex(t, "c1"), errReserved},
	} {
		var s scanner
		if err := s.finish(tt.data); !errors.Is(err, tt.want) {
			t.Errorf("%s: error %v, want %v", tt.name, err, tt.want)
		}
		var out any
		if err := Decode(Msgpack, "T", 1, tt.data, &out); tt.data != nil && (err == nil) != (tt.want == nil) {
			t.Errorf("%s: Decode gives %v, the scanner %v, want them to agree", tt.name, err, tt.want)
		}
	}
}

func TestScanAllocatesNothing(t *testing.T) {
	data := unhex(t, "83a161930102cb3ff0000000000000a162c0a16381a164a165")
	if n := campaign.Allocs(100, 0, func() {
		var s scanner
		if err := s.finish(data); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("scan allocates %v times, want 0", n)
	}
}

func TestScanInPiecesIsTheSameAsAtOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		data := rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(t, "data")
		var once, pieces scanner
		want := once.finish(data)
		var got error
		for cut := 0; cut < len(data) && got == nil; cut++ {
			got = pieces.feed(data[:cut])
		}
		if got == nil {
			got = pieces.finish(data)
		}
		if (got == nil) != (want == nil) {
			t.Fatalf("in pieces: %v, at once: %v, want the same", got, want)
		}
	})
}

// FuzzMsgpackScan feeds anything. What the scanner accepts must decode without a
// panic and within memory in proportion to it, and be handled by everything else
// that trusts the scanner.
func FuzzMsgpackScan(f *testing.F) {
	for _, text := range giants {
		data, err := hex.DecodeString(text)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("\x82\xa1b\x01\xa1a\xd6\xff\x8f\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		var s scanner
		scanned := s.finish(data)
		bound := uint64(len(data))*512 + 1<<17
		for _, v := range []any{new(any), new(map[string]any), new([]map[string]string), new([]string), new(struct {
			A int64
			B []struct{ C map[string]int }
			D time.Time
		})} {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			err := Decode(Msgpack, "T", 1, data, v)
			runtime.ReadMemStats(&after)
			if len(data) > 0 && scanned != nil && err == nil {
				t.Errorf("decoded into %T although the scanner refuses: %v", v, scanned)
			}
			if got := after.TotalAlloc - before.TotalAlloc; got > bound {
				t.Errorf("decoding %d bytes into %T allocated %d, want at most %d", len(data), v, got, bound)
			}
		}
		out, err := Encode(nil, Msgpack, Encoded(data))
		if err == nil && !bytes.Equal(out, data) {
			t.Errorf("Encode(Encoded %x) = %x, want the same", data, out)
		}
		if scanned == nil {
			sorted := bytes.Clone(data)
			var m mapSorter
			if m.sort(sorted) == nil {
				var again scanner
				if err := again.finish(sorted); err != nil || len(sorted) != len(data) {
					t.Errorf("sorted %x into %x: %v, want well-formed of the same length", data, sorted, err)
				}
			} else if err == nil {
				t.Errorf("sorting %x found a key twice that Encode did not", data)
			}
		}
	})
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
