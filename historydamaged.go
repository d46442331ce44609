package eventstream

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nexus-erp/eventstream/internal/engine"
)

// ErrHistoryDamaged is matched by [*HistoryDamagedError]: events that the store held
// are missing, or cannot be shown to be all there. It comes with [ErrCorrupt].
var ErrHistoryDamaged = kind("history is damaged")

// HistoryDamagedError is a store that Open refuses, since opening it would show, and
// go on from, less than was appended. Nothing was changed or deleted in it: what is
// left can be read with [OpenSalvage].
type HistoryDamagedError struct {
	From, To Position // the events that are missing or in doubt; 0 if that is not known
	File     string   // the file at fault, relative to the store's directory, or ""
	Detail   string   // what was found
	Err      error    // the cause, if another error says more
}

// Error says what is damaged and what to do.
func (e *HistoryDamagedError) Error() string {
	var b strings.Builder
	b.WriteString("eventstream: history is damaged: ")
	if e.File != "" {
		fmt.Fprintf(&b, "%s: ", e.File)
	}
	b.WriteString(e.Detail)
	switch {
	case e.From == 0:
	case e.From == e.To:
		fmt.Fprintf(&b, " (position %d)", e.From)
	default:
		fmt.Fprintf(&b, " (positions %d to %d)", e.From, e.To)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	b.WriteString(": keep a copy of the directory, restore a backup, or read what is left with export --salvage")
	return b.String()
}

// Is matches [ErrHistoryDamaged] and [ErrCorrupt].
func (e *HistoryDamagedError) Is(target error) bool {
	return isKind(target, ErrHistoryDamaged) || target == ErrCorrupt
}

// Unwrap returns the cause.
func (e *HistoryDamagedError) Unwrap() error { return e.Err }

// historyError turns damage that was found while opening into a
// [*HistoryDamagedError]. Other errors pass.
func historyError(err error) error {
	var damage *engine.DamageError
	var corrupt *CorruptionError
	switch {
	case errors.Is(err, engine.ErrPebbleTooNew):
		return fmt.Errorf("%w: %w", ErrFormatTooNew, err)
	case errors.As(err, &damage):
		return &HistoryDamagedError{File: damage.File, Detail: damage.Detail, Err: damage.Err}
	case errors.As(err, &corrupt):
		return &HistoryDamagedError{From: corrupt.Position, To: corrupt.Position, Detail: "what is read does not hold together", Err: err}
	case err != nil && engine.IsCorruption(err):
		return &HistoryDamagedError{Detail: "a file of the database is damaged", Err: err}
	default:
		return err
	}
}
