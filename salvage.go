package eventstream

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/internal/segment"
	"github.com/nexus-erp/eventstream/keys"
)

// PositionRange is a stretch of positions, both ends inclusive.
type PositionRange struct{ From, To Position }

// Salvage is what can still be read of a damaged store. Its methods are safe for
// concurrent use. It must be closed.
type Salvage struct {
	wreck    *engine.Wreck // locked
	eng      *engine.Engine
	scratch  string // to be removed
	tenants  map[TenantID]string
	missing  []PositionRange
	problems []Problem
	events   uint64
	head     Position
}

// OpenSalvage reads every event that can still be read of the store in dir, whatever is
// wrong with it, and changes not a byte there. It does not rely on what the database
// says of itself: it reads every table and log by itself, the segments in them
// included. Each event proves by its own sums that it is whole and in its place, and
// events never change, so whatever is found is right. It takes the store's lock.
//
// It reads the whole store, and so takes its time. Errors: [*InUseError], [ErrNotExist],
// [*NotAStoreError], ctx's, and those of the file system; damage is in Problems.
func OpenSalvage(ctx context.Context, dir string, opts *SalvageOptions) (_ *Salvage, err error) {
	var o SalvageOptions
	if opts != nil {
		o = *opts
	}
	wreck, err := engine.OpenWreck(o.FS, dir)
	if err != nil {
		return nil, openError(dir, err)
	}
	s := &Salvage{wreck: wreck, tenants: make(map[TenantID]string)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.openScratch(&o); err != nil {
		return nil, fmt.Errorf("salvage %s: %w", dir, err)
	}
	found := &salvager{s: s, seen: make(map[TenantID]bool), batch: s.eng.NewBatch()}
	if err := wreck.Salvage(ctx, found); err != nil {
		found.batch.Release()
		return nil, fmt.Errorf("salvage %s: %w", dir, err)
	}
	if err := s.eng.WriteAndWait(found.batch); err != nil {
		return nil, fmt.Errorf("salvage %s: %w", dir, err)
	}
	s.head = max(found.known, wreck.Marked())
	for id := range found.seen {
		if _, ok := s.tenants[id]; !ok {
			found.problem(Problem{Kind: ProblemTenant, Tenant: s.tenantName(id), Detail: "the tenant's name is lost"})
		}
	}
	return s, s.count(ctx)
}

// openScratch opens a database for what is found.
func (s *Salvage) openScratch(o *SalvageOptions) (err error) {
	if o.FS == nil {
		if s.scratch, err = os.MkdirTemp(o.Scratch, "eventstream-salvage-"); err != nil {
			return err
		}
	}
	s.eng, err = engine.OpenScratch(s.scratch)
	return err
}

// Close removes what was gathered, and lets go of the store.
func (s *Salvage) Close() error {
	err := s.wreck.Close()
	if s.eng != nil {
		err = errors.Join(err, s.eng.Close())
	}
	if s.scratch != "" {
		err = errors.Join(err, os.RemoveAll(s.scratch))
	}
	return err
}

// Missing returns the positions that no event was found for, up to the last that is
// known of: from an event, a seal, or the high-water mark.
func (s *Salvage) Missing() []PositionRange { return slices.Clone(s.missing) }

// Problems returns what was found damaged on the way.
func (s *Salvage) Problems() []Problem { return slices.Clone(s.problems) }

// Events returns how many events were found.
func (s *Salvage) Events() uint64 { return s.events }

// ReadAll returns the events that were found, of all tenants, by position. Commits may
// be there in part: CommitIndex and CommitSize tell. A tenant whose name is lost is
// called "tenant-" and its number. An error is the last item.
func (s *Salvage) ReadAll(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		var decoder eventDecoder
		err := s.walk(ctx, func(r *salvaged) (bool, error) {
			env, err := codec.ParseEnvelope(r.envelope, r.tenant, r.stream, r.version)
			if err != nil {
				return false, damagedEvent(r.stream, r.version, r.position, err)
			}
			var e Event
			if err := decoder.decode(&e, s.tenantName(r.tenant), r.stream, r.version, &env); err != nil {
				return false, err
			}
			return yield(e, nil), nil
		})
		if err != nil {
			yield(Event{}, err)
		}
	}
}

func (s *Salvage) tenantName(id TenantID) string {
	if name, ok := s.tenants[id]; ok {
		return name
	}
	return fmt.Sprintf("tenant-%d", id)
}

// salvaged is an event that was found.
type salvaged struct {
	position Position
	tenant   TenantID
	stream   StreamID
	version  Version
	envelope []byte
}

// walk calls visit for every event that was found, until it returns false.
func (s *Salvage) walk(ctx context.Context, visit func(*salvaged) (bool, error)) (err error) {
	it, err := s.eng.NewPrefixIter([]byte{byte(keys.KindPosition)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		if n++; n%pageMost == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		value, err := it.Value()
		if err != nil {
			return err
		}
		var r salvaged
		if r.position, err = keys.ParsePosition(it.Key()); err != nil {
			return err
		}
		size := int(binary.BigEndian.Uint16(value)) // what salvager.event wrote
		if r.tenant, r.stream, r.version, err = keys.ParseEvent(value[2 : 2+size]); err != nil {
			return err
		}
		r.envelope = value[2+size:]
		if more, err := visit(&r); err != nil || !more {
			return err
		}
	}
	return nil
}

// count counts the events and finds the holes between them.
func (s *Salvage) count(ctx context.Context) error {
	next := Position(1)
	hole := func(until Position) {
		if next <= until {
			s.missing = append(s.missing, PositionRange{next, until})
		}
	}
	err := s.walk(ctx, func(r *salvaged) (bool, error) {
		hole(r.position - 1)
		next = r.position + 1
		s.events++
		return true, nil
	})
	hole(s.head)
	return err
}

// salvager gathers what is found.
type salvager struct {
	s     *Salvage
	known Position // the last one that anything speaks of
	seen  map[TenantID]bool
	batch engine.Batch
	bytes int
	key   []byte
	value []byte
}

// salvageBatch is how many bytes are gathered at once.
const salvageBatch = 4 << 20

// Damaged implements engine.Salvager.
func (f *salvager) Damaged(file string, err error) {
	f.problem(Problem{Kind: ProblemTable, Detail: fmt.Sprintf("%s: %v", file, err)})
}

func (f *salvager) problem(p Problem) {
	if len(f.s.problems) < maxProblems {
		f.s.problems = append(f.s.problems, p)
	}
}

// Record implements engine.Salvager.
func (f *salvager) Record(key, value []byte) error {
	if len(key) == 0 {
		return nil
	}
	switch keys.Kind(key[0]) {
	case keys.KindMeta:
		f.tenant(key, value)
	case keys.KindEvent:
		return f.event(key, value)
	case keys.KindPosition:
		if position, err := keys.ParsePosition(key); err == nil {
			f.known = max(f.known, position)
		}
	case keys.KindSeal:
		if first, err := keys.ParseSeal(key); err == nil {
			if seal, err := segment.ParseSeal(first, value); err == nil {
				f.known = max(f.known, seal.Last)
			}
		}
	case keys.KindSegment:
		return f.segment(key, value)
	}
	return nil
}

func (f *salvager) tenant(key, value []byte) {
	name, err := keys.ParseMeta(key)
	if err == nil && len(value) == 4 && len(name) > len(metaTenantPrefix) && name[:len(metaTenantPrefix)] == metaTenantPrefix {
		f.s.tenants[TenantID(binary.BigEndian.Uint32(value))] = name[len(metaTenantPrefix):]
	}
}

// event notes an event, if it is whole and in its place.
func (f *salvager) event(key, value []byte) error {
	tenantID, stream, version, err := keys.ParseEvent(key)
	if err != nil {
		f.problem(Problem{Kind: ProblemKey, Detail: err.Error()})
		return nil
	}
	env, err := codec.ParseEnvelope(value, tenantID, stream, version)
	if err == nil {
		_, err = codec.ParseMetadata(env.Metadata)
	}
	if err != nil {
		f.problem(Problem{Kind: ProblemEvent, Stream: stream, Version: version, Detail: err.Error()})
		return nil
	}
	f.known, f.seen[tenantID] = max(f.known, env.Position), true
	f.key = keys.AppendPosition(f.key[:0], env.Position)
	f.value = binary.BigEndian.AppendUint16(f.value[:0], uint16(len(key)))
	f.value = append(append(f.value, key...), value...)
	f.batch.Set(f.key, f.value)
	if f.bytes += len(f.value); f.bytes < salvageBatch {
		return nil
	}
	full := f.batch
	f.batch, f.bytes = f.s.eng.NewBatch(), 0
	return f.s.eng.WriteAndWait(full)
}

// segment notes the events of a segment.
func (f *salvager) segment(key, value []byte) error {
	first, err := keys.ParseSegment(key)
	if err != nil {
		return nil
	}
	var (
		records  segment.Records
		record   segment.Record
		envelope []byte
		eventKey []byte
	)
	if err := records.Open(first, value); err != nil {
		f.problem(Problem{Kind: ProblemSegment, Position: first, Detail: err.Error()})
		return nil
	}
	for records.Next(&record) {
		stream := StreamID(bytes.Clone(record.Stream))
		envelope = codec.UnpackEnvelope(envelope[:0], record.Header[:], record.Body, record.Tenant, stream, record.Version, record.Position)
		eventKey = keys.AppendEvent(eventKey[:0], record.Tenant, stream, record.Version)
		if err := f.event(eventKey, envelope); err != nil {
			return err
		}
	}
	return nil
}
