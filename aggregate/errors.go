package aggregate

import (
	"fmt"

	"github.com/nexus-erp/eventstream"
)

// FoldError is an event that an aggregate could not take: its payload does not decode,
// or the aggregate panicked.
type FoldError struct {
	Stream   eventstream.StreamID
	Version  eventstream.Version
	Position eventstream.Position
	EventID  eventstream.EventID
	Type     string
	Err      error
}

// Error names the event and the cause.
func (e *FoldError) Error() string {
	return fmt.Sprintf("aggregate %s: event %q at version %d (position %d, id %s): %v", e.Stream, e.Type, e.Version, e.Position, e.EventID, e.Err)
}

// Is matches [eventstream.ErrEventStore].
func (e *FoldError) Is(target error) bool { return target == eventstream.ErrEventStore }

// Unwrap returns the cause.
func (e *FoldError) Unwrap() error { return e.Err }

// SnapshotError is a snapshot that could not be taken. Loads go on from an older one, or
// from the first event.
type SnapshotError struct {
	Stream  eventstream.StreamID
	Version eventstream.Version // of the state; 0 if it could not be loaded
	Err     error
}

// Error names the stream and the cause.
func (e *SnapshotError) Error() string {
	return fmt.Sprintf("aggregate %s: snapshot at version %d was not taken: %v", e.Stream, e.Version, e.Err)
}

// Is matches [eventstream.ErrEventStore].
func (e *SnapshotError) Is(target error) bool { return target == eventstream.ErrEventStore }

// Unwrap returns the cause.
func (e *SnapshotError) Unwrap() error { return e.Err }
