package eventstream

import (
	"errors"
	"fmt"

	"github.com/nexus-erp/eventstream/internal/segment"
	"github.com/nexus-erp/eventstream/keys"
)

// sealChain is the store's seals, as far as they hang together.
type sealChain struct {
	last segment.Seal // zero: there is none
	hash segment.Hash // of last
}

// follows reports whether s is the next seal of the chain.
func (c *sealChain) follows(s *segment.Seal) bool {
	return s.First == c.last.Last+1 && s.Previous == c.hash
}

func (c *sealChain) add(s segment.Seal) { c.last, c.hash = s, s.Hash() }

// loadSeals reads all seals and lets the sealer go on behind them. A hole in the
// chain is mended if the events of the missing runs are there and are those that the
// next seal follows; otherwise history is damaged.
func (db *DB) loadSeals() error {
	chain, err := db.readSeals()
	if err != nil {
		return err
	}
	if head := db.seq.head; chain.last.Last > head {
		return &CorruptionError{What: "history", Position: head + 1, Err: fmt.Errorf("positions %d to %d are sealed, and missing", head+1, chain.last.Last)}
	}
	db.newestSeal = chain.last
	db.sealer.start(chain.last.Last, chain.hash)
	return nil
}

// readSeals walks the seals.
func (db *DB) readSeals() (chain sealChain, err error) {
	it, err := db.eng.NewPrefixIter([]byte{byte(keys.KindSeal)})
	if err != nil {
		return sealChain{}, err
	}
	defer func() { err = readError("seal", errors.Join(err, it.Close())) }()
	for ok := it.First(); ok; ok = it.Next() {
		first, err := keys.ParseSeal(it.Key())
		if err != nil {
			return chain, &CorruptionError{What: "seal", Err: err}
		}
		value, err := it.Value()
		if err != nil {
			return chain, err
		}
		seal, err := segment.ParseSeal(first, value)
		if err != nil {
			continue // as if it were missing
		}
		if !chain.follows(&seal) {
			if err := db.sealHole(&chain, &seal); err != nil {
				return chain, err
			}
		}
		chain.add(seal)
	}
	return chain, nil
}

// sealHole seals the runs between the chain and next again.
func (db *DB) sealHole(chain *sealChain, next *segment.Seal) error {
	from := chain.last.Last + 1
	damaged := func(err error) error {
		if errors.Is(err, ErrDiskFull) {
			return err
		}
		return &CorruptionError{What: "history", Position: from, Err: fmt.Errorf("the seals of positions %d to %d are missing, and the events there are not those that were sealed: %w", from, next.First-1, err)}
	}
	if next.First <= from {
		return damaged(errSealOrder)
	}
	s := newSealer(db, db.sealer.events)
	s.start(chain.last.Last, chain.hash)
	mended := *chain
	write := func() error {
		value := s.run.AppendSegment(nil)
		seal := s.run.Close(mended.hash)
		mended.add(seal)
		return db.storeRun(&seal, value)
	}
	if err := s.advance(next.First-1, write); err != nil {
		return damaged(err)
	}
	if s.run.Events > 0 { // the commit that ended it stands behind the hole
		if err := write(); err != nil {
			return damaged(err)
		}
	}
	if !mended.follows(next) {
		return damaged(errRunChanged)
	}
	*chain = mended
	db.log.Warn("missing seals were made again from their events")
	return nil
}

var errSealOrder = errors.New("a seal overlaps the one before, or does not follow it")

// storeRun writes a run's seal and segment, unless the database was opened to be read.
func (db *DB) storeRun(seal *segment.Seal, value []byte) error {
	if db.eng.ReadOnly() {
		return nil
	}
	if err := db.admit(int64(len(value))); err != nil {
		return err
	}
	b := db.eng.NewBatch()
	b.Set(keys.AppendSegment(nil, seal.First), value)
	b.Set(keys.AppendSeal(nil, seal.First), segment.AppendSeal(nil, seal))
	return db.eng.WriteAndWait(b)
}

// verifyRun compares the events of a run with its seal. No seal is no run.
func (db *DB) verifyRun(seal *segment.Seal) error {
	if seal.Events == 0 {
		return nil
	}
	run, err := db.runOf(seal)
	if err != nil {
		return err
	}
	if got := run.Close(seal.Previous); got != *seal {
		return &CorruptionError{What: "sealed run", Position: seal.First, Err: errRunChanged}
	}
	return nil
}
