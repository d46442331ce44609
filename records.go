package eventstream

import (
	"bytes"
	"iter"
	"maps"
	"slices"
)

// Records are the records of one namespace, as an update reads and writes them: each a
// value under a key, in the order of the keys. They are not safe for concurrent use, and
// not to be used after the function that the update was given.
type Records struct {
	name    string
	spoil   func(error) error
	stored  ViewReader           // as the update found them
	written map[string]ownRecord // on top of what is stored
	read    map[string]struct{}
	scanned []keyRange
}

// ownRecord is a record that the update wrote.
type ownRecord struct {
	key     string
	value   []byte
	deleted bool
}

// keyRange is the keys from from up to, not including, to. A nil to is the end.
type keyRange struct{ from, to []byte }

// Get returns a copy of the value of key. ok is false if there is none.
func (r *Records) Get(key []byte) (value []byte, ok bool, err error) {
	if own, ok := r.written[string(key)]; ok {
		return bytes.Clone(own.value), !own.deleted, nil
	}
	r.read[string(key)] = struct{}{}
	value, ok, err = r.stored.Get(key)
	if err != nil {
		return nil, false, r.spoil(err)
	}
	return value, ok, nil
}

// Put sets the value of key, of 1 byte to 64 KiB; a value takes at most 16 MiB. Both are
// copied. An error spoils the update: it is not committed.
func (r *Records) Put(key, value []byte) error {
	if err := checkRecord(key, value); err != nil {
		return r.spoil(err)
	}
	r.written[string(key)] = ownRecord{key: string(key), value: append([]byte{}, value...)}
	return nil
}

// Delete removes key, which need not exist.
func (r *Records) Delete(key []byte) error {
	if err := checkRecord(key, nil); err != nil {
		return r.spoil(err)
	}
	r.written[string(key)] = ownRecord{key: string(key), deleted: true}
	return nil
}

// Scan returns the records from the key from up to, not including, the key to, in the
// order of their keys; a nil to is the end. What it yields is valid until the next step.
// An error is the last item. What is written during a scan is not seen by it. As far as
// the loop goes, a record that somebody adds to the range makes the update a conflict.
func (r *Records) Scan(from, to []byte) iter.Seq2[ViewRecord, error] {
	return func(yield func(ViewRecord, error) bool) {
		if to != nil && bytes.Compare(from, to) >= 0 {
			return
		}
		reached := to
		defer func() { r.scanned = append(r.scanned, keyRange{bytes.Clone(from), bytes.Clone(reached)}) }()
		give := func(record ViewRecord) bool {
			if yield(record, nil) {
				return true
			}
			reached = append(bytes.Clone(record.Key), 0) // the loop was left: nothing behind it was seen
			return false
		}
		own := r.ownIn(from, to)
		giveOwn := func(record ownRecord) bool {
			return record.deleted || give(ViewRecord{Key: []byte(record.key), Value: record.value})
		}
		for stored, err := range r.stored.Scan(from, to) {
			if err != nil {
				yield(ViewRecord{}, r.spoil(err))
				return
			}
			hidden := false // by what the update wrote there
			for ; len(own) > 0 && own[0].key <= string(stored.Key); own = own[1:] {
				hidden = own[0].key == string(stored.Key)
				if !giveOwn(own[0]) {
					return
				}
			}
			if !hidden && !give(stored) {
				return
			}
		}
		for _, record := range own {
			if !giveOwn(record) {
				return
			}
		}
	}
}

// ownIn returns what the update wrote in a range as it is now, in the order of the keys.
func (r *Records) ownIn(from, to []byte) (own []ownRecord) {
	for _, key := range slices.Sorted(maps.Keys(r.written)) {
		if key >= string(from) && (to == nil || key < string(to)) {
			own = append(own, r.written[key])
		}
	}
	return own
}

// hasRead reports whether what the update saw would be otherwise with another value of
// key.
func (r *Records) hasRead(key string) bool {
	if _, ok := r.read[key]; ok {
		return true
	}
	return slices.ContainsFunc(r.scanned, func(s keyRange) bool {
		return key >= string(s.from) && (s.to == nil || key < string(s.to))
	})
}
