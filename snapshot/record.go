package snapshot

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/keys"
)

// MaxStateBytes is the greatest length of an encoded state.
const MaxStateBytes = 16 << 20

// Algorithm is how a record is summed up. The numbers are on disk.
type Algorithm uint8

// The algorithms of sums. Both are against damage; neither is against somebody who can
// write the files, for which a sum would need a key.
const (
	// XXHash64 is the default.
	XXHash64 Algorithm = 1
	// SHA256 is for those who must have it.
	SHA256 Algorithm = 2
)

// ParseAlgorithm reads what [Algorithm.String] writes: "xxhash64" or "sha256".
func ParseAlgorithm(name string) (Algorithm, error) {
	for _, a := range [...]Algorithm{XXHash64, SHA256} {
		if a.String() == name {
			return a, nil
		}
	}
	return 0, fmt.Errorf("snapshot: unknown algorithm %q: use xxhash64 or sha256", name)
}

// Valid reports whether a is one of the algorithms above.
func (a Algorithm) Valid() bool { return a.size() > 0 }

// String returns the algorithm's name.
func (a Algorithm) String() string {
	switch a {
	case XXHash64:
		return "xxhash64"
	case SHA256:
		return "sha256"
	default:
		return fmt.Sprintf("algorithm(%d)", uint8(a))
	}
}

// size returns the length of a sum in bytes, and 0 of no algorithm.
func (a Algorithm) size() int {
	switch a {
	case XXHash64:
		return 8
	case SHA256:
		return sha256.Size
	default:
		return 0
	}
}

// append appends the sum of key, header and state, as they are stored.
func (a Algorithm) append(dst, key, header, state []byte) []byte {
	if a == SHA256 {
		h := sha256.New()
		for _, part := range [...][]byte{key, header, state} {
			_, _ = h.Write(part) // a hash takes everything
		}
		return h.Sum(dst)
	}
	var d xxhash.Digest
	d.Reset()
	for _, part := range [...][]byte{key, header, state} {
		_, _ = d.Write(part)
	}
	return binary.BigEndian.AppendUint64(dst, d.Sum64())
}

// Compression is how a state is packed. The numbers are on disk.
type Compression uint8

// The compressions of a state.
const (
	None Compression = 0
	Zstd Compression = 1
)

// String returns the compression's name.
func (c Compression) String() string {
	switch c {
	case None:
		return "none"
	case Zstd:
		return "zstd"
	default:
		return fmt.Sprintf("compression(%d)", uint8(c))
	}
}

// Snapshot is the state that the events of a stream come to, from the first to the one
// at Version.
type Snapshot struct {
	Stream      keys.StreamID
	Version     keys.Version
	Fingerprint codec.Fingerprint // of the state's Go type
	Codec       codec.ID          // how State is encoded
	State       []byte            // as encoded, at most MaxStateBytes

	// OccurredUntil and RecordedUntil are the greatest times of the events in it: the
	// snapshot serves a question about the past only if both lie in that past.
	OccurredUntil, RecordedUntil time.Time
	TakenAt                      time.Time
	// Position and Anchor bind it to the event at Version: its place in the store, and the
	// sum of its header.
	Position keys.Position
	Anchor   uint64

	Algorithm   Algorithm
	Compression Compression // None also if zstd gained nothing
}

// A record, version 1. Numbers are big-endian.
//
//	0       1       2       3       4               8                              16
//	┌───────┬───────┬───────┬───────┬───────────────┬───────────────────────────────┐
//	│version│  sum  │compr. │ codec │ state, bytes  │          fingerprint          │
//	├───────┴───────┴───────┴───────┴───────────────┼───────────────────────────────┤ 32
//	│                   position                    │            anchor             │
//	├───────────────────────────────────────────────┼───────────────────────────────┤ 48
//	│           greatest occurred at, ns            │   greatest recorded at, ns    │
//	├───────────────────────────────────────────────┼───────────────────────────────┤ 56
//	│                 taken at, ns                  │ sum (8 or 32 bytes), state    │
//	└───────────────────────────────────────────────┴───────────────────────────────┘
const (
	recordVersion  = 1
	offAlgorithm   = 1
	offCompression = 2
	offCodec       = 3
	offLength      = 4
	offFingerprint = 8
	offPosition    = 16
	offAnchor      = 24
	offOccurred    = 32
	offRecorded    = 40
	offTaken       = 48
	headerLen      = 56
)

// Append appends the record of s. The sum covers the key that it is stored under, so a
// record that was moved to another stream or version does not pass.
//
// It fails for a state that is too long, and for an algorithm, a compression or a codec
// that is none.
func Append(dst []byte, tenant keys.TenantID, s *Snapshot) ([]byte, error) {
	switch {
	case len(s.State) > MaxStateBytes:
		return dst, fmt.Errorf("snapshot: the state has %d bytes, at most %d are allowed", len(s.State), MaxStateBytes)
	case !s.Algorithm.Valid():
		return dst, fmt.Errorf("snapshot: unknown %s: use XXHash64 or SHA256", s.Algorithm)
	case s.Compression > Zstd:
		return dst, fmt.Errorf("snapshot: unknown %s: use None or Zstd", s.Compression)
	case !s.Codec.Valid():
		return dst, fmt.Errorf("snapshot: unknown codec %d", s.Codec)
	}
	start := len(dst)
	var header [headerLen]byte
	header[0] = recordVersion
	header[offAlgorithm] = byte(s.Algorithm)
	header[offCodec] = byte(s.Codec)
	binary.BigEndian.PutUint32(header[offLength:], uint32(len(s.State)))
	binary.BigEndian.PutUint64(header[offFingerprint:], uint64(s.Fingerprint))
	binary.BigEndian.PutUint64(header[offPosition:], uint64(s.Position))
	binary.BigEndian.PutUint64(header[offAnchor:], s.Anchor)
	binary.BigEndian.PutUint64(header[offOccurred:], uint64(s.OccurredUntil.UnixNano()))
	binary.BigEndian.PutUint64(header[offRecorded:], uint64(s.RecordedUntil.UnixNano()))
	binary.BigEndian.PutUint64(header[offTaken:], uint64(s.TakenAt.UnixNano()))

	sum := headerLen + s.Algorithm.size()
	dst = append(append(dst, header[:]...), make([]byte, sum-headerLen)...)
	if s.Compression == Zstd {
		dst = codec.AppendZstd(dst, s.State)
		dst[start+offCompression] = byte(Zstd)
	}
	if s.Compression == None || len(dst)-start-sum >= len(s.State) {
		dst = append(dst[:start+sum], s.State...)
		dst[start+offCompression] = byte(None)
	}
	record := dst[start:]
	s.Algorithm.append(record[:headerLen:sum][headerLen:headerLen], keyOf(tenant, s), record[:headerLen], record[sum:])
	return dst, nil
}

func keyOf(tenant keys.TenantID, s *Snapshot) []byte {
	return keys.AppendSnapshot(make([]byte, 0, 128), tenant, s.Stream, s.Version)
}

// The faults of a stored record.
var (
	errForm    = errors.New("not a snapshot of a known form")
	errVersion = errors.New("unknown record version")
)

// SumError is a record that is not what it was.
type SumError struct {
	Algorithm Algorithm
	Want, Got string // in hex: what stands in the record, and what its bytes come to
}

// Error names the algorithm and both sums.
func (e *SumError) Error() string {
	return fmt.Sprintf("%s does not match: the record has %s, its bytes come to %s", e.Algorithm, e.Want, e.Got)
}

// Is matches [keys.ErrEventStore].
func (e *SumError) Is(target error) bool { return target == keys.ErrEventStore }

// Parse takes apart the record of stream's snapshot at version and verifies its sum. All
// bounds are checked before anything is allocated. State may share record's memory. The
// error is a [*SumError] if the bytes are not those that were written.
func Parse(record []byte, tenant keys.TenantID, stream keys.StreamID, version keys.Version) (Snapshot, error) {
	if len(record) < headerLen {
		return Snapshot{}, errForm
	}
	if record[0] != recordVersion {
		return Snapshot{}, fmt.Errorf("%w %d", errVersion, record[0])
	}
	a := Algorithm(record[offAlgorithm])
	sum := headerLen + a.size()
	if !a.Valid() || len(record) < sum {
		return Snapshot{}, errForm
	}
	s := Snapshot{Stream: stream, Version: version, Algorithm: a}
	state := record[sum:len(record):len(record)]
	var buf [sha256.Size]byte
	got := a.append(buf[:0], keyOf(tenant, &s), record[:headerLen], state)
	if want := record[headerLen:sum]; string(got) != string(want) {
		return Snapshot{}, &SumError{Algorithm: a, Want: hex.EncodeToString(want), Got: hex.EncodeToString(got)}
	}
	s.Compression = Compression(record[offCompression])
	s.Codec = codec.ID(record[offCodec])
	s.Fingerprint = codec.Fingerprint(binary.BigEndian.Uint64(record[offFingerprint:]))
	s.Position = keys.Position(binary.BigEndian.Uint64(record[offPosition:]))
	s.Anchor = binary.BigEndian.Uint64(record[offAnchor:])
	s.OccurredUntil = timeAt(record[offOccurred:])
	s.RecordedUntil = timeAt(record[offRecorded:])
	s.TakenAt = timeAt(record[offTaken:])
	length := binary.BigEndian.Uint32(record[offLength:])
	switch {
	case !s.Codec.Valid() || length > MaxStateBytes:
		return Snapshot{}, errForm
	case s.Compression == None && int(length) == len(state):
		s.State = state
	case s.Compression == Zstd:
		unpacked, err := codec.DecodeZstd(nil, state, int(length))
		if err != nil {
			return Snapshot{}, err
		}
		s.State = unpacked
	default:
		return Snapshot{}, errForm
	}
	return s, nil
}

func timeAt(b []byte) time.Time { return time.Unix(0, int64(binary.BigEndian.Uint64(b))).UTC() }
