package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/render"
	"github.com/nexus-erp/eventstream/snapshot"
)

// snapshotRecord is what snapshot list says about each snapshot. Of a damaged one, all
// that stands in it is unknown.
type snapshotRecord struct {
	Stream        eventstream.StreamID `json:"stream"`
	Version       eventstream.Version  `json:"version"`
	Position      eventstream.Position `json:"position"`
	Bytes         int                  `json:"bytes"`       // on disk
	StateBytes    int                  `json:"state_bytes"` // before compression
	Codec         string               `json:"codec"`
	Compression   string               `json:"compression"`
	Algorithm     string               `json:"algorithm"`
	Fingerprint   string               `json:"fingerprint"` // of the state's type
	OccurredUntil string               `json:"occurred_until"`
	RecordedUntil string               `json:"recorded_until"`
	TakenAt       string               `json:"taken_at"`
	OK            bool                 `json:"ok"`
	Detail        string               `json:"detail"` // what is wrong, or ""
}

// snapshotReport is what snapshot verify says.
type snapshotReport struct {
	OK        bool              `json:"ok"`
	Snapshots int               `json:"snapshots"`
	Streams   int               `json:"streams"`
	Bytes     int64             `json:"bytes"`
	Problems  []snapshotProblem `json:"problems"`
}

type snapshotProblem struct {
	Stream  eventstream.StreamID `json:"stream"`
	Version eventstream.Version  `json:"version"`
	Detail  string               `json:"detail"`
}

// snapshotPruning is what snapshot prune says.
type snapshotPruning struct {
	Streams int `json:"streams"` // that had something to delete
	Deleted int `json:"deleted"`
}

func newSnapshotCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "List, verify and prune snapshots of aggregates",
		Long: `A snapshot is the state that the events of a stream come to, up to a version. It is
derived from them: without it, or if it is damaged, the events are read.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newSnapshotListCommand(env), newSnapshotVerifyCommand(env), newSnapshotPruneCommand(env))
	return cmd
}

func newSnapshotListCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list [PREFIX]",
		Short: "List the snapshots of the streams whose names begin with PREFIX, the newest first",
		Args:  cobra.MaximumNArgs(1),
	}
	out := addListOutput(cmd, env, "stream", "version", "bytes", "state_bytes", "fingerprint", "taken_at", "ok")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withTenant(cmd, env, readAccess, func(_ *eventstream.DB, t *eventstream.Tenant) error {
			return listSnapshots(cmd.Context(), t, prefixOf(args), out.list())
		})
	}
	return cmd
}

func prefixOf(args []string) string {
	if len(args) == 1 {
		return args[0]
	}
	return ""
}

func listSnapshots(ctx context.Context, t *eventstream.Tenant, prefix string, list *render.List) (err error) {
	defer func() { err = errors.Join(err, list.Close()) }()
	return eachSnapshot(ctx, t, prefix, func(s *eventstream.StoredSnapshot) error {
		doc, err := render.Marshal(describeSnapshot(s))
		if err != nil {
			return err
		}
		return list.Add(doc)
	})
}

// eachSnapshot calls visit with all snapshots of the streams whose names begin with
// prefix.
func eachSnapshot(ctx context.Context, t *eventstream.Tenant, prefix string, visit func(*eventstream.StoredSnapshot) error) error {
	for stream, err := range t.SnapshotStreams(ctx, prefix) {
		if err != nil {
			return err
		}
		for s, err := range t.Snapshots(ctx, stream) {
			if err != nil {
				return err
			}
			if err := visit(&s); err != nil {
				return err
			}
		}
	}
	return nil
}

func describeSnapshot(s *eventstream.StoredSnapshot) snapshotRecord {
	r := snapshotRecord{Stream: s.Stream, Version: s.Version, Bytes: s.Bytes, OK: s.Err == nil}
	if s.Err != nil {
		r.Detail = s.Err.Error()
		return r
	}
	of := &s.Snapshot
	r.Position, r.StateBytes, r.Fingerprint = of.Position, len(of.State), of.Fingerprint.String()
	r.Codec, r.Compression, r.Algorithm = of.Codec.String(), of.Compression.String(), of.Algorithm.String()
	r.OccurredUntil, r.RecordedUntil, r.TakenAt = timeOrNone(of.OccurredUntil), timeOrNone(of.RecordedUntil), timeOrNone(of.TakenAt)
	return r
}

func newSnapshotVerifyCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [PREFIX]",
		Short: "Verify the snapshots of the streams whose names begin with PREFIX",
		Long: `verify reads every snapshot, and compares its sum, and the event that it ends with,
with those in the store. Damage is listed, and the exit code is 5; states are right
in spite of it, and snapshot prune takes damaged ones away.`,
		Args: cobra.MaximumNArgs(1),
	}
	out := addRecordOutput(cmd, env)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		report := snapshotReport{Problems: []snapshotProblem{}}
		err := withTenant(cmd, env, readAccess, func(_ *eventstream.DB, t *eventstream.Tenant) error {
			var last eventstream.StreamID
			return eachSnapshot(cmd.Context(), t, prefixOf(args), func(s *eventstream.StoredSnapshot) error {
				if report.Snapshots++; s.Stream != last {
					report.Streams++
					last = s.Stream
				}
				report.Bytes += int64(s.Bytes)
				if s.Err != nil {
					report.Problems = append(report.Problems, snapshotProblem{s.Stream, s.Version, s.Err.Error()})
				}
				return nil
			})
		})
		if err != nil {
			return err
		}
		report.OK = len(report.Problems) == 0
		if err := out.record(report); err != nil {
			return err
		}
		if !report.OK {
			return &codeOnly{exitDamage}
		}
		return nil
	}
	return cmd
}

func newSnapshotPruneCommand(env *environment) *cobra.Command {
	var (
		keep int
		yes  bool
	)
	cmd := &cobra.Command{
		Use:   "prune [PREFIX]",
		Short: "Delete all but the newest snapshots of the streams whose names begin with PREFIX",
		Long: `prune keeps the newest snapshots of each stream that are sound, and deletes older
ones and those that are damaged. The newest of a stream is never deleted. Nothing
but time is lost: states are folded from events.`,
		Example: "  eventstream snapshot prune finance- --keep 3 --yes",
		Args:    cobra.MaximumNArgs(1),
	}
	cmd.Flags().IntVar(&keep, "keep", snapshot.DefaultKeep, "how many snapshots of each stream to keep, at least 1")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	out := addRecordOutput(cmd, env)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if keep < 1 {
			return usagef("--keep %d is less than 1: the newest snapshot is always kept", keep)
		}
		if err := confirm(env, yes, "all but the newest %d snapshots of each stream will be deleted", keep); err != nil {
			return err
		}
		return withTenant(cmd, env, writeAccess, func(_ *eventstream.DB, t *eventstream.Tenant) error {
			var done snapshotPruning
			for stream, err := range t.SnapshotStreams(cmd.Context(), prefixOf(args)) {
				if err != nil {
					return err
				}
				deleted, err := t.PruneSnapshots(cmd.Context(), stream, keep)
				if err != nil {
					return fmt.Errorf("%s: %w", stream, err)
				}
				if deleted > 0 {
					done.Streams++
					done.Deleted += deleted
				}
			}
			return out.record(done)
		})
	}
	return cmd
}
