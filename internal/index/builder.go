package index

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/keys"
)

// Builder gathers what a stretch of the log adds to indexes. The zero value is ready; it
// is not safe for concurrent use.
type Builder struct {
	places map[string]int // of a term in lists, by the start of its records' keys
	lists  [][]keys.Position
	prefix []byte
	record []byte
}

// Add adds the terms that an event has in the index id. Positions must rise from call to
// call, for each index.
func (b *Builder) Add(id keys.IndexID, tenant keys.TenantID, stream keys.StreamID, env *codec.Envelope) error {
	return Terms(id, stream, env, func(term []byte) {
		b.prefix = keys.AppendIndexTerm(b.prefix[:0], tenant, id, term)
		place, ok := b.places[string(b.prefix)]
		if !ok {
			if b.places == nil {
				b.places = make(map[string]int)
			}
			place = len(b.places)
			b.places[string(b.prefix)] = place
			if place == len(b.lists) {
				b.lists = append(b.lists, nil)
			}
		}
		list := b.lists[place]
		if n := len(list); n > 0 && list[n-1] == env.Position {
			return // two entries with one term
		}
		b.lists[place] = append(list, env.Position)
	})
}

// Write calls set with each record, in the order of the keys, and empties the builder.
// Both slices are valid during the call.
func (b *Builder) Write(set func(key, value []byte)) {
	for _, prefix := range slices.Sorted(maps.Keys(b.places)) {
		list := b.lists[b.places[prefix]]
		b.prefix = binary.BigEndian.AppendUint64(append(b.prefix[:0], prefix...), uint64(list[0]))
		b.record = appendRest(b.record[:0], list)
		set(b.prefix, b.record)
	}
	b.Reset()
}

// Reset forgets what was added.
func (b *Builder) Reset() {
	for i := range len(b.places) {
		b.lists[i] = b.lists[i][:0]
	}
	clear(b.places)
}

// appendRest appends a record's value: how far each position but the first lies behind
// the one before, as uvarints.
func appendRest(dst []byte, list []keys.Position) []byte {
	for i := 1; i < len(list); i++ {
		dst = binary.AppendUvarint(dst, uint64(list[i]-list[i-1]))
	}
	return dst
}

// parseRecord appends the positions of a record to dst. ok is false if it is malformed.
func parseRecord(dst []keys.Position, first keys.Position, value []byte) (_ []keys.Position, ok bool) {
	if first == 0 || first > keys.MaxPosition {
		return dst, false
	}
	dst = append(dst, first)
	for len(value) > 0 {
		behind, n := binary.Uvarint(value)
		if n <= 0 || behind == 0 || behind > uint64(keys.MaxPosition-first) {
			return dst, false
		}
		first += keys.Position(behind)
		dst, value = append(dst, first), value[n:]
	}
	return dst, true
}
