package main

import (
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2/tool"
	"github.com/spf13/cobra"
)

func newPebbleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pebble",
		Short: "Pebble's own inspection tools",
		Long: `pebble holds the inspection tools of Pebble, the storage engine below. A store's
Pebble directory is DIR/db; where a tool takes a directory, a store's own will do.

Some of them write: db set, db excise and db upgrade change a store behind its
back. Work on a copy.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(tool.New().Commands...)
	leadToPebble(cmd)
	return cmd
}

// leadToPebble makes every tool find the Pebble directory in a store's directory.
func leadToPebble(cmd *cobra.Command) {
	for _, child := range cmd.Commands() {
		if run := child.Run; run != nil {
			child.Run = func(cmd *cobra.Command, args []string) { run(cmd, pebbleDirs(args)) }
		}
		if run := child.RunE; run != nil {
			child.RunE = func(cmd *cobra.Command, args []string) error { return run(cmd, pebbleDirs(args)) }
		}
		leadToPebble(child)
	}
}

func pebbleDirs(args []string) []string {
	dirs := make([]string, len(args))
	for i, arg := range args {
		dirs[i] = arg
		if _, err := os.Stat(filepath.Join(arg, "STORE")); err == nil {
			dirs[i] = filepath.Join(arg, "db")
		}
	}
	return dirs
}
