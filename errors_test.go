package eventstream_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/nexus-erp/eventstream"
)

// Every error says whose it is, what is at fault and what to do; it matches its kind,
// the root of all kinds and its cause, and no other kind.
func TestErrorsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	cause := fs.ErrPermission
	kinds := []error{
		eventstream.ErrClosed, eventstream.ErrReadOnly, eventstream.ErrInvalidArgument, eventstream.ErrTooLarge, eventstream.ErrConflict,
		eventstream.ErrStreamNotFound, eventstream.ErrEventNotFound, eventstream.ErrDuplicateEvent, eventstream.ErrPoisoned,
		eventstream.ErrCommitUnknown, eventstream.ErrInUse, eventstream.ErrExists, eventstream.ErrNotExist,
		eventstream.ErrNotAStore, eventstream.ErrFormatTooNew, eventstream.ErrCorrupt, eventstream.ErrCodec,
	}
	for _, tt := range []struct {
		err   error
		kinds []error
		cause bool
		text  []string
	}{
		{&eventstream.ArgumentError{Field: "events[2].Type", Reason: "it is empty", Err: cause}, []error{eventstream.ErrInvalidArgument}, true, []string{"events[2].Type", "it is empty"}},
		{&eventstream.LimitError{Field: "events[2].Data", Size: 11, Limit: 10, Unit: "bytes"}, []error{eventstream.ErrTooLarge, eventstream.ErrInvalidArgument}, false, []string{"events[2].Data", "11 bytes", "at most 10"}},
		{&eventstream.ConflictError{Tenant: "acme", Stream: "a-b-1", Expected: eventstream.Exact(3), Actual: 5}, []error{eventstream.ErrConflict}, false, []string{"a-b-1", "3", "5", "try again"}},
		{&eventstream.ConflictError{Stream: "a-b-1", Expected: eventstream.StreamExists}, []error{eventstream.ErrConflict, eventstream.ErrStreamNotFound}, false, []string{"a-b-1"}},
		{&eventstream.DuplicateEventError{Tenant: "acme", EventID: id(7), Position: 9, Reason: "by an event with other content"}, []error{eventstream.ErrDuplicateEvent}, false, []string{id(7).String(), "9", "other content"}},
		{&eventstream.DuplicateEventError{EventID: id(7), Reason: "it is named twice in this append"}, []error{eventstream.ErrDuplicateEvent}, false, []string{id(7).String(), "named twice"}},
		{&eventstream.CommitUnknownError{EventIDs: []eventstream.EventID{id(1), id(2)}, Err: cause}, []error{eventstream.ErrCommitUnknown}, true, []string{"2 events", "not known", "same event ids"}},
		{&eventstream.PoisonedError{Err: cause}, []error{eventstream.ErrPoisoned}, true, []string{"stopped writing", "permission denied", "reopen"}},
		{&eventstream.InUseError{Path: "/data/shop", Err: cause}, []error{eventstream.ErrInUse}, true, []string{"/data/shop", "in use"}},
		{&eventstream.NotAStoreError{Path: "/data/shop", Reason: "it is a file"}, []error{eventstream.ErrNotAStore}, false, []string{"/data/shop", "it is a file"}},
		{&eventstream.FormatError{Path: "/data/shop", Found: 2, Supported: 1}, []error{eventstream.ErrFormatTooNew}, false, []string{"/data/shop", "format 2", "up to 1", "newer version"}},
		{&eventstream.CorruptionError{What: "event", Stream: "a-b-1", Version: 3, Position: 9, Err: cause}, []error{eventstream.ErrCorrupt}, true, []string{"event", "a-b-1", "version 3", "position 9", "permission denied"}},
		{&eventstream.CorruptionError{What: "identity file"}, []error{eventstream.ErrCorrupt}, false, []string{"identity file"}},
	} {
		text := tt.err.Error()
		if !strings.HasPrefix(text, "eventstream: ") {
			t.Errorf("%T: %q does not say whose error it is", tt.err, text)
		}
		for _, part := range tt.text {
			if !strings.Contains(text, part) {
				t.Errorf("%T: %q does not contain %q", tt.err, text, part)
			}
		}
		if !errors.Is(tt.err, eventstream.ErrEventStore) {
			t.Errorf("%T does not match ErrEventStore", tt.err)
		}
		if errors.Is(tt.err, cause) != tt.cause {
			t.Errorf("%T: matches its cause: %v, want %v", tt.err, !tt.cause, tt.cause)
		}
		for _, kind := range kinds {
			want := false
			for _, k := range tt.kinds {
				want = want || k == kind
			}
			if got := errors.Is(tt.err, kind); got != want {
				t.Errorf("%T: matches %v: %v, want %v", tt.err, kind, got, want)
			}
		}
	}
}
