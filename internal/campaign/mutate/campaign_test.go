package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// smallModule is a product with one test that has teeth and one that has none.
var smallModule = map[string]string{
	"go.mod":        "module example.org/small\n\ngo 1.26\n",
	"small.go":      "package small\n\n// Least returns the lesser one.\nfunc Least(a, b int) int {\n\tif a < b {\n\t\treturn a\n\t}\n\treturn b\n}\n",
	"small_test.go": "package small\n\nimport \"testing\"\n\nfunc TestLeast(t *testing.T) {\n\tif got := Least(1, 2); got != 1 {\n\t\tt.Errorf(\"got %d, want 1\", got)\n\t}\n}\n\nfunc TestNothing(t *testing.T) { Least(1, 2) }\n\nfunc TestRed(t *testing.T) { t.Error(\"red\") }\n\nfunc TestSkipped(t *testing.T) { t.Skip() }\n",
}

func TestEachMutantIsTriedAndTheTreeStaysAsItIs(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range smallModule {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	fault := func(name, find, put, test string) mutant {
		return mutant{name: name, file: "small.go", find: find, put: put, pkg: ".", tests: []string{test}}
	}
	good := fault("the greater one", "a < b", "a > b", "TestLeast")
	endless := fault("no end, as expected", "if a < b {", "for a < b {\n\t}\n\tif a < b {", "TestLeast")
	endless.hangs = true
	for _, tt := range []struct {
		name    string
		list    []mutant
		verdict verdict // of the last one, if it was tried
		err     string
	}{
		{"killed", []mutant{good, endless}, killed, ""},
		{"survived", []mutant{good, fault("unseen", "a < b", "a > b", "TestNothing")}, survived, "1 mutants were not killed"},
		{"no Go", []mutant{fault("no Go", "a < b", "a < c", "TestLeast")}, notCompiled, "1 mutants were not killed"},
		{"stale", []mutant{fault("stale", "a <= b", "a > b", "TestLeast")}, "", "stands there 0 times"},
		{"not unique", []mutant{fault("not unique", "return ", "return -", "TestLeast")}, "", "stands there 2 times"},
		{"red as it is", []mutant{fault("red", "a < b", "a > b", "TestRed")}, "", "TestRed of . does not pass as things are"},
		{"skipped", []mutant{fault("skipped", "a < b", "a > b", "TestSkipped")}, "", "TestSkipped of . does not pass as things are"},
		{"no such test", []mutant{fault("no such test", "a < b", "a > b", "TestGone")}, "", "TestGone of . does not pass as things are"},
	} {
		var out bytes.Buffer
		err := (&campaign{root: dir, out: &out, atOnce: 2, timeout: 2 * time.Second}).run(context.Background(), tt.list)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: got error %v, want %q\n%s", tt.name, err, tt.err, out.String())
		}
		last := tt.list[len(tt.list)-1].name
		for line := range strings.Lines(out.String()) {
			if strings.Contains(line, "  "+last+" ") && !strings.HasPrefix(line, string(tt.verdict)+" ") {
				t.Errorf("%s: got %q, want the verdict %s", tt.name, line, tt.verdict)
			}
		}
		if said := strings.Contains(out.String(), "  "+last+" "); said != (tt.verdict != "") {
			t.Errorf("%s: the last mutant is in the output: %v\n%s", tt.name, said, out.String())
		}
	}
	for name, content := range smallModule {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != content {
			t.Errorf("%s was changed: %v", name, err)
		}
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"-list -run checksum|sum of a snapshot":   "the sum of a snapshot is not compared\n",
		"-list -run ^snapshot/":                   "the sum of a snapshot is not compared\n",
		"-markdown -run the sum of a snapshot is": "| what is broken | in | what goes red |\n|---|---|---|\n| the sum of a snapshot is not compared | `snapshot/record.go` | `TestDamageIsFound`, `TestARecordThatWasMovedIsFound` |\n",
	} {
		flags, pattern, _ := strings.Cut(args, " -run ")
		var out bytes.Buffer
		if err := run(context.Background(), &out, []string{flags, "-run", pattern}); err != nil || out.String() != want {
			t.Errorf("%s: got %v and %q, want %q", args, err, out.String(), want)
		}
	}
	for _, args := range [][]string{{"-list", "-run", "no such mutant"}, {"-list", "-run", "("}} {
		if err := run(context.Background(), &bytes.Buffer{}, args); err == nil {
			t.Errorf("%q: got no error", args)
		}
	}
}
