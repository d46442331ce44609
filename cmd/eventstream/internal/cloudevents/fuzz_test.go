package cloudevents

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
)

// Whatever text it is, reading it ends, each event is counted once as good or bad, and a
// fault says where.
func FuzzBlocks(f *testing.F) {
	f.Add(`[{"specversion":"1.0","type":"t","source":"s","id":"i","data":{"a":1}}]`)
	f.Add(`{"specversion":"1.0","type":"t","source":"s","id":"i","data_base64":"AA=="}` + "\n{}")
	f.Add("\ufeff [7, [], {}\n,")
	category, err := source.ParseCategory("a-b")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		blocks := NewBlocks(strings.NewReader(text), category)
		for range len(text) + 2 {
			_, err := blocks.Next()
			var bad *source.BadRecord
			var syntax *source.SyntaxError
			switch {
			case err == nil:
			case errors.As(err, &bad):
				if bad.Line < 1 || bad.Line > strings.Count(text, "\n")+1 {
					t.Errorf("line %d of %q", bad.Line, text)
				}
			case errors.As(err, &syntax):
				if syntax.Line < 1 || syntax.Line > strings.Count(text, "\n")+1 {
					t.Errorf("line %d of %q", syntax.Line, text)
				}
				return
			case errors.Is(err, io.EOF):
				return
			default:
				t.Fatalf("untyped error %v", err)
			}
		}
		t.Errorf("reading %q does not end", text)
	})
}
