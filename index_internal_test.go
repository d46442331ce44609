package eventstream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/internal/index"
	"github.com/nexus-erp/eventstream/keys"
)

// allIndexes are the indexes that a store can have.
func allIndexes() []Index { return slices.Collect(maps.Keys(indexIDs)) }

// openIndexed opens a store on fs with these indexes.
func openIndexed(t testing.TB, fs vfs.FS, indexes ...Index) *DB {
	t.Helper()
	if indexes == nil {
		indexes = []Index{}
	}
	db, err := Open("store", &Options{FS: fs, MemTableBytes: 256 << 10, CacheBytes: 1 << 20, TailBytes: 64 << 10, Indexes: indexes, Unstable: Unstable{RunEvents: 32}})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// awaitIndexed waits until all indexes are complete up to the head.
func awaitIndexed(t testing.TB, db *DB) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for range 20_000 {
		if !slices.ContainsFunc(db.Indexes(), func(i IndexInfo) bool { return i.Checkpoint < db.Head() }) {
			return
		}
		<-ticker.C
	}
	t.Fatalf("the indexes do not catch up: %+v, head %d", db.Indexes(), db.Head())
}

func fillIndexed(t testing.TB, db *DB, n int) {
	t.Helper()
	ctx := context.Background()
	for i := range n {
		eventType := fmt.Sprintf("T%d", i%3)
		if i%40 == 0 {
			eventType = "Rare"
		}
		_, err := db.Tenant([]string{DefaultTenant, "acme"}[i%2]).Append(ctx, StreamID(fmt.Sprintf("finance-account-%d", i%7)), Any, NewEvent{
			Type: eventType, CorrelationID: fmt.Sprintf("c%d", i/4), CausationID: "e", UserID: "ada", Metadata: map[string]string{"doc": fmt.Sprint(i % 5)},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func checkStore(t testing.TB, db *DB) []Problem {
	t.Helper()
	report, err := db.Check(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return report.Problems
}

// countTypes counts by type through the index, which must be used.
func countTypes(t testing.TB, db *DB, eventType string) int {
	t.Helper()
	q := Query{}.Types(eventType).Streams("finance-account-1", "finance-account-2", "finance-account-3")
	n := 0
	for _, err := range db.Query(context.Background(), q) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// An index that is added to a store is built behind the log; one that is left out stands
// still, and goes on later. Check compares each with the log all the while.
func TestAnIndexThatIsAddedCatchesUp(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	db := openIndexed(t, fs, IndexType)
	fillIndexed(t, db, 300)
	awaitIndexed(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openIndexed(t, fs, IndexUser)
	fillIndexed(t, db, 100)
	awaitIndexed(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openIndexed(t, fs, IndexUser, IndexType, IndexTag)
	if at := db.Indexes(); at[0].Checkpoint != 400 || at[1].Checkpoint < 300 {
		t.Errorf("indexes do not go on where they were: %+v", at)
	}
	if problems := checkStore(t, db); len(problems) > 0 {
		t.Errorf("while they catch up: %+v", problems)
	}
	awaitIndexed(t, db)
	if problems := checkStore(t, db); len(problems) > 0 {
		t.Errorf("when they have: %+v", problems)
	}
	for _, i := range db.Indexes() {
		if !i.Ready {
			t.Errorf("%s is not ready", i.Index)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := Open("store", &Options{FS: fs, Unstable: Unstable{RunEvents: 32}}) // with what it was opened with last
	if err != nil {
		t.Fatal(err)
	}
	if n := len(db.Indexes()); n != 3 {
		t.Errorf("got %+v", db.Indexes())
	}
	awaitIndexed(t, db)
	db.lookupCost = 1 // else a store as small as this is read through
	plan, err := db.Explain(context.Background(), Query{}.Types("Rare").Tag("doc", "0"))
	if err != nil || plan.Method != PlanIndex || plan.IndexedTo != 400 || len(plan.Indexes) == 0 {
		t.Errorf("got %+v, %v", plan, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// Whatever is wrong with an index, Check tells, and what cannot be read is built anew, with
// the answers right meanwhile.
func TestDamageOfAnIndexIsFound(t *testing.T) {
	t.Parallel()
	record := func(db *DB, term string) ([]byte, []byte) {
		t.Helper()
		it, err := db.eng.NewPrefixIter(keys.AppendIndexTerm(nil, 1, index.Type, term))
		if err != nil || !it.First() {
			t.Fatal("no record", err)
		}
		value, err := it.Value()
		key := slices.Clone(it.Key())
		value = slices.Clone(value)
		if err != nil || it.Close() != nil {
			t.Fatal(err)
		}
		return key, value
	}
	for _, tt := range []struct {
		name     string
		change   func(db *DB, b engine.Batch)
		rebuilds bool // reading by it finds the damage
	}{
		{"a record is missing", func(db *DB, b engine.Batch) { k, _ := record(db, "Rare"); b.Delete(k) }, false},
		{"a record is cut", func(db *DB, b engine.Batch) { k, v := record(db, "Rare"); b.Set(k, v[:len(v)-1]) }, false},
		{"a record is no record", func(db *DB, b engine.Batch) { k, _ := record(db, "Rare"); b.Set(k, []byte{0x80}) }, true},
		{"positions do not rise", func(db *DB, b engine.Batch) { k, v := record(db, "Rare"); b.Set(k, append(v, 0)) }, true},
		{"one position more", func(db *DB, b engine.Batch) { b.Set(keys.AppendIndex(nil, 1, index.Type, "Rare", 2), nil) }, false},
		{"a term of nobody's", func(db *DB, b engine.Batch) { b.Set(keys.AppendIndex(nil, 1, index.Type, "T9", 1), nil) }, false},
		{"an index of no known number", func(db *DB, b engine.Batch) { b.Set(keys.AppendIndex(nil, 1, 99, "T9", 1), nil) }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			fs := vfs.NewMem()
			db := openIndexed(t, fs)
			fillIndexed(t, db, 400)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			db = openIndexed(t, fs, allIndexes()...) // built in one batch, so that terms have one record
			defer func() {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			}()
			awaitIndexed(t, db)
			if problems := checkStore(t, db); len(problems) > 0 {
				t.Fatalf("before: %+v", problems)
			}
			want := 0
			for e, err := range db.ReadAll(context.Background(), Types("Rare")) {
				if err != nil {
					t.Fatal(err)
				}
				if slices.Contains([]StreamID{"finance-account-1", "finance-account-2", "finance-account-3"}, e.Stream) {
					want++
				}
			}
			b := db.eng.NewBatch()
			tt.change(db, b)
			if err := db.eng.WriteAndWait(b); err != nil {
				t.Fatal(err)
			}
			if problems := checkStore(t, db); len(problems) == 0 || problems[0].Kind != ProblemIndex {
				t.Errorf("got %+v", problems)
			}
			if !tt.rebuilds {
				return
			}
			if got := countTypes(t, db, "Rare"); got != want {
				t.Errorf("got %d events, want %d", got, want)
			}
			awaitIndexed(t, db)
			if problems := checkStore(t, db); len(problems) > 0 {
				t.Errorf("built anew: %+v", problems)
			}
			if got := countTypes(t, db, "Rare"); got != want {
				t.Errorf("built anew: got %d events, want %d", got, want)
			}
		})
	}
}

// Whatever operation the power fails at, what an index holds and its checkpoint agree.
func TestACrashNeverPartsAnIndexFromItsCheckpoint(t *testing.T) {
	t.Parallel()
	for round := range 12 {
		mem := vfs.NewCrashableMem()
		db := openIndexed(t, mem, allIndexes()...)
		fillIndexed(t, db, 60*(round+1))
		crash := func() *vfs.MemFS {
			return mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 8 * round, RNG: rand.New(rand.NewPCG(uint64(round), 0))})
		}
		behind := crash()
		awaitIndexed(t, db)
		caughtUp := crash() // what was indexed last is not synced
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		for what, crashed := range map[string]*vfs.MemFS{"behind the log": behind, "caught up": caughtUp} {
			db = openIndexed(t, crashed, allIndexes()...)
			if problems := checkStore(t, db); len(problems) > 0 {
				t.Errorf("round %d, %s: %+v", round, what, problems)
			}
			fillIndexed(t, db, 10)
			awaitIndexed(t, db)
			if problems := checkStore(t, db); len(problems) > 0 {
				t.Errorf("round %d, %s, later: %+v", round, what, problems)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// An index that claims more than the log has is the log's loss.
func TestAnIndexBeyondTheHeadIsDamage(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	db := openIndexed(t, fs, IndexType)
	fillIndexed(t, db, 5)
	awaitIndexed(t, db)
	b := db.eng.NewBatch()
	b.Set(indexStateKey(IndexType), indexState(6))
	if err := db.eng.WriteAndWait(b); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open("store", &Options{FS: fs, Indexes: []Index{IndexType}})
	damaged, ok := errors.AsType[*HistoryDamagedError](err)
	if !ok || damaged.From != 6 || damaged.To != 6 {
		t.Errorf("got %v", err)
	}
}

// Numbers compare by their value, whatever they are written like, and cost no more than
// their text.
func TestNumbersCompareByTheirValue(t *testing.T) {
	t.Parallel()
	ordered := [][]string{
		{"-1e400000000"},
		{"-10.01"},
		{"-10", "-10.0", "-1e1", "-0.1e2"},
		{"-9"},
		{"-0.001"},
		{"0", "-0", "0.000", "0e99"},
		{"1e-400000000"},
		{"0.0009", "9e-4"},
		{"0.001"},
		{"0.5", "5e-1"},
		{"9.99"},
		{"10", "1E+1", "10.000", "100e-1"},
		{"10.01"},
		{"99"},
		{"100"},
		{"12345678901234567890123.1"},
		{"12345678901234567890123.10000000000000001"},
		{"1e400000000"},
	}
	for i, a := range ordered {
		for j, b := range ordered {
			for _, x := range a {
				for _, y := range b {
					n, okN := parseNumber(x)
					m, okM := parseNumber(y)
					want := 0
					if i < j {
						want = -1
					} else if i > j {
						want = 1
					}
					if got := n.compare(m); !okN || !okM || got != want {
						t.Errorf("%s and %s: got %d, want %d", x, y, got, want)
					}
				}
			}
		}
	}
	for _, text := range []string{"", "-", ".5", "1.2.3", "1e", "1e99999999999", "x", "1_0", "0x1"} {
		if _, ok := parseNumber(text); ok {
			t.Errorf("%q is no number", text)
		}
	}
}

func TestAPatternIsMatchedWhole(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true},
		{"", "a", false},
		{"%", "", true},
		{"%", "anything", true},
		{"a%", "abc", true},
		{"a%", "ba", false},
		{"%a", "ba", true},
		{"%a%", "xay", true},
		{"%%a%%", "a", true},
		{"_", "é", true},
		{"_", "", false},
		{"__", "a", false},
		{"a_c", "abc", true},
		{"%ab%ab%", "abab", true},
		{"%ab%ab%", "aba", false},
		{`a\%`, "a%", true},
		{`a\%`, "ab", false},
		{`\\`, `\`, true},
		{`a\`, `a\`, true},
		{`\_`, "x", false},
		{"%abc", "ababc", true},
		{"a%b%c", "aXbXbXc", true},
	} {
		if got := parsePattern(tt.pattern).matches(tt.text); got != tt.want {
			t.Errorf("%q like %q: got %v", tt.text, tt.pattern, got)
		}
	}
}

func FuzzIndexRecord(f *testing.F) {
	f.Add(keys.AppendIndex(nil, 1, index.Type, "T", 7), []byte{1, 2, 3})
	f.Add(keys.AppendIndex(nil, 1, index.Occurred, "\x00\x01", 1), []byte{0x80})
	f.Fuzz(func(t *testing.T, key, value []byte) {
		_, _, _, positions, err := index.ParseRecord(key, value)
		if err != nil {
			return
		}
		if len(positions) > len(value)+1 || !slices.IsSorted(positions) || len(slices.Compact(slices.Clone(positions))) != len(positions) {
			t.Errorf("positions %v of %x", positions, value)
		}
	})
}
