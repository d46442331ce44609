package render

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

var records = []string{
	`{"stream":"a-b-1","version":1,"amount":1.10,"note":"<x> & \"y\"","data":{"k":[1,{"z":null}],"e":{},"l":[]},"none":null}`,
	`{"stream":"longer-name-2","version":22,"amount":1e400,"note":"\u001b[2J","data":"2020-01-01","none":null}`,
}

func list(t *testing.T, style Style, docs ...string) string {
	t.Helper()
	var out bytes.Buffer
	l := NewList(&out, style)
	for _, doc := range docs {
		if err := l.Add([]byte(doc)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestList(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		style Style
		want  string
	}{
		{"JSON lines are the records", Style{Format: JSONL}, records[0] + "\n" + records[1] + "\n"},
		{"JSON is one array", Style{Format: JSON}, "[\n" + records[0] + ",\n" + records[1] + "\n]\n"},
		{
			"a table shows chosen columns, without characters that steer the terminal",
			Style{Format: Table, Columns: []string{"stream", "version", "note", "none"}},
			"STREAM         VERSION  NOTE       NONE\na-b-1          1        <x> & \"y\"\nlonger-name-2  22       \\u001b[2J\n",
		},
		{"colour goes to the head alone", Style{Format: Table, Columns: []string{"version"}, Colour: true}, "\x1b[1mVERSION\x1b[0m\n1\n22\n"},
		{
			"CSV quotes what it must and keeps digits",
			Style{Format: CSV},
			"stream,version,amount,note,data,none\n" +
				"a-b-1,1,1.10,\"<x> & \"\"y\"\"\",\"{\"\"k\"\":[1,{\"\"z\"\":null}],\"\"e\"\":{},\"\"l\"\":[]}\",\n" +
				"longer-name-2,22,1e400,\x1b[2J,2020-01-01,\n",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := list(t, tc.style, records...); got != tc.want {
				t.Errorf("got\n%q\nwant\n%q", got, tc.want)
			}
		})
	}
}

// TestYAML reads what is written with another implementation.
func TestYAML(t *testing.T) {
	t.Parallel()
	text := list(t, Style{Format: YAML}, records...)
	if !strings.Contains(text, "- stream: \"a-b-1\"\n  version: 1\n  amount: 1.10\n") {
		t.Errorf("got\n%s\nwant the fields in their order and with their digits", text)
	}
	var got []map[string]any
	if err := yaml.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if len(got) != 2 {
		t.Fatalf("got %d records in\n%s\nwant 2", len(got), text)
	}
	if want := `map[e:map[] k:[1 map[z:<nil>]] l:[]]`; fmt.Sprint(got[0]["data"]) != want {
		t.Errorf("got data %v, want %s, in\n%s", got[0]["data"], want, text)
	}
	if date, ok := got[1]["data"].(string); !ok || date != "2020-01-01" {
		t.Errorf("got %T %v, want the text 2020-01-01", got[1]["data"], got[1]["data"])
	}
	if got[0]["note"] != `<x> & "y"` {
		t.Errorf("got note %q", got[0]["note"])
	}
}

func TestEmptyLists(t *testing.T) {
	t.Parallel()
	for format, want := range map[Format]string{Table: "", JSON: "[]\n", JSONL: "", YAML: "[]\n", CSV: ""} {
		if got := list(t, Style{Format: format}); got != want {
			t.Errorf("%s of nothing: got %q, want %q", format, got, want)
		}
	}
}

func TestALongTableIsWrittenAsItComes(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	l := NewList(&out, Style{Format: Table})
	for i := range 1000 {
		if err := l.Add(fmt.Appendf(nil, `{"n":%d,"text":%q}`, i, strings.Repeat("x", i/10))); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 1001 || !strings.HasPrefix(lines[0], "N    TEXT") {
		t.Errorf("got %d lines, the first %q, want a head and 1000", len(lines), lines[0])
	}
	if last := lines[1000]; !strings.HasSuffix(last, "x…") || strings.Count(last, "x") != maxCellRunes-1 {
		t.Errorf("got a last line %q, want its cell shortened", last)
	}
}

func TestRecord(t *testing.T) {
	t.Parallel()
	const doc = `{"id":"x","count":3,"problems":[]}`
	for format, want := range map[Format]string{
		Table: "id        x\ncount     3\nproblems  []\n",
		JSON:  doc + "\n",
		JSONL: doc + "\n",
		CSV:   "id,count,problems\nx,3,[]\n",
		YAML:  "id: \"x\"\ncount: 3\nproblems: []\n",
	} {
		var out bytes.Buffer
		if err := Record(&out, Style{Format: format}, []byte(doc)); err != nil {
			t.Fatal(err)
		}
		if out.String() != want {
			t.Errorf("%s: got %q, want %q", format, out.String(), want)
		}
	}
}

func TestParseFormatNamesTheFormats(t *testing.T) {
	t.Parallel()
	if _, err := ParseFormat("xml"); err == nil || !strings.Contains(err.Error(), "none of table, json, jsonl, yaml, csv") {
		t.Errorf("got %v, want the formats that there are", err)
	}
}
