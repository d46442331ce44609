package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
)

// fill appends events 1 to 6 to three streams, occurring on the first six days of
// 2026.
func fill(t *testing.T) *program {
	t.Helper()
	p := newStore(t)
	for i := range 6 {
		p.must("append", fmt.Sprintf("shop-cart-%d", i%3), fmt.Sprintf("Type %c", 'A'+i%2), "--data", fmt.Sprint(i+1),
			"--occurred-at", fmt.Sprintf("2026-01-%02dT00:00:00Z", i+1))
	}
	return p
}

// positions reads the positions of events.
func positions(t *testing.T, out string) string {
	t.Helper()
	var got []string
	for _, ev := range lines[eventRecord](t, out) {
		got = append(got, fmt.Sprint(ev.Position))
	}
	return strings.Join(got, " ")
}

func TestReadersShowTheirEvents(t *testing.T) {
	t.Parallel()
	p := fill(t)
	for _, tc := range []struct{ name, args, want string }{
		{"all events", "all", "1 2 3 4 5 6"},
		{"all from a position on", "all --from 5", "5 6"},
		{"all up to a number", "all --from 2 --limit 2", "2 3"},
		{"all of a type", "all --type Type_B", "2 4 6"},
		{"all of two types", "all --type Type_A --type Type_B", "1 2 3 4 5 6"},
		{"all of a category", "all --category shop-cart --limit 1", "1"},
		{"all of a category that is not there", "all --category shop-order", ""},
		{"a stream", "read shop-cart-0", "1 4"},
		{"a stream from a version on", "read shop-cart-0 --from 2", "4"},
		{"a stream up to a version", "read shop-cart-0 --to 1", "1"},
		{"a stream backwards", "read shop-cart-0 --reverse", "4 1"},
		{"a stream up to a number", "read shop-cart-0 --reverse --limit 1", "4"},
		{"a stream at a moment, inclusive", "read shop-cart-0 --at 2026-01-01T00:00:00Z", "1"},
		{"a stream before it began", "read shop-cart-0 --at 2025-12-31T23:59:59.999Z", ""},
		{"a stream as known at a moment, inclusive", "read shop-cart-0 --as-known-at now", "1 4"},
		{"a stream as known before", "read shop-cart-0 --as-known-at -1m", ""},
		{"the last events", "tail -n 2", "5 6"},
		{"the last events of a stream", "tail shop-cart-1 -n 1", "5"},
		{"no last events", "tail -n 0", ""},
		{"the last events from a position on", "tail --from 4", "4 5 6"},
		{"the last events of a stream from a position on", "tail shop-cart-2 --from 4", "6"},
		{"more last events than there are", "tail -n 100", "1 2 3 4 5 6"},
		{"an event by position", "event 3", "3"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := *p
			p.t = t
			args := strings.Fields(tc.args)
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], "_", " ")
			}
			if got := positions(t, p.must(args...)); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
	id := decode[eventRecord](t, p.must("event", "3")).EventID
	if got := positions(t, p.must("event", strings.ToLower(id))); got != "3" {
		t.Errorf("by id: got %q, want 3", got)
	}
}

func TestReadersRefuse(t *testing.T) {
	t.Parallel()
	p := fill(t)
	for _, tc := range []struct {
		name string
		code int
		want string
		args string
	}{
		{"a stream that is not there", exitNotFound, "stream not found", "read shop-cart-9"},
		{"the tail of a stream that is not there", exitNotFound, "stream not found", "tail shop-cart-9"},
		{"a stream of another tenant", exitNotFound, "stream not found", "read shop-cart-0 --tenant acme"},
		{"a position that is not there", exitNotFound, "event not found", "event 7"},
		{"an id that is not there", exitNotFound, "event not found", "event " + someID},
		{"what is neither id nor position", exitUsage, "neither a position nor an event id", "event x"},
		{"a negative limit", exitUsage, "--limit -1 is negative", "all --limit -1"},
		{"a negative number of lines", exitUsage, "--lines -1 is negative", "tail -n -1"},
		{"a time without an offset", exitUsage, "has no offset from UTC", "read shop-cart-0 --at 2026-01-01T00:00:00"},
		{"a relative time that is none", exitUsage, "no relative time", "read shop-cart-0 --at -soon"},
		{"an unknown output format", exitUsage, "none of table, json, jsonl, yaml, csv", "all -o xml"},
		{"an unknown order of streams", exitUsage, "none of name, events, last", "streams --sort size"},
		{"no time between samples", exitUsage, "no time to wait", "stats --watch 0s"},
		{"an unknown command", exitUsage, "unknown command", "reed x"},
		{"too many arguments", exitUsage, "accepts 1 arg(s)", "read a b"},
		{"a tenant that cannot be", exitUsage, "tenant", "all --tenant  "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := *p
			p.t = t
			args := strings.Fields(tc.args)
			if strings.HasSuffix(tc.args, "  ") {
				args = append(args, "")
			}
			p.fails(tc.code, tc.want, args...)
		})
	}
}

func TestOutputFormatsOfALists(t *testing.T) {
	t.Parallel()
	p := fill(t)
	const fields = "position stream version event_id type schema_version occurred_at recorded_at correlation_id causation_id user_id metadata data"
	if got := keysOf(t, p.must("event", "1")); got != fields {
		t.Errorf("got fields %s, want %s", got, fields)
	}
	if got := len(decode[[]eventRecord](t, p.must("all", "-o", "json"))); got != 6 {
		t.Errorf("json: got %d events, want 6", got)
	}
	if got := p.must("all", "-o", "csv", "--limit", "1"); !strings.HasPrefix(got, strings.ReplaceAll(fields, " ", ",")+"\n1,shop-cart-0,1,") {
		t.Errorf("csv: got %s", got)
	}
	if got := p.must("all", "-o", "yaml", "--limit", "1"); !strings.HasPrefix(got, "- position: 1\n  stream: \"shop-cart-0\"\n") {
		t.Errorf("yaml: got %s", got)
	}
	if got := p.must("read", "shop-cart-0", "--pretty", "--limit", "1"); !strings.HasPrefix(got, "[\n{\n  \"position\": 1,") {
		t.Errorf("pretty: got %s", got)
	}
	const table = "POSITION  STREAM       VERSION  TYPE    OCCURRED_AT           DATA\n1         shop-cart-0  1        Type A  2026-01-01T00:00:00Z  1\n"
	if got := p.must("all", "-o", "table", "--limit", "1"); got != table {
		t.Errorf("table: got\n%s\nwant\n%s", got, table)
	}

	terminal := *p
	terminal.env.stdoutTTY = true
	bold := strings.Replace("\x1b[1m"+table, "\n", "\x1b[0m\n", 1)
	if got := terminal.must("all", "--limit", "1"); got != bold {
		t.Errorf("on a terminal: got %q, want %q", got, bold)
	}
	if got := terminal.must("all", "--limit", "1", "--no-color"); got != table {
		t.Errorf("with --no-color: got %q, want %q", got, table)
	}
	for _, variable := range []string{"NO_COLOR=1", "TERM=dumb"} {
		name, value, _ := strings.Cut(variable, "=")
		terminal.env.getenv = func(asked string) string {
			if asked == name {
				return value
			}
			return ""
		}
		if got := terminal.must("all", "--limit", "1"); got != table {
			t.Errorf("with %s: got %q, want %q", variable, got, table)
		}
	}
	if got := terminal.must("event", "1", "-o", "json"); keysOf(t, got) != fields {
		t.Errorf("-o json on a terminal: got %s", got)
	}
}

func TestAPayloadThatIsNoJSONIsShownInBase64(t *testing.T) {
	t.Parallel()
	p := newStore(t)
	p.with(`{"stream":"a-b-1","type":"T","data_base64":"AP8="}`).must("append", "-")
	if got := p.must("read", "a-b-1"); !strings.HasSuffix(got, `"data":null,"data_base64":"AP8="}`+"\n") {
		t.Errorf("got %s, want the payload in data_base64", got)
	}
}

func TestStreams(t *testing.T) {
	t.Parallel()
	p := fill(t)
	p.must("append", "shop-cart-1", "T")
	p.must("append", "other-x-1", "T")
	names := func(args ...string) string {
		var got []string
		for _, s := range lines[streamRecord](t, p.must(append([]string{"streams"}, args...)...)) {
			got = append(got, string(s.Stream))
		}
		return strings.Join(got, " ")
	}
	for _, tc := range []struct{ args, want string }{
		{"", "other-x-1 shop-cart-0 shop-cart-1 shop-cart-2"},
		{"shop-", "shop-cart-0 shop-cart-1 shop-cart-2"},
		{"nothing", ""},
		{"--sort events", "shop-cart-1 shop-cart-0 shop-cart-2 other-x-1"},
		{"--sort last", "other-x-1 shop-cart-1 shop-cart-2 shop-cart-0"},
	} {
		if got := names(strings.Fields(tc.args)...); got != tc.want {
			t.Errorf("streams %s: got %s, want %s", tc.args, got, tc.want)
		}
	}
	want := `{"stream":"shop-cart-1","version":3,"first_position":2,"last_position":7,"last_recorded_at":"2026-03-01T12:00:00Z"}` + "\n"
	if got := p.must("streams", "shop-cart-1"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestTailFollowsUntilItIsInterrupted(t *testing.T) {
	t.Parallel()
	p := fill(t)
	ctx, cancel := context.WithCancel(t.Context())
	p.ctx = ctx
	seen := &signalWriter{until: 2, reached: cancel}
	env := p.env
	var stderr strings.Builder
	env.stdout, env.stderr = seen, &stderr
	code := run(ctx, &env, []string{"tail", "-f", "-n", "2", "--dir", p.dir})
	if code != exitInterrupted || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("got exit code %d and %q, want 7 and interrupted", code, stderr.String())
	}
	if got := positions(t, seen.text.String()); got != "5 6" {
		t.Errorf("got %q before the interrupt, want 5 6", got)
	}

	deadline, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	p.ctx = deadline
	p.fails(exitInterrupted, "deadline", "all")
}

// signalWriter calls reached when it has seen a number of lines.
type signalWriter struct {
	text    strings.Builder
	until   int
	reached func()
}

func (w *signalWriter) Write(b []byte) (int, error) {
	n, err := w.text.Write(b)
	if strings.Count(w.text.String(), "\n") >= w.until {
		w.reached()
	}
	return n, err
}
