package projection

import (
	"bytes"
	"context"
	"slices"

	"github.com/nexus-erp/eventstream"
)

// Keyed is a projection that keeps records which know nothing of each other: each is the
// fold, in the order of the log, of the events that bear on its key.
type Keyed struct {
	// Keys returns the keys of the records that e bears on: none, one or several, each of
	// 1 byte to 64 KiB. One that is named twice counts once. It must depend on e alone,
	// and must not change it. What it returns is not changed. Required.
	Keys func(e eventstream.Event) ([][]byte, error)
	// Fold returns the record of key after e. value is the record before e, or nil if
	// there is none; it is Fold's own, and may be changed and returned. A nil record
	// deletes, and is not the same as an empty one. Fold must depend on its arguments
	// alone, and must change neither key nor e. Several goroutines may call both at once.
	// Required.
	Fold func(key, value []byte, e eventstream.Event) ([]byte, error)
	// AsOf keeps, beside each record, what it was after each of its events, so that
	// [Engine.ReadAsOf] shows the view as of a time. Fold is then also called for a part of
	// the events alone. It takes the room of a record for each event and key. A view that
	// was built without it must be rebuilt. Default: false.
	AsOf bool
}

// apply is the Apply of a keyed projection.
func (k *Keyed) apply(_ context.Context, tx *eventstream.Tx, e eventstream.Event) error {
	keys, err := k.keysOf(e)
	if err != nil {
		return err
	}
	for _, key := range keys {
		value, ok, err := tx.Get(key)
		if err != nil {
			return err
		}
		if value, err = k.Fold(key, record(value, ok), e); err != nil {
			return err
		}
		if err := putRecord(tx, key, value); err != nil {
			return err
		}
	}
	return nil
}

// putRecord stores what a fold returned.
func putRecord(tx *eventstream.Tx, key, value []byte) error {
	if value == nil {
		return tx.Delete(key)
	}
	return tx.Put(key, value)
}

// keysOf returns the keys that e bears on, each once.
func (k *Keyed) keysOf(e eventstream.Event) ([][]byte, error) {
	keys, err := k.Keys(e)
	if err != nil || len(keys) < 2 {
		return keys, err
	}
	keys = slices.Clone(keys)
	slices.SortFunc(keys, bytes.Compare)
	return slices.CompactFunc(keys, bytes.Equal), nil
}

// record tells a record that is empty from one that is not there, which is nil.
func record(value []byte, ok bool) []byte {
	if ok && value == nil {
		return []byte{}
	}
	return value
}
