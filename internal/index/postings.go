package index

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
)

// ErrDamaged is a record that is no record of an index.
var ErrDamaged = errors.New("malformed index record")

// Span is a stretch of positions, both ends in it, and the direction in which it is read.
type Span struct {
	Low, High keys.Position
	Backward  bool
}

// within reports whether p lies in the span.
func (s Span) within(p keys.Position) bool { return s.Low <= p && p <= s.High }

// beyond reports whether a comes after b in the direction of the span.
func (s Span) beyond(a, b keys.Position) bool {
	if s.Backward {
		return a < b
	}
	return a > b
}

// Set is a set of positions that is read in the direction of a span.
type Set interface {
	// Seek returns the first position of the set at p or beyond it. ok is false if there
	// is none in the span. Calls never go back.
	Seek(p keys.Position) (found keys.Position, ok bool, err error)
	// Close releases what the set holds. It may be called once.
	Close() error
}

// Postings are the positions of one term.
type Postings struct {
	it     engine.Iter
	span   Span
	prefix []byte // of the term's keys
	key    []byte // scratch
	chunk  []keys.Position
	begun  bool
}

// Open returns the positions of a term in a span. They must be closed.
func Open(eng *engine.Engine, tenant keys.TenantID, id keys.IndexID, term string, span Span) (*Postings, error) {
	p := &Postings{span: span, prefix: keys.AppendIndexTerm(nil, tenant, id, term)}
	upper := binary.BigEndian.AppendUint64(slices.Clone(p.prefix), uint64(min(span.High, keys.MaxPosition))+1)
	lower := binary.BigEndian.AppendUint64(slices.Clone(p.prefix), 0)
	var err error
	if p.it, err = eng.NewIter(lower, upper); err != nil {
		return nil, err
	}
	return p, nil
}

// Close implements [Set].
func (p *Postings) Close() error { return p.it.Close() }

// Seek implements [Set].
func (p *Postings) Seek(target keys.Position) (keys.Position, bool, error) {
	if p.span.beyond(p.span.start(), target) {
		target = p.span.start()
	}
	if !p.begun || !p.holds(target) {
		if err := p.load(target); err != nil {
			return 0, false, err
		}
	}
	for len(p.chunk) > 0 {
		if found, ok := p.search(target); ok {
			return found, p.span.within(found), nil
		}
		if err := p.step(); err != nil {
			return 0, false, err
		}
	}
	return 0, false, nil
}

// start is where reading begins.
func (s Span) start() keys.Position {
	if s.Backward {
		return s.High
	}
	return s.Low
}

// holds reports whether what target leads to may be in the chunk.
func (p *Postings) holds(target keys.Position) bool {
	n := len(p.chunk)
	if n == 0 {
		return true // at the end already
	}
	return p.chunk[0] <= target && target <= p.chunk[n-1]
}

// load reads the chunk in which target lies, or the next beyond it.
func (p *Postings) load(target keys.Position) error {
	p.begun = true
	p.key = binary.BigEndian.AppendUint64(append(p.key[:0], p.prefix...), uint64(min(target, keys.MaxPosition))+1)
	ok := p.it.SeekLT(p.key)
	if !ok && !p.span.Backward {
		ok = p.it.First()
	}
	return p.read(ok)
}

// step reads the next chunk.
func (p *Postings) step() error { return p.read(p.it.Step(p.span.Backward)) }

func (p *Postings) read(ok bool) error {
	p.chunk = p.chunk[:0]
	if !ok {
		return p.it.Err()
	}
	key := p.it.Key()
	if len(key) != len(p.prefix)+8 {
		return fmt.Errorf("%w: key %x", ErrDamaged, key)
	}
	value, err := p.it.Value()
	if err != nil {
		return err
	}
	if p.chunk, ok = parseRecord(p.chunk, keys.Position(binary.BigEndian.Uint64(key[len(p.prefix):])), value); !ok {
		return fmt.Errorf("%w: key %x", ErrDamaged, key)
	}
	return nil
}

// search finds target, or what comes next beyond it, in the chunk.
func (p *Postings) search(target keys.Position) (keys.Position, bool) {
	i, exact := slices.BinarySearch(p.chunk, target)
	if p.span.Backward && !exact {
		i--
	}
	if i < 0 || i >= len(p.chunk) {
		return 0, false
	}
	return p.chunk[i], true
}

// estimateRecords is how many records Estimate reads.
const estimateRecords = 64

// Estimate returns about how many positions of the term lie in the span, from its first
// records. exact says that it is no more than an estimate if false. It moves the
// postings: they are to be closed afterwards.
func (p *Postings) Estimate() (n uint64, exact bool, err error) {
	if err := p.load(p.span.start()); err != nil {
		return 0, false, err
	}
	for range estimateRecords {
		if len(p.chunk) == 0 {
			return n, true, nil
		}
		for _, at := range p.chunk {
			if p.span.within(at) {
				n++
			}
		}
		last := p.chunk[len(p.chunk)-1]
		if p.span.Backward {
			last = p.chunk[0]
		}
		if !p.span.within(last) && p.span.beyond(last, p.span.start()) {
			return n, true, nil
		}
		covered := uint64(last-p.span.Low) + 1
		if p.span.Backward {
			covered = uint64(p.span.High-last) + 1
		}
		if err := p.step(); err != nil {
			return 0, false, err
		}
		if n > 1<<12 && len(p.chunk) > 0 {
			return n * (uint64(p.span.High-p.span.Low) + 1) / max(covered, 1), false, nil
		}
	}
	last := p.chunk
	if len(last) == 0 {
		return n, true, nil
	}
	covered := uint64(last[0]-p.span.Low) + 1
	if p.span.Backward {
		covered = uint64(p.span.High-last[0]) + 1
	}
	return n * (uint64(p.span.High-p.span.Low) + 1) / max(covered, 1), false, nil
}

// Times returns the positions, in no order, of the tenant's events whose occurred-at lies
// between from and to, in nanoseconds, both included: at most most of them.
func Times(eng *engine.Engine, tenant keys.TenantID, from, to int64, most int) (positions []keys.Position, err error) {
	if from > to {
		return nil, nil
	}
	lower := keys.AppendIndexTerm(nil, tenant, Occurred, AppendTimeTerm(nil, from))
	_, upper, err := keys.Range(keys.AppendIndexTerm(nil, tenant, Occurred, AppendTimeTerm(nil, to)))
	if err != nil {
		return nil, err
	}
	it, err := eng.NewIter(lower, upper)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	for ok := it.First(); ok && len(positions) < most; ok = it.Next() {
		_, _, _, first, err := keys.ParseIndex(it.Key())
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		value, err := it.Value()
		if err != nil {
			return nil, err
		}
		if positions, ok = parseRecord(positions, first, value); !ok {
			return nil, fmt.Errorf("%w: key %x", ErrDamaged, it.Key())
		}
	}
	return positions, nil // the iterator's error surfaces when it is closed
}

// ParseRecord takes a record of an index apart.
func ParseRecord(key, value []byte) (tenant keys.TenantID, id keys.IndexID, term string, positions []keys.Position, err error) {
	tenant, id, term, first, err := keys.ParseIndex(key)
	if err != nil {
		return 0, 0, "", nil, err
	}
	positions, ok := parseRecord(nil, first, value)
	if !ok || id < Tenant || id > Tag {
		return 0, 0, "", nil, fmt.Errorf("%w: key %x", ErrDamaged, key)
	}
	return tenant, id, term, positions, nil
}
