package keys

import "encoding/binary"

// Widths of the fixed parts of keys, in bytes.
const (
	kindLen    = 1
	tenantLen  = 4
	versionLen = 8
	indexIDLen = 2
	eventIDLen = 16
)

// Offsets that the append path patches once versions and a new tenant's number are
// known.
const (
	// TenantOffset is where the tenant stands in every per-tenant key.
	TenantOffset = kindLen
	// VersionFromEnd is how far before its end an event key holds its version.
	VersionFromEnd = versionLen
	// PositionKeyLen is the length of the keys that are a position: of a pointer, a
	// seal, a segment.
	PositionKeyLen = kindLen + 8
	// EventIDKeyLen is the length of an event-id key.
	EventIDKeyLen = kindLen + tenantLen + eventIDLen
)

// EventKeyLen returns the length of the keys of stream's events.
func EventKeyLen(stream StreamID) int {
	return kindLen + tenantLen + partLen(string(stream)) + versionLen
}

func appendTenant(dst []byte, k Kind, tenant TenantID) []byte {
	return binary.BigEndian.AppendUint32(append(dst, byte(k)), uint32(tenant))
}

// AppendMeta appends the key of the fact called name.
func AppendMeta(dst []byte, name string) []byte {
	return AppendPart(append(dst, byte(KindMeta)), name)
}

// AppendEvent appends the key of one event.
func AppendEvent(dst []byte, tenant TenantID, stream StreamID, version Version) []byte {
	return binary.BigEndian.AppendUint64(AppendStream(dst, tenant, stream), uint64(version))
}

// AppendStream appends the prefix that the keys of all of stream's events share,
// and no other key has.
func AppendStream(dst []byte, tenant TenantID, stream StreamID) []byte {
	return AppendPart(appendTenant(dst, KindEvent, tenant), string(stream))
}

// AppendPosition appends the key that finds the event at position.
func AppendPosition(dst []byte, position Position) []byte {
	return binary.BigEndian.AppendUint64(append(dst, byte(KindPosition)), uint64(position))
}

// AppendEventID appends the key that finds an event by its id.
func AppendEventID(dst []byte, tenant TenantID, id EventID) []byte {
	return append(appendTenant(dst, KindEventID, tenant), id[:]...)
}

// AppendSeal appends the key of the seal over the run that starts at first.
func AppendSeal(dst []byte, first Position) []byte {
	return binary.BigEndian.AppendUint64(append(dst, byte(KindSeal)), uint64(first))
}

// AppendSegment appends the key of the packed run that starts at first.
func AppendSegment(dst []byte, first Position) []byte {
	return binary.BigEndian.AppendUint64(append(dst, byte(KindSegment)), uint64(first))
}

// IndexID numbers an index. The numbers are on disk.
type IndexID uint16

// AppendIndex appends the key of one posting: the event at position has term in
// index.
func AppendIndex(dst []byte, tenant TenantID, index IndexID, term string, position Position) []byte {
	return binary.BigEndian.AppendUint64(AppendIndexTerm(dst, tenant, index, term), uint64(position))
}

// AppendIndexTerm appends the prefix that the postings of one term share.
func AppendIndexTerm[T ~string | ~[]byte](dst []byte, tenant TenantID, index IndexID, term T) []byte {
	return AppendPart(AppendIndexTerms(dst, tenant, index), term)
}

// AppendIndexTerms appends the prefix that the postings of all terms of an index share.
func AppendIndexTerms(dst []byte, tenant TenantID, index IndexID) []byte {
	return binary.BigEndian.AppendUint16(appendTenant(dst, KindIndex, tenant), uint16(index))
}

// AppendSnapshot appends the key of stream's snapshot at version. Versions are
// inverted, so that the newest snapshot comes first.
func AppendSnapshot(dst []byte, tenant TenantID, stream StreamID, version Version) []byte {
	return binary.BigEndian.AppendUint64(AppendSnapshots(dst, tenant, stream), ^uint64(version))
}

// AppendSnapshots appends the prefix that all snapshots of stream share.
func AppendSnapshots(dst []byte, tenant TenantID, stream StreamID) []byte {
	return AppendPart(appendTenant(dst, KindSnapshot, tenant), string(stream))
}

// AppendView appends the key of one record of a projection's view.
func AppendView(dst []byte, tenant TenantID, projection string, generation uint64, key []byte) []byte {
	return append(AppendViewGeneration(dst, tenant, projection, generation), key...)
}

// AppendViewGeneration appends the prefix that all records of one generation of a
// view share.
func AppendViewGeneration(dst []byte, tenant TenantID, projection string, generation uint64) []byte {
	dst = AppendPart(appendTenant(dst, KindView, tenant), projection)
	return binary.BigEndian.AppendUint64(dst, generation)
}

// besideView is set in the generation of what lies beside the view of that generation.
// No view has a generation that great.
const besideView = 1 << 63

// AppendBesideGeneration appends the prefix that everything shares that lies beside one
// generation of a view: records that belong to it and are none of its own.
func AppendBesideGeneration(dst []byte, tenant TenantID, projection string, generation uint64) []byte {
	return AppendViewGeneration(dst, tenant, projection, generation|besideView)
}

// AppendBeside appends the prefix of what lies there under one name.
func AppendBeside(dst []byte, tenant TenantID, projection string, generation uint64, name string) []byte {
	return AppendPart(AppendBesideGeneration(dst, tenant, projection, generation), name)
}

// AppendDerived appends the key of the state called name of the derived thing
// called what.
func AppendDerived(dst []byte, what, name string) []byte {
	return AppendPart(AppendPart(append(dst, byte(KindDerived)), what), name)
}
