package codec

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"

	"github.com/nexus-erp/eventstream/keys"
)

// ContentHash tells whether two events that claim the same id say the same: the
// first 128 bits of a SHA-256.
type ContentHash [16]byte

// contentDomain keeps content hashes apart from every other use of SHA-256 and
// from a later way to compute them.
const contentDomain = "eventstream/content/1\x00"

type contentHasher struct {
	hash hash.Hash
	buf  []byte
}

var contentHashers = sync.Pool{New: func() any { return &contentHasher{hash: sha256.New()} }}

// HashContent hashes what an event says: stream, schema version, codec, the
// occurred-at time if the caller gave it, and body, which holds type, correlation,
// causation, user, metadata in sorted order and the payload as encoded, before
// compression and encryption. It leaves out what the store assigns.
func HashContent(stream keys.StreamID, schema keys.SchemaVersion, codec ID, occurredGiven bool, occurredAt int64, body []byte) ContentHash {
	h := contentHashers.Get().(*contentHasher)
	defer contentHashers.Put(h)
	b := append(h.buf[:0], contentDomain...)
	b = append(append(b, byte(len(stream))), stream...)
	b = binary.BigEndian.AppendUint32(b, uint32(schema))
	b = append(b, byte(codec))
	if occurredGiven {
		b = binary.BigEndian.AppendUint64(append(b, 1), uint64(occurredAt))
	} else {
		b = append(b, 0)
	}
	h.hash.Reset()
	h.hash.Write(b)
	h.hash.Write(body)
	b = h.hash.Sum(b[:0])
	h.buf = b
	return ContentHash(b[:16])
}

// ContentHash hashes what the event says, as [HashContent] does.
func (e *Envelope) ContentHash(stream keys.StreamID) ContentHash {
	return HashContent(stream, e.Schema, e.Codec, e.Flags&FlagOccurredGiven != 0, e.OccurredAt, e.body)
}

// ContentOf hashes what an event says that [AppendEnvelope] encoded, whether it has its
// place already or not. It verifies nothing.
func ContentOf(env []byte, stream keys.StreamID) ContentHash {
	var (
		schema     = keys.SchemaVersion(binary.BigEndian.Uint32(env[offSchema:]))
		given      = env[offFlags]&FlagOccurredGiven != 0
		occurredAt = int64(binary.BigEndian.Uint64(env[offOccurred:]))
	)
	return HashContent(stream, schema, ID(env[offCodec]), given, occurredAt, Body(env))
}

// EventIDRecordLen is the length of what an event-id key leads to.
const EventIDRecordLen = 8 + 16

// AppendEventIDRecord appends the value of an event-id key: position, content hash.
func AppendEventIDRecord(dst []byte, position keys.Position, content ContentHash) []byte {
	return append(binary.BigEndian.AppendUint64(dst, uint64(position)), content[:]...)
}

// ParseEventIDRecord reads what [AppendEventIDRecord] wrote. ok is false for
// anything else.
func ParseEventIDRecord(b []byte) (position keys.Position, content ContentHash, ok bool) {
	if len(b) != EventIDRecordLen {
		return 0, ContentHash{}, false
	}
	return keys.Position(binary.BigEndian.Uint64(b)), ContentHash(b[8:]), true
}
