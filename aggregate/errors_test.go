package aggregate_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/aggregate"
)

// Every error names what it is about, matches the store's errors and leads to its cause.
func TestErrorsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	cause := fs.ErrPermission
	id := eventstream.EventID{1, 15: 7}
	for _, tt := range []struct {
		err  error
		text []string
	}{
		{&aggregate.FoldError{Stream: "a-b-1", Version: 3, Position: 9, EventID: id, Type: "Posted", Err: cause}, []string{"a-b-1", `"Posted"`, "version 3", "position 9", id.String(), "permission denied"}},
		{&aggregate.SnapshotError{Stream: "a-b-1", Version: 3, Err: cause}, []string{"a-b-1", "version 3", "not taken", "permission denied"}},
	} {
		text := tt.err.Error()
		for _, part := range append(tt.text, "aggregate") {
			if !strings.Contains(text, part) {
				t.Errorf("%T: %q does not contain %q", tt.err, text, part)
			}
		}
		if !errors.Is(tt.err, cause) || !errors.Is(tt.err, eventstream.ErrEventStore) {
			t.Errorf("%T: matches its cause: %v, and ErrEventStore: %v, want both", tt.err, errors.Is(tt.err, cause), errors.Is(tt.err, eventstream.ErrEventStore))
		}
		if errors.Is(tt.err, eventstream.ErrConflict) || errors.Is(tt.err, eventstream.ErrCorrupt) {
			t.Errorf("%T matches an error of another kind", tt.err)
		}
	}
}
