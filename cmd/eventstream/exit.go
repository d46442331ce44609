package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
	"github.com/nexus-erp/eventstream/cursor"
	"github.com/nexus-erp/eventstream/projection"
)

// What the process answers. Other programs rely on these numbers.
const (
	exitOK          = 0
	exitError       = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitConflict    = 4
	exitDamage      = 5
	exitInUse       = 6
	exitInterrupted = 7
	exitWarnings    = 8 // checks passed, with warnings
)

// usageError is a command line that cannot be carried out as it stands.
type usageError struct {
	reason string
	hint   string
}

func (e *usageError) Error() string { return e.reason }

// usagef returns a [*usageError].
func usagef(format string, args ...any) error {
	return &usageError{reason: fmt.Sprintf(format, args...)}
}

// codeOnly ends the program with a code of its own after the command has said on
// stdout what there is to say. No message follows.
type codeOnly struct{ code int }

func (e *codeOnly) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// failure is an error as the user gets it.
type failure struct {
	exit    int
	code    string // a word for programs
	message string
	hint    string // what to do about it, or ""
}

// explain turns an error into what the user is told. The order matters: an error
// may match several kinds, and the first is the most telling one.
func explain(err error) failure {
	f := failure{exit: exitError, code: "error", message: err.Error()}
	var usage *usageError
	var inUse *eventstream.InUseError
	var bad *source.BadRecord
	var syntax *source.SyntaxError
	switch {
	case errors.As(err, &bad):
		f.code, f.hint = "bad_record", "mend the record, or leave such records out with --skip-bad where the command has it"
	case errors.As(err, &syntax):
		f.code, f.hint = "bad_file", "mend the file: what follows the fault cannot be read"
	case errors.As(err, &usage):
		f.exit, f.code, f.hint = exitUsage, "usage", usage.hint
		if f.hint == "" {
			f.hint = "run the command with --help for its arguments"
		}
	case errors.As(err, &inUse):
		f.exit, f.code = exitInUse, "in_use"
		f.hint = "end the process that holds " + inUse.Path + ", or ask that process"
	case errors.Is(err, eventstream.ErrInUse):
		f.exit, f.code = exitInUse, "in_use"
	case errors.Is(err, eventstream.ErrBackup) && errors.Is(err, eventstream.ErrCorrupt):
		f.exit, f.code = exitDamage, "backup_damaged" // its message says what to do
	case errors.Is(err, eventstream.ErrHistoryDamaged):
		f.exit, f.code = exitDamage, "history_damaged"
		f.hint = "keep a copy of the directory; restore a backup, or read what is left with: eventstream export --salvage"
	case errors.Is(err, eventstream.ErrCorrupt):
		f.exit, f.code = exitDamage, "damage"
		f.hint = "run verify --deep, keep a copy of the directory, and restore from a backup"
	case errors.Is(err, projection.ErrUnknown):
		f.exit, f.code = exitNotFound, "projection_not_found"
		f.hint = "list the projections with: eventstream projection list"
	case errors.Is(err, errNoRecord):
		f.exit, f.code = exitNotFound, "record_not_found"
	case errors.Is(err, projection.ErrNotParked):
		f.exit, f.code = exitNotFound, "not_parked"
		f.hint = "list what is parked with: eventstream projection parked list NAME"
	case errors.Is(err, projection.ErrNoRetired):
		f.exit, f.code = exitNotFound, "no_earlier_view"
	case errors.Is(err, projection.ErrHalted):
		f.code = "projection_halted"
		f.hint = "mend what it names and run: eventstream projection resume NAME; or let it put such events aside: run NAME --on-failure park"
	case errors.Is(err, projection.ErrOutdated):
		f.code = "projection_outdated"
		f.hint = "build the view anew with: eventstream projection rebuild NAME, and the mapping that it shall have"
	case errors.Is(err, projection.ErrBehind):
		f.code = "projection_behind"
		f.hint = "bring it up to the head with: eventstream projection run NAME"
	case errors.Is(err, projection.ErrLocked):
		f.code = "projection_locked"
	case errors.Is(err, eventstream.ErrConflict):
		f.exit, f.code = exitConflict, "conflict"
		f.hint = "read the stream again and decide anew"
	case errors.Is(err, eventstream.ErrDuplicateEvent):
		f.exit, f.code = exitConflict, "duplicate_event"
		f.hint = "an event id names one event for good: leave the id out to append another event"
	case errors.Is(err, eventstream.ErrStreamNotFound):
		f.exit, f.code = exitNotFound, "stream_not_found"
		f.hint = "list the streams with: eventstream streams"
	case errors.Is(err, eventstream.ErrEventNotFound):
		f.exit, f.code = exitNotFound, "event_not_found"
	case errors.Is(err, eventstream.ErrNotExist):
		f.exit, f.code = exitNotFound, "store_not_found"
		f.hint = "create a store with: eventstream init DIR"
	case errors.Is(err, eventstream.ErrCommitUnknown):
		f.code = "commit_unknown"
		f.hint = "append again with the same event ids"
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			f.exit = exitInterrupted
		}
	case errors.Is(err, context.Canceled):
		f.exit, f.code, f.message = exitInterrupted, "interrupted", "interrupted"
	case errors.Is(err, context.DeadlineExceeded):
		f.exit, f.code = exitInterrupted, "timed_out"
	case errors.Is(err, eventstream.ErrDiskFull):
		f.code = "disk_full"
		f.hint = "free some space on the disk of the store, then run the command again"
	case errors.Is(err, eventstream.ErrPoisoned):
		f.code = "poisoned"
		f.hint = "check the disk, then open the store again"
	case errors.Is(err, eventstream.ErrExists):
		f.code = "exists"
	case errors.Is(err, eventstream.ErrNotAStore):
		f.code = "not_a_store"
	case errors.Is(err, eventstream.ErrFormatTooNew):
		f.code = "format_too_new"
	case errors.Is(err, eventstream.ErrBackup):
		f.code = "backup"
	case errors.Is(err, cursor.ErrInvalid):
		f.exit, f.code = exitUsage, "invalid_cursor"
		f.hint = "a cursor is for the same conditions, order and store: ask for the first page again"
	case errors.Is(err, eventstream.ErrBudget):
		f.code = "budget_spent"
		f.hint = "narrow the query by a type, a stream or a time, or raise --budget"
	case errors.Is(err, eventstream.ErrTooLarge):
		f.code = "too_large"
	case errors.Is(err, eventstream.ErrInvalidArgument):
		f.exit, f.code = exitUsage, "invalid_argument"
	case errors.Is(err, eventstream.ErrCodec):
		f.code = "payload"
	}
	return f
}
