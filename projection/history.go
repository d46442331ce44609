package projection

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/keys"
)

// The history of a view lies beside it, in the same commits. Of each key that an event
// ever bore on it holds one head, and an entry for each of its events: what the record
// was after it.
//
//	0x01 key                  head: version, last position, greatest occurred-at
//	0x02 part key, position   entry: version, flags, occurred-at, recorded-at,
//	                          greatest occurred-at so far, the record
const (
	historyHead  = 0x01
	historyEntry = 0x02

	historyVersion = 1
	entryIsRecord  = 0x01 // else there was no record after the event

	headBytes  = 1 + 8 + 8
	entryBytes = 2 + 8 + 8 + 8
)

// head is where the history of a key stands.
type head struct {
	last     eventstream.Position
	occurred int64 // the greatest of its events, in ns
}

func headKey(key []byte) []byte { return append([]byte{historyHead}, key...) }

func (h head) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, historyVersion), uint64(h.last))
	return binary.BigEndian.AppendUint64(dst, uint64(h.occurred))
}

func parseHead(b []byte) (head, error) {
	if len(b) != headBytes || b[0] != historyVersion {
		return head{}, &eventstream.CorruptionError{What: "history of a view's record", Err: errNotHistory}
	}
	return head{eventstream.Position(binary.BigEndian.Uint64(b[1:])), int64(binary.BigEndian.Uint64(b[9:]))}, nil
}

var errNotHistory = errors.New("it is not in the form of version 1")

// entry is a record after one of its events.
type entry struct {
	position           eventstream.Position
	occurred, recorded int64  // of the event, in ns
	greatest           int64  // occurred-at of this and all events before it
	record             []byte // nil: there was none
}

func entryPrefix(key []byte) []byte { return keys.AppendPart([]byte{historyEntry}, string(key)) }

func entryKey(key []byte, position eventstream.Position) []byte {
	return binary.BigEndian.AppendUint64(entryPrefix(key), uint64(position))
}

func (e *entry) append(dst []byte) []byte {
	flags := byte(0)
	if e.record != nil {
		flags = entryIsRecord
	}
	dst = append(dst, historyVersion, flags)
	for _, n := range []int64{e.occurred, e.recorded, e.greatest} {
		dst = binary.BigEndian.AppendUint64(dst, uint64(n))
	}
	return append(dst, e.record...)
}

// parseEntry parses an entry. Its record is a copy.
func parseEntry(key, value []byte) (entry, error) {
	if len(key) < 8 || len(value) < entryBytes || value[0] != historyVersion {
		return entry{}, &eventstream.CorruptionError{What: "history of a view's record", Err: errNotHistory}
	}
	n := func(at int) int64 { return int64(binary.BigEndian.Uint64(value[at:])) }
	e := entry{
		position: eventstream.Position(binary.BigEndian.Uint64(key[len(key)-8:])),
		occurred: n(2), recorded: n(10), greatest: n(18),
	}
	if value[1]&entryIsRecord != 0 {
		e.record = append([]byte{}, value[entryBytes:]...)
	}
	return e, nil
}

// entriesBackward yields the entries of key from the one at or before position to the
// first. It ends after an error.
func entriesBackward(r *eventstream.ViewReader, key []byte, position eventstream.Position, yield func(entry) bool) error {
	for stored, err := range r.ScanBackward(entryPrefix(key), entryKey(key, position+1)) {
		if err != nil {
			return err
		}
		e, err := parseEntry(stored.Key, stored.Value)
		if err != nil {
			return err
		}
		if !yield(e) {
			return nil
		}
	}
	return nil
}

// historian applies events to a keyed view and its history.
type historian struct {
	keyed   *Keyed
	eventAt func(context.Context, eventstream.Position) (eventstream.Event, error)
}

// apply is the Apply of a keyed projection that keeps its history.
func (h *historian) apply(ctx context.Context, tx *eventstream.Tx, e eventstream.Event) error {
	touched, err := h.keyed.keysOf(e)
	if err != nil {
		return err
	}
	history := tx.Beside(besideHistory)
	for _, key := range touched {
		if err := h.applyTo(ctx, tx, history, key, &e); err != nil {
			return err
		}
	}
	return nil
}

func (h *historian) applyTo(ctx context.Context, tx, history *eventstream.Tx, key []byte, e *eventstream.Event) error {
	stored, ok, err := history.Get(headKey(key))
	if err != nil {
		return err
	}
	at := head{last: e.Position, occurred: e.OccurredAt.UnixNano()}
	if !ok {
		return h.addTo(tx, history, key, at, nil, e)
	}
	before, err := parseHead(stored)
	if err != nil {
		return err
	}
	at.occurred = max(at.occurred, before.occurred)
	if before.last > e.Position {
		return h.insertInto(ctx, tx, history, key, e)
	}
	value, ok, err := tx.Get(key)
	if err != nil {
		return err
	}
	return h.addTo(tx, history, key, at, record(value, ok), e)
}

// addTo adds the last event so far to a record, which was value.
func (h *historian) addTo(tx, history *eventstream.Tx, key []byte, at head, value []byte, e *eventstream.Event) error {
	value, err := h.keyed.Fold(key, value, *e)
	if err != nil {
		return err
	}
	after := entry{occurred: e.OccurredAt.UnixNano(), recorded: e.RecordedAt.UnixNano(), greatest: at.occurred, record: value}
	return errors.Join(putRecord(tx, key, value), history.Put(headKey(key), at.append(nil)), history.Put(entryKey(key, e.Position), after.append(nil)))
}

// insertInto puts an event that was parked into its place among others that were applied
// meanwhile, and folds those again.
func (h *historian) insertInto(ctx context.Context, tx, history *eventstream.Tx, key []byte, e *eventstream.Event) error {
	now := entry{position: e.Position, occurred: e.OccurredAt.UnixNano(), recorded: e.RecordedAt.UnixNano()}
	now.greatest = now.occurred
	err := entriesBackward(&history.ViewReader, key, e.Position-1, func(before entry) bool {
		now.record, now.greatest = before.record, max(now.greatest, before.greatest)
		return false
	})
	if err != nil {
		return err
	}
	fold := func(e *eventstream.Event) (err error) {
		if now.record, err = h.keyed.Fold(key, now.record, *e); err != nil {
			return err
		}
		return history.Put(entryKey(key, now.position), now.append(nil))
	}
	if err := fold(e); err != nil {
		return err
	}
	_, end, err := keys.Range(entryPrefix(key))
	if err != nil {
		return err
	}
	for stored, err := range history.Scan(entryKey(key, e.Position+1), end) { // as it was before the writes of this loop
		if err != nil {
			return err
		}
		later, err := parseEntry(stored.Key, stored.Value)
		if err != nil {
			return err
		}
		event, err := h.eventAt(ctx, later.position)
		if err != nil {
			return &unreadError{err}
		}
		later.greatest, later.record = max(now.greatest, later.occurred), now.record
		now = later
		if err := fold(&event); err != nil {
			return fmt.Errorf("fold the event at position %d again: %w", later.position, err)
		}
	}
	last := head{last: now.position, occurred: now.greatest}
	return errors.Join(putRecord(tx, key, now.record), history.Put(headKey(key), last.append(nil)))
}
