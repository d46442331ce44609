package main

import "testing"

func TestVerdicts(t *testing.T) {
	t.Parallel()
	one, two, endless := &mutant{tests: []string{"TestA"}}, &mutant{tests: []string{"TestA", "TestB"}}, &mutant{tests: []string{"TestA"}, hangs: true}
	const (
		failA   = "--- FAIL: TestA (0.01s)\n    a_test.go:1: got 1, want 2\n"
		end     = "FAIL\nFAIL\texample.org/m\t0.01s\nFAIL\n"
		timeout = "panic: test timed out after 2m0s\n\trunning tests:\n\t\tTestA (2m0s)\n\ngoroutine 1 [running]:\n"
	)
	for _, tt := range []struct {
		name   string
		m      *mutant
		passed bool
		output string
		want   verdict
	}{
		{"it passed", one, true, "ok  \texample.org/m\t0.01s\n", survived},
		{"it passed, and printed what looks like a failure", one, true, failA, survived},
		{"it failed", one, false, failA + end, killed},
		{"one of two failed", two, false, failA + end, half},
		{"both failed", two, false, failA + "--- FAIL: TestB (0.01s)\n" + end, killed},
		{"another one failed", one, false, "--- FAIL: TestAll (0.01s)\n" + end, elsewhere},
		{"a part of it alone is named", one, false, "    --- FAIL: TestA/part (0.01s)\n" + end, elsewhere},
		{"goroutines were left", one, false, "PASS\ngoleak: Errors on successful test run: found unexpected goroutines:\n" + end, elsewhere},
		{"it does not compile", one, false, "# example.org/m\n./m.go:3:2: declared and not used: x\nFAIL\texample.org/m [build failed]\n", notCompiled},
		{"an import is missing", one, false, "FAIL\texample.org/m [setup failed]\n", notCompiled},
		{"it panicked", one, false, failA + "panic: boom [recovered, repanicked]\n", panicked},
		{"the runtime gave up", one, false, "fatal error: all goroutines are asleep - deadlock!\n", panicked},
		{"it did not end", one, false, timeout + end, timedOut},
		{"it did not end, as expected", endless, false, timeout + end, killed},
		{"it was expected not to end, and passed", endless, true, "ok  \texample.org/m\t0.01s\n", survived},
	} {
		if got := judge(tt.m, tt.passed, tt.output); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}
