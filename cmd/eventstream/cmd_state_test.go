package main

import (
	"strings"
	"testing"
	"time"
)

// order is an order whose first line was corrected, and whose customer was changed back
// in time: the fourth event occurred on the second day. Each was recorded a day after it
// was written here, the first on January 11.
func order(t *testing.T) *program {
	t.Helper()
	p := newStore(t)
	for i, e := range []struct{ eventType, day, data string }{
		{"Placed", "01", `{"customer":"Ada","lines":{"1":{"cents":100,"pieces":1}}}`},
		{"LineAdded", "02", `{"lines":{"2":{"cents":12345678901234567890.10}}}`},
		{"Shipped", "05", `{"shipped":true}`},
		{"CustomerChanged", "02", `{"customer":"Eve"}`},
		{"Counted", "06", `7`},
	} {
		p.env.now = func() time.Time { return time.Date(2026, 1, 11+i, 0, 0, 0, 0, time.UTC) }
		p.must("append", "sales-order-1", e.eventType, "--data", e.data, "--occurred-at", "2026-01-"+e.day+"T00:00:00Z")
	}
	p.env.now = func() time.Time { return testNow }
	return p
}

func TestStateMergesPayloads(t *testing.T) {
	t.Parallel()
	p := order(t)
	const whole = `{"Counted":7,"customer":"Eve","lines":{"1":{"cents":100,"pieces":1},"2":{"cents":12345678901234567890.10}},"shipped":true}`
	for _, tc := range []struct{ name, args, version, events, want string }{
		{"now", "", "5", "5", whole},
		{"at a version", "--at 2", "2", "2", `{"customer":"Ada","lines":{"1":{"cents":100,"pieces":1},"2":{"cents":12345678901234567890.10}}}`},
		{"at version 0", "--at 0", "0", "0", `{}`},
		{"at a version beyond the last", "--at 99", "5", "5", whole},
		{"at a time, inclusive, with what was recorded later", "--at 2026-01-02T00:00:00Z", "4", "3", `{"customer":"Eve","lines":{"1":{"cents":100,"pieces":1},"2":{"cents":12345678901234567890.10}}}`},
		{"at a time, as known then", "--at 2026-01-02T00:00:00Z --as-known-at 2026-01-13T00:00:00Z", "2", "2", `{"customer":"Ada","lines":{"1":{"cents":100,"pieces":1},"2":{"cents":12345678901234567890.10}}}`},
		{"as known at a time, inclusive", "--as-known-at 2026-01-11T00:00:00Z", "1", "1", `{"customer":"Ada","lines":{"1":{"cents":100,"pieces":1}}}`},
		{"before it began", "--at 2025-12-31T23:59:59Z", "0", "0", `{}`},
		{"relative", "--at -57d", "4", "3", `{"customer":"Eve","lines":{"1":{"cents":100,"pieces":1},"2":{"cents":12345678901234567890.10}}}`},
	} {
		got := p.must(append([]string{"state", "sales-order-1"}, strings.Fields(tc.args)...)...)
		r := decode[stateRecord](t, got)
		if string(r.State) != tc.want || r.Version.String() != tc.version || string(rune('0'+r.Events)) != tc.events {
			t.Errorf("%s: got %s, want version %s of %s events: %s", tc.name, got, tc.version, tc.events, tc.want)
		}
	}
	got := p.must("state", "sales-order-1")
	if fields := keysOf(t, got); fields != "stream version events occurred_until recorded_until state" {
		t.Errorf("got fields %s", fields)
	}
	if want := `"occurred_until":"2026-01-06T00:00:00Z","recorded_until":"2026-01-15T00:00:00Z"`; !strings.Contains(got, want) {
		t.Errorf("got %s, want the greatest times", got)
	}
	if got := p.must("state", "sales-order-1", "--at", "1", "--pretty"); !strings.Contains(got, "\n    \"customer\": \"Ada\",\n") {
		t.Errorf("pretty: got %s", got)
	}
	if got := p.must("state", "sales-order-1", "--at", "0", "-o", "table"); !strings.Contains(got, "state           {}\n") {
		t.Errorf("table: got %s", got)
	}
}

func TestStateCompares(t *testing.T) {
	t.Parallel()
	p := order(t)
	for _, tc := range []struct{ name, args, want string }{
		{"two versions", "--diff 1..2", `{"path":"/lines/2","change":"added","before":null,"after":{"cents":12345678901234567890.10}}` + "\n"},
		{"the other way round", "--diff 2..1", `{"path":"/lines/2","change":"removed","before":{"cents":12345678901234567890.10},"after":null}` + "\n"},
		{"a version and now", "--diff 3..", `{"path":"/Counted","change":"added","before":null,"after":7}` + "\n" + `{"path":"/customer","change":"changed","before":"Ada","after":"Eve"}` + "\n"},
		{"nothing and a version", "--diff ..1", `{"path":"/customer","change":"added","before":null,"after":"Ada"}` + "\n" + `{"path":"/lines","change":"added","before":null,"after":{"1":{"cents":100,"pieces":1}}}` + "\n"},
		{"two times", "--diff 2026-01-02T00:00:00.0Z..2026-01-05T00:00:00Z", `{"path":"/shipped","change":"added","before":null,"after":true}` + "\n"},
		{"two times, as known then", "--diff 2026-01-01T00:00:00Z..-1d --as-known-at 2026-01-12T00:00:00Z", `{"path":"/lines/2","change":"added","before":null,"after":{"cents":12345678901234567890.10}}` + "\n"},
		{"the same twice", "--diff 3..3", ""},
	} {
		if got := p.must(append([]string{"state", "sales-order-1"}, strings.Fields(tc.args)...)...); got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.name, got, tc.want)
		}
	}
	if got := p.must("state", "sales-order-1", "--diff", "4..5", "-o", "csv"); got != "path,change,before,after\n/Counted,added,,7\n" {
		t.Errorf("csv: got %s", got)
	}
}

func TestStateRefuses(t *testing.T) {
	t.Parallel()
	p := order(t)
	for _, tc := range []struct {
		code       int
		want, args string
	}{
		{exitNotFound, "stream not found", "state sales-order-2"},
		{exitNotFound, "stream not found", "state sales-order-1 --tenant acme"},
		{exitUsage, "has no offset from UTC", "state sales-order-1 --at 2026-01-01T00:00:00"},
		{exitUsage, "--as-known-at", "state sales-order-1 --as-known-at soon"},
		{exitUsage, "--diff", "state sales-order-1 --diff 1"},
		{exitUsage, "is not A..B", "state sales-order-1 --diff .."},
		{exitUsage, "--diff", "state sales-order-1 --diff 1..soon"},
		{exitUsage, "contradict", "state sales-order-1 --diff 1..2 --at 1"},
		{exitUsage, "accepts 1 arg(s)", "state"},
	} {
		p.fails(tc.code, tc.want, strings.Fields(tc.args)...)
	}
}
