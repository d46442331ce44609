package main

import (
	"io"
	"os"
	"time"

	"github.com/mattn/go-isatty"
)

// environment is all that a command may touch outside the store: a test makes its
// own and runs the program in its own process.
type environment struct {
	stdin  io.Reader
	stdout io.Writer // data, and nothing else
	stderr io.Writer // messages and progress

	stdinTTY  bool // a person can be asked
	stdoutTTY bool // a person reads stdout: tables instead of JSON
	stderrTTY bool // a person reads stderr: a progress bar is welcome

	getenv func(string) string
	now    func() time.Time
}

// processEnvironment is the environment of the running process.
func processEnvironment() *environment {
	return &environment{
		stdin:     os.Stdin,
		stdout:    os.Stdout,
		stderr:    os.Stderr,
		stdinTTY:  isTerminal(os.Stdin),
		stdoutTTY: isTerminal(os.Stdout),
		stderrTTY: isTerminal(os.Stderr),
		getenv:    os.Getenv,
		now:       time.Now,
	}
}

func isTerminal(f *os.File) bool {
	return isatty.IsTerminal(f.Fd()) || isatty.IsCygwinTerminal(f.Fd())
}

// colour reports whether output to a terminal may carry colour: not when the user
// said no, in any of the customary ways.
func (env *environment) colour(noColorFlag bool) bool {
	return !noColorFlag && env.getenv("NO_COLOR") == "" && env.getenv("TERM") != "dumb"
}
