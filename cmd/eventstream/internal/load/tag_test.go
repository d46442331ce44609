package load

import (
	"maps"
	"testing"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
)

func TestTagsAreMadeOfWhatARecordHas(t *testing.T) {
	t.Parallel()
	shared := map[string]string{"case": "4507_00010"}
	for _, tt := range []struct {
		tag  string
		want string // "" for none
	}{
		{"doc=metadata.case~^([0-9]+)_", "4507"},
		{"doc=metadata.case~_0+", "_000"},
		{"doc=metadata.case", "4507_00010"},
		{"doc=metadata.case~x", ""},
		{"doc=metadata.none", ""},
		{"doc=stream~-([^-]+)$", "7"},
		{"doc=type", "Posted"},
		{"doc=user_id", "ada"},
		{"doc=correlation_id", ""},
	} {
		tag, err := ParseTag(tt.tag)
		if err != nil {
			t.Fatalf("%s: %v", tt.tag, err)
		}
		job := Job{Tags: []Tag{tag}}
		block := source.Block{Records: []source.Record{{Stream: "a-b-7", Event: eventstream.NewEvent{Type: "Posted", UserID: "ada", Metadata: shared}}}}
		job.tag(block)
		got, ok := block.Records[0].Event.Metadata["doc"]
		if got != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: got %q, %v, want %q", tt.tag, got, ok, tt.want)
		}
		if !maps.Equal(shared, map[string]string{"case": "4507_00010"}) {
			t.Fatalf("%s: the metadata that records share was changed: %v", tt.tag, shared)
		}
	}
	for _, bad := range []string{"", "doc", "doc=", "=stream", "doc=data.x", "doc=metadata.", "doc=metadata.a.b", "doc=stream~("} {
		if _, err := ParseTag(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}
