package segment

import (
	"encoding/binary"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
)

// The greatest run. A commit is never cut: one that is greater is a run of its own.
const (
	RunEvents = 1024
	RunBytes  = 4 << 20
)

// Run is a run that is being packed. The zero value is empty.
type Run struct {
	First  keys.Position
	Events int

	heads  []byte // a head for each event, see headLen
	names  []byte
	bodies []byte
	raw    []byte // scratch of AppendSegment
	before times
	hasher Hasher
}

// times are the times of the event before.
type times struct{ recorded, occurred uint64 }

// A head is what an event has in a fixed number of bytes. Times are differences to the
// event before, which are small.
//
//	0   u32 tenant
//	4   u8  length of the stream's name
//	5   u64 version
//	13  u32 length of the body
//	17  the packed header: 16 bytes, recorded-at, occurred-at, event id
const (
	headName     = 4
	headVersion  = 5
	headBody     = 13
	headPacked   = 17
	headRecorded = headPacked + 16
	headOccurred = headRecorded + 8
	headLen      = headPacked + codec.PackedHeaderLen
)

// Last returns the run's last position.
func (r *Run) Last() keys.Position { return r.First + keys.Position(r.Events) - 1 }

// size returns how many bytes the run takes, before compression.
func (r *Run) size() int { return len(r.heads) + len(r.names) + len(r.bodies) }

// Fits reports whether a commit of so many events, which take so many bytes, belongs to
// the run, which holds at most events events as a rule. An empty run takes any.
func (r *Run) Fits(commit, size, events int) bool {
	return r.Events == 0 || r.Events+commit <= events && r.size()+size <= RunBytes
}

// Size returns how many bytes an event takes in a run.
func Size(stream keys.StreamID, envelope []byte) int {
	return headLen + len(stream) + len(codec.Body(envelope))
}

// Add adds the event at the next position. Nothing of it is kept.
//
// REQUIRES: envelope is sound.
func (r *Run) Add(tenant keys.TenantID, stream keys.StreamID, version keys.Version, envelope []byte) {
	body, at := codec.Body(envelope), len(r.heads)
	r.heads = binary.BigEndian.AppendUint32(r.heads, uint32(tenant))
	r.heads = append(r.heads, byte(len(stream)))
	r.heads = binary.BigEndian.AppendUint64(r.heads, uint64(version))
	r.heads = binary.BigEndian.AppendUint32(r.heads, uint32(len(body)))
	r.heads = codec.PackHeader(r.heads, envelope)
	head := r.heads[at:]
	recorded, occurred := binary.BigEndian.Uint64(head[headRecorded:]), binary.BigEndian.Uint64(head[headOccurred:])
	binary.BigEndian.PutUint64(head[headRecorded:], recorded-r.before.recorded)
	binary.BigEndian.PutUint64(head[headOccurred:], occurred-r.before.occurred)
	r.before = times{recorded, occurred}

	r.names = append(r.names, stream...)
	r.bodies = append(r.bodies, body...)
	r.hasher.Add(r.hasher.Record(tenant, stream, version, envelope))
	if r.Events++; r.Events%giveWayEvery == 0 {
		engine.GiveWay()
	}
}

// giveWayEvery is after how many events the kernel gets its turn: each takes about a
// microsecond to add or to pack, before compression.
const giveWayEvery = 32

// Close ends the run. It returns its seal, which follows the seal whose hash is
// previous, and starts the next run, which is empty. The segment is packed with
// AppendSegment first, if it is wanted.
//
// REQUIRES: the run is not empty.
func (r *Run) Close(previous Hash) Seal {
	s := Seal{First: r.First, Last: r.Last(), Events: uint32(r.Events), Run: r.hasher.Run(), Previous: previous}
	r.First, r.Events, r.before = s.Last+1, 0, times{}
	r.heads, r.names, r.bodies = r.heads[:0], r.names[:0], r.bodies[:0]
	return s
}
