package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	shared "github.com/nexus-erp/eventstream/internal/campaign"
)

// testTimeout bounds the tests of one mutant.
const testTimeout = 2 * time.Minute

// campaign tries mutants.
type campaign struct {
	root    string // of the module
	out     io.Writer
	atOnce  int
	timeout time.Duration
}

// run makes sure that the tests pass as things are, tries each mutant, and returns an
// error if one was not killed.
func (c *campaign) run(ctx context.Context, list []mutant) error {
	if err := c.baseline(ctx, list); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // nothing in it is worth a failure
	width := 0
	for _, m := range list {
		width = max(width, len(m.name))
	}
	var (
		mu     sync.Mutex // of what follows, and of out
		counts = map[verdict]int{}
		broken error
		group  sync.WaitGroup
		turns  = make(chan struct{}, max(c.atOnce, 1))
	)
	began := time.Now()
	for i := range list {
		turns <- struct{}{}
		group.Go(func() {
			defer func() { <-turns }()
			t, err := c.try(ctx, &list[i], filepath.Join(dir, fmt.Sprint(i)))
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				broken = errors.Join(broken, fmt.Errorf("%s: %w", list[i].name, err))
				return
			}
			counts[t.verdict]++
			fmt.Fprintf(c.out, "%-16s  %-*s  %s (%.1f s)\n", t.verdict, width, list[i].name, strings.Join(list[i].tests, ", "), t.took.Seconds())
			if t.verdict != killed && t.verdict != survived {
				fmt.Fprint(c.out, indented(t.output))
			}
		})
	}
	group.Wait()
	if broken != nil {
		return broken
	}
	fmt.Fprintf(c.out, "%d of %d mutants were killed, in %.0f s\n", counts[killed], len(list), time.Since(began).Seconds())
	if n := len(list) - counts[killed]; n > 0 {
		return fmt.Errorf("%d mutants were not killed", n)
	}
	return nil
}

// trial is a mutant that was tried.
type trial struct {
	verdict verdict
	took    time.Duration
	output  string
}

// try runs the tests of m with its fault, which it keeps in dir.
func (c *campaign) try(ctx context.Context, m *mutant, dir string) (trial, error) {
	source, err := m.apply(c.root)
	if err != nil {
		return trial{}, err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return trial{}, err
	}
	changed, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(c.root, filepath.FromSlash(m.file)): changed}})
	if err != nil {
		return trial{}, err
	}
	if err := errors.Join(os.WriteFile(changed, source, 0o644), os.WriteFile(overlay, list, 0o644)); err != nil {
		return trial{}, err
	}
	began := time.Now()
	passed, output, err := c.test(ctx, m.pkg, m.tests, m.long, "-overlay="+overlay)
	return trial{verdict: judge(m, passed, output), took: time.Since(began), output: output}, err
}

// baseline runs all tests of the mutants once, as things are: a test that fails in any
// case, that is skipped or does not exist kills nothing.
func (c *campaign) baseline(ctx context.Context, list []mutant) error {
	type batch struct {
		pkg  string
		long bool
	}
	tests := map[batch][]string{}
	var order []batch
	for _, m := range list {
		b := batch{m.pkg, m.long}
		if tests[b] == nil {
			order = append(order, b)
		}
		for _, test := range m.tests {
			if !slices.Contains(tests[b], test) {
				tests[b] = append(tests[b], test)
			}
		}
	}
	began, total := time.Now(), 0
	for _, b := range order {
		_, output, err := c.test(ctx, b.pkg, tests[b], b.long, "-v")
		if err != nil {
			return err
		}
		for _, test := range tests[b] {
			if !strings.Contains("\n"+output, "\n--- PASS: "+test+" ") {
				return fmt.Errorf("%s of %s does not pass as things are:\n%s", test, b.pkg, indented(output))
			}
		}
		total += len(tests[b])
	}
	fmt.Fprintf(c.out, "%d tests pass as things are, in %.0f s\n", total, time.Since(began).Seconds())
	return nil
}

// test runs tests of a package. An error is one of running them at all.
func (c *campaign) test(ctx context.Context, pkg string, tests []string, long bool, more ...string) (passed bool, output string, err error) {
	args := []string{"test", "-vet=off", "-count=1", "-timeout=" + c.timeout.String(), "-run=^(" + strings.Join(tests, "|") + ")$"}
	if !long {
		args = append(args, "-short")
	}
	cmd := exec.CommandContext(ctx, "go", append(append(args, more...), pkg)...)
	cmd.Dir = c.root
	cmd.WaitDelay = time.Second // the tests that go has started may hold the output, if they do not end with it
	for _, variable := range os.Environ() {
		// Tests that are meant to fail try no more than they must, and count for nothing.
		if name, _, _ := strings.Cut(variable, "="); name != shared.LaneVariable && name != shared.CountsVariable {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	cmd.Env = append(cmd.Env, "RAPID_NOFAILFILE=true") // nor do they leave anything behind
	text, err := cmd.CombinedOutput()
	if ctx.Err() != nil {
		return false, "", ctx.Err()
	}
	if _, failed := errors.AsType[*exec.ExitError](err); failed {
		return false, string(text), nil
	}
	return err == nil, string(text), err
}

// indented is the end of an output, moved to the right.
func indented(output string) string {
	const most = 40
	lines := strings.Split(strings.TrimRight(output, "\n"), "\n")
	if len(lines) > most {
		lines = lines[len(lines)-most:]
	}
	return "\t" + strings.Join(lines, "\n\t") + "\n"
}
