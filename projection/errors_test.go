package projection_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream/projection"
)

// Every error names what it is about and, where somebody can mend it, how; it matches its
// own kind and no other, and leads to its cause.
func TestErrorsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	cause := fs.ErrPermission
	kinds := []error{
		projection.ErrHalted, projection.ErrOutdated, projection.ErrNotVerified, projection.ErrNoRetired, projection.ErrBehind,
		projection.ErrNotParked, projection.ErrLocked, projection.ErrLeaseLost, projection.ErrLockUnavailable, projection.ErrRecord, projection.ErrUnknown,
	}
	for _, tt := range []struct {
		err   error
		kind  error // nil: none
		cause bool
		text  []string
	}{
		{&projection.Error{Projection: "sums", Position: 7, Stream: "a-b-1", Version: 3, Type: "Posted", Err: cause}, nil, true, []string{`"sums"`, "position 7", "a-b-1", "version 3", "Posted", "permission denied"}},
		{&projection.BehindError{Projection: "sums", Checkpoint: 5, Position: 9}, projection.ErrBehind, false, []string{`"sums"`, "5", "9", "WaitFor"}},
		{&projection.LockedError{Name: "sums", Owner: "ada", Age: time.Minute, Idle: time.Second}, projection.ErrLocked, false, []string{`"sums"`, `"ada"`, "1m0s", "1s", "wait", "by force"}},
		{&projection.SharedKeyError{Projection: "sums", Key: []byte("k\x00")}, nil, false, []string{`"sums"`, `"k\x00"`, "one worker", "PartitionedByStream"}},
		{&projection.RecordError{Name: "lines", Op: "decode value", Key: []byte("k"), Err: cause}, projection.ErrRecord, true, []string{"lines", "decode value", `"k"`, "permission denied"}},
		{&projection.RecordError{Name: "lines", Op: "encode key", Err: cause}, projection.ErrRecord, true, []string{"lines", "encode key", "permission denied"}},
		{projection.ErrHalted, projection.ErrHalted, false, []string{"resume"}},
		{projection.ErrOutdated, projection.ErrOutdated, false, []string{"rebuild"}},
	} {
		text := tt.err.Error()
		for _, part := range append(tt.text, "projection") {
			if !strings.Contains(text, part) {
				t.Errorf("%T: %q does not contain %q", tt.err, text, part)
			}
		}
		if errors.Is(tt.err, cause) != tt.cause {
			t.Errorf("%T: matches its cause: %v, want %v", tt.err, !tt.cause, tt.cause)
		}
		for _, kind := range kinds {
			if got, want := errors.Is(tt.err, kind), kind == tt.kind; got != want {
				t.Errorf("%T: matches %v: %v, want %v", tt.err, kind, got, want)
			}
		}
	}
}

func TestPoliciesHaveNames(t *testing.T) {
	t.Parallel()
	for policy, want := range map[projection.Policy]string{
		projection.Retry: "retry", projection.Park: "park", projection.Halt: "halt", projection.Policy(9): "policy 9",
	} {
		if got := policy.String(); got != want {
			t.Errorf("policy %d: got %q, want %q", int(policy), got, want)
		}
	}
}

// Whatever is asked of a projection that was not registered is answered with its name.
func TestAProjectionThatIsNotRegisteredIsNamed(t *testing.T) {
	t.Parallel()
	db := openBooks()
	defer db.Close()
	e := projection.New(db, nil)
	for what, call := range map[string]func() error{
		"Parked":      func() error { return errorOf(e.Parked("nobody")) },
		"Audit":       func() error { return errorOf(e.Audit("nobody")) },
		"Status":      func() error { return errorOf(e.Status(t.Context(), "nobody")) },
		"ApplyParked": func() error { return e.ApplyParked(t.Context(), "nobody", 1, "ada", "") },
		"DropParked":  func() error { return e.DropParked("nobody", 1, "ada", "") },
		"Pause":       func() error { return e.Pause("nobody") },
		"Resume":      func() error { return e.Resume("nobody") },
		"Rebuild":     func() error { return e.Rebuild(t.Context(), "nobody", projection.RebuildOptions{}) },
		"SwitchBack":  func() error { return e.SwitchBack(t.Context(), "nobody") },
		"Drop":        func() error { return e.Drop(t.Context(), "nobody", 1) },
		"Reset":       func() error { return e.Reset(t.Context(), "nobody") },
		"WaitFor":     func() error { return e.WaitFor(t.Context(), "nobody", 1) },
		"Read":        func() error { return e.Read("nobody", nil) },
		"ReadAsOf":    func() error { return e.ReadAsOf(t.Context(), "nobody", projection.AsOf{}, nil) },
	} {
		if err := call(); !errors.Is(err, projection.ErrUnknown) || !strings.Contains(err.Error(), `"nobody"`) {
			t.Errorf("%s: got error %v, want one that names it", what, err)
		}
	}
}

func errorOf[T any](_ T, err error) error { return err }
