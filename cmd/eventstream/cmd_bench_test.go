package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream/bench"
)

// benchEnvironment returns an environment that keeps what is written.
func benchEnvironment() (env *environment, stdout, stderr *bytes.Buffer) {
	stdout, stderr = &bytes.Buffer{}, &bytes.Buffer{}
	return &environment{
		stdin: strings.NewReader(""), stdout: stdout, stderr: stderr,
		getenv: func(string) string { return "" }, now: time.Now,
	}, stdout, stderr
}

func TestBenchWritesItsReport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "report.json")
	env, stdout, stderr := benchEnvironment()
	code := run(t.Context(), env, []string{
		"bench", "append", "--writers", "1,2", "--duration", "10ms", "--rounds", "1", "--durability", "none",
		"--seed", "9", "--dir", filepath.Join(dir, "store"), "--json", file,
	})
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var report bench.Report
	if err := json.Unmarshal(doc, &report); err != nil {
		t.Fatal(err)
	}
	if report.Seed != 9 || report.Rounds != 1 || report.Durability != "none" {
		t.Errorf("report = %+v, want seed 9, 1 round, durability none", report)
	}
	var figures []string
	for _, r := range report.Results {
		figures = append(figures, r.Name)
	}
	if got := strings.Join(figures, " "); got != "append append append-locked" {
		t.Errorf("figures = %q, want append with 1 and 2 writers and append-locked", got)
	}
	if !strings.Contains(stdout.String(), "append-locked") || !strings.Contains(stderr.String(), "measuring append") {
		t.Errorf("stdout %q, stderr %q; want the table and the progress", stdout, stderr)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("beside the store lies %v (%v), want the report alone", left, err)
	}
}

func TestBenchWithBatchesAppendsBatches(t *testing.T) {
	t.Parallel()
	env, stdout, stderr := benchEnvironment()
	code := run(t.Context(), env, []string{
		"bench", "append", "--batch", "25", "--writers", "2", "--duration", "10ms", "--rounds", "1", "--durability", "none",
		"--dir", filepath.Join(t.TempDir(), "store"), "--json", "-",
	})
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	var report bench.Report
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		t.Fatalf("stdout is no report: %v\n%s", err, stdout)
	}
	if len(report.Results) != 1 || report.Results[0].Name != "append-batch" || report.Results[0].Batch != 25 || report.Results[0].Writers != 2 {
		t.Errorf("results = %+v, want append-batch of 25 with 2 writers", report.Results)
	}
}

func TestBenchRefusesWhatItCannotRun(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"an unknown figure", []string{"speed"}, "speed"},
		{"a durability it cannot compare", []string{"--durability", "never"}, "--durability"},
		{"a batch beyond the limit", []string{"append-batch", "--batch", "5000"}, "batch is 5000"},
		{"no writers", []string{"append", "--writers", "0"}, "number of writers is 0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			env, _, stderr := benchEnvironment()
			if code := run(t.Context(), env, append([]string{"bench"}, tc.args...)); code != exitUsage {
				t.Errorf("exit code = %d, want %d", code, exitUsage)
			}
			if !strings.Contains(stderr.String(), tc.want) {
				t.Errorf("stderr = %q, want it to name %q", stderr, tc.want)
			}
		})
	}
}

func TestDemoRefusesADirectoryThatIsNotEmpty(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "letter.txt"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	env, _, stderr := benchEnvironment()
	if code := run(t.Context(), env, []string{"demo", "--dir", dir}); code != exitError {
		t.Errorf("exit code = %d, want %d", code, exitError)
	}
	if !strings.Contains(stderr.String(), "is not empty") {
		t.Errorf("stderr = %q, want it to say that the directory is not empty", stderr)
	}
}

func TestDemoTakesNoArguments(t *testing.T) {
	t.Parallel()
	env, _, _ := benchEnvironment()
	if code := run(t.Context(), env, []string{"demo", "fast"}); code != exitUsage {
		t.Errorf("exit code = %d, want %d", code, exitUsage)
	}
}
