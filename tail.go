package eventstream

import (
	"sort"
	"sync"
)

// record is an event as the tail holds it: its key's parts and its envelope.
type record struct {
	tenant   *tenant
	stream   StreamID
	version  Version
	envelope []byte
}

// tailBlockBytes is the size of the arrays that hold the tail's envelopes.
const tailBlockBytes = 64 << 10

// tailRecordBytes is the least length of an envelope that a new block counts on.
const tailRecordBytes = 128

// tailBlock holds consecutive events, their envelopes in one array.
type tailBlock struct {
	first   Position // of the first record
	records []record
	bytes   []byte
}

// tail holds the newest events in memory, so that those who follow the log touch
// no disk. It also holds events that are not durable yet, or never will be: its
// readers bound themselves by the readable head. What it once handed out never
// changes, and stays valid after it was dropped from the tail.
//
// It is written by the sequencer alone, in order, and read by anyone.
type tail struct {
	capacity int

	mu     sync.RWMutex
	blocks []*tailBlock // ascending, without gaps between them
	next   Position     // of the event that comes next
	bytes  int          // length of the blocks' arrays
}

func newTail(capacity int, head Position) *tail {
	return &tail{capacity: capacity, next: head + 1}
}

// add appends the event of the next position. The envelope is copied.
func (t *tail) add(r record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var b *tailBlock
	if n := len(t.blocks); n > 0 {
		b = t.blocks[n-1]
	}
	if b == nil || len(b.bytes)+len(r.envelope) > cap(b.bytes) {
		size := max(tailBlockBytes, len(r.envelope))
		b = &tailBlock{first: t.next, bytes: make([]byte, 0, size)}
		b.records = make([]record, 0, size/max(len(r.envelope), tailRecordBytes)+1) // as if all were alike
		t.blocks = append(t.blocks, b)
		t.bytes += cap(b.bytes)
		t.trimLocked()
	}
	start := len(b.bytes)
	b.bytes = append(b.bytes, r.envelope...)
	r.envelope = b.bytes[start:len(b.bytes):len(b.bytes)]
	b.records = append(b.records, r)
	t.next++
}

// trimLocked drops the oldest blocks beyond the capacity, but never the newest.
func (t *tail) trimLocked() {
	drop := 0
	for ; t.bytes > t.capacity && drop < len(t.blocks)-1; drop++ {
		t.bytes -= cap(t.blocks[drop].bytes)
		t.blocks[drop] = nil
	}
	t.blocks = t.blocks[drop:]
}

// read appends to dst the events from position from to position to, at most until
// dst is full. ok is false if the tail does not hold the event at from; nothing is
// appended then. So who has room and asks for something gets something, or is told to
// look elsewhere.
func (t *tail) read(dst []record, from, to Position) (_ []record, ok bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	at := sort.Search(len(t.blocks), func(i int) bool { return t.blocks[i].first > from }) - 1
	if at < 0 || from >= t.next {
		return dst, false
	}
	for ; at < len(t.blocks) && from <= to; at++ {
		b := t.blocks[at]
		for i := int(from - b.first); i < len(b.records) && from <= to; i++ {
			if len(dst) == cap(dst) {
				return dst, true
			}
			dst = append(dst, b.records[i])
			from++
		}
	}
	return dst, true
}
