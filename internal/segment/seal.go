package segment

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/nexus-erp/eventstream/keys"
)

// Seal says what a run holds, and which seal it follows.
type Seal struct {
	First, Last keys.Position
	Events      uint32
	Run         Hash // of the run
	Previous    Hash // of the seal before; zeros for the first
}

// A seal's value:
//
//	0         version 1
//	1 to 9    last position
//	9 to 13   events
//	13 to 45  hash of the run
//	45 to 77  hash of the seal before
//	77 to 85  xxhash64 of the seal's key and what stands before
const (
	sealVersion = 1
	sealLen     = 85
	sealSummed  = sealLen - 8
)

var (
	errSealForm = errors.New("not a seal of a known form")
	errSealSum  = errors.New("sum does not match")
)

// AppendSeal appends s's value.
func AppendSeal(dst []byte, s *Seal) []byte {
	start := len(dst)
	dst = append(dst, sealVersion)
	dst = binary.BigEndian.AppendUint64(dst, uint64(s.Last))
	dst = binary.BigEndian.AppendUint32(dst, s.Events)
	dst = append(dst, s.Run[:]...)
	dst = append(dst, s.Previous[:]...)
	return binary.BigEndian.AppendUint64(dst, sealSum(s.First, dst[start:]))
}

func sealSum(first keys.Position, value []byte) uint64 {
	var buf [keys.PositionKeyLen + sealSummed]byte
	return xxhash.Sum64(append(keys.AppendSeal(buf[:0], first), value...))
}

// ParseSeal reads the value of the seal at first.
func ParseSeal(first keys.Position, value []byte) (Seal, error) {
	if len(value) != sealLen || value[0] != sealVersion {
		return Seal{}, fmt.Errorf("seal at position %d: %w", first, errSealForm)
	}
	if sealSum(first, value[:sealSummed]) != binary.BigEndian.Uint64(value[sealSummed:]) {
		return Seal{}, fmt.Errorf("seal at position %d: %w", first, errSealSum)
	}
	s := Seal{
		First:    first,
		Last:     keys.Position(binary.BigEndian.Uint64(value[1:])),
		Events:   binary.BigEndian.Uint32(value[9:]),
		Run:      Hash(value[13:45]),
		Previous: Hash(value[45:77]),
	}
	if s.Events == 0 || s.Last < first || uint64(s.Last-first)+1 != uint64(s.Events) {
		return Seal{}, fmt.Errorf("seal at position %d: %w", first, errSealForm)
	}
	return s, nil
}

// Hash returns the hash that the next seal names: the SHA-256 of 0x02, the seal's
// key, and its value.
func (s *Seal) Hash() Hash {
	b := append(make([]byte, 0, 1+keys.PositionKeyLen+sealLen), 0x02)
	return sha256.Sum256(AppendSeal(keys.AppendSeal(b, s.First), s))
}
