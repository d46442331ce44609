package main

import (
	"regexp"
	"slices"
	"strings"
)

// verdict is what became of a mutant.
type verdict string

// The verdicts. Only the first one is as it should be.
const (
	killed      verdict = "killed"
	survived    verdict = "SURVIVED"         // all tests passed
	half        verdict = "HALF KILLED"      // some of the tests passed
	notCompiled verdict = "DOES NOT BUILD"   // the mutant, or the tests: nothing was shown
	panicked    verdict = "PANICKED"         // it ended the process: no test said what is wrong
	timedOut    verdict = "TIMED OUT"        // likewise
	elsewhere   verdict = "FAILED ELSEWHERE" // something failed, and none of the tests
)

var (
	failLine  = regexp.MustCompile(`(?m)^--- FAIL: (\w+) `)
	deathLine = regexp.MustCompile(`(?m)^(panic|fatal error): `)
)

// judge reads what go test printed for a mutant. passed is its exit status.
func judge(m *mutant, passed bool, output string) verdict {
	if passed {
		return survived
	}
	switch {
	case strings.Contains(output, " [build failed]"), strings.Contains(output, " [setup failed]"):
		return notCompiled
	case strings.Contains(output, "panic: test timed out after "):
		if m.hangs {
			return killed
		}
		return timedOut
	case deathLine.MatchString(output):
		return panicked
	}
	var failed []string
	for _, match := range failLine.FindAllStringSubmatch(output, -1) {
		failed = append(failed, match[1])
	}
	red := 0
	for _, test := range m.tests {
		if slices.Contains(failed, test) {
			red++
		}
	}
	switch red {
	case len(m.tests):
		return killed
	case 0:
		return elsewhere
	default:
		return half
	}
}
