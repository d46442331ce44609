package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/render"
)

// run carries out one command line and returns the exit code. It writes to env
// alone and leaves nothing running.
func run(ctx context.Context, env *environment, args []string) int {
	root := newRootCommand(env)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var quiet *codeOnly
	if errors.As(err, &quiet) {
		return quiet.code
	}
	f := explain(err)
	if errors.Is(ctx.Err(), context.Canceled) && f.exit == exitError {
		f = explain(context.Canceled)
	}
	report(env, f, args)
	return f.exit
}

// newRootCommand builds the whole command tree anew: commands keep their flags'
// values, so that one tree serves one run.
func newRootCommand(env *environment) *cobra.Command {
	root := &cobra.Command{
		Use:   "eventstream",
		Short: "Create, fill, read, check and inspect event stores",
		Long: `eventstream works on an event store: one directory, opened by one process at a
time. Name it with --dir or the environment variable EVENTSTREAM_DIR.

stdout carries data, stderr messages. Lists are tables on a terminal and JSON
lines in a pipe; -o chooses another form.

Exit codes: 0 ok, 1 error, 2 usage, 3 not found, 4 version conflict, 5 damage
found, 6 store in use by another process, 7 interrupted or timed out, 8 checks
passed with warnings.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(env.stdin)
	root.SetOut(env.stdout)
	root.SetErr(env.stderr)
	root.CompletionOptions.DisableDefaultCmd = true
	root.PersistentFlags().StringP("dir", "d", "", "the store's directory (default: $EVENTSTREAM_DIR)")
	root.PersistentFlags().String("tenant", "default", "the tenant whose streams are meant")
	root.PersistentFlags().Bool("no-color", false, "no colour, also: NO_COLOR, TERM=dumb")

	root.AddCommand(commands(env)...)
	refuseWithUsage(root)
	return root
}

// refuseWithUsage makes wrong flags and arguments a usageError throughout the tree.
func refuseWithUsage(cmd *cobra.Command) {
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &usageError{reason: err.Error(), hint: helpHint(cmd)}
	})
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return &usageError{reason: err.Error(), hint: helpHint(cmd)}
			}
			return nil
		}
	}
	for _, child := range cmd.Commands() {
		refuseWithUsage(child)
	}
}

func helpHint(cmd *cobra.Command) string { return "see: " + cmd.CommandPath() + " --help" }

// report tells the user what went wrong, as JSON if the command line asks for it.
// The arguments are searched rather than parsed: they may be what is wrong.
func report(env *environment, f failure, args []string) {
	if wantsJSON(args) {
		type body struct {
			Code    string `json:"code"`
			Message string `json:"message"`
			Hint    string `json:"hint"`
		}
		doc, err := render.Marshal(map[string]body{"error": {Code: f.code, Message: f.message, Hint: f.hint}})
		if err == nil {
			fmt.Fprintf(env.stderr, "%s\n", doc)
			return
		}
	}
	label := "error:"
	if env.stderrTTY && env.colour(slices.Contains(args, "--no-color")) {
		label = "\x1b[31merror:\x1b[0m"
	}
	fmt.Fprintln(env.stderr, label, strings.TrimPrefix(f.message, "eventstream: "))
	if f.hint != "" {
		fmt.Fprintln(env.stderr, "hint:", f.hint)
	}
}

func wantsJSON(args []string) bool {
	for i, arg := range args {
		if arg == "--" {
			return false
		}
		if arg == "-ojson" || arg == "-o=json" || arg == "--output=json" {
			return true
		}
		if (arg == "-o" || arg == "--output") && i+1 < len(args) && args[i+1] == "json" {
			return true
		}
	}
	return false
}
