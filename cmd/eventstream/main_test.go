package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// childVariable makes the test binary behave as the program itself, so that a test
// can kill it.
const childVariable = "EVENTSTREAM_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		main()
		return
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if err := shared.remove(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
		os.Exit(code)
	}))
}

// program runs the command line in the test's own process, on a store of its own.
type program struct {
	t   *testing.T
	dir string
	env environment
	ctx context.Context
}

// result is what one run of the program left.
type result struct {
	code           int
	stdout, stderr string
}

// testNow is the time of every run.
var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// newProgram returns the program with the directory of a store that does not exist
// yet.
func newProgram(t *testing.T) *program {
	t.Helper()
	p := &program{t: t, dir: filepath.Join(t.TempDir(), "store"), ctx: t.Context()}
	p.env = environment{
		stdin:  strings.NewReader(""),
		getenv: func(string) string { return "" },
		now:    func() time.Time { return testNow },
	}
	return p
}

// newStore returns the program with an empty store.
func newStore(t *testing.T) *program {
	t.Helper()
	p := newProgram(t)
	p.must("init", p.dir)
	return p
}

// run runs a command line on the store.
func (p *program) run(args ...string) result {
	p.t.Helper()
	var stdout, stderr bytes.Buffer
	env := p.env
	env.stdout, env.stderr = &stdout, &stderr
	inner := env.getenv
	env.getenv = func(name string) string {
		if name == "EVENTSTREAM_DIR" {
			return p.dir
		}
		return inner(name)
	}
	code := run(p.ctx, &env, args)
	return result{code, stdout.String(), stderr.String()}
}

// must runs a command line that has to succeed and returns its stdout.
func (p *program) must(args ...string) string {
	p.t.Helper()
	r := p.run(args...)
	if r.code != exitOK {
		p.t.Fatalf("%q: got exit code %d, want 0; stderr: %s", args, r.code, r.stderr)
	}
	return r.stdout
}

// fails runs a command line that has to end with a code and a message on stderr.
func (p *program) fails(code int, message string, args ...string) result {
	p.t.Helper()
	r := p.run(args...)
	if r.code != code {
		p.t.Errorf("%q: got exit code %d, want %d; stderr: %s", args, r.code, code, r.stderr)
	}
	if !strings.Contains(r.stderr, message) {
		p.t.Errorf("%q: got stderr %q, want %q in it", args, r.stderr, message)
	}
	return r
}

// with returns the program with another stdin.
func (p *program) with(stdin string) *program {
	c := *p
	c.env.stdin = strings.NewReader(stdin)
	return &c
}

// file writes a file beside the store and returns its path.
func (p *program) file(name, text string) string {
	p.t.Helper()
	path := filepath.Join(filepath.Dir(p.dir), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// decode reads one JSON document.
func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	dec := json.NewDecoder(strings.NewReader(text))
	if err := dec.Decode(&v); err != nil {
		t.Fatalf("%v in %q", err, text)
	}
	if _, err := dec.Token(); err != io.EOF {
		t.Fatalf("more than one document in %q", text)
	}
	return v
}

// lines reads JSON lines.
func lines[T any](t *testing.T, text string) []T {
	t.Helper()
	var all []T
	for line := range strings.Lines(text) {
		all = append(all, decode[T](t, line))
	}
	return all
}

// keysOf returns the names of an object's fields in their order.
func keysOf(t *testing.T, doc string) string {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(doc))
	var names []string
	if _, err := dec.Token(); err != nil {
		t.Fatalf("%v in %q", err, doc)
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			t.Fatalf("%v in %q", err, doc)
		}
		names = append(names, name.(string))
		var skipped json.RawMessage
		if err := dec.Decode(&skipped); err != nil {
			t.Fatalf("%v in %q", err, doc)
		}
	}
	return strings.Join(names, " ")
}
