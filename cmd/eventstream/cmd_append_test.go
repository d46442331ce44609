package main

import (
	"encoding/json"
	"strings"
	"testing"
)

type eventRecord struct {
	Position      int               `json:"position"`
	Stream        string            `json:"stream"`
	Version       int               `json:"version"`
	EventID       string            `json:"event_id"`
	Type          string            `json:"type"`
	SchemaVersion int               `json:"schema_version"`
	OccurredAt    string            `json:"occurred_at"`
	RecordedAt    string            `json:"recorded_at"`
	Correlation   string            `json:"correlation_id"`
	Causation     string            `json:"causation_id"`
	User          string            `json:"user_id"`
	Metadata      map[string]string `json:"metadata"`
	Deduplicated  bool              `json:"deduplicated"`
	Data          json.RawMessage   `json:"data"`
}

const someID = "01HV5ZP1XVQ9K2J6B1N3C8D4E5"

func TestAppendSaysWhereTheEventStands(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	out := p.must("append", "a-b-1", "T", "--data", `{"x": 1.10}`, "--id", someID)
	want := `{"stream":"a-b-1","version":1,"position":1,"event_id":"` + someID + `","deduplicated":false}` + "\n"
	if out != want {
		t.Errorf("got %s, want %s", out, want)
	}
	again := p.must("append", "a-b-1", "T", "--data", `{"x":1.10}`, "--id", someID)
	if want := strings.Replace(want, "false", "true", 1); again != want {
		t.Errorf("the same event again: got %s, want %s", again, want)
	}
	p.fails(exitConflict, someID, "append", "a-b-1", "T", "--data", `{"x":1.1}`, "--id", someID)
}

func TestAppendStoresAllItsFlags(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	payload := p.file("payload.json", "{\n  \"amount\": 12.50\n}\n")
	p.must("append", "a-b-1", "T", "--data", "@"+payload, "--meta", "k=v", "--meta", "e=x=y", "--correlation", "c", "--causation", "d",
		"--user", "u", "--occurred-at", "-15m", "--schema-version", "3", "--expect", "none")
	want := `{"position":1,"stream":"a-b-1","version":1,"event_id":"ID","type":"T","schema_version":3,"occurred_at":"2026-03-01T11:45:00Z",` +
		`"recorded_at":"2026-03-01T12:00:00Z","correlation_id":"c","causation_id":"d","user_id":"u","metadata":{"e":"x=y","k":"v"},"data":{"amount":12.50}}` + "\n"
	got := p.must("read", "a-b-1")
	id := decode[eventRecord](t, got).EventID
	if got := strings.Replace(got, id, "ID", 1); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	p.with(`"text"`).must("append", "a-b-1", "T", "--data", "-", "--expect", "1")
	p.must("append", "a-b-1", "T", "--expect", "exists")
	got = p.must("read", "a-b-1", "--from", "2")
	if !strings.Contains(got, `"data":"text"}`) || !strings.HasSuffix(got, `"data":null}`+"\n") {
		t.Errorf("got %s, want a text and no payload", got)
	}
}

func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	p.must("append", "a-b-1", "T")
	for _, tc := range []struct {
		name string
		code int
		want string
		args []string
	}{
		{"another version than expected", exitConflict, "expected 5, it is at 1", []string{"a-b-1", "T", "--expect", "5"}},
		{"a stream that must not be there", exitConflict, "expected none", []string{"a-b-1", "T", "--expect", "none"}},
		{"a stream that must be there", exitConflict, "expected exists", []string{"a-b-2", "T", "--expect", "exists"}},
		{"an unknown expectation", exitUsage, "--expect", []string{"a-b-1", "T", "--expect", "some"}},
		{"a payload that is no JSON", exitUsage, "--data is not valid JSON", []string{"a-b-1", "T", "--data", "text"}},
		{"a payload file that is not there", exitError, "no such file", []string{"a-b-1", "T", "--data", "@/nowhere"}},
		{"an id that is none", exitUsage, "--id", []string{"a-b-1", "T", "--id", "x"}},
		{"metadata without a value", exitUsage, `--meta "k" is not KEY=VALUE`, []string{"a-b-1", "T", "--meta", "k"}},
		{"metadata that comes twice", exitUsage, "--meta k comes twice", []string{"a-b-1", "T", "--meta", "k=1", "--meta", "k=2"}},
		{"a time that is none", exitUsage, "--occurred-at", []string{"a-b-1", "T", "--occurred-at", "noon"}},
		{"a stream without a type", exitUsage, "give a stream and a type", []string{"a-b-1"}},
		{"an empty type", exitUsage, "Type", []string{"a-b-1", ""}},
		{"an unknown flag", exitUsage, "unknown flag: --dta", []string{"a-b-1", "T", "--dta", "1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := *p
			p.t = t
			p.fails(tc.code, tc.want, append([]string{"append"}, tc.args...)...)
		})
	}
	if got := len(lines[eventRecord](t, p.must("all"))); got != 1 {
		t.Errorf("got %d events after refused appends, want 1", got)
	}
}

func TestAppendLinesCommitsWhatBelongsTogether(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	out := p.with(`{"stream":"a-b-1","type":"Debited","data":{"n":1},"commit":"j1","expect":"none"}
{"stream":"a-b-2","type":"Credited","data":{"n":2},"commit":"j1"}

{"stream":"a-b-1","type":"Noted","event_id":"`+someID+`"}
`).must("append", "-")
	got := lines[eventRecord](t, out)
	if len(got) != 3 || got[0].Stream != "a-b-1" || got[1].Stream != "a-b-2" || got[1].Position != 2 || got[2].Version != 2 || got[2].EventID != someID {
		t.Errorf("got %s, want three events", out)
	}
	exported := p.must("export")
	for i, want := range []string{`"commit":1}`, `"commit":1}`, `"commit":3}`} {
		if line := strings.Split(exported, "\n")[i]; !strings.HasSuffix(line, want) {
			t.Errorf("event %d: got %s, want %s", i+1, line, want)
		}
	}
}

func TestAppendLinesStopsAtTheFirstFault(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	good := `{"stream":"a-b-1","type":"T"}` + "\n"
	p.with(good+`{"stream":"a-b-1"}`+"\n"+good).fails(exitError, "stdin:2: type: the event has none", "append", "-")
	if got := len(lines[eventRecord](t, p.must("all"))); got != 1 {
		t.Errorf("got %d events, want the one before the fault", got)
	}
	p.with(good+`{"stream":"a-b-1","type":"T","expect":9}`).fails(exitConflict, "stdin:2: ", "append", "-")
	p.with(`{"stream":"a-b-9","type":"T","commit":1}`+"\n"+`{"stream":"a-b-1","type":"T","commit":1,"expect":9}`).
		fails(exitConflict, "stdin:1: ", "append", "-")
	p.fails(exitNotFound, "stream not found", "read", "a-b-9")
}
