package source

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
)

// feed hands records to groups. A record is "stream/commit"; a leading ! makes it
// bad, and ? unreadable. The result shows blocks as [a a b] and bad records as the
// line and field at fault.
func feed(loose int, records ...string) string {
	g := NewGroups(loose)
	for i, text := range records {
		line := i + 1
		bad := &BadRecord{Line: line, Field: "type", Reason: "x", Events: 1}
		if text == "?" {
			g.Bad("", false, line, bad)
			continue
		}
		stream, commit, _ := strings.Cut(strings.TrimPrefix(text, "!"), "/")
		if strings.HasPrefix(text, "!") {
			g.Bad(commit, true, line, bad)
			continue
		}
		r := Record{Line: line, Ordinal: line, Stream: eventstream.StreamID(strings.TrimSuffix(stream, "=")), Event: eventstream.NewEvent{Type: "T"}}
		if strings.HasSuffix(stream, "=") {
			r.Expect = eventstream.NoStream
		}
		g.Add(commit, r)
	}
	g.Finish()
	var out []string
	for {
		block, err, ok := g.Next()
		if !ok {
			return strings.Join(out, " ")
		}
		if bad, is := err.(*BadRecord); is { //nolint:errorlint // the queue does not wrap
			out = append(out, fmt.Sprintf("%d:%s-%d", bad.Line, bad.Field, bad.Events))
			continue
		}
		var streams []string
		for _, r := range block.Records {
			streams = append(streams, string(r.Stream))
		}
		out = append(out, "["+strings.Join(streams, " ")+"]")
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		records []string
		want    string
	}{
		{"nothing makes nothing", nil, ""},
		{"consecutive records of one commit are one block", []string{"a/1", "b/1", "a/2"}, "[a b] [a]"},
		{"a commit that comes again later is another block", []string{"a/1", "a/2", "a/1"}, "[a] [a] [a]"},
		{"in a commit the events of a stream stand together", []string{"a/1", "b/1", "a/1"}, "[a a b]"},
		{"loose records share blocks", []string{"a", "a", "b", "c"}, "[a a b c]"},
		{"loose blocks end at multiples of their size", []string{"a", "a", "a", "a", "a", "a"}, "[a a a a] [a a]"},
		{"a loose block ends where a stream comes again", []string{"a", "b", "a", "b"}, "[a b] [a b]"},
		{"a loose record that expects a version is alone", []string{"a", "b=", "c"}, "[a] [b] [c]"},
		{"a bad loose record ends the block", []string{"a", "!a", "b"}, "[a] 2:type-1 [b]"},
		{"a bad record takes its commit with it", []string{"a/1", "!b/1", "a/1", "c/2"}, "2:type-1 1:commit-2 [c]"},
		{"a bad first record does as well", []string{"!a/1", "b/1", "c/2"}, "1:type-1 1:commit-1 [c]"},
		{"a bad last record does as well", []string{"c/2", "a/1", "!a/1"}, "[c] 3:type-1 2:commit-1"},
		{"a commit of bad records alone says no more", []string{"!a/1", "!a/1", "c"}, "1:type-1 2:type-1 [c]"},
		{"an unreadable record takes the commits beside it", []string{"a/1", "b/2", "?", "c/3", "d/4"}, "[a] 3:type-1 2:commit-1 4:commit-1 [d]"},
		{"an unreadable record leaves loose ones alone", []string{"a", "?", "b"}, "[a] 2:type-1 [b]"},
		{"suspicion ends with the next record", []string{"?", "b", "c/1"}, "1:type-1 [b] [c]"},
		{"an expectation belongs to a stream's first event", []string{"a/1", "b/1", "a=/1", "c/2"}, "3:expect-3 [c]"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := feed(4, tc.records...); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestACommitTooLargeForOneAppendIsBad(t *testing.T) {
	t.Parallel()
	records := make([]string, MaxBlockEvents+2)
	for i := range records {
		records[i] = "a/1"
	}
	if got, want := feed(1, append(records, "b/2")...), "1:commit-1002 [b]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got, want := strings.Count(feed(1, records[:MaxBlockEvents]...), "a"), MaxBlockEvents; got != want {
		t.Errorf("a commit of %d events: got %d in blocks", want, got)
	}

	g := NewGroups(LooseBlock)
	for i := range 20 {
		g.Add("", Record{Line: i + 1, Ordinal: i + 1, Stream: "a", Event: eventstream.NewEvent{Type: "T", Data: codec.Encoded(make([]byte, 1<<20))}})
	}
	g.Finish()
	for {
		block, err, ok := g.Next()
		if !ok {
			break
		}
		if n := len(block.Records); err != nil || n > 4 {
			t.Errorf("a loose block of %d MiB, want at most 4 (error %v)", n, err)
		}
	}
}
