package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nexus-erp/eventstream/internal/campaign"
)

// counts writes a file in which every kind has what the lane owes, and more lines.
func counts(t *testing.T, lane campaign.Lane, more ...string) string {
	t.Helper()
	var lines []string
	for _, k := range campaign.Kinds() {
		lines = append(lines,
			`{"test":"TestA","kind":"`+string(k)+`","n":1}`,
			`{"test":"TestB","kind":"`+string(k)+`","n":`+strconv.Itoa(campaign.Owed(lane)[k]-1)+`}`)
	}
	path := filepath.Join(t.TempDir(), "counts")
	if err := os.WriteFile(path, []byte(strings.Join(append(lines, more...), "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReport(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what, lane, file string
		want             []string // in what is printed, in this order
		fault            string   // in the error
	}{
		{"what is owed was done", "pr", counts(t, campaign.PullRequest), []string{"campaign (pr): 1500 crash points, 3000 fault points", "60 SIGKILL rounds"}, ""},
		{
			"a listed exception", "pr", counts(t, campaign.PullRequest, `{"test":"TestA","exception":"`+campaign.LostEnd+`","n":2}`, `{"test":"TestB","exception":"`+campaign.LostEnd+`","n":3}`),
			[]string{"campaign", "listed exception: " + campaign.LostEnd + ": 5\n"},
			"",
		},
		{"an exception that is not listed", "pr", counts(t, campaign.PullRequest, `{"test":"TestA","exception":"it was late","n":1}`), []string{"it was late: 1"}, "not listed: it was late"},
		{"too little for the lane", "nightly", counts(t, campaign.PullRequest), []string{"campaign (nightly)"}, "60 SIGKILL rounds of at least 2000"},
		{"no file", "pr", filepath.Join(t.TempDir(), "none"), nil, "no such file"},
		{"a line that is none", "pr", counts(t, campaign.PullRequest, "{"), nil, `line "{"`},
		{"an unknown lane", "night", counts(t, campaign.PullRequest), nil, "want pr, nightly or weekly"},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			err := run(&out, c.lane, []string{c.file})
			switch {
			case c.fault == "" && err != nil:
				t.Errorf("got error %v", err)
			case c.fault != "" && (err == nil || !strings.Contains(err.Error(), c.fault)):
				t.Errorf("got error %v, want one with %q", err, c.fault)
			}
			rest := out.String()
			for _, want := range c.want {
				at := strings.Index(rest, want)
				if at < 0 {
					t.Fatalf("printed %q, want %q in it, in this order: %q", out.String(), want, c.want)
				}
				rest = rest[at:]
			}
		})
	}
	if err := run(&strings.Builder{}, "pr", nil); err == nil {
		t.Error("no file was accepted")
	}
}
