package eventstream

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/index"
	"github.com/nexus-erp/eventstream/keys"
)

// indexer builds the indexes behind the appends, as the sealer packs runs: it follows
// the readable head, and writes in batches without a sync. What an index holds and its
// checkpoint are one commit, so an index is complete up to its checkpoint whatever ends
// the process.
//
// Indexes that stand at the same position are built together. One that was added later
// catches up in turns with the others, and then goes with them.
type indexer struct {
	db      *DB
	states  []*indexProgress
	builder index.Builder
	source  logRecords
	wake    chan struct{}
}

// indexProgress is how far one index is.
type indexProgress struct {
	index      Index
	id         keys.IndexID
	checkpoint atomic.Uint64
	damaged    atomic.Bool   // it is to be built anew; nobody reads it meanwhile
	condemned  atomic.Uint64 // how often; what was read across a change does not count
}

func (s *indexProgress) reached() Position { return Position(s.checkpoint.Load()) }

const (
	// indexBatch is how many positions one commit takes in.
	indexBatch = 4096
	// indexPause is how long the indexer lets events gather.
	indexPause = 20 * time.Millisecond
	// indexRetry is how long it waits after a failure that may pass.
	indexRetry = time.Second
)

// loadIndexes reads how far the indexes are that the options name.
func (db *DB) loadIndexes() error {
	x := &indexer{db: db, source: logRecords{db: db}, wake: make(chan struct{}, 1)}
	set, err := db.indexSet()
	if err != nil {
		return err
	}
	for _, name := range set {
		s := &indexProgress{index: name, id: indexIDs[name]}
		at, err := db.loadIndexCheckpoint(name)
		switch {
		case errors.Is(err, ErrCorrupt):
			s.damaged.Store(true)
			db.log.Warn("an index is damaged, and is built anew", slog.String("index", string(name)), slog.Any("error", err))
		case err != nil:
			return err
		case at > db.seq.head:
			return &HistoryDamagedError{From: db.seq.head + 1, To: at, Detail: fmt.Sprintf("the index %q is beyond the head: events are missing from the end", name)}
		}
		s.checkpoint.Store(uint64(at))
		x.states = append(x.states, s)
	}
	db.indexer = x
	return nil
}

// follow builds until the store is closed or poisoned.
func (x *indexer) follow() {
	failing := false
	for {
		more, err := x.step()
		pause := indexPause
		switch {
		case errors.Is(err, ErrClosed), x.db.eng.PoisonErr() != nil:
			return
		case err != nil:
			if !failing {
				x.db.log.Warn("indexing failed and is retried", slog.Any("error", err))
			}
			failing, pause = true, indexRetry
		case more:
			failing = false
			continue
		default:
			failing = false
			if !x.await() {
				return
			}
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-x.db.closing:
			timer.Stop()
			return
		}
	}
}

// await waits for something to do. It reports false when the store is closed.
func (x *indexer) await() bool {
	rises := x.db.readable.Above(x.front())
	if rises == nil {
		return true
	}
	select {
	case <-rises:
	case <-x.wake:
	case <-x.db.closing:
		return false
	case <-x.db.eng.Poisoned():
		return false
	}
	return true
}

// front is how far the foremost index is.
func (x *indexer) front() (at Position) {
	for _, s := range x.states {
		at = max(at, s.reached())
	}
	return at
}

// step builds one batch for the indexes in front, and one for those furthest behind. more
// reports that there is more to do at once.
func (x *indexer) step() (more bool, err error) {
	if !x.db.gate.enter() {
		return false, ErrClosed
	}
	defer x.db.gate.leave()
	for _, s := range x.states {
		if s.damaged.Load() {
			if err := x.clear(s); err != nil {
				return false, err
			}
		}
	}
	head := x.db.readable.Load()
	front, back := x.front(), slices.MinFunc(x.states, byCheckpoint).reached()
	for i, from := range []Position{front, back} {
		if from >= head || i > 0 && back == front {
			continue
		}
		until := min(from+indexBatch, head)
		if from < front {
			until = min(until, x.nextAbove(from)) // there it goes on with others
		}
		if err := x.build(from, until); err != nil {
			return false, err
		}
		more = more || until < head && until-from == indexBatch || from < front
	}
	return more, nil
}

func byCheckpoint(a, b *indexProgress) int { return cmp.Compare(a.reached(), b.reached()) }

// nextAbove is the nearest position above from at which an index stands.
func (x *indexer) nextAbove(from Position) Position {
	next := x.front()
	for _, s := range x.states {
		if at := s.reached(); at > from {
			next = min(next, at)
		}
	}
	return next
}

// build brings the indexes that stand at from to until.
func (x *indexer) build(from, until Position) error {
	var group []*indexProgress
	for _, s := range x.states {
		if s.reached() == from {
			group = append(group, s)
		}
	}
	x.builder.Reset()
	for x.source.next = from + 1; x.source.next <= until; {
		records, err := x.source.read(until)
		if err != nil {
			return err
		}
		for i := range records {
			if err := x.add(group, &records[i]); err != nil {
				return err
			}
		}
	}
	batch := x.db.eng.NewBatch()
	x.builder.Write(batch.Set)
	for _, s := range group {
		batch.Set(indexStateKey(s.index), indexState(until))
	}
	if err := x.db.admitDerived(batch); err != nil {
		batch.Release()
		return err
	}
	if err := x.db.eng.WriteAndWait(batch); err != nil {
		return err
	}
	for _, s := range group {
		s.checkpoint.Store(uint64(until))
	}
	return nil
}

// add adds the terms of one event.
func (x *indexer) add(group []*indexProgress, r *record) error {
	id, _ := r.tenant.number()
	env, err := codec.ParseEnvelope(r.envelope, id, r.stream, r.version)
	if err != nil {
		return damagedEvent(r.stream, r.version, 0, err)
	}
	for _, s := range group {
		if err := x.builder.Add(s.id, id, r.stream, &env); err != nil {
			return damagedEvent(r.stream, r.version, env.Position, err)
		}
	}
	return nil
}

// condemn has an index built anew that was found damaged.
func (x *indexer) condemn(s *indexProgress, err error) {
	if s.damaged.Swap(true) {
		return
	}
	s.condemned.Add(1)
	x.db.log.Warn("an index is damaged: it is not used, and built anew", slog.String("index", string(s.index)), slog.Any("error", err))
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// clear removes all of an index, for it to be built anew.
func (x *indexer) clear(s *indexProgress) error {
	batch := x.db.eng.NewBatch()
	for _, id := range x.db.tenants.ids() {
		lower, upper, err := keys.Range(keys.AppendIndexTerms(nil, id, s.id))
		if err != nil {
			batch.Release()
			return err
		}
		batch.DeleteRange(lower, upper)
	}
	batch.Set(indexStateKey(s.index), indexState(0))
	if err := x.db.eng.WriteAndWait(batch); err != nil {
		return err
	}
	s.checkpoint.Store(0)
	s.damaged.Store(false)
	return nil
}
