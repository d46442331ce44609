package projection

import (
	"errors"
	"fmt"

	"github.com/nexus-erp/eventstream"
)

// ErrHalted is matched by errors that say that a projection was halted.
var ErrHalted = errors.New("projection: halted; mend it and resume it")

// ErrOutdated is matched by errors that say that a view was built by another version of
// its definition.
var ErrOutdated = errors.New("projection: the view is outdated; rebuild it")

// ErrNotVerified is matched by the error of a rebuild whose view did not pass
// [RebuildOptions.Verify].
var ErrNotVerified = errors.New("projection: the new view was not accepted")

// ErrNoRetired says that there is no view to switch back to.
var ErrNoRetired = errors.New("projection: no earlier view is kept")

// ErrBehind is matched by [*BehindError].
var ErrBehind = errors.New("projection: the view has not come that far")

// BehindError is a question about events that a view does not show yet.
type BehindError struct {
	Projection string
	Checkpoint eventstream.Position // of the view
	Position   eventstream.Position // that it would have to show
}

// Error names the mend.
func (e *BehindError) Error() string {
	return fmt.Sprintf("projection %q: the view is at position %d, and %d is asked for: wait for it with WaitFor", e.Projection, e.Checkpoint, e.Position)
}

// Is matches [ErrBehind].
func (e *BehindError) Is(target error) bool { return target == ErrBehind }

// ErrNotParked is matched by errors that name an event that is not parked.
var ErrNotParked = errors.New("projection: the event is not parked")

// Error is an event that a projection could not apply.
type Error struct {
	Projection string
	Position   eventstream.Position
	EventID    eventstream.EventID
	Stream     eventstream.StreamID
	Version    eventstream.Version
	Type       string
	Err        error // what Apply returned, or its panic

	commit eventstream.Position // the first position of the event's commit
	size   int                  // events of that commit
}

func newError(projection string, ev *eventstream.Event, err error) *Error {
	return &Error{
		Projection: projection, Position: ev.Position, EventID: ev.ID, Stream: ev.Stream, Version: ev.Version, Type: ev.Type, Err: err,
		commit: ev.CommitPosition(), size: ev.CommitSize,
	}
}

// newPanic is the error of a panic with p.
func newPanic(projection string, ev *eventstream.Event, p any) *Error {
	return newError(projection, ev, panicked(p))
}

func panicked(p any) error { return fmt.Errorf("panic: %v", p) }

// Error names the projection, the event and the cause.
func (e *Error) Error() string {
	return fmt.Sprintf("projection %q: event %q at position %d (%s version %d): %v", e.Projection, e.Type, e.Position, e.Stream, e.Version, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
