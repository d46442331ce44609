package eventstream_test

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
)

// purchases returns the commits of a real purchase log, in order.
func purchases(t testing.TB) [][]eventstream.StreamAppend {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", "purchases.jsonl.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	text, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var (
		commits [][]eventstream.StreamAppend
		last    int
	)
	for lines := json.NewDecoder(text); lines.More(); {
		var line struct {
			Stream     eventstream.StreamID
			Type       string
			OccurredAt time.Time `json:"occurred_at"`
			Metadata   map[string]string
			Data       json.RawMessage
			Commit     int
		}
		if err := lines.Decode(&line); err != nil {
			t.Fatal(err)
		}
		if line.Commit != last {
			commits = append(commits, []eventstream.StreamAppend{{Stream: line.Stream, Expect: eventstream.Any}})
			last = line.Commit
		}
		entry := &commits[len(commits)-1][0]
		entry.Events = append(entry.Events, eventstream.NewEvent{
			Type: line.Type, OccurredAt: line.OccurredAt, Metadata: line.Metadata,
			Codec: codec.JSON, Data: codec.Encoded(line.Data), CorrelationID: line.Metadata["case"],
		})
	}
	return commits
}

// split cuts commits into ones of at most n events, so that there are many.
func split(commits [][]eventstream.StreamAppend, n int) [][]eventstream.StreamAppend {
	var small [][]eventstream.StreamAppend
	for _, c := range commits {
		for events := c[0].Events; len(events) > 0; {
			take := min(n, len(events))
			small = append(small, []eventstream.StreamAppend{{Stream: c[0].Stream, Expect: c[0].Expect, Events: events[:take]}})
			events = events[take:]
		}
	}
	return small
}
