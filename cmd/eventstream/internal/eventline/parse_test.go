package eventline

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
	"github.com/nexus-erp/eventstream/codec"
)

func TestParse(t *testing.T) {
	t.Parallel()
	id := eventstream.EventID{0: 1, 15: 2}
	for _, tc := range []struct {
		name, line string
		want       Line
	}{
		{
			"the least that a line needs", `{"stream":"s","type":"T"}`,
			Line{Readable: true, Record: source.Record{Stream: "s", Event: eventstream.NewEvent{Type: "T", Codec: codec.JSON, Data: codec.Encoded{}}}},
		},
		{
			"all that a line can say",
			` {"position":9,"stream":"s","version":3,"event_id":"` + id.String() + `","type":"T","schema_version":2,"occurred_at":"2020-01-02T03:04:05.6Z",` +
				`"recorded_at":"2021-01-01T00:00:00Z","correlation_id":"c","causation_id":"d","user_id":"u","metadata":{"k":"v"},` +
				`"data":{"n": 1.10},"codec":"json","commit":9,"expect":"none"}`,
			Line{Readable: true, Commit: "9", Record: source.Record{Stream: "s", Expect: eventstream.NoStream, Event: eventstream.NewEvent{
				ID: id, Type: "T", SchemaVersion: 2, Codec: codec.JSON, Data: codec.Encoded(`{"n":1.10}`),
				OccurredAt: time.Date(2020, 1, 2, 3, 4, 5, 6e8, time.UTC), CorrelationID: "c", CausationID: "d", UserID: "u",
				Metadata: map[string]string{"k": "v"},
			}}},
		},
		{
			"nulls are as if they were not there",
			`{"stream":"s","type":"T","event_id":null,"occurred_at":null,"metadata":null,"commit":null,"codec":null,"data_base64":null,"expect":null,"user_id":null,"schema_version":null}`,
			Line{Readable: true, Record: source.Record{Stream: "s", Event: eventstream.NewEvent{Type: "T", Codec: codec.JSON, Data: codec.Encoded{}}}},
		},
		{
			"null is a payload", `{"stream":"s","type":"T","data":null}`,
			Line{Readable: true, Record: source.Record{Stream: "s", Event: eventstream.NewEvent{Type: "T", Codec: codec.JSON, Data: codec.Encoded("null")}}},
		},
		{
			"bytes are raw unless another codec is named", `{"stream":"s","type":"T","data":null,"data_base64":"AP8="}`,
			Line{Readable: true, Record: source.Record{Stream: "s", Event: eventstream.NewEvent{Type: "T", Codec: codec.Raw, Data: codec.Encoded{0, 255}}}},
		},
		{
			"bytes of another codec", `{"stream":"s","type":"T","data_base64":"wA==","codec":"msgpack"}`,
			Line{Readable: true, Record: source.Record{Stream: "s", Event: eventstream.NewEvent{Type: "T", Codec: codec.Msgpack, Data: codec.Encoded{0xc0}}}},
		},
		{
			"JSON for another codec", `{"stream":"s","type":"T","data":null,"codec":"msgpack"}`,
			Line{Readable: true, Record: source.Record{Stream: "s", Event: eventstream.NewEvent{Type: "T", Codec: codec.Msgpack, Data: codec.Encoded{0xc0}}}},
		},
		{
			"a commit of any JSON", `{"stream":"s","type":"T","commit":"x 1","expect":7}`,
			Line{Readable: true, Commit: `"x 1"`, Record: source.Record{Stream: "s", Expect: eventstream.Exact(7), Event: eventstream.NewEvent{Type: "T", Codec: codec.JSON, Data: codec.Encoded{}}}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, bad := Parse([]byte(tc.line), 0)
			if bad != nil {
				t.Fatal(bad)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("want -, got +\n%s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, line, want string }{
		{"broken JSON", `{"stream":"s",`, "line 7: not valid JSON at byte 14"},
		{"an array", `[]`, "line 7: not a JSON object"},
		{"no stream", `{"type":"T"}`, "line 7: stream: the event has none"},
		{"no type", `{"stream":"s"}`, "line 7: type: the event has none"},
		{"a field mistyped", `{"stream":"s","type":"T","corelation_id":"x"}`, "line 7: corelation_id: an event has no such field"},
		{"a field mistyped, also without a value", `{"stream":"s","type":"T","Data":null}`, "line 7: Data: an event has no such field"},
		{"a field twice", `{"stream":"s","stream":"t","type":"T"}`, `line 7: field "stream" comes twice`},
		{"a stream that is no text", `{"stream":1,"type":"T"}`, "line 7: stream: got 1, want a string"},
		{"an id that is none", `{"stream":"s","type":"T","event_id":"x"}`, "line 7: event_id: event id \"x\" is not a ULID"},
		{"a time that is none", `{"stream":"s","type":"T","occurred_at":"today"}`, `line 7: occurred_at: "today" is no time`},
		{"a time without an offset", `{"stream":"s","type":"T","occurred_at":"2020-01-01T00:00:00"}`, "has no offset from UTC"},
		{"metadata that is no text", `{"stream":"s","type":"T","metadata":{"k":1}}`, `line 7: metadata: entry "k": got 1, want a string`},
		{"a negative schema version", `{"stream":"s","type":"T","schema_version":-1}`, "line 7: schema_version: got -1, want a number"},
		{"an unknown codec", `{"stream":"s","type":"T","codec":"xml"}`, "line 7: codec: "},
		{"an unknown expectation", `{"stream":"s","type":"T","expect":"some"}`, "line 7: expect: "},
		{"base64 that is none", `{"stream":"s","type":"T","data_base64":"?"}`, "line 7: data_base64: "},
		{"two payloads", `{"stream":"s","type":"T","data":1,"data_base64":""}`, "line 7: data_base64: an event has either data or data_base64"},
		{"raw JSON", `{"stream":"s","type":"T","data":1,"codec":"raw"}`, "line 7: data: "},
		{"a control character in the stream's name", `{"stream":"s\n","type":"T"}`, "line 7: stream: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, bad := Parse([]byte(tc.line), 7)
			if bad == nil || !strings.Contains(bad.Error(), tc.want) {
				t.Errorf("got %v, want %q", bad, tc.want)
			}
		})
	}
}

func TestBlocks(t *testing.T) {
	t.Parallel()
	line := func(stream, commit string) string {
		return fmt.Sprintf(`{"stream":%q,"type":"T","commit":%s}`, stream, commit)
	}
	for _, tc := range []struct{ name, text, want string }{
		{"an empty file", "", ""},
		{"blank lines and a last line without an end", "\ufeff\n" + line("a", "null") + "\r\n\n  \n" + line("b", "null"), "[2:a 5:b]"},
		{"lines of one commit", line("a", "1") + "\n" + line("b", "1") + "\n" + line("c", "2") + "\n", "[1:a 2:b][3:c]"},
		{
			"a bad line of a commit", line("a", "1") + "\n" + `{"stream":"b","commit":1}` + "\n" + line("c", "2"),
			"(line 2: type: the event has none)(line 1: commit: commit 1 is left out whole: a record of it, or next to it, is broken)[3:c]",
		},
		{
			"a cut last line", line("a", "1") + "\n" + `{"stream":"b"`,
			"(line 2: not valid JSON at byte 13: unexpected end of JSON input)(line 1: commit: commit 1 is left out whole: a record of it, or next to it, is broken)",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := describe(tc.text); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func describe(text string) string {
	blocks := NewBlocks(strings.NewReader(text), source.LooseBlock)
	var out strings.Builder
	for {
		block, err := blocks.Next()
		var bad *source.BadRecord
		switch {
		case errors.Is(err, io.EOF):
			return out.String()
		case errors.As(err, &bad):
			fmt.Fprintf(&out, "(%v)", bad)
			continue
		case err != nil:
			return out.String() + err.Error()
		}
		var parts []string
		for _, r := range block.Records {
			parts = append(parts, fmt.Sprintf("%d:%s", r.Line, r.Stream))
		}
		fmt.Fprintf(&out, "[%s]", strings.Join(parts, " "))
	}
}

func TestALineWithoutEndIsRefused(t *testing.T) {
	t.Parallel()
	blocks := NewBlocks(endless{}, 1)
	_, err := blocks.Next()
	var syntax *source.SyntaxError
	if !errors.As(err, &syntax) || !strings.Contains(syntax.Reason, "longer than 32 MiB") {
		t.Errorf("got %v, want a line that is too long", err)
	}
}

// endless is a line that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// FuzzParse checks that what a line says comes back when it is written.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"stream":"s","type":"T","data":{"n":1.10,"é":[null,true]},"commit":1}`))
	f.Add([]byte(`{"stream":"s","type":"T","data_base64":"AP8=","metadata":{"a":"\u0000"}}`))
	f.Add([]byte(`{"stream":"s","type":"T","codec":"msgpack","data":{"k":-1}}`))
	f.Add([]byte(`{"stream":"s","type":"T","occurred_at":"1948-01-26T22:59:00+01:00","event_id":"01HV5ZP1XVQ9K2J6B1N3C8D4E5"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		line, bad := Parse(text, 1)
		if bad != nil {
			if bad.Events != 1 || bad.Line != 1 {
				t.Fatalf("a bad record without its place: %+v", bad)
			}
			return
		}
		in := line.Record.Event
		data, ok := in.Data.(codec.Encoded)
		if !ok {
			t.Fatalf("payload is %T", in.Data)
		}
		if in.OccurredAt.IsZero() {
			in.OccurredAt = time.Unix(0, 0)
		}
		stored := eventstream.Event{
			Stream: line.Record.Stream, Version: 1, Position: 1, ID: in.ID, Type: in.Type, SchemaVersion: max(in.SchemaVersion, 1),
			OccurredAt: in.OccurredAt, RecordedAt: in.OccurredAt, CorrelationID: in.CorrelationID, CausationID: in.CausationID,
			UserID: in.UserID, Metadata: in.Metadata, Codec: in.Codec, Data: data, CommitSize: 1,
		}
		written := AppendExport(nil, &stored)
		again, bad := Parse(written, 1)
		if bad != nil {
			t.Fatalf("%s was written and is refused: %v", written, bad)
		}
		got := again.Record.Event
		if string(got.Data.(codec.Encoded)) != string(data) || got.Codec != in.Codec || got.ID != in.ID ||
			!got.OccurredAt.Equal(in.OccurredAt) || again.Record.Stream != line.Record.Stream || got.Type != in.Type ||
			!cmp.Equal(got.Metadata, in.Metadata) || got.UserID != in.UserID {
			t.Fatalf("%s became %+v, want %+v", written, got, in)
		}
		if _, bad := Parse(AppendView(nil, &stored), 1); bad != nil {
			t.Fatalf("the view is no good line: %v", bad)
		}
	})
}
