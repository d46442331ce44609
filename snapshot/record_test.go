package snapshot_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/keys"
	"github.com/nexus-erp/eventstream/snapshot"
)

// account is a snapshot with something in each field.
func account() snapshot.Snapshot {
	return snapshot.Snapshot{
		Stream: "finance-account-1000", Version: 100, Fingerprint: 0x0102030405060708, Codec: codec.JSON,
		State:         []byte(`{"balance":"11900","currency":"EUR"}`),
		OccurredUntil: time.Date(2026, 3, 31, 23, 59, 59, 999_999_999, time.UTC),
		RecordedUntil: time.Date(2026, 4, 2, 8, 0, 0, 1, time.UTC),
		TakenAt:       time.Date(2026, 4, 2, 8, 0, 0, 2, time.UTC),
		Position:      4711, Anchor: 0x1112131415161718,
		Algorithm: snapshot.XXHash64, Compression: snapshot.None,
	}
}

func mustAppend(t testing.TB, tenant keys.TenantID, s snapshot.Snapshot) []byte {
	t.Helper()
	record, err := snapshot.Append(nil, tenant, &s)
	if err != nil {
		t.Fatal(err)
	}
	return record
}

func TestRecordsAreOnDiskAndNeverChange(t *testing.T) {
	t.Parallel()
	s := account()
	sha := s
	sha.Algorithm = snapshot.SHA256
	packed := s
	packed.State, packed.Compression = bytes.Repeat([]byte("0123456789abcdef"), 64), snapshot.Zstd
	const fixed = "0102030405060708" + "0000000000001267" + "1112131415161718" + "18a2128d03bfffff" + "18a27b531ad40001" + "18a27b531ad40002"
	const state = "7b2262616c616e6365223a223131393030222c2263757272656e6379223a22455552227d"
	for _, tt := range []struct {
		name   string
		s      snapshot.Snapshot
		record string
	}{
		{"xxhash64", s, "01010002" + "00000024" + fixed + "591d1833d2fb648d" + state},
		{"sha256", sha, "01020002" + "00000024" + fixed + "bccfd437f09d29f2bdba715d2a2cf3a008b5bfef798105e7638a2731083f5689" + state},
		{"zstd", packed, "01010102" + "00000400" + fixed + "45420b6f58e259e2" + "28b52ffd44080003cd0000040130313233343536373839616263646566015410042dda4fd04cb2fa"},
	} {
		record, err := hex.DecodeString(tt.record)
		if err != nil {
			t.Fatal(err)
		}
		got, err := snapshot.Parse(record, 7, tt.s.Stream, tt.s.Version)
		if diff := cmp.Diff(tt.s, got); diff != "" || err != nil {
			t.Errorf("%s: error %v, (-want +got):\n%s", tt.name, err, diff)
		}
		if tt.s.Compression == snapshot.Zstd {
			continue // another version of the library may pack it otherwise
		}
		if got := hex.EncodeToString(mustAppend(t, 7, tt.s)); got != tt.record {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.record)
		}
	}
}

func TestNumbersAreOnDiskAndNeverChange(t *testing.T) {
	t.Parallel()
	for a, want := range map[snapshot.Algorithm]struct {
		number byte
		name   string
	}{
		snapshot.XXHash64: {1, "xxhash64"}, snapshot.SHA256: {2, "sha256"},
	} {
		if byte(a) != want.number || a.String() != want.name || !a.Valid() {
			t.Errorf("algorithm %s is %d, want %s = %d", a, a, want.name, want.number)
		}
		if parsed, err := snapshot.ParseAlgorithm(want.name); err != nil || parsed != a {
			t.Errorf("ParseAlgorithm(%s) = %v, %v", want.name, parsed, err)
		}
	}
	for c, want := range map[snapshot.Compression]struct {
		number byte
		name   string
	}{
		snapshot.None: {0, "none"}, snapshot.Zstd: {1, "zstd"},
	} {
		if byte(c) != want.number || c.String() != want.name {
			t.Errorf("compression %s is %d, want %s = %d", c, c, want.name, want.number)
		}
	}
	if _, err := snapshot.ParseAlgorithm("md5"); err == nil || !strings.Contains(err.Error(), "use xxhash64 or sha256") {
		t.Errorf("md5: got %v, want a refusal that names the others", err)
	}
	if got := snapshot.Algorithm(9).String(); got != "algorithm(9)" || snapshot.Algorithm(9).Valid() {
		t.Errorf("an unknown algorithm is %s", got)
	}
}

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		times := rapid.Custom(func(t *rapid.T) time.Time { return time.Unix(0, rapid.Int64().Draw(t, "ns")).UTC() })
		s := snapshot.Snapshot{
			Stream:        keys.StreamID(rapid.StringN(1, 60, 255).Draw(t, "stream")),
			Version:       keys.Version(rapid.Uint64Range(1, 1<<62).Draw(t, "version")),
			Fingerprint:   codec.Fingerprint(rapid.Uint64().Draw(t, "fingerprint")),
			Codec:         rapid.SampledFrom([]codec.ID{codec.Msgpack, codec.JSON, codec.Raw}).Draw(t, "codec"),
			State:         bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "state"), rapid.IntRange(1, 20).Draw(t, "times")),
			OccurredUntil: times.Draw(t, "occurred"), RecordedUntil: times.Draw(t, "recorded"), TakenAt: times.Draw(t, "taken"),
			Position: keys.Position(rapid.Uint64().Draw(t, "position")), Anchor: rapid.Uint64().Draw(t, "anchor"),
			Algorithm:   rapid.SampledFrom([]snapshot.Algorithm{snapshot.XXHash64, snapshot.SHA256}).Draw(t, "algorithm"),
			Compression: rapid.SampledFrom([]snapshot.Compression{snapshot.None, snapshot.Zstd}).Draw(t, "compression"),
		}
		tenant := keys.TenantID(rapid.Uint32().Draw(t, "tenant"))
		record, err := snapshot.Append([]byte("before"), tenant, &s)
		if err != nil || string(record[:6]) != "before" {
			t.Fatalf("Append: %v, %q", err, record[:6])
		}
		got, err := snapshot.Parse(record[6:], tenant, s.Stream, s.Version)
		if err != nil {
			t.Fatalf("Parse: %v", err)
		}
		if len(s.State) == 0 {
			s.State = got.State // nil or empty
		}
		got.Compression = s.Compression // None if zstd gains nothing
		if diff := cmp.Diff(s, got); diff != "" {
			t.Errorf("not as it was written (-want +got):\n%s", diff)
		}
	})
}

// No damage passes: not of one bit, not a record cut short or grown.
func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	for _, algorithm := range []snapshot.Algorithm{snapshot.XXHash64, snapshot.SHA256} {
		for _, compression := range []snapshot.Compression{snapshot.None, snapshot.Zstd} {
			s := account()
			s.State = bytes.Repeat(s.State, 3)
			s.Algorithm, s.Compression = algorithm, compression
			record := mustAppend(t, 7, s)
			for i := range record {
				for bit := range 8 {
					damaged := bytes.Clone(record)
					damaged[i] ^= 1 << bit
					if got, err := snapshot.Parse(damaged, 7, s.Stream, s.Version); err == nil {
						t.Fatalf("%s, %s: bit %d of byte %d flipped gave %+v", algorithm, compression, bit, i, got)
					}
				}
				if _, err := snapshot.Parse(record[:i], 7, s.Stream, s.Version); err == nil {
					t.Errorf("%s, %s: the first %d of %d bytes passed", algorithm, compression, i, len(record))
				}
			}
			if _, err := snapshot.Parse(append(bytes.Clone(record), 0), 7, s.Stream, s.Version); err == nil {
				t.Errorf("%s, %s: a byte more passed", algorithm, compression)
			}
			_, err := snapshot.Parse(append(bytes.Clone(record), 0), 7, s.Stream, s.Version)
			var sum *snapshot.SumError
			if !errors.As(err, &sum) || sum.Algorithm != algorithm || sum.Want == sum.Got || len(sum.Got) != len(sum.Want) || !errors.Is(err, keys.ErrEventStore) {
				t.Errorf("got %v, want a *SumError with both sums", err)
			}
		}
	}
}

// A record under another key is another aggregate's state.
func TestARecordThatWasMovedIsFound(t *testing.T) {
	t.Parallel()
	s := account()
	record := mustAppend(t, 7, s)
	for _, tt := range []struct {
		name    string
		tenant  keys.TenantID
		stream  keys.StreamID
		version keys.Version
	}{
		{"another tenant", 8, s.Stream, s.Version},
		{"another stream", 7, "finance-account-1001", s.Version},
		{"another version", 7, s.Stream, s.Version + 1},
	} {
		var sum *snapshot.SumError
		if _, err := snapshot.Parse(record, tt.tenant, tt.stream, tt.version); !errors.As(err, &sum) {
			t.Errorf("%s: got %v, want a *SumError", tt.name, err)
		}
	}
}

func TestCompressionIsUsedWhereItGains(t *testing.T) {
	t.Parallel()
	s := account()
	s.Compression = snapshot.Zstd
	random := make([]byte, 4096)
	rng := rand.New(rand.NewPCG(1, 1))
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	for _, tt := range []struct {
		name  string
		state []byte
		want  snapshot.Compression
	}{
		{"what repeats itself", bytes.Repeat([]byte("account 1000;"), 100), snapshot.Zstd},
		{"what does not", random, snapshot.None},
		{"a few bytes", []byte("ab"), snapshot.None},
		{"nothing", nil, snapshot.None},
	} {
		s.State = tt.state
		record := mustAppend(t, 7, s)
		got, err := snapshot.Parse(record, 7, s.Stream, s.Version)
		if err != nil || got.Compression != tt.want || !bytes.Equal(got.State, tt.state) {
			t.Errorf("%s: got %s, %v, want %s", tt.name, got.Compression, err, tt.want)
		}
		if limit := len(tt.state) + 64; len(record) > limit {
			t.Errorf("%s: %d bytes for %d, want at most %d", tt.name, len(record), len(tt.state), limit)
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*snapshot.Snapshot)
		want   string
	}{
		{"a state beyond the limit", func(s *snapshot.Snapshot) { s.State = make([]byte, snapshot.MaxStateBytes+1) }, "at most 16777216 are allowed"},
		{"no algorithm", func(s *snapshot.Snapshot) { s.Algorithm = 0 }, "unknown algorithm(0)"},
		{"an unknown compression", func(s *snapshot.Snapshot) { s.Compression = 2 }, "unknown compression(2)"},
		{"no codec", func(s *snapshot.Snapshot) { s.Codec = 0 }, "unknown codec"},
	} {
		s := account()
		tt.change(&s)
		got, err := snapshot.Append([]byte("kept"), 7, &s)
		if err == nil || !strings.Contains(err.Error(), tt.want) || string(got) != "kept" {
			t.Errorf("%s: got %q, %v, want an error with %q", tt.name, got, err, tt.want)
		}
	}
	s := account()
	s.State, s.Compression = make([]byte, snapshot.MaxStateBytes), snapshot.Zstd
	if got, err := snapshot.Parse(mustAppend(t, 7, s), 7, s.Stream, s.Version); err != nil || len(got.State) != snapshot.MaxStateBytes {
		t.Errorf("the greatest state: got %d bytes, %v", len(got.State), err)
	}
}

// reseal gives a record that was tampered with its sum again.
func reseal(record []byte, s *snapshot.Snapshot) []byte {
	_, err := snapshot.Parse(record, 7, s.Stream, s.Version)
	var sum *snapshot.SumError
	if !errors.As(err, &sum) {
		return record
	}
	got, _ := hex.DecodeString(sum.Got) // made by hex
	copy(record[56:], got)
	return record
}

// A sum that holds says that the bytes are those that were written, not that they are
// sound: lengths are held against limits before anything is allocated.
func TestClaimsAreCheckedBeforeAnythingIsAllocated(t *testing.T) {
	s := account()
	s.State, s.Compression = bytes.Repeat([]byte("0123456789abcdef"), 64), snapshot.Zstd
	record := mustAppend(t, 7, s)
	for _, tt := range []struct {
		name   string
		change func(record []byte)
	}{
		{"four gigabytes", func(r []byte) { binary.BigEndian.PutUint32(r[4:], 0xffffffff) }},
		{"more than the limit", func(r []byte) { binary.BigEndian.PutUint32(r[4:], snapshot.MaxStateBytes+1) }},
		{"the limit, which the frame does not have", func(r []byte) { binary.BigEndian.PutUint32(r[4:], snapshot.MaxStateBytes) }},
		{"nothing", func(r []byte) { binary.BigEndian.PutUint32(r[4:], 0) }},
		{"no compression", func(r []byte) { r[2] = 0 }},
		{"an unknown compression", func(r []byte) { r[2] = 2 }},
		{"an unknown codec", func(r []byte) { r[3] = 9 }},
	} {
		changed := bytes.Clone(record)
		tt.change(changed)
		changed = reseal(changed, &s)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := snapshot.Parse(changed, 7, s.Stream, s.Version)
		runtime.ReadMemStats(&after)
		var sum *snapshot.SumError
		if err == nil || errors.As(err, &sum) {
			t.Errorf("%s: got %v, want a refusal of what is in it", tt.name, err)
		}
		if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 1<<20 {
			t.Errorf("%s: %d bytes were allocated", tt.name, allocated)
		}
	}
}

// FuzzParse: no bytes make Parse panic, and what passes is written again byte for byte.
func FuzzParse(f *testing.F) {
	for _, algorithm := range []snapshot.Algorithm{snapshot.XXHash64, snapshot.SHA256} {
		s := account()
		s.Algorithm = algorithm
		f.Add(mustAppend(f, 7, s))
		s.State, s.Compression = bytes.Repeat(s.State, 10), snapshot.Zstd
		record := mustAppend(f, 7, s)
		f.Add(record)
		f.Add(record[:70])
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		s := account()
		if _, err := snapshot.Parse(record, 7, s.Stream, s.Version); len(record) > 60 && err != nil {
			record = reseal(bytes.Clone(record), &s) // get past the sum
		}
		got, err := snapshot.Parse(record, 7, s.Stream, s.Version)
		if err != nil {
			return
		}
		if again := mustAppend(t, 7, got); got.Compression == snapshot.None && !bytes.Equal(again, record) {
			t.Errorf("got %x once it was written again, want %x", again, record)
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	s := account()
	s.State = bytes.Repeat(s.State, 60_000/len(s.State))
	for _, algorithm := range []snapshot.Algorithm{snapshot.XXHash64, snapshot.SHA256} {
		for _, compression := range []snapshot.Compression{snapshot.None, snapshot.Zstd} {
			s.Algorithm, s.Compression = algorithm, compression
			record := mustAppend(b, 7, s)
			name := algorithm.String() + "/" + compression.String()
			b.Run("Append/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(s.State)))
				for b.Loop() {
					record, _ = snapshot.Append(record[:0], 7, &s)
				}
			})
			b.Run("Parse/"+name, func(b *testing.B) {
				b.SetBytes(int64(len(s.State)))
				for b.Loop() {
					if _, err := snapshot.Parse(record, 7, s.Stream, s.Version); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
