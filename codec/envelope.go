package codec

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/nexus-erp/eventstream/keys"
)

// EnvelopeVersion is the version of the envelope that this package writes and
// reads.
const EnvelopeVersion = 1

// Flags of an envelope. The bits are on disk.
const (
	// FlagOccurredGiven says that the caller gave the occurred-at time.
	FlagOccurredGiven byte = 0x01

	knownFlags = FlagOccurredGiven
)

// Compressions of a payload. The numbers are on disk.
const (
	// CompressionNone stores the payload as encoded.
	CompressionNone byte = 0
)

// Envelope v1. Numbers are big-endian.
//
//	0       1       2       3       4               8              12      14      16
//	┌───────┬───────┬───────┬───────┬───────────────┬───────────────┬───────┬───────┐
//	│version│ flags │ codec │ compr.│    key id     │ schema version│ index │ count │
//	├───────┴───────┴───────┴───────┴───────────────┼───────────────┴───────┴───────┤ 16
//	│                   position                    │       recorded at, ns         │
//	├───────────────────────────────────────────────┼───────────────────────────────┤ 32
//	│               occurred at, ns                 │  event id (16 bytes, to 56)   │
//	├───────────────────────────────────────────────┼───────────────────────────────┤ 56
//	│              sum of the body                  │       sum of the header       │
//	├───────────────────────────────────────────────┴───────────────────────────────┤ 72
//	│ body: type, correlation, causation, user (each u8 length, bytes),              │
//	│       metadata (u32 length, bytes), payload (the rest)                         │
//	└───────────────────────────────────────────────────────────────────────────────┘
//
// Both sums are xxhash64. The header's covers tenant, version, stream and the first
// 64 bytes, so an envelope that was moved to another key does not pass. The body's
// is computed before the append takes its turn, the header's once version, position
// and recorded-at are known.
const (
	offFlags       = 1
	offCodec       = 2
	offCompression = 3
	offKeyID       = 4
	offSchema      = 8
	offIndex       = 12
	offCount       = 14
	offPosition    = 16
	offRecorded    = 24
	offOccurred    = 32
	offID          = 40
	offBodySum     = 56
	offHeaderSum   = 64
	// EnvelopeHeaderLen is the length of an envelope's fixed part.
	EnvelopeHeaderLen = 72
)

// Envelope is an event's stored form, taken apart. Of an envelope that
// [ParseEnvelope] returned, all slices share the memory of its input.
type Envelope struct {
	Flags       byte
	Codec       ID
	Compression byte
	KeyID       uint32
	Schema      keys.SchemaVersion
	Index       uint16 // place in the commit, from 0
	Count       uint16 // events in the commit
	Position    keys.Position
	RecordedAt  int64 // ns since 1970, UTC
	OccurredAt  int64 // ns since 1970, UTC
	EventID     keys.EventID

	Type        []byte
	Correlation []byte
	Causation   []byte
	User        []byte
	Metadata    []byte // see AppendMetadata
	Payload     []byte

	body []byte
}

// AppendEnvelope appends e's stored form. Version, position, recorded-at and the
// header's sum are written by [SealEnvelope] later, an id that is not known yet by
// [PutEventID] before.
//
// REQUIRES: names of at most 255 bytes.
func AppendEnvelope(dst []byte, e *Envelope, eventType, correlation, causation, user string) []byte {
	start := len(dst)
	var header [EnvelopeHeaderLen]byte
	header[0] = EnvelopeVersion
	header[offFlags] = e.Flags
	header[offCodec] = byte(e.Codec)
	header[offCompression] = e.Compression
	binary.BigEndian.PutUint32(header[offKeyID:], e.KeyID)
	binary.BigEndian.PutUint32(header[offSchema:], uint32(e.Schema))
	binary.BigEndian.PutUint16(header[offIndex:], e.Index)
	binary.BigEndian.PutUint16(header[offCount:], e.Count)
	binary.BigEndian.PutUint64(header[offOccurred:], uint64(e.OccurredAt))
	copy(header[offID:], e.EventID[:])
	dst = append(dst, header[:]...)

	for _, name := range [...]string{eventType, correlation, causation, user} {
		dst = append(append(dst, byte(len(name))), name...)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(e.Metadata)))
	dst = append(dst, e.Metadata...)
	dst = append(dst, e.Payload...)

	env := dst[start:]
	binary.BigEndian.PutUint64(env[offBodySum:], xxhash.Sum64(env[EnvelopeHeaderLen:]))
	return dst
}

// PutEventID writes the event's id into env, which [AppendEnvelope] made.
func PutEventID(env []byte, id keys.EventID) { copy(env[offID:offBodySum], id[:]) }

// Body returns the part of an envelope that does not depend on its place.
func Body(env []byte) []byte { return env[EnvelopeHeaderLen:] }

// SealEnvelope writes into env, which [AppendEnvelope] made, what is known only
// when its place is: position, recorded-at, and occurred-at if the caller gave
// none; then the header's sum.
func SealEnvelope(env []byte, tenant keys.TenantID, stream keys.StreamID, version keys.Version, position keys.Position, recordedAt int64) {
	binary.BigEndian.PutUint64(env[offPosition:], uint64(position))
	binary.BigEndian.PutUint64(env[offRecorded:], uint64(recordedAt))
	if env[offFlags]&FlagOccurredGiven == 0 {
		binary.BigEndian.PutUint64(env[offOccurred:], uint64(recordedAt))
	}
	binary.BigEndian.PutUint64(env[offHeaderSum:], headerSum(env, tenant, stream, version))
}

func headerSum(env []byte, tenant keys.TenantID, stream keys.StreamID, version keys.Version) uint64 {
	// Room for usual names: room for all would cost as much to clear as to sum up.
	var buf [4 + 8 + 100 + offHeaderSum]byte
	b := binary.BigEndian.AppendUint32(buf[:0], uint32(tenant))
	b = binary.BigEndian.AppendUint64(b, uint64(version))
	b = append(b, stream...)
	b = append(b, env[:offHeaderSum]...)
	return xxhash.Sum64(b)
}

// The faults of a stored envelope. [*EnvelopeError] carries them.
var (
	errShort       = errors.New("shorter than its parts")
	errVersion     = errors.New("unknown envelope version")
	errHeaderSum   = errors.New("header sum does not match: the header was changed, or the event stands in another event's place")
	errBodySum     = errors.New("body sum does not match")
	errFlags       = errors.New("unknown flags")
	errCompression = errors.New("unknown compression")
	errEncrypted   = errors.New("encrypted with a key this version does not know")
	errCommit      = errors.New("index is not below the commit's count")
)

// EnvelopeError is a stored event that is damaged, or of a format that this
// version does not know.
type EnvelopeError struct {
	Stream  keys.StreamID
	Version keys.Version
	Err     error
}

// Error names the event and the fault.
func (e *EnvelopeError) Error() string {
	return fmt.Sprintf("envelope of %q version %d: %v", e.Stream, e.Version, e.Err)
}

// Unwrap returns the fault.
func (e *EnvelopeError) Unwrap() error { return e.Err }

// Is matches [keys.ErrEventStore].
func (e *EnvelopeError) Is(target error) bool { return target == keys.ErrEventStore }

// ParseEnvelope takes apart the envelope of version of stream and verifies both
// sums. The result shares env's memory.
func ParseEnvelope(env []byte, tenant keys.TenantID, stream keys.StreamID, version keys.Version) (Envelope, error) {
	var e Envelope
	if err := e.Parse(env, tenant, stream, version); err != nil {
		return Envelope{}, err
	}
	return e, nil
}

// Parse is ParseEnvelope into e, for those who take apart many: all of e is
// replaced. After an error it holds nothing of use.
func (e *Envelope) Parse(env []byte, tenant keys.TenantID, stream keys.StreamID, version keys.Version) error {
	if err := e.parse(env, tenant, stream, version); err != nil {
		return &EnvelopeError{Stream: stream, Version: version, Err: err}
	}
	return nil
}

func (e *Envelope) parse(env []byte, tenant keys.TenantID, stream keys.StreamID, version keys.Version) error {
	if len(env) < EnvelopeHeaderLen {
		return errShort
	}
	if env[0] == EnvelopeVersion && (len(stream) > keys.MaxNameBytes || binary.BigEndian.Uint64(env[offHeaderSum:]) != headerSum(env, tenant, stream, version)) {
		return errHeaderSum
	}
	if err := e.parseHeader(env, env[EnvelopeHeaderLen:]); err != nil {
		return err
	}
	if binary.BigEndian.Uint64(env[offBodySum:]) != xxhash.Sum64(e.body) {
		return errBodySum
	}
	return e.parseBody()
}

func (e *Envelope) parseHeader(env, body []byte) error {
	if env[0] != EnvelopeVersion {
		return fmt.Errorf("%w %d", errVersion, env[0])
	}
	e.Flags = env[offFlags]
	e.Codec = ID(env[offCodec])
	e.Compression = env[offCompression]
	e.KeyID = binary.BigEndian.Uint32(env[offKeyID:])
	e.Schema = keys.SchemaVersion(binary.BigEndian.Uint32(env[offSchema:]))
	e.Index = binary.BigEndian.Uint16(env[offIndex:])
	e.Count = binary.BigEndian.Uint16(env[offCount:])
	e.Position = keys.Position(binary.BigEndian.Uint64(env[offPosition:]))
	e.RecordedAt = int64(binary.BigEndian.Uint64(env[offRecorded:]))
	e.OccurredAt = int64(binary.BigEndian.Uint64(env[offOccurred:]))
	e.EventID = keys.EventID(env[offID:offBodySum])
	e.body = body
	switch {
	case e.Flags&^knownFlags != 0:
		return fmt.Errorf("%w %#02x", errFlags, e.Flags)
	case e.Compression != CompressionNone:
		return fmt.Errorf("%w %d", errCompression, e.Compression)
	case e.KeyID != 0:
		return fmt.Errorf("%w: key %d", errEncrypted, e.KeyID)
	case e.Index >= e.Count:
		return errCommit
	}
	return nil
}

func (e *Envelope) parseBody() error {
	b, ok := e.body, true
	if e.Type, b, ok = cutName(b); !ok {
		return errShort
	}
	if e.Correlation, b, ok = cutName(b); !ok {
		return errShort
	}
	if e.Causation, b, ok = cutName(b); !ok {
		return errShort
	}
	if e.User, b, ok = cutName(b); !ok || len(b) < 4 {
		return errShort
	}
	n := int64(binary.BigEndian.Uint32(b))
	if int64(len(b)) < 4+n {
		return errShort
	}
	e.Metadata, e.Payload = b[4:4+n:4+n], b[4+n:len(b):len(b)]
	return nil
}

// cutName takes a length and as many bytes off b.
func cutName(b []byte) (name, rest []byte, ok bool) {
	if len(b) < 1 || len(b) < 1+int(b[0]) {
		return nil, nil, false
	}
	n := 1 + int(b[0])
	return b[1:n:n], b[n:], true
}

// PositionOf returns the position that env carries, without verifying anything.
// ok is false if env is too short to be an envelope.
func PositionOf(env []byte) (position keys.Position, ok bool) {
	if len(env) < EnvelopeHeaderLen {
		return 0, false
	}
	return keys.Position(binary.BigEndian.Uint64(env[offPosition:])), true
}

// HeaderSumOf returns the sum that stands in env's header, without verifying
// anything. It covers the event's place and, through the body's sum, all of it. ok is
// false if env is too short to be an envelope.
func HeaderSumOf(env []byte) (sum uint64, ok bool) {
	if len(env) < EnvelopeHeaderLen {
		return 0, false
	}
	return binary.BigEndian.Uint64(env[offHeaderSum:]), true
}

// CommitOf returns the place in the commit, and the commit's size, that env carries,
// without verifying anything.
//
// REQUIRES: env is an envelope.
func CommitOf(env []byte) (index, count int) {
	return int(binary.BigEndian.Uint16(env[offIndex:])), int(binary.BigEndian.Uint16(env[offCount:]))
}

// PackedHeaderLen is the length of what [PackHeader] leaves of an envelope's header.
const PackedHeaderLen = offPosition + offBodySum - offRecorded

// PackHeader appends the header of env without what can be told from elsewhere: the
// position and the sums. The body is packed by whoever packs.
//
// REQUIRES: env is a sound envelope.
func PackHeader(dst, env []byte) []byte {
	dst = append(dst, env[:offPosition]...)
	return append(dst, env[offRecorded:offBodySum]...)
}

// ParsePacked takes apart an envelope whose header was packed. Nothing is verified but
// its form: the sum of what it was packed into vouches for the bytes and the place.
func (e *Envelope) ParsePacked(header []byte, position keys.Position, body []byte) error {
	var full [EnvelopeHeaderLen]byte
	unpackHeader(&full, header, position)
	if err := e.parseHeader(full[:], body); err != nil {
		return err
	}
	return e.parseBody()
}

// UnpackEnvelope appends the envelope, sums and all, that [PackHeader] packed.
func UnpackEnvelope(dst, header, body []byte, tenant keys.TenantID, stream keys.StreamID, version keys.Version, position keys.Position) []byte {
	var full [EnvelopeHeaderLen]byte
	unpackHeader(&full, header, position)
	binary.BigEndian.PutUint64(full[offBodySum:], xxhash.Sum64(body))
	binary.BigEndian.PutUint64(full[offHeaderSum:], headerSum(full[:], tenant, stream, version))
	return append(append(dst, full[:]...), body...)
}

func unpackHeader(full *[EnvelopeHeaderLen]byte, header []byte, position keys.Position) {
	copy(full[:], header[:offPosition])
	binary.BigEndian.PutUint64(full[offPosition:], uint64(position))
	copy(full[offRecorded:], header[offPosition:PackedHeaderLen])
}
