package xes

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
)

func BenchmarkBlocks(b *testing.B) {
	category, err := source.ParseCategory("a")
	if err != nil {
		b.Fatal(err)
	}
	trace := "\t<trace>\n\t\t" + caseName + "\n" + strings.Repeat("\t\t<event>\n\t\t\t"+timeAttr+"\n\t\t\t"+nameAttr+"\n\t\t</event>\n", 28) + "\t</trace>\n"
	doc := "<log>\n" + strings.Repeat(trace, 100) + "</log>"
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		blocks := NewBlocks(strings.NewReader(doc), category)
		events := 0
		for {
			block, err := blocks.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			events += len(block.Records)
		}
		if events != 2800 {
			b.Fatalf("got %d events, want 2800", events)
		}
	}
}
