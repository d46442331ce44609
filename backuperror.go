package eventstream

import (
	"errors"
	"fmt"

	"github.com/nexus-erp/eventstream/internal/engine"
)

// BackupError is a backup that cannot be used, or that could not be made.
type BackupError struct {
	Path   string // of the backup
	Reason string // what is wrong, and what to do
	// Err is the cause, if there is one: a [*CorruptionError] if something is damaged,
	// a [*FormatError] if a newer version made the backup.
	Err error
}

// Error names the backup and the fault.
func (e *BackupError) Error() string {
	return fmt.Sprintf("eventstream: backup %s: %s", e.Path, e.Reason)
}

// Is matches [ErrBackup].
func (e *BackupError) Is(target error) bool { return isKind(target, ErrBackup) }

// Unwrap returns the cause.
func (e *BackupError) Unwrap() error { return e.Err }

// backupError turns the engine's faults of a backup into ours.
func backupError(path string, err error) error {
	var damage *engine.BackupDamageError
	var tooNew *engine.BackupTooNewError
	var noRoom *engine.NoRoomError
	switch {
	case errors.Is(err, engine.ErrNoBackup), errors.Is(err, engine.ErrBackupUnfinished):
		return &BackupError{Path: path, Reason: err.Error()}
	case errors.As(err, &damage):
		return &BackupError{Path: path, Reason: damage.Reason + ": use another backup", Err: &CorruptionError{What: "backup", Err: damage}}
	case errors.As(err, &tooNew):
		return &BackupError{
			Path: path, Reason: tooNew.Error() + ": use a newer version",
			Err: &FormatError{Path: path, Found: tooNew.Found, Supported: tooNew.Supported},
		}
	case errors.As(err, &noRoom):
		return &BackupError{Path: path, Reason: "no room for the copy: " + noRoom.Error(), Err: noRoom}
	default:
		return err
	}
}

// targetError turns the engine's refusal of a place into ours.
func targetError(field string, err error) error {
	var refused *engine.TargetError
	if errors.As(err, &refused) {
		return &ArgumentError{Field: field, Reason: refused.Reason}
	}
	return err
}
