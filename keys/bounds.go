package keys

import "errors"

// ErrNoSuccessor is returned for a prefix of which no greater prefix exists: it
// is empty or all 0xFF. Without this error such a range would have no upper bound
// and run through the whole store.
var ErrNoSuccessor = errors.New("keys: prefix has no successor")

// Range returns the bounds of all keys that start with prefix: lower inclusive,
// upper exclusive. Both are new slices and never empty.
func Range(prefix []byte) (lower, upper []byte, err error) {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] == 0xff {
			continue
		}
		upper = append(upper, prefix[:i+1]...)
		upper[i]++
		return append([]byte(nil), prefix...), upper, nil
	}
	return nil, nil, ErrNoSuccessor
}

// StreamPrefix appends the prefix of the event keys of all of a tenant's streams
// whose names start with prefix.
func StreamPrefix(dst []byte, tenant TenantID, prefix string) []byte {
	return AppendPartPrefix(appendTenant(dst, KindEvent, tenant), prefix)
}

// SnapshotPrefix appends the prefix of the keys of all snapshots of a tenant's streams
// whose names start with prefix.
func SnapshotPrefix(dst []byte, tenant TenantID, prefix string) []byte {
	return AppendPartPrefix(appendTenant(dst, KindSnapshot, tenant), prefix)
}
