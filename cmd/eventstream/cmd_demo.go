package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/demo"
)

// newDemoCommand returns the command demo.
func newDemoCommand(env *environment) *cobra.Command {
	var seed uint64
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Keep a shop's books for a year, through a crash, and prove what came of it",
		Long: `demo generates a shop's year of invoices, deliveries and journal entries, lets a
child process append them and kills it on the way, finishes the year, lets another
child keep read models and kills it too, and checks what books must answer: a trial
balance of zero, the stock on a past date as known then and now, no entry lost, none
half, none twice.

With --dir the store is kept there; the directory must be new or empty. Without,
it is made in a temporary directory and removed. The exit code is 0 only if every
claim held.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Not EVENTSTREAM_DIR: it names the user's own store.
			dir, err := cmd.Flags().GetString("dir")
			if err != nil {
				return err
			}
			program, err := os.Executable()
			if err != nil {
				return err
			}
			child := func(role string) func(context.Context, string, uint64) *exec.Cmd {
				return func(ctx context.Context, dir string, seed uint64) *exec.Cmd {
					return exec.CommandContext(ctx, program, "demo", role, "--dir", dir, "--seed", strconv.FormatUint(seed, 10))
				}
			}
			return demo.Run(cmd.Context(), demo.Config{
				Dir: dir, Seed: seed, Out: env.stdout, Child: child("child"), Projector: child("projector"),
			})
		},
	}
	cmd.PersistentFlags().Uint64Var(&seed, "seed", 2025, "makes the year: the same seed, the same events")
	cmd.AddCommand(
		newDemoChildCommand(env, &seed, "child", "Append the year to --dir and acknowledge each entry (demo starts this and kills it)", demo.RunChild),
		newDemoChildCommand(env, &seed, "projector", "Run the read models of --dir and say how far they are (demo starts this and kills it)", demo.RunProjector),
	)
	return cmd
}

// newDemoChildCommand returns a command that demo starts and kills.
func newDemoChildCommand(
	env *environment, seed *uint64, name, short string, run func(ctx context.Context, dir string, seed uint64, out io.Writer) error,
) *cobra.Command {
	return &cobra.Command{
		Use:    name,
		Short:  short,
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := storeDir(cmd, env)
			if err != nil {
				return err
			}
			return run(cmd.Context(), dir, *seed, env.stdout)
		},
	}
}
