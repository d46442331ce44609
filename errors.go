package eventstream

import (
	"fmt"
	"strings"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/keys"
)

// ErrEventStore is matched by every error that this package makes itself; errors
// of a context, of the file system and of callbacks pass through as they are.
var ErrEventStore = keys.ErrEventStore

// The kinds of errors, for errors.Is. Typed errors that match them carry the data.
var (
	// ErrClosed is returned by every call after Close.
	ErrClosed = kind("store is closed")
	// ErrReadOnly is returned by calls that write to a store opened with
	// Options.ReadOnly.
	ErrReadOnly = kind("store is open read-only")
	// ErrInvalidArgument is matched by [*ArgumentError] and [*LimitError].
	ErrInvalidArgument = kind("invalid argument")
	// ErrTooLarge is matched by [*LimitError].
	ErrTooLarge = kind("too large")
	// ErrConflict is matched by [*ConflictError], [*RecordConflictError] and [*GuardError].
	ErrConflict = kind("conflict")
	// ErrStreamNotFound is returned by DB.Stream, and matched by the
	// [*ConflictError] of an append that requires [StreamExists].
	ErrStreamNotFound = kind("stream not found")
	// ErrEventNotFound is returned by DB.Event and DB.EventAt.
	ErrEventNotFound = kind("event not found")
	// ErrDuplicateEvent is matched by [*DuplicateEventError].
	ErrDuplicateEvent = kind("event id is taken")
	// ErrPoisoned is returned by every call that writes after the log, or Pebble's
	// manifest, failed, and ends followers. Reads of events go on. After a failure of the
	// manifest, reads of views and Stats return it too. Only reopening the store helps.
	ErrPoisoned = kind("store stopped writing after its log failed; reopen it")
	// ErrCommitUnknown is matched by [*CommitUnknownError].
	ErrCommitUnknown = kind("append was handed over, but its outcome is not known")
	// ErrInUse is matched by [*InUseError].
	ErrInUse = kind("store is in use")
	// ErrExists is returned by Open with Options.ErrorIfExists.
	ErrExists = kind("store exists already")
	// ErrNotExist is returned by Open with Options.ErrorIfNotExists or ReadOnly.
	ErrNotExist = kind("store does not exist")
	// ErrNotAStore is matched by [*NotAStoreError].
	ErrNotAStore = kind("not an event store")
	// ErrFormatTooNew is matched by [*FormatError].
	ErrFormatTooNew = kind("store has a newer format")
	// ErrCorrupt is matched by [*CorruptionError].
	ErrCorrupt = kind("damage found")
	// ErrBackup is matched by [*BackupError].
	ErrBackup = kind("backup cannot be used")
	// ErrDiskFull is matched by [*DiskFullError].
	ErrDiskFull = kind("disk is full")
	// ErrAhead is matched by [*AheadError].
	ErrAhead = kind("position is ahead of the store")
	// ErrBudget is matched by [*BudgetError].
	ErrBudget = kind("the budget of a query is spent")
	// ErrCodec is matched by [*codec.Error]: a payload did not encode or decode.
	ErrCodec = codec.ErrCodec
)

// kindError is one of the sentinels above. All of them match ErrEventStore.
type kindError struct{ text string }

func kind(text string) error { return &kindError{text} }

func (e *kindError) Error() string        { return "eventstream: " + e.text }
func (e *kindError) Is(target error) bool { return target == ErrEventStore }

// NameError is a name that the naming rules refuse. It is the cause inside an
// [*ArgumentError]. See [keys.NameError].
type NameError = keys.NameError

// ArgumentError is an argument that a call refuses. Nothing was written.
type ArgumentError struct {
	Field  string // the argument at fault, as "events[2].Type"
	Reason string // what is wrong, and how to mend it
	Err    error  // the cause, if another error says more
}

// Error names the argument, the fault and the mend.
func (e *ArgumentError) Error() string {
	return fmt.Sprintf("eventstream: invalid argument: %s: %s", e.Field, e.Reason)
}

// Is matches [ErrInvalidArgument].
func (e *ArgumentError) Is(target error) bool { return isKind(target, ErrInvalidArgument) }

// Unwrap returns the cause.
func (e *ArgumentError) Unwrap() error { return e.Err }

// LimitError is something larger than its limit. Nothing was written.
type LimitError struct {
	Field string // what is too large, as "events[2].Data"
	Size  int64  // its size
	Limit int64  // the greatest size allowed
	Unit  string // of Size and Limit: "bytes" or "events"
}

// Error names the thing, its size and the limit.
func (e *LimitError) Error() string {
	return fmt.Sprintf("eventstream: %s has %d %s, at most %d are allowed", e.Field, e.Size, e.Unit, e.Limit)
}

// Is matches [ErrTooLarge] and [ErrInvalidArgument].
func (e *LimitError) Is(target error) bool {
	return isKind(target, ErrTooLarge) || target == ErrInvalidArgument
}

// ConflictError is an append whose expected version is not the stream's. Nothing
// was written. Reading the stream again and deciding anew may succeed:
// [RetryOnConflict] does it.
type ConflictError struct {
	Tenant   string
	Stream   StreamID
	Expected Expected
	Actual   Version // the stream's version, durable when the error is returned
}

// Error names the stream, what was expected and what is there.
func (e *ConflictError) Error() string {
	return fmt.Sprintf("eventstream: version conflict on stream %q: expected %s, it is at %d: read the stream and try again",
		e.Stream, e.Expected, e.Actual)
}

// Is matches [ErrConflict], and [ErrStreamNotFound] if the stream had to exist.
func (e *ConflictError) Is(target error) bool {
	return isKind(target, ErrConflict) || (e.Expected == StreamExists && target == ErrStreamNotFound)
}

// Retryable reports that the same command may succeed against the new state.
func (e *ConflictError) Retryable() bool { return true }

// DuplicateEventError is an event whose id is taken: by an event with other
// content, or in a way that makes the append part old and part new. Nothing was
// written.
type DuplicateEventError struct {
	Tenant   string
	EventID  EventID
	Position Position // where the id was first recorded; 0 if it is named twice in this append
	Reason   string
}

// Error names the id, its first use and the fault.
func (e *DuplicateEventError) Error() string {
	if e.Position == 0 {
		return fmt.Sprintf("eventstream: event id %s is taken: %s", e.EventID, e.Reason)
	}
	return fmt.Sprintf("eventstream: event id %s is taken at position %d: %s", e.EventID, e.Position, e.Reason)
}

// Is matches [ErrDuplicateEvent].
func (e *DuplicateEventError) Is(target error) bool { return isKind(target, ErrDuplicateEvent) }

// CommitUnknownError is an append that was handed over to the log, and whose
// caller went away or whose log failed before it was known to be durable. It may
// be in the store after a restart, whole, or not at all. Appending again with the
// same EventIDs is safe: it returns the first result if there is one.
type CommitUnknownError struct {
	EventIDs []EventID // the ids of all its events, in order, also those that the store made
	Err      error     // why waiting ended
}

// Error says what is known and what to do.
func (e *CommitUnknownError) Error() string {
	return fmt.Sprintf("eventstream: append of %d events was handed over, but its outcome is not known (%v): append again with the same event ids",
		len(e.EventIDs), e.Err)
}

// Is matches [ErrCommitUnknown].
func (e *CommitUnknownError) Is(target error) bool { return isKind(target, ErrCommitUnknown) }

// Unwrap returns why waiting ended: the context's error or one that matches
// [ErrPoisoned].
func (e *CommitUnknownError) Unwrap() error { return e.Err }

// PoisonedError is the failure that stopped the store from writing.
type PoisonedError struct {
	Err error // the first failure
}

// Error shows the first failure.
func (e *PoisonedError) Error() string {
	return fmt.Sprintf("eventstream: store stopped writing after its log failed: %v: reopen it", e.Err)
}

// Is matches [ErrPoisoned].
func (e *PoisonedError) Is(target error) bool { return isKind(target, ErrPoisoned) }

// Unwrap returns the first failure.
func (e *PoisonedError) Unwrap() error { return e.Err }

// InUseError is a store that this or another process holds open.
type InUseError struct {
	Path string // the store's canonical path
	Err  error  // what the lock said
}

// Error names the path.
func (e *InUseError) Error() string {
	return fmt.Sprintf("eventstream: store %s is in use by this or another process", e.Path)
}

// Is matches [ErrInUse].
func (e *InUseError) Is(target error) bool { return isKind(target, ErrInUse) }

// Unwrap returns what the lock said.
func (e *InUseError) Unwrap() error { return e.Err }

// NotAStoreError is a path that holds something else than an event store.
type NotAStoreError struct {
	Path   string
	Reason string
}

// Error names the path and what is there.
func (e *NotAStoreError) Error() string {
	return fmt.Sprintf("eventstream: %s is not an event store: %s", e.Path, e.Reason)
}

// Is matches [ErrNotAStore].
func (e *NotAStoreError) Is(target error) bool { return isKind(target, ErrNotAStore) }

// FormatError is a store that a newer version of this package wrote.
type FormatError struct {
	Path      string
	Found     int // the store's format
	Supported int // the newest format this package reads
}

// Error names both formats.
func (e *FormatError) Error() string {
	return fmt.Sprintf("eventstream: store %s has format %d, this version reads up to %d: use a newer version", e.Path, e.Found, e.Supported)
}

// Is matches [ErrFormatTooNew].
func (e *FormatError) Is(target error) bool { return isKind(target, ErrFormatTooNew) }

// CorruptionError is damage that was found while reading or opening. What was
// asked for is not served in part.
type CorruptionError struct {
	What     string   // what is damaged, as "event", "position pointer", "identity file"
	Stream   StreamID // the stream, if one is concerned
	Version  Version
	Position Position
	Err      error // what was found
}

// Error says where the damage is.
func (e *CorruptionError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "eventstream: damage found: %s", e.What)
	if e.Stream != "" {
		fmt.Fprintf(&b, ", stream %q", e.Stream)
	}
	if e.Version != 0 {
		fmt.Fprintf(&b, ", version %d", e.Version)
	}
	if e.Position != 0 {
		fmt.Fprintf(&b, ", position %d", e.Position)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Is matches [ErrCorrupt].
func (e *CorruptionError) Is(target error) bool { return isKind(target, ErrCorrupt) }

// Unwrap returns what was found.
func (e *CorruptionError) Unwrap() error { return e.Err }

// isKind reports whether target is want or the root of all kinds.
func isKind(target, want error) bool { return target == want || target == ErrEventStore }
