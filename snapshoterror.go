package eventstream

import (
	"fmt"
	"strings"

	"github.com/nexus-erp/eventstream/snapshot"
)

var (
	// ErrSnapshotNotFound is returned by DB.DeleteSnapshot.
	ErrSnapshotNotFound = kind("snapshot not found")
	// ErrSnapshotCorrupt is matched by [*SnapshotCorruptError].
	ErrSnapshotCorrupt = kind("snapshot is damaged")
)

// SnapshotCorruptError is a snapshot that is not what was stored, or does not belong to
// the stream's events. The events are not concerned: an older snapshot, or reading them,
// gives the state.
type SnapshotCorruptError struct {
	Tenant    string
	Stream    StreamID
	Version   Version            // 0 if the store could not even read which one it is
	Algorithm snapshot.Algorithm // of the sum, if it does not match
	Want, Got string             // the sum in the record and that of its bytes, in hex
	Err       error              // what was found
}

// Error names the snapshot and what was found.
func (e *SnapshotCorruptError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "eventstream: snapshot of stream %q", e.Stream)
	if e.Tenant != DefaultTenant {
		fmt.Fprintf(&b, " in tenant %q", e.Tenant)
	}
	if e.Version != 0 {
		fmt.Fprintf(&b, " at version %d", e.Version)
	}
	fmt.Fprintf(&b, " is damaged: %v", e.Err)
	return b.String()
}

// Is matches [ErrSnapshotCorrupt] and [ErrCorrupt].
func (e *SnapshotCorruptError) Is(target error) bool {
	return isKind(target, ErrSnapshotCorrupt) || target == ErrCorrupt
}

// Unwrap returns what was found.
func (e *SnapshotCorruptError) Unwrap() error { return e.Err }
