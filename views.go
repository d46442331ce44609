package eventstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
)

// ViewID names a view: the records that a projection keeps of one tenant, in one
// generation. A rebuild writes another generation beside the one that is read.
type ViewID struct {
	Projection string
	Generation uint64
}

// ViewRecord is a record of a view.
type ViewRecord struct{ Key, Value []byte }

// The bounds of a record of a view.
const (
	maxViewKey   = 64 << 10
	maxViewValue = 16 << 20

	// What lies beside a view holds any key of it, escaped, and any value, and more.
	maxBesideKey   = 2*maxViewKey + 64
	maxBesideValue = maxViewValue + 64
)

// ViewReader reads a view as it is at one moment. It is not safe for concurrent use.
type ViewReader struct {
	source engine.Reader
	prefix []byte // of the keys of the view's records
	empty  bool   // the tenant has no events, so there is no view
	full   []byte // scratch: the key of a record with the prefix
	failed *error // of a Tx: where the first error of a read is kept; nil: nobody asks
}

// Get returns a copy of the value of key. ok is false if there is none.
func (r *ViewReader) Get(key []byte) (value []byte, ok bool, err error) {
	if r.empty {
		return nil, false, nil
	}
	value, ok, err = r.source.Get(nil, r.fullKey(key))
	return value, ok, r.fail(err)
}

// fail keeps an error of a read for a Tx.
func (r *ViewReader) fail(err error) error {
	err = readError("view", err)
	if err != nil && r.failed != nil && *r.failed == nil {
		*r.failed = err
	}
	return err
}

// Scan returns the records from the key from up to, not including, the key to, in the
// order of their keys; a nil to is the end. What it yields is valid until the next
// step. An error is the last item. Writes of the same Tx during a scan are not seen by
// it.
func (r *ViewReader) Scan(from, to []byte) iter.Seq2[ViewRecord, error] {
	return r.scan(from, to, false)
}

// ScanBackward is Scan in the opposite order: it begins with the last record before to.
func (r *ViewReader) ScanBackward(from, to []byte) iter.Seq2[ViewRecord, error] {
	return r.scan(from, to, true)
}

func (r *ViewReader) scan(from, to []byte, backward bool) iter.Seq2[ViewRecord, error] {
	return func(yield func(ViewRecord, error) bool) {
		if r.empty || to != nil && bytes.Compare(from, to) >= 0 {
			return
		}
		it, err := r.iter(from, to)
		if err != nil {
			yield(ViewRecord{}, r.fail(err))
			return
		}
		for ok := it.Start(backward); ok; ok = it.Step(backward) {
			value, err := it.Value()
			if err != nil {
				break // Close returns it
			}
			if !yield(ViewRecord{Key: it.Key()[len(r.prefix):], Value: value}, nil) {
				_ = it.Close() // the loop was left: nobody asks
				return
			}
		}
		if err := it.Close(); err != nil {
			yield(ViewRecord{}, r.fail(err))
		}
	}
}

func (r *ViewReader) iter(from, to []byte) (engine.Iter, error) {
	lower, upper := bytes.Clone(r.fullKey(from)), []byte(nil)
	if to != nil {
		return r.source.NewIter(lower, bytes.Clone(r.fullKey(to)))
	}
	_, upper, err := keys.Range(r.prefix)
	if err != nil {
		return engine.Iter{}, err
	}
	return r.source.NewIter(lower, upper)
}

// fullKey is valid until the next call.
func (r *ViewReader) fullKey(key []byte) []byte {
	r.full = append(append(r.full[:0], r.prefix...), key...)
	return r.full
}

// Tx reads a view and writes to it. What it wrote it also reads. It is not safe for
// concurrent use, and must not be used after the function that it was given to.
type Tx struct {
	ViewReader
	batch   engine.Batch
	streams streams
	owner   *Tx // of a Tx beside another: the one that it is spoiled with
	fault   error
}

// Put sets the value of key, of 1 byte to 64 KiB; a value takes at most 16 MiB. Both
// are copied. An error spoils the Tx: it is not committed.
func (tx *Tx) Put(key, value []byte) error {
	if err := tx.check(key, value); err != nil {
		return err
	}
	tx.batch.Set(tx.fullKey(key), value)
	return nil
}

// Delete removes key, which need not exist.
func (tx *Tx) Delete(key []byte) error {
	if err := tx.check(key, nil); err != nil {
		return err
	}
	tx.batch.Delete(tx.fullKey(key))
	return nil
}

// Err returns the first error of a Put, Delete or SetState, which spoiled the Tx.
func (tx *Tx) Err() error { return tx.fault }

// ReadErr returns the first error of a read, of this Tx or of one beside it. What was to
// be written may rest on a record that was not read, so it is not committed. It tells an
// error of the store from one of whoever uses the Tx.
func (tx *Tx) ReadErr() error { return *tx.failed }

func (tx *Tx) check(key, value []byte) error {
	if tx.fault != nil {
		return tx.fault
	}
	check := checkRecord
	if tx.owner != nil {
		check = checkBeside
	}
	if err := check(key, value); err != nil {
		return tx.spoil(err)
	}
	return nil
}

// spoil keeps tx, and what it is beside, from being committed.
func (tx *Tx) spoil(err error) error {
	for t := tx; t != nil; t = t.owner {
		t.fault = err
	}
	return err
}

// checkRecord validates what is to be a record.
func checkRecord(key, value []byte) error { return checkSizes(key, value, maxViewKey, maxViewValue) }

// checkBeside validates what is to be a record beside a view.
func checkBeside(key, value []byte) error {
	return checkSizes(key, value, maxBesideKey, maxBesideValue)
}

func checkSizes(key, value []byte, mostKey, mostValue int) error {
	switch {
	case len(key) == 0:
		return &ArgumentError{Field: "key", Reason: "it is empty: a record needs a key"}
	case len(key) > mostKey:
		return &LimitError{Field: "key", Size: int64(len(key)), Limit: int64(mostKey), Unit: "bytes"}
	case len(value) > mostValue:
		return &LimitError{Field: "value", Size: int64(len(value)), Limit: int64(mostValue), Unit: "bytes"}
	}
	return nil
}

// SetState stores a state beside the views, under a name of the tenant's, in the same
// commit; nil removes it. Both are copied. See [Tenant.DerivedState].
func (tx *Tx) SetState(name string, state []byte) error {
	if err := checkStateName(name); err != nil {
		return tx.spoil(err)
	}
	if state == nil {
		tx.batch.Delete(tx.streams.stateKey(name))
	} else {
		tx.batch.Set(tx.streams.stateKey(name), state)
	}
	return nil
}

// Derivation says what Derive writes to.
type Derivation struct {
	View ViewID
	// Guard is called in the critical section in which commits of derived data follow
	// each other. If it fails, nothing is written. Nil: always.
	Guard func() error
	// Clear removes all records of these views, and what lies beside them, before what fn
	// wrote. They are of the same projection. Default: none.
	Clear []ViewID
	// Durable waits for a sync. Otherwise the commit is durable with the next append that
	// is: there is one log, so it never outlives the events that it was derived from.
	Durable bool
}

// Derive lets fn write to a view, and commits its writes and its states at once. It is
// what projections are made of; package projection keeps checkpoint, leases and
// generations with it. Calls for one view must not overlap: fn reads what was committed
// before.
//
// Errors: fn's and Guard's as they are, and nothing is written; that of a read of fn's Tx,
// also if fn passed over it, and nothing is written; [*ArgumentError] and
// [*LimitError]; a [*DiskFullError] for more than 4 KiB on a full disk, and nothing is
// written; [ErrPoisoned], after which nobody knows whether it was written, and
// the view must be read again; [ErrReadOnly], [ErrClosed].
func (s streams) Derive(d Derivation, fn func(*Tx) error) error {
	if err := s.enterView(d.View); err != nil {
		return err
	}
	defer s.db.gate.leave()
	if err := s.db.writable(); err != nil {
		return err
	}
	id, ok := s.view().tenantID()
	if !ok {
		return &ArgumentError{Field: "tenant", Reason: fmt.Sprintf("%q has no events: nothing can be derived from them", s.tenant)}
	}
	namespace := namespaceKey{tenant: s.tenant, name: d.View.Projection}
	if err := s.db.namespaces.allow(s.db.eng, namespace, writtenByProjection); err != nil {
		return err
	}
	batch, source := s.db.eng.NewIndexedBatch()
	committed := false
	defer func() {
		if !committed {
			batch.Release()
		}
	}()
	tx := &Tx{
		ViewReader: ViewReader{
			source: source, prefix: keys.AppendViewGeneration(nil, id, d.View.Projection, d.View.Generation), failed: new(error),
		},
		batch: batch, streams: s,
	}
	if err := d.clear(batch, id); err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return err
	}
	if tx.fault != nil {
		return tx.fault
	}
	if err := tx.ReadErr(); err != nil {
		return err
	}
	batch = s.db.eng.Condensed(batch)
	s.db.deriving.Lock()
	defer s.db.deriving.Unlock()
	if d.Guard != nil {
		if err := d.Guard(); err != nil {
			return err
		}
	}
	if err := s.db.admitDerived(batch); err != nil {
		return err
	}
	fresh, err := s.db.namespaces.claim(namespace, writtenByProjection)
	if err != nil {
		return err
	}
	if fresh {
		namespace.mark(batch, writtenByProjection)
	}
	committed = true
	return s.db.poisoned(s.db.apply(batch, d.Durable))
}

// clear adds the removal of views to batch.
func (d *Derivation) clear(batch engine.Batch, id TenantID) error {
	for _, v := range d.Clear {
		if err := checkView(v); err != nil {
			return err
		}
		if v.Projection != d.View.Projection {
			return &ArgumentError{Field: "Clear", Reason: fmt.Sprintf("%q is another projection than %q", v.Projection, d.View.Projection)}
		}
		for _, prefix := range [][]byte{
			keys.AppendViewGeneration(nil, id, v.Projection, v.Generation), keys.AppendBesideGeneration(nil, id, v.Projection, v.Generation),
		} {
			lower, upper, err := keys.Range(prefix)
			if err != nil {
				return err
			}
			batch.DeleteRange(lower, upper)
		}
	}
	return nil
}

// apply writes derived data.
func (db *DB) apply(batch engine.Batch, durable bool) error {
	if durable {
		return db.eng.SubmitAndWait(context.Background(), batch, 0)
	}
	return db.eng.WriteAndWait(batch)
}

// ReadView calls fn with a view as it is now. The reader is valid until fn returns.
func (s streams) ReadView(v ViewID, fn func(*ViewReader) error) (err error) {
	if err := s.enterView(v); err != nil {
		return err
	}
	defer s.db.gate.leave()
	if err := s.db.namespaces.allow(s.db.eng, namespaceKey{tenant: s.tenant, name: v.Projection}, writtenByProjection); err != nil {
		return err
	}
	id, ok := s.view().tenantID()
	if !ok {
		return fn(&ViewReader{empty: true})
	}
	snapshot, err := s.db.eng.NewSnapshot()
	if err != nil {
		return s.db.poisoned(err)
	}
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	return fn(&ViewReader{source: snapshot, prefix: keys.AppendViewGeneration(nil, id, v.Projection, v.Generation)})
}

// enterView checks v and enters the store.
func (s streams) enterView(v ViewID) error {
	if err := checkView(v); err != nil {
		return err
	}
	return s.enter()
}

func checkView(v ViewID) error {
	if err := keys.ValidateName("projection", v.Projection); err != nil {
		return &ArgumentError{Field: "Projection", Reason: err.Error(), Err: err}
	}
	if v.Generation == 0 || v.Generation > math.MaxInt64 {
		return &ArgumentError{Field: "Generation", Reason: fmt.Sprintf("%d is not between 1 and %d", v.Generation, int64(math.MaxInt64))}
	}
	return nil
}

// enter checks the tenant and enters the store.
func (s streams) enter() error {
	if s.err != nil {
		return s.err
	}
	if !s.db.gate.enter() {
		return ErrClosed
	}
	return nil
}
