package snapshot_test

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/keys"
	"github.com/nexus-erp/eventstream/snapshot"
)

// forms are records of every algorithm and compression.
func forms() []snapshot.Snapshot {
	var all []snapshot.Snapshot
	for _, algorithm := range []snapshot.Algorithm{snapshot.XXHash64, snapshot.SHA256} {
		for _, compression := range []snapshot.Compression{snapshot.None, snapshot.Zstd} {
			s := account()
			s.Algorithm, s.Compression = algorithm, compression
			s.State = bytes.Repeat([]byte(`{"n":1}`), 12)
			all = append(all, s)
		}
	}
	return all
}

// Whoever changes a record and makes its sum right again gets a state that was written
// whole, or none: what is packed unpacks to what was packed, and each other field has
// the value that stands in its place. Nothing in a record makes Parse panic.
func TestAForgedRecordIsRefusedOrWhole(t *testing.T) {
	t.Parallel()
	damages, passed := 0, 0
	for _, s := range forms() {
		record := mustAppend(t, 7, s)
		try := func(what string, at int, changed []byte) {
			damages++
			changed = reseal(changed, &s)
			got, err := snapshot.Parse(changed, 7, s.Stream, s.Version)
			if err != nil {
				return
			}
			passed++
			if got.Compression == snapshot.Zstd && !bytes.Equal(got.State, s.State) {
				t.Fatalf("%s, %s: %s at %d: the state is %q, and no error", s.Algorithm, s.Compression, what, at, got.State)
			}
			if again := mustAppend(t, 7, got); got.Compression == snapshot.None && !bytes.Equal(again, changed) {
				t.Fatalf("%s, %s: %s at %d: read as %+v, which is written otherwise", s.Algorithm, s.Compression, what, at, got)
			}
		}
		for bit := range 8 * len(record) {
			changed := bytes.Clone(record)
			changed[bit/8] ^= 1 << (bit % 8)
			try("a flip", bit, changed)
		}
		for n := range record {
			try("a cut", n, bytes.Clone(record[:n]))
			try("a lost byte", n, append(bytes.Clone(record[:n]), record[n+1:]...))
			try("a doubled byte", n, append(bytes.Clone(record[:n+1]), record[n:]...))
		}
	}
	if passed == 0 {
		t.Error("none passed, want those of which a time or the anchor was changed")
	}
	campaign.Count(t, campaign.Damages, damages)
}

// Two flips at a time, swapped bytes and blocks of zeros are found by both sums, which
// are told by the error's type unless the record's form is lost.
func TestCommonDamageIsFoundByBothSums(t *testing.T) {
	t.Parallel()
	damages := 0
	step := campaign.Scale(t, campaign.Cases{Short: 97, PullRequest: 11, Nightly: 1})
	for _, s := range forms() {
		record := mustAppend(t, 7, s)
		try := func(what string, damaged []byte) {
			if bytes.Equal(damaged, record) {
				return
			}
			damages++
			_, err := snapshot.Parse(damaged, 7, s.Stream, s.Version)
			if err == nil {
				t.Fatalf("%s, %s: %s: %x passed", s.Algorithm, s.Compression, what, damaged)
			}
			sum, ok := errors.AsType[*snapshot.SumError](err)
			if known := bytes.Equal(damaged[:2], record[:2]); ok != known && known || ok && sum.Want == sum.Got {
				t.Fatalf("%s, %s: %s: got %v, want a *SumError", s.Algorithm, s.Compression, what, err)
			}
		}
		for x := range 8 * len(record) {
			for y := x + 1; y < 8*len(record); y += step {
				damaged := bytes.Clone(record)
				damaged[x/8] ^= 1 << (x % 8)
				damaged[y/8] ^= 1 << (y % 8)
				try("two flips", damaged)
			}
		}
		for x := range record {
			for y := range x {
				damaged := bytes.Clone(record)
				damaged[x], damaged[y] = damaged[y], damaged[x]
				try("swapped bytes", damaged)
				copy(damaged, record)
				clear(damaged[y:x])
				try("zeros", damaged)
			}
		}
	}
	campaign.Count(t, campaign.Damages, damages)
}

// What stands at its limits comes back, in every form.
func TestTimesAtTheirLimitsAreKept(t *testing.T) {
	t.Parallel()
	for _, s := range forms() {
		s.OccurredUntil = time.Unix(0, math.MinInt64).UTC()
		s.RecordedUntil = time.Unix(0, math.MaxInt64).UTC()
		s.TakenAt = time.Unix(0, -1).UTC()
		s.Position, s.Anchor, s.Fingerprint = math.MaxUint64, math.MaxUint64, math.MaxUint64
		s.Version = math.MaxUint64
		for _, n := range []int{0, 1, 3000} {
			s.State = slices.Repeat([]byte{'x'}, n)
			record := mustAppend(t, math.MaxUint32, s)
			got, err := snapshot.Parse(record, math.MaxUint32, s.Stream, s.Version)
			want := s
			if n < 100 {
				want.Compression = snapshot.None // nothing is gained
			}
			if diff := cmp.Diff(want, got, cmp.Comparer(bytes.Equal)); diff != "" || err != nil {
				t.Errorf("%s, %s, %d bytes: error %v (-want +got):\n%s", s.Algorithm, s.Compression, n, err, diff)
			}
		}
	}
}

// Policies ask as their rules say, whatever the situation, also together.
func TestPoliciesFollowTheirRules(t *testing.T) {
	t.Parallel()
	asked := 0
	for _, seed := range campaign.Seeds(t, 1) {
		r := campaign.Rand(t, seed)
		for range campaign.Scale(t, campaign.Cases{Short: 2_000, PullRequest: 50_000, Nightly: 500_000}) {
			start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			s := snapshot.Situation{Version: keys.Version(r.Uint64N(6)), Last: keys.Version(r.Uint64N(4)), Now: start, Bytes: r.Int64N(5)}
			if r.IntN(3) > 0 {
				s.LastTaken = start.Add(time.Duration(r.IntN(7)-3) * time.Minute)
			}
			for range r.IntN(3) {
				s.Types = append(s.Types, string(rune('a'+r.IntN(3))))
			}
			added := int64(s.Version) - int64(s.Last)
			n, size, age, name := r.Uint64N(4), r.Int64N(5), time.Duration(r.IntN(3))*time.Minute, string(rune('a'+r.IntN(3)))
			rules := []struct {
				name   string
				policy snapshot.Policy
				want   bool
			}{
				{"EveryN", snapshot.EveryN(n), added >= 1 && added >= int64(n)},
				{"ByBytes", snapshot.ByBytes(size), added > 0 && s.Bytes >= size},
				{"ByAge", snapshot.ByAge(age), added > 0 && (s.LastTaken.IsZero() || !s.LastTaken.Add(age).After(start))},
				{"AfterTypes", snapshot.AfterTypes("z", name), slices.Contains(s.Types, name)},
				{"Never", snapshot.Never(), false},
			}
			all, one := true, false
			var policies []snapshot.Policy
			r.Shuffle(len(rules), func(i, j int) { rules[i], rules[j] = rules[j], rules[i] })
			for _, rule := range rules[:r.IntN(len(rules)+1)] {
				if got := rule.policy(s); got != rule.want {
					t.Fatalf("%s of %+v: got %v, want %v", rule.name, s, got, rule.want)
				}
				policies = append(policies, rule.policy)
				all, one = all && rule.want, one || rule.want
			}
			if got := snapshot.Any(policies...)(s); got != one {
				t.Fatalf("Any of %d rules of %+v: got %v, want %v", len(policies), s, got, one)
			}
			if got := snapshot.All(policies...)(s); got != (all && len(policies) > 0) {
				t.Fatalf("All of %d rules of %+v: got %v, want %v", len(policies), s, got, all)
			}
			if one {
				asked++
			}
		}
	}
	if asked == 0 {
		t.Error("no policy asked for a snapshot")
	}
}

// What a record refuses names the mend, and matches what its callers look for.
func TestARecordOfALaterVersionIsTold(t *testing.T) {
	t.Parallel()
	s := account()
	record := mustAppend(t, 7, s)
	record[0] = 2
	if _, err := snapshot.Parse(record, 7, s.Stream, s.Version); err == nil || err.Error() != "unknown record version 2" {
		t.Errorf("got %v, want the version that is not known", err)
	}
	for _, id := range []codec.ID{0, 4, 255} {
		s.Codec = id
		if _, err := snapshot.Append([]byte("kept"), 7, &s); err == nil {
			t.Errorf("codec %d: got no error", id)
		}
	}
}
