package index

import (
	"errors"
	"slices"

	"github.com/nexus-erp/eventstream/keys"
)

// List is a set that is held in memory.
type List struct {
	span Span
	list []keys.Position
}

// NewList returns the set of positions, in any order, which it sorts in place.
func NewList(positions []keys.Position, span Span) *List {
	slices.Sort(positions)
	return &List{span: span, list: slices.Compact(positions)}
}

// Seek implements [Set].
func (l *List) Seek(p keys.Position) (keys.Position, bool, error) {
	if l.span.beyond(l.span.start(), p) {
		p = l.span.start()
	}
	i, exact := slices.BinarySearch(l.list, p)
	if l.span.Backward && !exact {
		i--
	}
	if i < 0 || i >= len(l.list) || !l.span.within(l.list[i]) {
		return 0, false, nil
	}
	return l.list[i], true, nil
}

// Close implements [Set].
func (l *List) Close() error { return nil }

// union is what is in any of its sets.
type union struct {
	span  Span
	sets  []Set
	heads []head
}

// head is where a set of a union stands.
type head struct {
	position keys.Position
	ok, read bool
}

// Union returns what is in any of the sets, which it owns.
func Union(span Span, sets ...Set) Set {
	if len(sets) == 1 {
		return sets[0]
	}
	return &union{span: span, sets: sets, heads: make([]head, len(sets))}
}

// Seek implements [Set].
func (u *union) Seek(p keys.Position) (best keys.Position, ok bool, err error) {
	for i, s := range u.sets {
		h := &u.heads[i]
		if !h.read || h.ok && u.span.beyond(p, h.position) {
			h.read = true
			if h.position, h.ok, err = s.Seek(p); err != nil {
				return 0, false, err
			}
		}
		if h.ok && (!ok || u.span.beyond(best, h.position)) {
			best, ok = h.position, true
		}
	}
	return best, ok, nil
}

// Close implements [Set].
func (u *union) Close() error { return closeAll(u.sets) }

// intersection is what is in all of its sets.
type intersection struct {
	span Span
	sets []Set
}

// Intersect returns what is in all of the sets, which it owns. The smallest should come
// first.
func Intersect(span Span, sets ...Set) Set {
	if len(sets) == 1 {
		return sets[0]
	}
	return &intersection{span: span, sets: sets}
}

// Seek implements [Set]. Each set is asked for what the others have reached, until they
// agree: leapfrog, as Veldhuizen calls it (Leapfrog Triejoin, ICDT 2014).
func (x *intersection) Seek(p keys.Position) (keys.Position, bool, error) {
	agreed := 0
	for i := 0; ; i = (i + 1) % len(x.sets) {
		found, ok, err := x.sets[i].Seek(p)
		if err != nil || !ok {
			return 0, false, err
		}
		if x.span.beyond(found, p) {
			p, agreed = found, 0
		}
		if agreed++; agreed == len(x.sets) {
			return p, true, nil
		}
	}
}

// Close implements [Set].
func (x *intersection) Close() error { return closeAll(x.sets) }

func closeAll(sets []Set) error {
	var errs []error
	for _, s := range sets {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}
