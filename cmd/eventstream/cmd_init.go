package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
)

func newInitCommand(env *environment) *cobra.Command {
	var node string
	var indexes []string
	cmd := &cobra.Command{
		Use:   "init DIR",
		Short: "Create a store",
		Long: `init creates an empty store in DIR, which must not exist or be empty, and prints
what info prints.

--index chooses the indexes that queries find, built behind the log: tenant, type,
category, correlation, causation, user, occurred, tag. The default is the first five.`,
		Example: "  eventstream init ./books --node till-3",
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&node, "node", "", "a label of this machine or shop, kept in the store")
	cmd.Flags().StringSliceVar(&indexes, "index", nil, "an index of the store, may be repeated")
	out := addRecordOutput(cmd, env)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts := &eventstream.Options{ErrorIfExists: true, Node: node, Clock: env.now}
		for _, name := range indexes {
			opts.Indexes = append(opts.Indexes, eventstream.Index(name))
		}
		return initStore(cmd, out, args[0], opts)
	}
	return cmd
}

func initStore(cmd *cobra.Command, out *output, dir string, opts *eventstream.Options) (err error) {
	if err := refuseFull(dir); err != nil {
		return err
	}
	db, err := eventstream.Open(dir, opts)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	info, err := readInfo(cmd.Context(), db)
	if err != nil {
		return err
	}
	return out.record(info)
}

// refuseFull refuses a directory with anything in it but a store, which Open
// refuses itself: nobody's files get mixed with a store's.
func refuseFull(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		return nil
	}
	if _, err := os.Stat(filepath.Join(dir, "STORE")); err == nil {
		return fmt.Errorf("%s: %w", dir, eventstream.ErrExists)
	}
	return fmt.Errorf("%s is not empty: name a new or an empty directory", dir)
}
