package index

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/nexus-erp/eventstream/keys"
)

func drawList(t *rapid.T, label string) []keys.Position {
	drawn := rapid.SliceOfN(rapid.Uint64Range(1, 60), 0, 25).Draw(t, label)
	list := make([]keys.Position, len(drawn))
	for i, at := range drawn {
		list[i] = keys.Position(at)
	}
	return list
}

func sorted(list []keys.Position) []keys.Position {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// check holds a set to the positions that it must give: from end to end, and wherever
// one seeks on the way.
func check(t *rapid.T, what string, open func() Set, all []keys.Position, span Span) {
	in := inSpan(all, span)
	set := open()
	wantPositions(t, what, walk(t, set, span), in)
	if err := set.Close(); err != nil {
		t.Fatal(err)
	}
	set = open()
	for _, target := range drawTargets(t, span) {
		from := target
		if start := span.start(); span.beyond(start, from) {
			from = start
		}
		at, ok, err := set.Seek(target)
		if err != nil {
			t.Fatal(err)
		}
		if want, found := firstBeyond(in, from, span); ok != found || ok && at != want {
			t.Fatalf("%s, seek %d in %+v of %d: got %d, %v, want %d, %v", what, target, span, all, at, ok, want, found)
		}
	}
	if err := set.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAListGivesItsPositionsOnce(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		list, span := drawList(t, "list"), drawSpan(t)
		check(t, "list", func() Set { return NewList(slices.Clone(list), span) }, sorted(list), span)
	})
}

func TestUnionsAndIntersectionsAreThoseOfSets(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		span := drawSpan(t)
		lists := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) []keys.Position { return drawList(t, "list") }), 1, 4).Draw(t, "lists")
		open := func(combine func(Span, ...Set) Set) func() Set {
			return func() Set {
				var sets []Set
				for _, l := range lists {
					sets = append(sets, NewList(slices.Clone(l), span))
				}
				return combine(span, sets...)
			}
		}
		check(t, "union", open(Union), sorted(slices.Concat(lists...)), span)
		var common []keys.Position
		for _, at := range sorted(lists[0]) {
			if !slices.ContainsFunc(lists, func(l []keys.Position) bool { return !slices.Contains(l, at) }) {
				common = append(common, at)
			}
		}
		check(t, "intersection", open(Intersect), common, span)
	})
}

// Sets go together: what is in A or B, and in C.
func TestSetsOfSets(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		span := drawSpan(t)
		a, b, c := drawList(t, "a"), drawList(t, "b"), drawList(t, "c")
		var want []keys.Position
		for _, at := range sorted(slices.Concat(a, b)) {
			if slices.Contains(c, at) {
				want = append(want, at)
			}
		}
		check(t, "(a or b) and c", func() Set {
			list := func(l []keys.Position) Set { return NewList(slices.Clone(l), span) }
			return Intersect(span, Union(span, list(a), list(b)), list(c))
		}, want, span)
	})
}

var errSeek, errClose = errors.New("seek"), errors.New("close")

// faulty is a set that fails.
type faulty struct{ closed *int }

func (f faulty) Seek(keys.Position) (keys.Position, bool, error) { return 0, false, errSeek }

func (f faulty) Close() error {
	*f.closed++
	return errClose
}

// An error of one set is that of all, and all of them are closed.
func TestAnErrorOfASetIsPassedOn(t *testing.T) {
	t.Parallel()
	span := Span{Low: 1, High: 10}
	for what, combine := range map[string]func(Span, ...Set) Set{"union": Union, "intersection": Intersect} {
		closed := 0
		set := combine(span, NewList([]keys.Position{1, 2}, span), faulty{&closed}, faulty{&closed})
		if at, ok, err := set.Seek(1); ok || !errors.Is(err, errSeek) {
			t.Errorf("%s: got %d, %v, %v, want the error", what, at, ok, err)
		}
		if err := set.Close(); !errors.Is(err, errClose) || closed != 2 {
			t.Errorf("%s: close: got %v, and %d sets closed, want the error and 2", what, err, closed)
		}
	}
}

// One set needs no company.
func TestASingleSetIsItself(t *testing.T) {
	t.Parallel()
	span := Span{Low: 1, High: 10}
	list := NewList([]keys.Position{4}, span)
	if Union(span, list) != Set(list) || Intersect(span, list) != Set(list) {
		t.Error("a single set was wrapped")
	}
}
