package engine

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// DamageError is damage of Pebble's files that Pebble itself may not see, or answers
// with a shorter database.
type DamageError struct {
	File   string // relative to the store's directory
	Detail string
	Err    error // what else is known, or nil
}

// Error names the file and the damage.
func (e *DamageError) Error() string {
	text := e.Detail
	if e.File != "" {
		text = e.File + ": " + text
	}
	if e.Err != nil {
		text = fmt.Sprintf("%s: %v", text, e.Err)
	}
	return text
}

// Unwrap returns the cause.
func (e *DamageError) Unwrap() error { return e.Err }

// openFailure tells damage from everything else that keeps Pebble from opening an
// existing database. What the operating system answers, as that the disk is full or
// that access is denied, is not damage, but for a file that is missing.
func openFailure(err error) error {
	var errno syscall.Errno
	switch {
	case errors.Is(err, ErrAbandoned), errors.Is(err, ErrPebbleTooNew):
		return err
	case errors.Is(err, os.ErrNotExist):
		return &DamageError{Detail: "a file of the database is missing", Err: err}
	case errors.As(err, &errno):
		return err
	default:
		return &DamageError{Detail: "the database does not open", Err: err}
	}
}
