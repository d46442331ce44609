package eventstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
)

// How much of a store Open reads to see that it is all there.
const (
	// openTables is how many tables are compared with the manifest, the newest first.
	openTables = 256
	// openPositions is how many of the newest positions must follow each other.
	openPositions = 8192
	// openEvents is how many of the newest events are read and verified, beside those of
	// the newest run that is sealed.
	openEvents = 1024
	// leastLogBytes is less than any event takes in the log.
	leastLogBytes = 160
)

// prove opens an existing store read-only and checks that it holds what it held.
// Pebble takes some kinds of damage for the end of its data, opens with less, and
// deletes what it no longer knows: so it gets to write only after this.
func (db *DB) prove() error {
	found, err := engine.LookBefore(db.opts.FS, db.dir.Path)
	if err != nil {
		return historyError(err)
	}
	if err := db.openEngine(true); err != nil {
		return historyError(err)
	}
	if err := db.checkIdentity(); err != nil {
		if engine.IsCorruption(err) {
			err = historyError(err)
		}
		return err // files of two stores that were mixed are not damage of a history
	}
	if err := db.load(); err != nil {
		return historyError(err)
	}
	return historyError(db.checkHistory(context.Background(), found))
}

// openForWriting opens the store that was proven, or one that is new.
func (db *DB) openForWriting() error {
	proven := db.seq.head
	if db.eng != nil {
		eng := db.eng
		db.eng = nil
		if err := eng.Close(); err != nil {
			return err
		}
		if err := db.dir.Mend(); err != nil {
			return err
		}
		db.tenants = newTenantTable()
	}
	if err := db.openEngine(false); err != nil {
		return err
	}
	if err := db.establish(); err != nil {
		return err
	}
	if err := db.load(); err != nil {
		return err
	}
	var opening [3]byte
	if _, err := io.ReadFull(db.opts.Entropy, opening[:]); err != nil {
		return fmt.Errorf("open %s: read entropy for event ids: %w", db.dir.Path, err)
	}
	db.locator = keys.NewLocator(db.dir.Identity.Store, opening)
	if head := db.seq.head; head != proven {
		return &HistoryDamagedError{From: min(head, proven) + 1, To: max(head, proven), Detail: "the store changed while it was opened"}
	}
	if _, err := db.cursorRing(); err != nil { // for those who open the store read-only later
		db.log.Warn("the keys of page tokens were not written", slog.Any("error", err))
	}
	if !db.marked && db.seq.head > 0 {
		if err := db.writeMark(db.seq.head); err != nil {
			db.log.Warn("the high-water mark was not written", slog.Any("error", err))
		}
	}
	return nil
}

func (db *DB) openEngine(readOnly bool) (err error) {
	cfg := engine.Config{
		FS:            db.opts.FS,
		Dir:           db.dir.PebbleDir(),
		ReadOnly:      readOnly,
		Create:        db.dir.Fresh,
		CacheBytes:    db.opts.CacheBytes,
		MemTableBytes: db.opts.MemTableBytes,
		StoreDir:      db.dir.Path,
		AppendBytes:   greatestBatch(&db.opts),
		Logger:        db.opts.Logger,
		ClosePatience: db.opts.Unstable.ClosePatience,
		OnPoison:      db.fail,
	}
	if readOnly {
		cfg.OnPoison = nil // nobody waits for a log that is not written
	}
	if db.eng, err = engine.Open(cfg); err != nil {
		return fmt.Errorf("open %s: %w", db.dir.Path, diskError(readError("database", err)))
	}
	return nil
}

// checkHistory compares the database with the mark and with its files, and reads its
// end.
func (db *DB) checkHistory(ctx context.Context, found engine.Preflight) error {
	head := db.seq.head
	mark, state, err := db.mark.Read()
	if err != nil {
		return fmt.Errorf("read the high-water mark: %w", err)
	}
	db.marked = state == engine.MarkSound
	if db.marked {
		if err := db.checkMark(mark); err != nil {
			return err
		}
	} else if head > 0 {
		db.log.Warn("no high-water mark to hold the store against: every position is looked up", slog.String("mark", state.String()))
	}
	left, err := db.eng.CheckLeftovers(ctx, found)
	if err != nil {
		return err
	}
	if left != nil {
		return &HistoryDamagedError{From: left.From, To: left.To, File: left.File, Detail: "the manifest does not know this table, and nothing else holds all of its records"}
	}
	if err := db.eng.CheckTables(ctx, openTables); err != nil {
		return err
	}
	depth := Position(openPositions)
	switch {
	case found.Torn || !db.marked:
		depth = head
	case !mark.Clean || mark.Position != head:
		// Events came back from the log, from which a part may be gone.
		depth = max(depth, Position(found.LogBytes/leastLogBytes))
	}
	if err := db.checkPositions(ctx, head-min(head, depth)+1, head); err != nil {
		return err
	}
	if err := db.verifyRun(&db.newestSeal); err != nil {
		return err
	}
	return db.checkEnd(max(head-min(head, openEvents), db.newestSeal.Last)+1, head)
}

// checkMark makes sure that the store reaches the mark, and that the event there is
// the one that was marked.
func (db *DB) checkMark(mark engine.Mark) error {
	head := db.seq.head
	if head < mark.Position {
		return &HistoryDamagedError{From: head + 1, To: mark.Position, Detail: "events that were on disk are missing from the end"}
	}
	sum, err := db.headerSumAt(mark.Position)
	if err != nil {
		return err
	}
	if sum != mark.Sum {
		return &HistoryDamagedError{From: mark.Position, To: mark.Position, Detail: "another event stands where the high-water mark was set"}
	}
	return nil
}

// checkPositions makes sure that no position is missing from first to last.
func (db *DB) checkPositions(ctx context.Context, first, last Position) (err error) {
	it, err := db.eng.NewIter(keys.AppendPosition(nil, first), keys.AppendPosition(nil, last+1))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	next := first
	for ok := it.First(); ok; ok = it.Next() {
		position, err := keys.ParsePosition(it.Key())
		if err != nil {
			return &CorruptionError{What: "position pointer", Err: err}
		}
		if position != next {
			return &HistoryDamagedError{From: next, To: position - 1, Detail: "events are missing in the middle"}
		}
		if next++; next%pageMost == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if err := it.Err(); err != nil {
		return nil // Close returns it
	}
	if next != last+1 {
		return &HistoryDamagedError{From: next, To: last, Detail: "events are missing at the end"}
	}
	return nil
}

// checkEnd reads and verifies the events from first to last.
func (db *DB) checkEnd(first, last Position) error {
	c := &checker{db: db}
	c.report.Head = last
	for first <= last {
		block, err := c.pointers(&first)
		if err != nil {
			return err
		}
		if err := c.fetch(block); err != nil {
			return err
		}
		for i := range block {
			c.neighbours(&block[i])
		}
	}
	if c.report.OK() {
		return nil
	}
	p := c.report.Problems[0]
	return &HistoryDamagedError{From: p.Position, To: p.Position, Detail: fmt.Sprintf("%s: %s", p.Kind, p.Detail)}
}
