package main

import (
	"fmt"
	"strings"
	"testing"
)

// ledgered appends twelve postings with amounts, users, sites and causes.
func ledgered(t *testing.T) *program {
	t.Helper()
	p := newProgram(t)
	p.must("init", p.dir, "--index", "type,user,tag")
	for i := range 12 {
		args := []string{
			"append", fmt.Sprintf("finance-account-%d", i%3), []string{"Posted", "Reversed"}[i/9],
			"--data", fmt.Sprintf(`{"amount":%d.50,"note":"n%d","cost = place":%d,"tags":["a",{"b":%t}]}`, i*100, i, i%4, i%2 == 0),
			"--meta", "site=" + []string{"north-1", "south"}[i%2], "--correlation", fmt.Sprintf("c%d", i/4),
			"--user", []string{"ada", "bob"}[i%2], "--occurred-at", fmt.Sprintf("2026-01-%02dT00:00:00Z", i+1),
			"--id", fmt.Sprintf("01HV5ZP1XVQ9K2J6B1N3C8D4%02d", i),
		}
		if i%4 > 0 {
			args = append(args, "--causation", fmt.Sprintf("01HV5ZP1XVQ9K2J6B1N3C8D4%02d", i-i%4+max(i%4-2, 0)))
		}
		p.must(args...)
	}
	return p
}

func TestQueryFindsByItsFlags(t *testing.T) {
	t.Parallel()
	p := ledgered(t)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "1 2 3 4 5 6 7 8 9 10 11 12"},
		{[]string{"--type", "Reversed"}, "10 11 12"},
		{[]string{"--type", "Reversed", "--type", "Posted", "--order", "desc", "--limit", "2"}, "12 11"},
		{[]string{"--stream", "finance-account-1"}, "2 5 8 11"},
		{[]string{"--category", "finance-account", "--user", "bob", "--from", "3", "--to", "9"}, "4 6 8"},
		{[]string{"--correlation", "c1"}, "5 6 7 8"},
		{[]string{"--causation", "01HV5ZP1XVQ9K2J6B1N3C8D404"}, "6 7"},
		{[]string{"--tag", "site=south", "--tag", "site=north-1"}, ""},
		{[]string{"--tag", "site=south", "--offset", "4"}, "10 12"},
		{[]string{"--since", "2026-01-03T00:00:00Z", "--until", "2026-01-04T00:00:00Z"}, "3 4"},
		{[]string{"--recorded-since", "2026-03-01T12:00:00Z", "--recorded-until", "now", "--limit", "1"}, "1"},
		{[]string{"--recorded-until", "-1ms"}, ""},
		{[]string{"--where", "data.amount >= 1000.5"}, "11 12"},
		{[]string{"--where", "data.amount>=1000.5", "--where", "data.amount != 1100.500"}, "11"},
		{[]string{"--where", `data.note IN ["n1","n3"]`}, "2 4"},
		{[]string{"--where", "data.note in [\"n1\"]"}, "2"},
		{[]string{"--where", "data.note = n1"}, "2"},
		{[]string{"--where", `data.cost\ \=\ place = 3`}, "4 8 12"},
		{[]string{"--where", `metadata.site LIKE "north-%"`, "--limit", "2"}, "1 3"},
		{[]string{"--where", "data.tags.1.b = true", "--order", "desc", "--limit", "1"}, "11"},
	} {
		got := positions(t, p.must(append([]string{"query", "-o", "jsonl"}, tt.args...)...))
		if got != tt.want {
			t.Errorf("%q: got %s, want %s", tt.args, got, tt.want)
		}
	}
}

func TestQueryTurnsPages(t *testing.T) {
	t.Parallel()
	p := ledgered(t)
	var seen []string
	cursor, previous := "", ""
	for {
		args := []string{"query", "--user", "ada", "--limit", "4"}
		if cursor != "" {
			args = append(args, "--cursor", cursor)
		}
		text := p.must(args...)
		if got := keysOf(t, text); got != "events next_cursor has_more previous_cursor head" {
			t.Errorf("got fields %s", got)
		}
		page := decode[queryPage](t, text)
		for _, e := range page.Events {
			seen = append(seen, fmt.Sprint(decode[eventRecord](t, string(e)).Position))
		}
		if page.HasMore != (page.NextCursor != "") {
			t.Errorf("has_more %v with cursor %q", page.HasMore, page.NextCursor)
		}
		p.must("append", "finance-account-9", "Posted", "--user", "ada")
		cursor, previous = page.NextCursor, page.PreviousCursor
		if cursor == "" {
			break
		}
	}
	if got := strings.Join(seen, " "); got != "1 3 5 7 9 11" {
		t.Errorf("got %s", got)
	}
	back := decode[queryPage](t, p.must("query", "--user", "ada", "--limit", "4", "--cursor", previous))
	if len(back.Events) != 4 || back.PreviousCursor != "" {
		t.Errorf("back: got %d events, before them %q", len(back.Events), back.PreviousCursor)
	}
	p.fails(exitUsage, "not valid for this query", "query", "--user", "bob", "--cursor", previous)
	p.fails(exitUsage, "not valid for this query", "query", "--user", "ada", "--order", "desc", "--cursor", previous)
	p.fails(exitUsage, "cursor", "query", "--cursor", previous, "--offset", "3")
	if got := p.must("query", "--user", "nobody"); !strings.HasPrefix(got, `{"events":[],"next_cursor":"","has_more":false`) {
		t.Errorf("nothing found: got %s", got)
	}
}

func TestQueryExplainsAndCounts(t *testing.T) {
	t.Parallel()
	p := ledgered(t)
	if got := p.must("query", "--type", "Posted", "--count"); got != "{\"events\":9}\n" {
		t.Errorf("count: got %s", got)
	}
	plan := decode[planRecord](t, p.must("query", "--stream", "finance-account-1", "--explain"))
	if plan.Method != "stream" || plan.Stream != "finance-account-1" || plan.To != 12 {
		t.Errorf("got %+v", plan)
	}
	info := decode[storeInfo](t, p.must("info"))
	if len(info.Indexes) != 3 || info.Indexes[1].Index != "user" || info.Indexes[1].State != "ready" {
		t.Errorf("got indexes %+v", info.Indexes)
	}
}

func TestQueryRefusesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	p := ledgered(t)
	for _, tt := range []struct{ args, message string }{
		{"--order up", "neither asc nor desc"},
		{"--tag site", "KEY=VALUE"},
		{"--limit 0", "--limit"},
		{"--limit 10001", "PageOptions.Size"},
		{"--offset 10001", "PageOptions.Offset"},
		{"--since yesterday", "--since"},
		{"--where data.amount", "operator"},
		{"--where data.amount_~_3", "operator"},
		{"--where data.amount_=", "value"},
		{"--where data.amount_IN_3", "list"},
		{`--where data.amount\`, "operator"},
		{"--where data.amount_LIKE_3", "LIKE compares with a string"},
		{"--where amount_=_3", "path"},
		{"--budget -1", "budget"},
		{"--index none", "unknown flag"},
	} {
		args := []string{"query"}
		for _, a := range strings.Fields(tt.args) {
			args = append(args, strings.ReplaceAll(a, "_", " "))
		}
		r := p.run(args...)
		if r.code == exitOK || !strings.Contains(r.stderr, tt.message) {
			t.Errorf("%s: got exit code %d, %s", tt.args, r.code, r.stderr)
		}
	}
	p.fails(exitError, "budget", "query", "--where", "data.note = none", "--budget", "3")
	newProgram(t).fails(exitUsage, "no index", "init", t.TempDir(), "--index", "colour")
}

func TestTraceDrawsCauses(t *testing.T) {
	t.Parallel()
	p := ledgered(t)
	if got, want := p.must("trace", "c1", "-o", "table"), `└── Posted  finance-account-1@2  position 5  2026-01-05T00:00:00Z
    ├── Posted  finance-account-2@2  position 6  2026-01-06T00:00:00Z
    │   └── Posted  finance-account-1@3  position 8  2026-01-08T00:00:00Z
    └── Posted  finance-account-0@3  position 7  2026-01-07T00:00:00Z
`; got != want {
		t.Errorf("got\n%s", got)
	}
	tree := decode[struct{ Roots []traceNode }](t, p.must("trace", "c1"))
	if len(tree.Roots) != 1 || len(tree.Roots[0].Effects) != 2 {
		t.Errorf("got %+v", tree)
	}
	rows := lines[traceRow](t, p.must("trace", "c1", "-o", "jsonl"))
	if len(rows) != 4 || rows[2].Depth != 2 || rows[2].Position != 8 {
		t.Errorf("got %+v", rows)
	}
	p.fails(exitNotFound, "correlation id", "trace", "nobody")
}

func TestImportTagsEvents(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	file := p.file("events.jsonl", `{"stream":"a-b-1","type":"X","metadata":{"case":"77_1"}}`+"\n")
	imported(p, exitOK, file, "--tag", "document=metadata.case~^([0-9]+)_", "--tag", "kind=type")
	got := lines[eventRecord](t, p.must("all"))
	if m := got[0].Metadata; m["document"] != "77" || m["kind"] != "X" || m["case"] != "77_1" {
		t.Errorf("got %v", m)
	}
	p.fails(exitUsage, "NAME=FIELD", "import", file, "--tag", "document")
}
