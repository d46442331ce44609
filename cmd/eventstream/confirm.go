package main

import (
	"bufio"
	"fmt"
	"strings"
)

// confirm asks before something is destroyed, unless --yes was given. Where nobody can
// answer, it refuses.
func confirm(env *environment, yes bool, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	if yes {
		return nil
	}
	refused := &usageError{reason: what + ": nobody agreed", hint: "add --yes if that is what you want"}
	if !env.stdinTTY {
		return refused
	}
	fmt.Fprintf(env.stderr, "%s. Go on? [y/N] ", what)
	answer, err := bufio.NewReader(env.stdin).ReadString('\n')
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer == "y" || answer == "yes" {
		return nil
	}
	if err != nil && answer == "" {
		fmt.Fprintln(env.stderr)
	}
	return refused
}
