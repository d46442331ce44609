package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nexus-erp/eventstream"
)

// xesLog is a log of cases, each a list of activities; an empty activity has no
// timestamp.
func xesLog(cases ...[]string) string {
	var b strings.Builder
	b.WriteString("<log>\n")
	for i, events := range cases {
		fmt.Fprintf(&b, "<trace><string key=\"concept:name\" value=\"PO_%d\"/>\n", i+1)
		for j, activity := range events {
			if activity == "" {
				b.WriteString("<event><string key=\"concept:name\" value=\"X\"/></event>\n")
				continue
			}
			fmt.Fprintf(&b, "<event><string key=\"concept:name\" value=%q/><date key=\"time:timestamp\" value=\"2018-01-%02dT00:00:00Z\"/></event>\n", activity, j+1)
		}
		b.WriteString("</trace>\n")
	}
	return b.String() + "</log>\n"
}

// imported runs an import that has to end with a code and returns what it says.
func imported(p *program, code int, args ...string) importResult {
	p.t.Helper()
	r := p.run(append([]string{"import"}, args...)...)
	if r.code != code {
		p.t.Fatalf("import %q: got exit code %d, want %d; stderr: %s", args, r.code, code, r.stderr)
	}
	return decode[importResult](p.t, r.stdout)
}

func checkCounts(t *testing.T, what string, got importResult, events, streams, skipped, duplicates int) {
	t.Helper()
	want := importResult{Events: events, Streams: streams, Skipped: skipped, Duplicates: duplicates}
	if got.Events != events || got.Streams != streams || got.Skipped != skipped || got.Duplicates != duplicates {
		t.Errorf("%s: got %+v, want %+v", what, got, want)
	}
}

func TestImportXESAddsAFileOnce(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	file := p.file("log.xes", xesLog([]string{"A", "B", "B"}, []string{"A"}))
	out := p.must("import", "--format", "xes", file)
	if got, want := keysOf(t, out), "events streams skipped duplicates seconds events_per_second"; !strings.HasPrefix(got, want) {
		t.Errorf("got fields %s, want %s", got, want)
	}
	checkCounts(t, "first run", decode[importResult](t, out), 4, 2, 0, 0)
	checkCounts(t, "second run", imported(p, exitOK, file), 0, 2, 0, 4)
	checkCounts(t, "with --resume", imported(p, exitOK, file, "--resume"), 0, 2, 0, 4)

	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	for part := range strings.SplitAfterSeq(xesLog([]string{"A", "B", "B"}, []string{"A"}), "\n") {
		if _, err := w.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	checkCounts(t, "compressed", imported(p, exitOK, p.file("other.xes.gz", zipped.String())), 0, 2, 0, 4)
	checkCounts(t, "from stdin", imported(p.with(zipped.String()), exitOK, "-", "--format", "xes"), 0, 2, 0, 4)
	checkCounts(t, "under another name", imported(p, exitOK, file, "--source", "elsewhere"), 4, 2, 0, 0)
}

func TestImportXESNamesStreamsByTheirCategory(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	file := p.file("log.xes", xesLog([]string{"A"}))
	imported(p, exitOK, file, "--category", "purchasing-item")
	imported(p, exitOK, file, "--category", "purchasing")
	got := lines[streamRecord](t, p.must("streams"))
	if len(got) != 2 || !strings.HasPrefix(string(got[0].Stream), "purchasing-case-po_1-") || !strings.HasPrefix(string(got[1].Stream), "purchasing-item-po_1-") {
		t.Errorf("got %v, want purchasing-case-po_1-… and purchasing-item-po_1-…", got)
	}
	ev := lines[eventRecord](t, p.must("all", "--limit", "1"))[0]
	if ev.Type != "A" || ev.OccurredAt != "2018-01-01T00:00:00Z" || ev.Metadata["case"] != "PO_1" {
		t.Errorf("got %+v, want type, time and the case as written", ev)
	}
	p.fails(exitUsage, "--category", "import", file, "--category", "a-b-c")
}

func TestImportStopsBeforeItAppendsAnything(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	file := p.file("log.xes", xesLog([]string{"A", "", "B"}, []string{"A"}))
	p.fails(exitError, file+":4: time:timestamp: the event has none", "import", file)
	r := p.run("import", file, "-o", "json")
	if got := decode[map[string]map[string]string](t, r.stderr)["error"]["code"]; got != "bad_record" {
		t.Errorf("got code %q, want bad_record", got)
	}
	if got := p.must("all"); got != "" {
		t.Errorf("got %s, want an empty store", got)
	}

	for name, text := range map[string]string{"cut.xes": "<log><trace>", "cut.jsonl": `{"stream":"a-b-1","type":"T"}` + "\n{", "cut.gz": "\x1f\x8b\x08"} {
		path := p.file(name, text)
		if r := p.run("import", path, "--format", strings.TrimPrefix(strings.Replace(name, "gz", "jsonl", 1), "cut.")); r.code != exitError || r.stdout != "" {
			t.Errorf("%s: got exit code %d and %q, want 1 and nothing", name, r.code, r.stdout)
		}
	}
	if got := p.must("all"); got != "" {
		t.Errorf("got %s, want an empty store", got)
	}
}

func TestImportSkipsBadRecordsIfAskedTo(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	bad := p.file("bad.xes", xesLog([]string{"A", "", "B"}, []string{"", "A"}, []string{}))
	dry := imported(p, exitWarnings, bad, "--skip-bad", "--dry-run")
	checkCounts(t, "dry run", dry, 3, 2, 3, 0)
	if !dry.DryRun || p.must("all") != "" {
		t.Error("a dry run appended something, or does not say what it is")
	}
	r := p.run("import", bad, "--skip-bad", "--source", "log")
	checkCounts(t, "skipping", decode[importResult](t, r.stdout), 3, 2, 3, 0)
	if !strings.Contains(r.stderr, "skipped: "+bad+":4: time:timestamp") || strings.Count(r.stderr, "skipped:") != 3 {
		t.Errorf("got stderr %s, want the three bad records", r.stderr)
	}

	// The mended file brings what was left out, and nothing twice.
	good := p.file("good.xes", xesLog([]string{"A", "X", "B"}, []string{"X", "A"}, []string{"Z"}))
	checkCounts(t, "mended", imported(p, exitOK, good, "--source", "log"), 3, 3, 0, 3)
	checkCounts(t, "mended again", imported(p, exitOK, good, "--source", "log"), 0, 3, 0, 6)
	checkCounts(t, "the bad one again", imported(p, exitOK, bad, "--skip-bad", "--source", "log"), 0, 2, 3, 3)
	other := p.file("other.xes", xesLog([]string{"A", "Y", "B"}))
	p.fails(exitConflict, "the store holds another event under this id", "import", other, "--source", "log")

	many := p.file("many.jsonl", strings.Repeat("{}\n", 30))
	if r := p.run("import", many, "--skip-bad"); strings.Count(r.stderr, "\n") != badShown+1 || !strings.Contains(r.stderr, "skipped: 10 more") {
		t.Errorf("got stderr %s, want %d bad records and the number of others", r.stderr, badShown)
	}
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	csv := p.file("rows.csv", "Id,Text\n1,a\n")
	mapping := p.file("rows.yaml", "stream_from: Id\n")
	typo := p.file("typo.yaml", "stream: Id\n")
	for _, tc := range []struct {
		name string
		code int
		want string
		args []string
	}{
		{"a file whose name says nothing", exitUsage, "does not tell its format", []string{"-"}},
		{"an unknown format", exitUsage, `--format "xml" is not known`, []string{csv, "--format", "xml"}},
		{"rows without a mapping", exitUsage, "needs --map FILE or --stream-from COLUMN", []string{csv}},
		{"two mappings", exitUsage, "not both", []string{csv, "--map", mapping, "--stream-from", "Id"}},
		{"a mapping with a mistake", exitUsage, "unknown field \"stream\"", []string{csv, "--map", typo}},
		{"a mapping that is not there", exitError, "no such file", []string{csv, "--map", csv + ".yaml"}},
		{"a column that is not there", exitError, csv + ":1: Nr: there is no such column", []string{csv, "--stream-from", "Nr"}},
		{"a mapping for a file that has none", exitUsage, "--map is for csv files", []string{"x.xes", "--map", mapping}},
		{"a category for lines, which name their streams", exitUsage, "--category is for csv, ledger, xes, cloudevents files", []string{"x.jsonl", "--category", "a"}},
		{"a file that is not there", exitError, "no such file", []string{"nowhere.xes"}},
		{"a directory", exitError, "it is a directory", []string{p.dir, "--format", "xes"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := *p
			p.t = t
			p.fails(tc.code, tc.want, append([]string{"import"}, tc.args...)...)
		})
	}
}

func TestImportCSV(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	rows := p.file("rows.csv", "Code,Qty,Price\n79323P,1,2.10\n79323p,-1,2.10\n79323P,1,2.10\n")
	checkCounts(t, "by a column", imported(p, exitOK, rows, "--stream-from", "Code", "--category", "stock-item"), 3, 2, 0, 0)
	checkCounts(t, "again", imported(p, exitOK, rows, "--stream-from", "Code", "--category", "stock-item"), 0, 2, 0, 3)
	out := p.must("all", "--category", "stock-item")
	for _, want := range []string{`"metadata":{"case":"79323P"},"data":{"Code":"79323P","Qty":"1","Price":"2.10"}}`, `"case":"79323p"`, `"type":"RowImported"`} {
		if !strings.Contains(out, want) {
			t.Errorf("got %s, want %s in it", out, want)
		}
	}
	mapping := p.file("rows.yaml", "stream_from: Code\ncategory: stock-move\ntype: Moved\npayload:\n  Qty: quantity\ncommit: Price\n")
	checkCounts(t, "by a mapping", imported(p, exitOK, rows, "--map", mapping), 3, 2, 0, 0)
	moved := p.must("export", "--category", "stock-move")
	if strings.Count(moved, `"commit":4}`) != 3 || !strings.Contains(moved, `"data":{"quantity":"-1"}`) {
		t.Errorf("got %s, want one commit of quantities", moved)
	}
}

func TestAnExportImportedAndExportedAgainIsTheSame(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	p.with(`{"stream":"a-b-1","type":"T","data":{"z":1.10,"a":[null,"é\u0000"]},"commit":1,"metadata":{"k":"<v>"},"user_id":"u"}
{"stream":"a-b-2","type":"T","data":null,"commit":1,"occurred_at":"1948-01-26T23:59:00.123456789+01:00"}
{"stream":"a-b-1","type":"T","data_base64":"AP8="}
{"stream":"a-b-3","type":"T","schema_version":7,"correlation_id":"c","causation_id":"d"}
{"stream":"a-b-3","type":"T","data":{"k":-1,"big":18446744073709551615},"codec":"msgpack"}
{"stream":"a-b-3","type":"T","data_base64":"xAEA","codec":"msgpack"}
{"stream":"a-b-3","type":"T","data_base64":"eyAidyI6IDF9","codec":"json"}
`).must("append", "-")
	first := p.must("export")
	q := newStore(t)
	q.env.now = func() time.Time { return testNow.Add(time.Hour) }
	file := q.file("export.jsonl", first)
	checkCounts(t, "into an empty store", imported(q, exitOK, file), 7, 3, 0, 0)
	second := q.must("export")
	if first == second {
		t.Error("recorded_at is the same in both")
	}
	if diff := cmp.Diff(unrecorded.ReplaceAllString(first, ""), unrecorded.ReplaceAllString(second, "")); diff != "" {
		t.Errorf("the second export differs (-first +second):\n%s", diff)
	}
	checkCounts(t, "into the store it comes from", imported(p, exitOK, p.file("export.jsonl", first)), 0, 3, 0, 7)
	if third := p.must("export"); third != first {
		t.Errorf("an import of a store's own export changed it to\n%s", third)
	}
}

func TestExportKeepsCommitsWhole(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	var in strings.Builder
	for commit := range 4 { // positions 1-3, 4-6, 7-9, 10-12
		for i := range 3 {
			fmt.Fprintf(&in, `{"stream":"a-b-%d","type":"T%d","commit":%d}`+"\n", i, i, commit)
		}
	}
	p.with(in.String()).must("append", "-")
	for _, tc := range []struct{ args, want string }{
		{"", "1 2 3 4 5 6 7 8 9 10 11 12"},
		{"--from 4 --to 6", "4 5 6"},
		{"--from 5 --to 8", "4 5 6 7 8 9"},
		{"--from 12", "10 11 12"},
		{"--from 13", ""},
		{"--to 1", "1 2 3"},
		{"--from 4 --to 4 --type T1", "5"},
		{"--category a-b --to 1", "1 2 3"},
		{"--category other-x", ""},
		{"--tenant acme", ""},
	} {
		if got := positions(t, p.must(append([]string{"export"}, strings.Fields(tc.args)...)...)); got != tc.want {
			t.Errorf("export %s: got %q, want %q", tc.args, got, tc.want)
		}
	}
	p.fails(exitUsage, `--format "xml" is not known`, "export", "--format", "xml")
}

func TestExportToAFile(t *testing.T) {
	t.Parallel()
	p := fill(t)
	path := p.file("out.jsonl", "an older export")
	r := p.run("export", "--out", path)
	text, err := os.ReadFile(path)
	if err != nil || r.code != exitOK || r.stdout != "" || string(text) != p.must("export") {
		t.Errorf("got exit code %d, %v, file %s", r.code, err, text)
	}
	p.fails(exitError, "no such file", "export", "--out", filepath.Join(p.dir, "nowhere", "x"))
	left, err := filepath.Glob(path + ".partial*")
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestImportShowsProgressToAPersonOnly(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	file := p.file("log.xes", xesLog([]string{"A"}))
	if r := p.run("import", file); r.stderr != "" {
		t.Errorf("got stderr %q, want nothing", r.stderr)
	}
	p.env.stderrTTY = true
	if r := p.run("import", file); !strings.Contains(r.stderr, "checking") || !strings.Contains(r.stderr, "loading") {
		t.Errorf("on a terminal: got stderr %q, want a bar for each pass", r.stderr)
	}
	p.env.getenv = func(name string) string { return map[string]string{"TERM": "dumb"}[name] }
	if r := p.run("import", file); r.stderr != "" {
		t.Errorf("on a dumb terminal: got stderr %q, want nothing", r.stderr)
	}
}

func TestAnInterruptedImportSaysSo(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	file := p.file("log.xes", xesLog([]string{"A"}))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p.ctx = ctx
	p.fails(exitInterrupted, "interrupted", "import", file)
}

func TestImportDoesNotBeginOnADiskThatIsNearlyFull(t *testing.T) {
	t.Parallel()
	for level, refused := range map[eventstream.DiskLevel]bool{
		eventstream.DiskUnknown: false, eventstream.DiskOK: false, eventstream.DiskLow: true, eventstream.DiskFull: true,
	} {
		err := roomFor("/books", eventstream.DiskStats{Level: level, Free: 5, LowBelow: 10})
		if got := errors.Is(err, eventstream.ErrDiskFull); got != refused {
			t.Errorf("level %s: got error %v, want one: %v", level, err, refused)
		}
	}
}
