package eventstream

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nexus-erp/eventstream/internal/segment"
	"github.com/nexus-erp/eventstream/keys"
)

// sealer packs the log behind the appends: each run of positions that is full gets a
// seal and a segment. It follows the readable head as any reader does, and writes
// without a sync: since there is one log, what it wrote can never outlive the events
// that it packed.
//
// One goroutine runs it; readers ask how far it got, and tell it which segment they
// found damaged.
type sealer struct {
	db     *DB
	events int // the greatest run

	sealed atomic.Uint64 // the last position that is sealed

	// The sealer's own.
	run      segment.Run
	commit   []record // of the commit that is being read
	previous segment.Hash
	source   logRecords
	value    []byte // scratch

	mu      sync.Mutex
	damaged map[Position]bool // first positions of runs whose segments are to be packed again
	wake    chan struct{}
}

func newSealer(db *DB, events int) *sealer {
	s := &sealer{db: db, events: events, damaged: make(map[Position]bool), wake: make(chan struct{}, 1)}
	s.start(0, segment.Hash{})
	return s
}

// reached returns the last sealed position.
func (s *sealer) reached() Position { return Position(s.sealed.Load()) }

// mend asks for the segment of the run at first to be packed again.
func (s *sealer) mend(first Position) {
	s.mu.Lock()
	s.damaged[first] = true
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

const (
	// sealPause is how long the sealer lets events gather: waking it for each append
	// would cost more than packing.
	sealPause = 20 * time.Millisecond
	// sealRetry is how long it waits after a failure that may pass, as a full disk.
	sealRetry = time.Second
)

// follow seals what can be sealed until the store is closed or poisoned.
func (s *sealer) follow() {
	failing := false
	for {
		err := s.step()
		pause := sealPause
		switch {
		case errors.Is(err, ErrClosed), s.db.eng.PoisonErr() != nil:
			return
		case err != nil:
			if !failing {
				s.db.log.Warn("sealing failed and is retried", slog.Any("error", err))
			}
			failing = true
			s.start(s.reached(), s.previous) // the run that was being packed is read again
			pause = sealRetry
		default:
			failing = false
			if !s.await() {
				return
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-s.db.closing:
			timer.Stop()
			return
		}
	}
}

// await waits for something to do. It reports false when the store is closed.
func (s *sealer) await() bool {
	rises := s.db.readable.Above(s.source.next - 1)
	if rises == nil {
		return true
	}
	select {
	case <-rises:
	case <-s.wake:
	case <-s.db.closing:
		return false
	case <-s.db.eng.Poisoned():
		return false
	}
	return true
}

// step packs again what is damaged, and seals every run that is full.
func (s *sealer) step() error {
	if !s.db.gate.enter() {
		return ErrClosed
	}
	defer s.db.gate.leave()
	if err := s.repack(); err != nil {
		return err
	}
	return s.advance(s.db.readable.Load(), s.write)
}

// start makes the sealer go on behind last, whose seal has the hash previous.
func (s *sealer) start(last Position, previous segment.Hash) {
	s.run = segment.Run{First: last + 1}
	s.commit = nil
	s.previous = previous
	s.source = logRecords{db: s.db, next: last + 1}
	s.sealed.Store(uint64(last))
}

// advance reads the log up to head and calls full for each run that is complete: the
// commit behind it does not fit. What is not stays in memory.
func (s *sealer) advance(head Position, full func() error) error {
	for s.source.next <= head {
		records, err := s.source.read(head)
		if err != nil {
			return err
		}
		for i := range records {
			s.commit = append(s.commit, records[i])
			if len(s.commit) < records[i].commitSize() {
				continue
			}
			if err := s.add(full); err != nil {
				return err
			}
		}
	}
	return nil
}

// add adds the commit that was read to the run, and ends the run first if the commit
// does not fit.
func (s *sealer) add(full func() error) error {
	size := 0
	for i := range s.commit {
		size += segment.Size(s.commit[i].stream, s.commit[i].envelope)
	}
	if !s.run.Fits(len(s.commit), size, s.events) {
		if err := full(); err != nil {
			return err
		}
	}
	for i := range s.commit {
		r := &s.commit[i]
		id, _ := r.tenant.number()
		s.run.Add(id, r.stream, r.version, r.envelope)
	}
	clear(s.commit)
	s.commit = s.commit[:0]
	return nil
}

// write stores the run's segment and seal.
func (s *sealer) write() error {
	s.value = s.run.AppendSegment(s.value[:0])
	seal := s.run.Close(s.previous)
	if err := s.db.storeRun(&seal, s.value); err != nil {
		return fmt.Errorf("seal positions %d to %d: %w", seal.First, seal.Last, err)
	}
	s.previous = seal.Hash()
	s.sealed.Store(uint64(seal.Last))
	return nil
}

// repack packs the damaged segments again, from the events, which must be those that
// were sealed.
func (s *sealer) repack() error {
	for {
		first, ok := s.nextDamaged()
		if !ok {
			return nil
		}
		seal, err := s.db.sealAt(first)
		if err != nil {
			return err
		}
		run, err := s.db.runOf(&seal)
		if err != nil {
			return err
		}
		value := run.AppendSegment(nil)
		if got := run.Close(seal.Previous); got != seal {
			return &CorruptionError{What: "sealed run", Position: first, Err: errRunChanged}
		}
		if err := s.db.storeRun(&seal, value); err != nil {
			return fmt.Errorf("pack positions %d to %d again: %w", seal.First, seal.Last, err)
		}
		s.mu.Lock()
		delete(s.damaged, first)
		s.mu.Unlock()
		s.db.stats.segmentsRebuilt.Add(1)
		s.db.log.Warn("a damaged segment was built again from its events",
			slog.Uint64("first", uint64(seal.First)), slog.Uint64("last", uint64(seal.Last)))
	}
}

var errRunChanged = errors.New("the events are not those that were sealed")

func (s *sealer) nextDamaged() (first Position, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for first = range s.damaged {
		return first, true
	}
	return 0, false
}

// runOf reads the events of a sealed run into a run.
func (db *DB) runOf(seal *segment.Seal) (*segment.Run, error) {
	run := &segment.Run{First: seal.First}
	source := logRecords{db: db, next: seal.First}
	for source.next <= seal.Last {
		records, err := source.read(seal.Last)
		if err != nil {
			return nil, err
		}
		for i := range records {
			r := &records[i]
			id, _ := r.tenant.number()
			run.Add(id, r.stream, r.version, r.envelope)
		}
	}
	return run, nil
}

// sealAt reads the seal of the run at first.
func (db *DB) sealAt(first Position) (segment.Seal, error) {
	value, ok, err := db.eng.Get(nil, keys.AppendSeal(nil, first))
	if err != nil {
		return segment.Seal{}, readError("seal", err)
	}
	if !ok {
		return segment.Seal{}, &CorruptionError{What: "seal", Position: first, Err: errSealMissing}
	}
	seal, err := segment.ParseSeal(first, value)
	if err != nil {
		return segment.Seal{}, &CorruptionError{What: "seal", Position: first, Err: err}
	}
	return seal, nil
}

var errSealMissing = errors.New("the seal is missing")
