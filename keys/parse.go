package keys

import "encoding/binary"

// reader takes a key apart from the front and keeps the first fault.
type reader struct {
	kind  Kind
	key   []byte
	rest  []byte
	fault string
}

func newReader(kind Kind, key []byte) *reader {
	r := &reader{kind: kind, key: key}
	if len(key) == 0 || Kind(key[0]) != kind {
		r.fault = "wrong kind"
		return r
	}
	r.rest = key[1:]
	return r
}

func (r *reader) fixed(n int) []byte {
	if r.fault != "" {
		return nil
	}
	if len(r.rest) < n {
		r.fault = "too short"
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) uint16() uint16 {
	if b := r.fixed(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if b := r.fixed(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if b := r.fixed(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) part() string {
	if r.fault != "" {
		return ""
	}
	part, rest, ok := ParsePart(r.rest)
	if !ok {
		r.fault = "malformed part"
		return ""
	}
	r.rest = rest
	return part
}

func (r *reader) end() error {
	if r.fault == "" && len(r.rest) > 0 {
		r.fault = "trailing bytes"
	}
	if r.fault != "" {
		return &KeyError{Kind: r.kind, Key: append([]byte(nil), r.key...), Reason: r.fault}
	}
	return nil
}

// ParseMeta takes apart what [AppendMeta] made.
func ParseMeta(key []byte) (name string, err error) {
	r := newReader(KindMeta, key)
	name = r.part()
	return name, r.end()
}

// ParseEvent takes apart what [AppendEvent] made.
func ParseEvent(key []byte) (tenant TenantID, stream StreamID, version Version, err error) {
	r := newReader(KindEvent, key)
	tenant, stream, version = TenantID(r.uint32()), StreamID(r.part()), Version(r.uint64())
	return tenant, stream, version, r.end()
}

// ParsePosition takes apart what [AppendPosition] made.
func ParsePosition(key []byte) (Position, error) {
	r := newReader(KindPosition, key)
	position := Position(r.uint64())
	return position, r.end()
}

// ParseEventIDKey takes apart what [AppendEventID] made.
func ParseEventIDKey(key []byte) (tenant TenantID, id EventID, err error) {
	r := newReader(KindEventID, key)
	tenant = TenantID(r.uint32())
	copy(id[:], r.fixed(eventIDLen))
	return tenant, id, r.end()
}

// ParseSeal takes apart what [AppendSeal] made.
func ParseSeal(key []byte) (first Position, err error) {
	r := newReader(KindSeal, key)
	first = Position(r.uint64())
	return first, r.end()
}

// ParseSegment takes apart what [AppendSegment] made.
func ParseSegment(key []byte) (first Position, err error) {
	r := newReader(KindSegment, key)
	first = Position(r.uint64())
	return first, r.end()
}

// ParseIndex takes apart what [AppendIndex] made.
func ParseIndex(key []byte) (tenant TenantID, index IndexID, term string, position Position, err error) {
	r := newReader(KindIndex, key)
	tenant, index, term = TenantID(r.uint32()), IndexID(r.uint16()), r.part()
	position = Position(r.uint64())
	return tenant, index, term, position, r.end()
}

// ParseSnapshot takes apart what [AppendSnapshot] made.
func ParseSnapshot(key []byte) (tenant TenantID, stream StreamID, version Version, err error) {
	r := newReader(KindSnapshot, key)
	tenant, stream, version = TenantID(r.uint32()), StreamID(r.part()), Version(^r.uint64())
	return tenant, stream, version, r.end()
}

// ParseView takes apart what [AppendView] made. userKey shares key's memory.
func ParseView(key []byte) (tenant TenantID, projection string, generation uint64, userKey []byte, err error) {
	r := newReader(KindView, key)
	tenant, projection, generation = TenantID(r.uint32()), r.part(), r.uint64()
	userKey, r.rest = r.rest, nil
	return tenant, projection, generation, userKey, r.end()
}

// ParseDerived takes apart what [AppendDerived] made.
func ParseDerived(key []byte) (what, name string, err error) {
	r := newReader(KindDerived, key)
	what, name = r.part(), r.part()
	return what, name, r.end()
}
