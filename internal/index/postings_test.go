package index

import (
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/keys"
)

// drawPostings draws the positions of a term, which rise over all batches.
func drawPostings(t *rapid.T, label string) (p postings) {
	next := keys.Position(0)
	for range rapid.IntRange(0, 6).Draw(t, label+" batches") {
		var list []keys.Position
		for range rapid.IntRange(1, 12).Draw(t, label+" in a batch") {
			next += keys.Position(rapid.IntRange(1, 9).Draw(t, label+" behind"))
			list = append(list, next)
		}
		p = append(p, list)
	}
	return p
}

func drawSpan(t *rapid.T) Span {
	low := keys.Position(rapid.IntRange(1, 120).Draw(t, "low"))
	return Span{low, low + keys.Position(rapid.IntRange(0, 200).Draw(t, "long")), rapid.Bool().Draw(t, "backward")}
}

// drawTargets draws where to seek: in the direction of the span, from beyond its ends too.
func drawTargets(t *rapid.T, s Span) []keys.Position {
	targets := rapid.SliceOfN(rapid.Uint64Range(1, 330), 1, 12).Draw(t, "targets")
	slices.Sort(targets)
	if s.Backward {
		slices.Reverse(targets)
	}
	found := make([]keys.Position, len(targets))
	for i, at := range targets {
		found[i] = keys.Position(at)
	}
	return found
}

// Whatever the batches are in which a term came, and wherever one seeks: the next of its
// positions is found, in either direction, and none of another term or tenant.
func TestPostingsFindTheNextPosition(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	tenant := keys.TenantID(0)
	rapid.Check(t, func(t *rapid.T) {
		tenant += 2
		p, span := drawPostings(t, "own"), drawSpan(t)
		p.write(t, e, tenant, "Posted")
		drawPostings(t, "neighbour").write(t, e, tenant, "Poste")
		drawPostings(t, "neighbour").write(t, e, tenant, "Posted2")
		drawPostings(t, "other tenant").write(t, e, tenant+1, "Posted")
		in := inSpan(p.all(), span)

		set, err := Open(e, tenant, Type, "Posted", span)
		if err != nil {
			t.Fatal(err)
		}
		wantPositions(t, "from end to end", walk(t, set, span), in)
		if err := set.Close(); err != nil {
			t.Fatal(err)
		}
		if set, err = Open(e, tenant, Type, "Posted", span); err != nil {
			t.Fatal(err)
		}
		for _, target := range drawTargets(t, span) {
			at, ok, err := set.Seek(target)
			if err != nil {
				t.Fatal(err)
			}
			from := target // a target before the span is its start
			if start := span.start(); span.beyond(start, from) {
				from = start
			}
			if want, found := firstBeyond(in, from, span); ok != found || ok && at != want {
				t.Fatalf("seek %d in %+v of %d: got %d, %v, want %d, %v", target, span, p, at, ok, want, found)
			}
		}
		if err := set.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAnEstimateOfFewPositionsIsExact(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	tenant := keys.TenantID(0)
	rapid.Check(t, func(t *rapid.T) {
		tenant++
		p, span := drawPostings(t, "own"), drawSpan(t)
		p.write(t, e, tenant, "Posted")
		set, err := Open(e, tenant, Type, "Posted", span)
		if err != nil {
			t.Fatal(err)
		}
		n, exact, err := set.Estimate()
		if err := errors.Join(err, set.Close()); err != nil {
			t.Fatal(err)
		}
		if want := len(inSpan(p.all(), span)); !exact || n != uint64(want) {
			t.Fatalf("span %+v of %d: got %d, exact %v, want %d exactly", span, p, n, exact, want)
		}
	})
}

// Of a term with many records the first are counted, and the rest of the span is taken
// to be like them.
func TestAnEstimateOfManyPositionsIsNear(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	const batches, each, behind = 300, 100, 5
	var p postings
	for i := range batches {
		var list []keys.Position
		for j := range each {
			list = append(list, keys.Position((i*each+j)*behind+1))
		}
		p = append(p, list)
	}
	p.write(t, e, 1, "Posted")
	last := keys.Position(batches * each * behind)
	for _, span := range []Span{
		{1, last, false},
		{1, last, true},
		{last / 4, last, false},
		{1, last / 2, true},
		{1, 2 * last, false}, // half of it is empty, which the first records do not show
	} {
		set, err := Open(e, 1, Type, "Posted", span)
		if err != nil {
			t.Fatal(err)
		}
		n, exact, err := set.Estimate()
		if err := errors.Join(err, set.Close()); err != nil {
			t.Fatal(err)
		}
		want := uint64(span.High-span.Low+1) / behind
		if exact || n < want*9/10 || n > want*11/10 {
			t.Errorf("span %+v: got %d, exact %v, want about %d", span, n, exact, want)
		}
	}
}

func TestATermWithoutPositionsIsEmpty(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	postings{{5}}.write(t, e, 1, "Posted")
	for _, span := range []Span{{1, 10, false}, {1, 10, true}, {1, keys.MaxPosition, true}} {
		set, err := Open(e, 1, Type, "Nothing", span)
		if err != nil {
			t.Fatal(err)
		}
		if at, ok, err := set.Seek(1); ok || err != nil {
			t.Errorf("span %+v: got %d, %v, %v, want nothing", span, at, ok, err)
		}
		if n, exact, err := set.Estimate(); n != 0 || !exact || err != nil {
			t.Errorf("span %+v: estimated %d, %v, %v, want 0 exactly", span, n, exact, err)
		}
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A record that is none is an error wherever it is read: never a position that is not
// one, nor a term that ends early.
func TestADamagedRecordIsAnError(t *testing.T) {
	t.Parallel()
	key := func(position uint64, more ...byte) string {
		return string(append(binary.BigEndian.AppendUint64(keys.AppendIndexTerm(nil, 1, Type, []byte("Posted")), position), more...))
	}
	for what, record := range map[string]struct {
		key   string
		value []byte
	}{
		"a distance of zero":         {key(7), []byte{0}},
		"a distance without its end": {key(7), []byte{0x80}},
		"a distance of 11 bytes":     {key(7), []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}},
		"a distance beyond the last": {key(uint64(keys.MaxPosition)), []byte{1}},
		"position zero":              {key(0), nil},
		"a key that is too long":     {key(7, 1), nil},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			e := openEngine(t)
			put(t, e, map[string][]byte{record.key: record.value})
			for _, span := range []Span{{1, keys.MaxPosition, false}, {1, keys.MaxPosition, true}} {
				set, err := Open(e, 1, Type, "Posted", span)
				if err != nil {
					t.Fatal(err)
				}
				if at, ok, err := set.Seek(span.start()); !errors.Is(err, ErrDamaged) {
					t.Errorf("span %+v: got %d, %v, %v, want ErrDamaged", span, at, ok, err)
				}
				if _, _, err := set.Estimate(); !errors.Is(err, ErrDamaged) {
					t.Errorf("span %+v: estimate: got %v, want ErrDamaged", span, err)
				}
				if err := set.Close(); err != nil {
					t.Error(err)
				}
			}
			if _, _, _, got, err := ParseRecord([]byte(record.key), record.value); err == nil {
				t.Errorf("parsed: %d", got)
			}
		})
	}
}

func TestParseRecordRefusesWhatIsNoIndex(t *testing.T) {
	t.Parallel()
	key := func(id keys.IndexID) []byte {
		return binary.BigEndian.AppendUint64(keys.AppendIndexTerm(nil, 3, id, []byte("term")), 9)
	}
	for id, known := range map[keys.IndexID]bool{0: false, Tenant: true, Occurred: true, Tag: true, Tag + 1: false, 255: false} {
		tenant, gotID, term, positions, err := ParseRecord(key(id), []byte{1, 5})
		if known && (err != nil || tenant != 3 || gotID != id || term != "term" || !slices.Equal(positions, []keys.Position{9, 10, 15})) {
			t.Errorf("index %d: got tenant %d, index %d, term %q, positions %d, %v", id, tenant, gotID, term, positions, err)
		}
		if !known && !errors.Is(err, ErrDamaged) {
			t.Errorf("index %d: got error %v, want ErrDamaged", id, err)
		}
	}
	if _, _, _, _, err := ParseRecord(keys.AppendMeta(nil, "identity"), nil); err == nil {
		t.Error("a key of another kind was taken for a record of an index")
	}
}

// A record is the first position in its key, and the distances behind it: what was
// written is what is read, and no two lists have one form.
func TestRecordsKeepEveryPosition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		first := keys.Position(rapid.Uint64Range(1, uint64(keys.MaxPosition)).Draw(t, "first"))
		list := []keys.Position{first}
		for at := first; len(list) < rapid.IntRange(1, 20).Draw(t, "long") && at < keys.MaxPosition; {
			at += keys.Position(rapid.Uint64Range(1, uint64(keys.MaxPosition-at)).Draw(t, "behind"))
			list = append(list, at)
		}
		got, ok := parseRecord(nil, first, appendRest(nil, list))
		if !ok {
			t.Fatalf("%d were refused", list)
		}
		wantPositions(t, "read back", got, list)
	})
}

// Two entries of an event with one term are one posting; a builder that was written is
// empty, and knows nothing of what came before.
func TestABuilderGathersTermsOnce(t *testing.T) {
	t.Parallel()
	var b Builder
	add := func(at keys.Position, eventType string) {
		t.Helper()
		if err := b.Add(Type, 1, "s", &codec.Envelope{Type: []byte(eventType), Position: at}); err != nil {
			t.Fatal(err)
		}
	}
	type entry struct {
		term      string
		positions []keys.Position
	}
	written := func() (all []entry) {
		var last []byte
		b.Write(func(key, value []byte) {
			if slices.Compare(last, key) >= 0 {
				t.Errorf("key %x does not follow %x", key, last)
			}
			last = slices.Clone(key)
			_, _, term, positions, err := ParseRecord(key, value)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, entry{term, positions})
		})
		return all
	}
	add(3, "B")
	add(3, "B") // as two tags of an event that share a term
	add(4, "A")
	add(9, "B")
	got := written()
	if len(got) != 2 || got[0].term != "A" || got[1].term != "B" || !slices.Equal(got[0].positions, []keys.Position{4}) || !slices.Equal(got[1].positions, []keys.Position{3, 9}) {
		t.Errorf("got %+v, want A at 4, and B at 3 and 9", got)
	}
	if got := written(); got != nil {
		t.Errorf("written again: %+v, want nothing", got)
	}
	add(12, "C")
	b.Reset()
	add(13, "A")
	if got := written(); len(got) != 1 || got[0].term != "A" || !slices.Equal(got[0].positions, []keys.Position{13}) {
		t.Errorf("after a reset: got %+v, want A at 13", got)
	}
}

// Times finds the events between two instants, whatever the order of their positions.
func TestTimesFindsWhatOccurredBetween(t *testing.T) {
	t.Parallel()
	e := openEngine(t)
	tenant := keys.TenantID(0)
	rapid.Check(t, func(t *rapid.T) {
		tenant += 2
		times := rapid.SliceOfN(rapid.Int64Range(-50, 50), 0, 30).Draw(t, "times")
		var b Builder
		for i, ns := range times {
			for _, of := range []keys.TenantID{tenant, tenant + 1} { // whose events are nobody else's
				if err := b.Add(Occurred, of, "s", &codec.Envelope{OccurredAt: ns, Position: keys.Position(i + 1)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		batch := e.NewBatch()
		b.Write(batch.Set)
		if err := e.WriteAndWait(batch); err != nil {
			t.Fatal(err)
		}
		from, to := rapid.Int64Range(-60, 60).Draw(t, "from"), rapid.Int64Range(-60, 60).Draw(t, "to")
		var want []keys.Position
		for i, ns := range times {
			if from <= ns && ns <= to {
				want = append(want, keys.Position(i+1))
			}
		}
		got, err := Times(e, tenant, from, to, 1000)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		wantPositions(t, "between", got, want)
		if few, err := Times(e, tenant, from, to, 3); err != nil || len(few) < min(3, len(want)) {
			t.Fatalf("at most 3: got %d and error %v of %d", few, err, want)
		}
	})
}

func TestTimesSaysWhatIsDamaged(t *testing.T) {
	t.Parallel()
	term := keys.AppendIndexTerm(nil, 1, Occurred, AppendTimeTerm(nil, 100))
	for what, key := range map[string][]byte{
		"a distance of zero": binary.BigEndian.AppendUint64(slices.Clone(term), 9),
		"a short key":        append(slices.Clone(term), 1),
	} {
		e := openEngine(t)
		put(t, e, map[string][]byte{string(key): {0}})
		if got, err := Times(e, 1, 0, 200, 10); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: got %d, %v, want ErrDamaged", what, got, err)
		}
		if got, err := Times(e, 1, 101, 200, 10); err != nil || got != nil {
			t.Errorf("%s, beside the damage: got %d, %v, want nothing", what, got, err)
		}
	}
}
