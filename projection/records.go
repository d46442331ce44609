package projection

import (
	"errors"
	"fmt"
	"iter"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/keys"
)

// Reader is what records are read from: a [*eventstream.ViewReader], an [*AsOfReader], or
// a [*eventstream.Tx] while a projection applies an event.
type Reader interface {
	Get(key []byte) (value []byte, ok bool, err error)
	Scan(from, to []byte) iter.Seq2[eventstream.ViewRecord, error]
}

// Records reads and writes the records of a view as values: keys of type K, which sort as
// their codec says, and values of type V as MessagePack. The names of V's fields in
// MessagePack are on disk: give each a tag. A field that a record does not have stays
// zero, and one that V does not have is passed over.
//
// It holds no records and no reader: one is made per program and used everywhere,
// concurrently. Its errors are a [*RecordError] for a key or a value that cannot be
// written or read, and those of the store.
type Records[K, V any] struct {
	name   string
	prefix []byte
	key    KeyCodec[K]
}

// NewRecords returns the records called name, of whatever view they are used on. Two
// kinds of records in one view have two names; a view with one kind needs none.
func NewRecords[K, V any](name string, key KeyCodec[K]) Records[K, V] {
	rs := Records[K, V]{name: name, key: key}
	if name != "" {
		rs.prefix = keys.AppendPart(nil, name)
	}
	return rs
}

// Record is a record of a view.
type Record[K, V any] struct {
	Key   K
	Value V
}

// ErrRecord is matched by every [*RecordError].
var ErrRecord = errors.New("projection: record cannot be read or written")

// RecordError is a record whose key or value is not of the type that it is read or
// written as: the type changed, so that the view must be rebuilt, or it is damaged.
type RecordError struct {
	Name string // of the records, or ""
	Op   string // what failed, as "decode value"
	Key  []byte // as stored; nil if it could not be made
	Err  error
}

// Error names the record and the cause.
func (e *RecordError) Error() string {
	if e.Key == nil {
		return fmt.Sprintf("projection: %s of a record %q: %v", e.Op, e.Name, e.Err)
	}
	return fmt.Sprintf("projection: %s of record %q %q: %v", e.Op, e.Name, e.Key, e.Err)
}

// Unwrap returns the cause.
func (e *RecordError) Unwrap() error { return e.Err }

// Is matches [ErrRecord].
func (e *RecordError) Is(target error) bool { return target == ErrRecord }

// EncodeKey returns the bytes under which the record of k stands.
func (rs Records[K, V]) EncodeKey(k K) ([]byte, error) { return rs.bound(k, len(rs.key.parts)) }

// bound encodes the first n parts of k.
func (rs Records[K, V]) bound(k K, n int) ([]byte, error) {
	b, err := rs.key.encode(append([]byte(nil), rs.prefix...), k, n)
	if err != nil {
		return nil, &RecordError{Name: rs.name, Op: "encode key", Err: err}
	}
	return b, nil
}

// Decode reads a record as it is stored. It keeps nothing of key and value. A record of
// another name is a [*RecordError].
func (rs Records[K, V]) Decode(key, value []byte) (Record[K, V], error) {
	var r Record[K, V]
	fail := func(op string, err error) (Record[K, V], error) {
		return Record[K, V]{}, &RecordError{Name: rs.name, Op: op, Key: append([]byte(nil), key...), Err: err}
	}
	if len(key) < len(rs.prefix) || string(key[:len(rs.prefix)]) != string(rs.prefix) {
		return fail("decode key", errKeyCut)
	}
	var err error
	if r.Key, err = rs.key.decode(key[len(rs.prefix):]); err != nil {
		return fail("decode key", err)
	}
	if r.Value, err = rs.decodeValue(key, value); err != nil {
		return Record[K, V]{}, err
	}
	return r, nil
}

func (rs Records[K, V]) decodeValue(key, value []byte) (out V, err error) {
	if err := codec.Decode(codec.Msgpack, "view record", 1, value, &out); err != nil {
		var zero V
		return zero, &RecordError{Name: rs.name, Op: "decode value", Key: append([]byte(nil), key...), Err: err}
	}
	return out, nil
}

// EncodeValue returns the bytes as which a value is stored.
func (rs Records[K, V]) EncodeValue(value V) ([]byte, error) {
	b, err := codec.Encode(nil, codec.Msgpack, value)
	if err != nil {
		return nil, &RecordError{Name: rs.name, Op: "encode value", Err: err}
	}
	return b, nil
}

// Get returns the value of k. ok is false if there is none.
func (rs Records[K, V]) Get(r Reader, k K) (value V, ok bool, err error) {
	key, err := rs.EncodeKey(k)
	if err != nil {
		return value, false, err
	}
	stored, ok, err := r.Get(key)
	if err != nil || !ok {
		return value, false, err
	}
	value, err = rs.decodeValue(key, stored)
	return value, err == nil, err
}

// Put sets the value of k.
func (rs Records[K, V]) Put(tx *eventstream.Tx, k K, value V) error {
	key, err := rs.EncodeKey(k)
	if err != nil {
		return err
	}
	stored, err := rs.EncodeValue(value)
	if err != nil {
		return err
	}
	return tx.Put(key, stored)
}

// Delete removes the record of k, which need not exist.
func (rs Records[K, V]) Delete(tx *eventstream.Tx, k K) error {
	key, err := rs.EncodeKey(k)
	if err != nil {
		return err
	}
	return tx.Delete(key)
}

// All returns all records, in the order of their keys. An error is the last item.
func (rs Records[K, V]) All(r Reader) iter.Seq2[Record[K, V], error] {
	var none K
	return rs.Under(r, none, 0)
}

// Scan returns the records from the key from up to, not including, the key to, in the
// order of their keys. An error is the last item.
func (rs Records[K, V]) Scan(r Reader, from, to K) iter.Seq2[Record[K, V], error] {
	return func(yield func(Record[K, V], error) bool) {
		lower, err := rs.EncodeKey(from)
		if err == nil {
			var upper []byte
			if upper, err = rs.EncodeKey(to); err == nil {
				rs.scan(r, lower, upper, yield)
				return
			}
		}
		yield(Record[K, V]{}, err)
	}
}

// Under returns the records whose keys have the first n parts of k: all months of an
// account. An error is the last item.
func (rs Records[K, V]) Under(r Reader, k K, n int) iter.Seq2[Record[K, V], error] {
	return func(yield func(Record[K, V], error) bool) {
		if n < 0 || n > len(rs.key.parts) {
			yield(Record[K, V]{}, argument("n", "%d is not between 0 and the %d parts of a key", n, len(rs.key.parts)))
			return
		}
		prefix, err := rs.bound(k, n)
		if err != nil {
			yield(Record[K, V]{}, err)
			return
		}
		rs.under(r, prefix, yield)
	}
}

// UnderText returns the records whose keys have the first n parts of k, and whose next
// part is a text that begins with prefix: all accounts below "Assets:". An error is the
// last item.
func (rs Records[K, V]) UnderText(r Reader, k K, n int, prefix string) iter.Seq2[Record[K, V], error] {
	return func(yield func(Record[K, V], error) bool) {
		if n < 0 || n >= len(rs.key.parts) || !rs.key.parts[n].text {
			yield(Record[K, V]{}, argument("n", "part %d of a key is no text", n))
			return
		}
		bound, err := rs.bound(k, n)
		if err != nil {
			yield(Record[K, V]{}, err)
			return
		}
		rs.under(r, keys.AppendPartPrefix(bound, prefix), yield)
	}
}

// under scans the records whose stored keys begin with prefix.
func (rs Records[K, V]) under(r Reader, prefix []byte, yield func(Record[K, V], error) bool) {
	lower, upper, err := keys.Range(prefix)
	if err != nil { // no key is greater: up to the end
		lower, upper = prefix, nil
	}
	rs.scan(r, lower, upper, yield)
}

func (rs Records[K, V]) scan(r Reader, lower, upper []byte, yield func(Record[K, V], error) bool) {
	for stored, err := range r.Scan(lower, upper) {
		var record Record[K, V]
		if err == nil {
			record, err = rs.Decode(stored.Key, stored.Value)
		}
		if !yield(record, err) || err != nil {
			return
		}
	}
}

// Keyed returns a keyed projection of typed functions: keys says which records an event
// bears on, and fold returns the record of a key after an event. Its value is the one
// before, or nil if there is none; nil deletes the record. See [Keyed] for the rules.
func (rs Records[K, V]) Keyed(keys func(e eventstream.Event) ([]K, error), fold func(k K, value *V, e eventstream.Event) (*V, error)) *Keyed {
	return &Keyed{
		Keys: func(e eventstream.Event) ([][]byte, error) {
			all, err := keys(e)
			if err != nil {
				return nil, err
			}
			encoded := make([][]byte, len(all))
			for i, k := range all {
				if encoded[i], err = rs.EncodeKey(k); err != nil {
					return nil, err
				}
			}
			return encoded, nil
		},
		Fold: func(key, stored []byte, e eventstream.Event) ([]byte, error) {
			k, err := rs.key.decode(key[len(rs.prefix):])
			if err != nil {
				return nil, &RecordError{Name: rs.name, Op: "decode key", Key: append([]byte(nil), key...), Err: err}
			}
			var value *V
			if stored != nil {
				decoded, err := rs.decodeValue(key, stored)
				if err != nil {
					return nil, err
				}
				value = &decoded
			}
			if value, err = fold(k, value, e); err != nil || value == nil {
				return nil, err
			}
			encoded, err := rs.EncodeValue(*value)
			if encoded == nil {
				encoded = []byte{}
			}
			return encoded, err
		},
	}
}
