package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
)

// backupInfo is what backup says.
type backupInfo struct {
	Path        string               `json:"path"`
	StoreID     string               `json:"store_id"`
	Incarnation string               `json:"incarnation"`
	Head        eventstream.Position `json:"head"`
	DurableHead eventstream.Position `json:"durable_head"`
	Events      uint64               `json:"events"`
	Streams     uint64               `json:"streams"`
	Files       int                  `json:"files"`
	Bytes       int64                `json:"bytes"`
	RecordedAt  string               `json:"recorded_at"` // of the newest event; "" if there is none
	CreatedAt   string               `json:"created_at"`
}

func newBackupCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup DEST",
		Short: "Copy the store to a directory, and check the copy",
		Long: `backup makes a backup in DEST, which must not exist or be empty. All of it is read
and checked before it stands there; when backup fails, DEST is as it was. Put it
on another disk: it holds everything in clear, but no lock.

It opens the store, which no other process may hold. A program that holds it calls
DB.Backup itself, while it goes on appending.`,
		Example: "  eventstream backup /mnt/other/books-2026-11-23 --dir ./books",
		Args:    cobra.ExactArgs(1),
	}
	out := addRecordOutput(cmd, env)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withTenant(cmd, env, writeAccess, func(db *eventstream.DB, _ *eventstream.Tenant) error {
			sayWorking(env, "copying the store and checking the copy")
			info, err := db.Backup(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return out.record(backupInfo{
				Path: info.Path, StoreID: info.StoreID.String(), Incarnation: info.Incarnation.String(), Head: info.Head, DurableHead: info.DurableHead,
				Events: info.Events, Streams: info.Streams, Files: info.Files, Bytes: info.Bytes,
				RecordedAt: timeOrNone(info.RecordedAt), CreatedAt: timeOrNone(info.CreatedAt),
			})
		})
	}
	return cmd
}

// timeOrNone is the time t in RFC 3339, or nothing if it is zero.
func timeOrNone(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// sayWorking tells whoever watches a terminal why nothing else is seen yet.
func sayWorking(env *environment, what string) {
	if env.stderrTTY {
		_, _ = fmt.Fprintln(env.stderr, what) // a terminal that is gone is no reason to stop
	}
}
