package eventstream

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
)

// updateGeneration is the generation under which the records of a namespace stand that
// Update writes. There is no other: nothing rebuilds them.
const updateGeneration = 1

// Update lets fn read streams and records as they are at one moment, and commits the
// events that it appends and the records that it writes at once, if nothing that they
// rest on changed meanwhile. It is for what must be decided over more than one stream:
// that an invoice number is new, that a reservation still fits.
//
// fn runs once, outside of the store's order, so it may take its time; others go on.
// Each append in it names the version that it expects, so a stream that went on is a
// [*ConflictError]. Records that fn read, and ranges that it scanned, are compared again
// when it is the update's turn: if somebody wrote there, it is a [*RecordConflictError].
// Both match [ErrConflict], nothing was written, and [RetryOnConflict] runs it all again.
// fn may see records that are newer than the streams; an update that saw any is a conflict.
//
// Records follow from events: an update that writes records appends at least one event, a
// restore as of an earlier point drops them with every other view, and exports leave them
// out. A namespace is written by updates or by the projection of that name, never by both.
//
// An fn that appends and writes nothing is a read, also of a store that is open read-only
// or poisoned. What fn returns, Update returns, and nothing is written. No answer rests on
// what a crash could still remove: an update that fn refuses waits until what it read is
// durable.
//
// Other errors are as for AppendAll; the records' keys and values count as bytes of the
// append. It is not tried again by itself. If the events have ids of their own and are in
// the store already, the first result is returned with Deduplicated, and no record is
// written.
func (s streams) Update(ctx context.Context, fn func(*UpdateTx) error) (CommitResult, error) {
	if err := s.enter(); err != nil {
		return CommitResult{}, err
	}
	defer s.db.gate.leave()
	if err := ctx.Err(); err != nil {
		return CommitResult{}, err
	}
	tx, err := s.newUpdate()
	if err != nil {
		return CommitResult{}, err
	}
	defer tx.end()
	if err := fn(tx); err != nil {
		return CommitResult{}, tx.answer(ctx, err)
	}
	switch {
	case tx.fault != nil:
		return CommitResult{}, tx.fault
	case len(tx.appends) > 0:
	case tx.writes():
		return CommitResult{}, &ArgumentError{Field: "update", Reason: "it writes records and appends no event: records follow from events"}
	default:
		return CommitResult{}, tx.answer(ctx, nil)
	}
	r, err := s.commit(ctx, tx.appends, "appends", tx, tx.guards)
	if err != nil {
		return CommitResult{}, err
	}
	defer r.release()
	return r.commitResult(), nil
}

// UpdateTx is an update under way. The Reader in it reads streams as they were when it
// began. It is not safe for concurrent use, and not to be used after the function that
// it was given to.
type UpdateTx struct {
	*Reader
	streams  streams
	tenant   *tenant
	snapshot engine.Reader
	seen     Position // no record that was read is newer
	records  map[string]*Records
	appends  []StreamAppend
	guards   []guard
	fault    error
	handed   bool // to a request, which may outlive the call, and ends what is noted of the update
}

func (s streams) newUpdate() (*UpdateTx, error) {
	tx := &UpdateTx{streams: s, tenant: s.db.tenants.ensure(s.tenant), records: make(map[string]*Records)}
	v := s.view()
	v.head = s.db.recordWrites.begin(tx)
	tx.Reader = &Reader{v}
	var err error
	if tx.snapshot, err = s.db.eng.NewSnapshot(); err != nil {
		s.db.recordWrites.end(tx)
		return nil, s.db.poisoned(err)
	}
	tx.seen = Position(s.db.seq.assigned.Load())
	return tx, nil
}

// end is for when fn, and the call that it was given to, are over.
func (tx *UpdateTx) end() {
	if !tx.handed {
		tx.streams.db.recordWrites.end(tx)
	}
	_ = tx.snapshot.Close() // fails only if it is closed twice
}

// answer returns err once what fn read is readable: what it made of it is an answer to
// somebody.
func (tx *UpdateTx) answer(ctx context.Context, err error) error {
	if len(tx.records) == 0 {
		return err
	}
	if waited := tx.streams.db.awaitReadable(ctx, tx.seen); waited != nil {
		return waited
	}
	return err
}

// Records returns the records of a namespace, a name of 1 to 255 bytes. The same name
// returns the same records.
func (tx *UpdateTx) Records(namespace string) *Records {
	if r := tx.records[namespace]; r != nil {
		return r
	}
	r := &Records{
		name: namespace, spoil: tx.spoil, stored: ViewReader{source: tx.snapshot, empty: true},
		written: make(map[string]ownRecord), read: make(map[string]struct{}),
	}
	tx.records[namespace] = r
	if err := keys.ValidateName("namespace", namespace); err != nil {
		_ = tx.spoil(&ArgumentError{Field: "namespace", Reason: err.Error(), Err: err})
		return r
	}
	if err := tx.streams.db.namespaces.allow(tx.streams.db.eng, tx.namespace(r), writtenByUpdate); err != nil {
		_ = tx.spoil(err)
		return r
	}
	if id, ok := tx.tenant.number(); ok {
		r.stored.prefix, r.stored.empty = keys.AppendViewGeneration(nil, id, namespace, updateGeneration), false
	}
	return r
}

func (tx *UpdateTx) namespace(r *Records) namespaceKey {
	return namespaceKey{tenant: tx.tenant.name, name: r.name}
}

// spoil keeps the update from being committed, and returns err.
func (tx *UpdateTx) spoil(err error) error {
	if tx.fault == nil {
		tx.fault = err
	}
	return err
}

// Append adds events to what the update commits, in the order of the calls. Without
// events the stream is only checked. expect is anything but [Any]: an update rests on what
// it read. A stream is named once. Faults of the arguments are found when the update
// commits. The events are not copied.
func (tx *UpdateTx) Append(stream StreamID, expect Expected, events ...NewEvent) error {
	if expect == Any {
		return tx.spoil(&ArgumentError{Field: fmt.Sprintf("appends[%d].Expect", len(tx.appends)), Reason: "an update names the version that it rests on: NoStream, StreamExists or Exact(n)"})
	}
	tx.appends = append(tx.appends, StreamAppend{Stream: stream, Expect: expect, Events: events})
	return nil
}

// Guard makes the update a conflict, a [*GuardError], if an event that q finds is committed
// between the update's head, up to which its Reader reads, and its own commit.
func (tx *UpdateTx) Guard(q Query) error {
	g, err := newGuard("guard", Condition{Query: q, After: tx.Head()})
	if err != nil {
		return tx.spoil(err)
	}
	tx.guards = append(tx.guards, g)
	return nil
}

// writes reports whether the update writes any record.
func (tx *UpdateTx) writes() bool {
	for _, r := range tx.records {
		if len(r.written) > 0 {
			return true
		}
	}
	return false
}

// size is what the records take in the log, about.
func (tx *UpdateTx) size() (n int64) {
	for _, r := range tx.records {
		for key, own := range r.written {
			n += int64(len(r.name) + len(key) + len(own.value))
		}
	}
	return n
}

// claim makes the namespaces that the update writes its own. It needs no disk: each was
// looked up.
func (tx *UpdateTx) claim() (fresh []namespaceKey, err error) {
	for _, name := range slices.Sorted(maps.Keys(tx.records)) {
		if len(tx.records[name].written) == 0 {
			continue
		}
		k := tx.namespace(tx.records[name])
		isFresh, err := tx.streams.db.namespaces.claim(k, writtenByUpdate)
		if err != nil {
			return nil, err
		}
		if isFresh {
			fresh = append(fresh, k)
		}
	}
	return fresh, nil
}

// put adds the records to the batch of the update's commit.
func (tx *UpdateTx) put(b engine.Batch, id TenantID, fresh []namespaceKey) {
	for _, k := range fresh {
		k.mark(b, writtenByUpdate)
	}
	for _, name := range slices.Sorted(maps.Keys(tx.records)) {
		r := tx.records[name]
		prefix := keys.AppendViewGeneration(nil, id, name, updateGeneration)
		for _, key := range slices.Sorted(maps.Keys(r.written)) {
			full := append(prefix[:len(prefix):len(prefix)], key...)
			if own := r.written[key]; own.deleted {
				b.Delete(full)
			} else {
				b.Set(full, own.value)
			}
		}
	}
}

// RecordConflictError is an update that read a record which somebody wrote before it
// could commit. Nothing was written. Running it again may succeed: [RetryOnConflict]
// does it.
type RecordConflictError struct {
	Tenant    string
	Namespace string
	Key       []byte   // the record
	Position  Position // of the last event of the commit that wrote it, readable when the error is returned
}

// Error names the record.
func (e *RecordConflictError) Error() string {
	return fmt.Sprintf("eventstream: conflict on record %q of %q: it was written at position %d, after the update read it: run it again",
		e.Key, e.Namespace, e.Position)
}

// Is matches [ErrConflict].
func (e *RecordConflictError) Is(target error) bool { return isKind(target, ErrConflict) }

// Retryable reports that the same update may succeed against the new state.
func (e *RecordConflictError) Retryable() bool { return true }
