package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
)

func TestInitCreatesAStoreAndInfoDescribesIt(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	created := p.must("init", p.dir, "--node", "till-3")
	info := decode[storeInfo](t, created)
	if info.Node != "till-3" || info.Format < 1 || len(info.StoreID) != 26 || info.Durability != "sync" || info.Events != 0 {
		t.Errorf("got %s", created)
	}
	const fields = "store_id incarnation node format pebble_version durability head durable_head streams events bytes_on_disk"
	p.must("append", "a-b-1", "T")
	p.must("append", "a-b-1", "T", "--tenant", "acme")
	out := p.must("info")
	if got := keysOf(t, out); !strings.HasPrefix(got, fields) {
		t.Errorf("got fields %s, want %s", got, fields)
	}
	again := decode[storeInfo](t, out)
	if again.StoreID != info.StoreID || again.Head != 2 || again.DurableHead != 2 || again.Events != 2 || again.Streams != 2 || again.Tenants != 2 || again.BytesOnDisk == 0 {
		t.Errorf("got %s", out)
	}
	if got := p.must("info", "-o", "table"); !strings.HasPrefix(got, "store_id        "+info.StoreID+"\n") {
		t.Errorf("got %s, want a field a line", got)
	}
}

func TestInitRefuses(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	p.fails(exitError, "exists already", "init", p.dir)
	full := filepath.Dir(p.file("notes.txt", "x"))
	p.fails(exitError, "is not empty", "init", full)
	if _, err := os.Stat(filepath.Join(full, "STORE")); err == nil {
		t.Error("a store was created in a directory that was refused")
	}
	p.fails(exitUsage, "accepts 1 arg(s)", "init")
	empty := t.TempDir()
	p.must("init", empty)
}

func TestNoCommandCreatesAStore(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	file := p.file("events.jsonl", "")
	for _, args := range [][]string{
		{"append", "a-b-1", "T"},
		{"append", "-"},
		{"import", file},
		{"export"},
		{"read", "a-b-1"},
		{"all"},
		{"tail"},
		{"event", "1"},
		{"streams"},
		{"info"},
		{"stats"},
		{"verify"},
	} {
		p.fails(exitNotFound, "does not exist", args...)
	}
	if _, err := os.Stat(p.dir); err == nil {
		t.Error("the store's directory exists now")
	}
	env := p.env
	var stderr strings.Builder
	env.stderr = &stderr
	if code := run(t.Context(), &env, []string{"all"}); code != exitUsage || !strings.Contains(stderr.String(), "no --dir and no EVENTSTREAM_DIR") {
		t.Errorf("without a directory: got exit code %d and %s", code, stderr.String())
	}
}

func TestAStoreInUse(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	db, err := eventstream.Open(p.dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := p.fails(exitInUse, p.dir, "all", "-o", "json")
	e := decode[map[string]map[string]string](t, r.stderr)["error"]
	if e["code"] != "in_use" || !strings.Contains(e["message"], p.dir) || e["hint"] == "" || len(e) != 3 {
		t.Errorf("got %v, want code, message and hint", e)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	p.must("all")
}

func TestErrorsAsJSON(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	for code, args := range map[string][]string{
		"usage":            {"all", "-o", "json", "--what"},
		"stream_not_found": {"read", "a-b-1", "--output=json"},
		"event_not_found":  {"event", "1", "-ojson"},
		"conflict":         {"append", "a-b-1", "T", "--expect", "3", "--output", "json"},
		"invalid_argument": {"append", "a-b-1", "", "-o=json"},
	} {
		r := p.run(args...)
		if got := decode[map[string]map[string]string](t, r.stderr)["error"]["code"]; got != code || r.code == exitOK || r.stdout != "" {
			t.Errorf("%q: got code %q, exit code %d, stdout %q, want %q", args, got, r.code, r.stdout, code)
		}
	}
	if r := p.run("all", "--what", "--", "-o", "json"); strings.HasPrefix(r.stderr, "{") {
		t.Errorf("arguments behind -- are no flags: got %s", r.stderr)
	}
}

func TestVerifyFindsNothingInASoundStore(t *testing.T) {
	t.Parallel()
	p := fill(t)
	for _, args := range [][]string{{"verify"}, {"verify", "--deep"}} {
		if got, want := p.must(args...), `{"ok":true,"events":6,"streams":3,"problems":[]`; !strings.HasPrefix(got, want) {
			t.Errorf("%q: got %s, want %s", args, got, want)
		}
	}
}

func TestStats(t *testing.T) {
	t.Parallel()
	p := fill(t)
	out := p.must("stats")
	s := decode[storeStats](t, out)
	if s.Events != 6 || s.Streams != 3 || s.Tenants != 1 || s.EventsByType["Type A"] != 3 || s.EventsByType["Type B"] != 3 || s.AppendRate != 0.1 {
		t.Errorf("got %s, want 6 events of 2 types in 3 streams, 0.1 a second in the last minute", out)
	}
	if _, ok := s.Keyspaces["event"]; !ok {
		t.Errorf("got %s, want the keyspaces", out)
	}

	ctx, cancel := context.WithCancel(t.Context())
	seen := &signalWriter{until: 3, reached: cancel}
	env := p.env
	var stderr strings.Builder
	env.stdout, env.stderr = seen, &stderr
	if code := run(ctx, &env, []string{"stats", "--watch", "1ms", "-d", p.dir}); code != exitInterrupted {
		t.Errorf("got exit code %d, want 7: %s", code, stderr.String())
	}
	for _, s := range lines[storeStats](t, seen.text.String()) {
		if s.Events != 6 || s.EventsByType["Type A"] != 3 {
			t.Errorf("a sample counts %d events, %v, want each event once", s.Events, s.EventsByType)
		}
	}
}

func TestPebbleToolsWorkOnAStore(t *testing.T) {
	t.Parallel()
	p := fill(t)
	for _, dir := range []string{p.dir, filepath.Join(p.dir, "db")} {
		if got := p.must("pebble", "db", "check", dir); !strings.Contains(got, "checked ") {
			t.Errorf("got %q, want how many were checked", got)
		}
	}
	if got := p.must("pebble"); !strings.Contains(got, "sstable") || !strings.Contains(got, "manifest") {
		t.Errorf("got %q, want Pebble's tools", got)
	}
}

func TestCompletionManVersionAndHelp(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	for shell, want := range map[string]string{"bash": "__start_eventstream", "zsh": "#compdef eventstream", "fish": "complete -c eventstream", "powershell": "Register-ArgumentCompleter"} {
		if got := p.must("completion", shell); !strings.Contains(got, want) {
			t.Errorf("%s: no %q in the script", shell, want)
		}
	}
	p.fails(exitUsage, "invalid argument", "completion", "tcsh")
	man := p.must("man")
	for _, want := range []string{".TH EVENTSTREAM 1", ".SS import", `\-\-skip\-bad`, "EVENTSTREAM_DIR"} {
		if !strings.Contains(man, want) {
			t.Errorf("no %q in the manual page", want)
		}
	}
	if got := keysOf(t, p.must("version")); !strings.HasPrefix(got, "version") {
		t.Errorf("got fields %s", got)
	}
	for _, args := range [][]string{{}, {"--help"}, {"help", "import"}, {"import", "--help"}} {
		if got := p.must(args...); !strings.Contains(got, "Usage:") {
			t.Errorf("%q: got %q, want help on stdout", args, got)
		}
	}
}

func TestVerifyFindsDamage(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	for range 3 {
		p.must("append", "shop-cart-1", "T", "--data", `"`+strings.Repeat("payload ", 100)+`"`)
	}
	// Each run closed the store and so wrote its events to tables.
	tables, err := filepath.Glob(filepath.Join(p.dir, "db", "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("got tables %v, %v, want some", tables, err)
	}
	for _, table := range tables {
		b, err := os.ReadFile(table)
		if err != nil {
			t.Fatal(err)
		}
		b[20] ^= 0xff
		if err := os.WriteFile(table, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := p.run("verify", "--deep")
	report := decode[verifyReport](t, r.stdout)
	if r.code != exitDamage || report.OK || len(report.Problems) == 0 || report.Problems[0].Detail == "" {
		t.Errorf("got exit code %d, stdout %s, stderr %s, want 5 and the problems", r.code, r.stdout, r.stderr)
	}
	p.fails(exitDamage, "damage found", "all")
}

func TestEveryCommandHasHelp(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		args := append(strings.Fields(cmd.CommandPath())[1:], "--help")
		if got := p.must(args...); !strings.Contains(got, "--tenant") {
			t.Errorf("%q: got %q, want help with the flags of every command", args, got)
		}
		if cmd.Short == "" {
			t.Errorf("%q says nothing about itself", cmd.CommandPath())
		}
		for _, child := range cmd.Commands() {
			walk(child)
		}
	}
	env := p.env
	walk(newRootCommand(&env))
}
