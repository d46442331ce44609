// Command mutate proves that the tests have teeth. It breaks the product in one place at
// a time, as the tables below say, and runs the tests that must go red for it. It prints
// a line for each mutant, and fails if one survives.
//
//	go run ./internal/campaign/mutate [-list] [-markdown] [-run REGEXP] [-at-once N]
//
// Nothing in the tree is changed: the broken file lies in a temporary directory, and the
// compiler is told to take it instead (go test -overlay).
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, args []string) error {
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	list := flags.Bool("list", false, "name the mutants and run nothing")
	markdown := flags.Bool("markdown", false, "print the table of mutants for docs/RELIABILITY.md and run nothing")
	only := flags.String("run", "", "take the mutants alone of which the name, the file or a test matches this regular expression")
	atOnce := flags.Int("at-once", 2, "how many mutants are tried at a time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		return err
	}
	var chosen []mutant
	for _, m := range mutants() {
		if wanted.MatchString(m.name) || wanted.MatchString(m.file) || slices.ContainsFunc(m.tests, wanted.MatchString) {
			chosen = append(chosen, m)
		}
	}
	switch {
	case len(chosen) == 0:
		return fmt.Errorf("no mutant matches %q", *only)
	case *list:
		for _, m := range chosen {
			fmt.Fprintln(out, m.name)
		}
		return nil
	case *markdown:
		printMarkdown(out, chosen)
		return nil
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	return (&campaign{root: root, out: out, atOnce: *atOnce, timeout: testTimeout}).run(ctx, chosen)
}

// moduleRoot is the folder of go.mod, at or above the present one.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "go.mod")); err == nil {
			return at, nil
		}
		if filepath.Dir(at) == at {
			return "", fmt.Errorf("%s lies in no module", dir)
		}
	}
}

func printMarkdown(out io.Writer, list []mutant) {
	fmt.Fprintln(out, "| what is broken | in | what goes red |\n|---|---|---|")
	for _, m := range list {
		fmt.Fprintf(out, "| %s | `%s` | `%s` |\n", m.name, m.file, strings.Join(m.tests, "`, `"))
	}
}
