package eventstream

import (
	"errors"
	"log/slog"
	"time"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/engine"
)

// How often the high-water mark follows the durable head: after a second, or sooner
// after many events. What is lost beyond the mark cannot be told from what never was.
const (
	markEvery  = time.Second
	markEvents = 1000
	markLook   = markEvery / 10
)

// keepMark writes the high-water mark behind the durable head while the store is
// open. Appends do not wait for it. A failure is told and tried again: it is the next
// opening that would know less, not this one that would do wrong.
func (db *DB) keepMark() {
	ticker := time.NewTicker(markLook)
	defer ticker.Stop()
	marked, since, failing := db.DurableHead(), time.Duration(0), false
	for {
		select {
		case <-ticker.C:
		case <-db.closing:
			return
		case <-db.eng.Poisoned():
			return
		}
		since += markLook
		head := db.DurableHead()
		if head == marked || head < marked+markEvents && since < markEvery {
			continue
		}
		since = 0
		err := db.writeMark(head)
		if err == nil {
			marked, failing = head, false
			continue
		}
		if !failing {
			failing = true
			db.log.Warn("the high-water mark was not written, and is tried again", slog.Any("error", err))
		}
	}
}

// writeMark marks position, which must be durable.
func (db *DB) writeMark(position Position) error {
	sum, err := db.headerSumAt(position)
	if err != nil {
		return err
	}
	return db.mark.Write(engine.Mark{Position: position, Sum: sum})
}

// headerSumAt returns the sum in the header of the event at position, which must
// exist.
func (db *DB) headerSumAt(position Position) (uint64, error) {
	key, ok, err := db.eventKeyAt(position)
	if err == nil && !ok {
		err = &CorruptionError{What: "position pointer", Position: position, Err: errPositionMissing}
	}
	if err != nil {
		return 0, err
	}
	value, ok, err := db.eng.Get(nil, key)
	if err != nil {
		return 0, readError("event", err)
	}
	sum, whole := codec.HeaderSumOf(value)
	if !ok || !whole {
		return 0, &CorruptionError{What: "event", Position: position, Err: errEventMissing}
	}
	return sum, nil
}

// closeEngine flushes and closes Pebble, and then marks where the store ends, with
// nothing left in the log. A mark that fails is told and not an error: all is on disk.
// The read for it is bounded by patience, as all of Close is: the disk may not answer, or
// Pebble die in the meantime.
func (db *DB) closeEngine(patience *time.Timer) error {
	var final *engine.Mark
	if !within(patience, func() { final = db.finalMark() }) {
		return db.eng.Abandon()
	}
	if err := db.eng.Close(); errors.Is(err, engine.ErrAbandoned) {
		return err // as it is: the caller keeps the lock for it
	} else if err != nil {
		return errors.Join(db.poisoned(err), db.mark.Close())
	}
	if final != nil {
		if err := db.mark.Write(*final); err != nil {
			db.log.Warn("the high-water mark was not written", slog.Any("error", err))
		}
	}
	return db.mark.Close()
}

// finalMark returns the mark of a store that is closed whole, or nil if it must not, or
// cannot, be told where it ends.
func (db *DB) finalMark() *engine.Mark {
	head := max(db.DurableHead(), db.acknowledged.Load())
	if head == 0 || db.opts.ReadOnly || db.eng.PoisonErr() != nil {
		return nil
	}
	sum, err := db.headerSumAt(head)
	if err != nil {
		return nil
	}
	return &engine.Mark{Position: head, Sum: sum, Clean: true}
}
