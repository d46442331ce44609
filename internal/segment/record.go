package segment

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"github.com/nexus-erp/eventstream/keys"
)

// Hash is a SHA-256.
type Hash [sha256.Size]byte

// Hasher computes the hashes of records and runs. The zero value is ready; it is not
// safe for concurrent use.
//
// A record is an event with its place: u32 tenant, u8 length of the stream's name, the
// name, u64 version, the envelope. Its hash is the SHA-256 of 0x00 and these bytes, as
// RFC 6962 hashes a leaf; a run's is the SHA-256 of 0x01 and its records' hashes. So a
// run is proven from the hashes of its records, in whatever order they were read.
type Hasher struct {
	record  hash.Hash
	run     hash.Hash
	scratch []byte
	sum     []byte // the last record's hash; one slice for all, since what is passed to a hash.Hash escapes
}

// Record returns the hash of an event's record.
func (h *Hasher) Record(tenant keys.TenantID, stream keys.StreamID, version keys.Version, envelope []byte) Hash {
	if h.record == nil {
		h.record = sha256.New()
	}
	h.scratch = append(h.scratch[:0], 0x00)
	h.scratch = binary.BigEndian.AppendUint32(h.scratch, uint32(tenant))
	h.scratch = append(append(h.scratch, byte(len(stream))), stream...)
	h.scratch = binary.BigEndian.AppendUint64(h.scratch, uint64(version))
	h.record.Reset()
	h.record.Write(h.scratch)
	h.record.Write(envelope)
	h.sum = h.record.Sum(h.sum[:0])
	return Hash(h.sum)
}

// Add adds the next record's hash to the run's.
func (h *Hasher) Add(record Hash) {
	if h.run == nil {
		h.run = sha256.New()
		h.run.Write([]byte{0x01})
	}
	h.sum = append(h.sum[:0], record[:]...)
	h.run.Write(h.sum)
}

// Run returns the hash of the run whose records were added, and starts the next.
//
// REQUIRES: at least one record was added.
func (h *Hasher) Run() (sum Hash) {
	h.run.Sum(sum[:0])
	h.run = nil
	return sum
}
