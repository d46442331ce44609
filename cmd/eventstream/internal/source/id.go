package source

import (
	"crypto/sha256"
	"encoding/binary"
	"time"

	"github.com/nexus-erp/eventstream"
)

// EventID makes the id of an event that brings none: the same file gives the same
// ids whenever it is read, so that reading it again adds nothing. source is the
// file's digest or the name that the user gives it; ordinal is [Record.Ordinal].
//
// The id's time is the one when the event occurred, as far as ids reach back; its
// other ten bytes are of
//
//	SHA-256( "eventstream import 1" 0 | len(source) u32 | source | len(stream) u32 | stream | ordinal u64 )
func EventID(source string, stream eventstream.StreamID, ordinal int, occurredAt time.Time) eventstream.EventID {
	b := make([]byte, 0, 256)
	b = append(b, "eventstream import 1\x00"...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(source)))
	b = append(b, source...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(stream)))
	b = append(b, stream...)
	b = binary.BigEndian.AppendUint64(b, uint64(ordinal))
	sum := sha256.Sum256(b)

	var ms uint64
	if !occurredAt.IsZero() {
		ms = uint64(max(occurredAt.UnixMilli(), 0))
	}
	var id eventstream.EventID
	binary.BigEndian.PutUint16(id[0:2], uint16(ms>>32))
	binary.BigEndian.PutUint32(id[2:6], uint32(ms))
	copy(id[6:], sum[:10])
	return id
}
