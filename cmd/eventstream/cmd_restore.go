package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
)

// restoreInfo is what restore says.
type restoreInfo struct {
	Path                string               `json:"path"`
	StoreID             string               `json:"store_id"`
	Incarnation         string               `json:"incarnation"`
	PreviousIncarnation string               `json:"previous_incarnation"`
	Head                eventstream.Position `json:"head"`
	BackupHead          eventstream.Position `json:"backup_head"`
	Events              uint64               `json:"events"`
	Streams             uint64               `json:"streams"`
	RecordedAt          string               `json:"recorded_at"` // of the newest event; "" if there is none
	CutCommit           eventstream.Position `json:"cut_commit"`  // 0 if no commit was cut
}

func newRestoreCommand(env *environment) *cobra.Command {
	var asOf string
	cmd := &cobra.Command{
		Use:   "restore SRC DIR",
		Short: "Make a store of a backup, all of it or as of a position or a time",
		Long: `restore copies the backup SRC to DIR, which must not exist or be empty, compares
every file with the sum in the backup, and checks all events before the store
stands there. SRC is only read. The store gets a new incarnation.

--as-of leaves out the commits that end above a position, or that were recorded
after a time: RFC 3339, or relative to now as -15m. A commit that the position
lies inside of is left out whole, and cut_commit names its first position.`,
		Example: "  eventstream restore /mnt/other/books-2026-11-23 ./books --as-of 2026-11-23T09:30:00Z",
		Args:    cobra.ExactArgs(2),
	}
	cmd.Flags().StringVar(&asOf, "as-of", "", "position, or recorded time, of the last commit to keep (default: everything)")
	out := addRecordOutput(cmd, env)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts, err := parseAsOf(env, cmd.Flags().Changed("as-of"), asOf)
		if err != nil {
			return err
		}
		sayWorking(env, "copying the backup and checking the copy")
		info, err := eventstream.Restore(cmd.Context(), args[0], args[1], opts)
		if err != nil {
			return err
		}
		return out.record(restoreInfo{
			Path: info.Path, StoreID: info.StoreID.String(), Incarnation: info.Incarnation.String(), PreviousIncarnation: info.PreviousIncarnation.String(),
			Head: info.Head, BackupHead: info.BackupHead, Events: info.Events, Streams: info.Streams,
			RecordedAt: timeOrNone(info.RecordedAt), CutCommit: info.CutCommit,
		})
	}
	return cmd
}

// parseAsOf reads what --as-of asks for: a whole number is a position, all else a time.
func parseAsOf(env *environment, given bool, text string) (*eventstream.RestoreOptions, error) {
	opts := &eventstream.RestoreOptions{Options: &eventstream.Options{Clock: env.now}}
	if !given {
		return opts, nil
	}
	if position, err := strconv.ParseUint(text, 10, 64); err == nil {
		if position == 0 {
			return nil, usagef("--as-of: position 0 is before the first event: nothing would be left")
		}
		opts.AsOfPosition = eventstream.Position(position)
		return opts, nil
	}
	var err error
	opts.AsOfTime, err = parseTime(env, "--as-of", text)
	return opts, err
}
