package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
)

// verifyReport is what verify says.
type verifyReport struct {
	OK       bool            `json:"ok"`
	Events   uint64          `json:"events"`
	Streams  uint64          `json:"streams"`
	Problems []verifyProblem `json:"problems"`
	Omitted  uint64          `json:"omitted"` // problems beyond those
}

type verifyProblem struct {
	Kind     string               `json:"kind"`
	Tenant   string               `json:"tenant"`
	Stream   eventstream.StreamID `json:"stream"`
	Version  eventstream.Version  `json:"version"`
	Position eventstream.Position `json:"position"`
	Detail   string               `json:"detail"`
}

func newVerifyCommand(env *environment) *cobra.Command {
	var deep bool
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check the store for damage",
		Long: `verify checks that positions have no gaps, that every position, event id and
stream leads to its event, and that checksums hold. --deep also decodes every
payload. Damage is listed, and the exit code is 5.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&deep, "deep", false, "decode every event as well")
	out := addRecordOutput(cmd, env)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var opts []eventstream.CheckOption
		if deep {
			opts = append(opts, eventstream.Deep())
		}
		report, err := verify(cmd, env, opts)
		if err != nil {
			return err
		}
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

// verify checks the store. Damage that keeps it from being opened is a problem like
// any other: who asks gets a report.
func verify(cmd *cobra.Command, env *environment, opts []eventstream.CheckOption) (verifyReport, error) {
	report := verifyReport{Problems: []verifyProblem{}}
	err := withTenant(cmd, env, readAccess, func(db *eventstream.DB, _ *eventstream.Tenant) error {
		found, err := db.Check(cmd.Context(), opts...)
		if err != nil {
			return err
		}
		report.OK, report.Events, report.Streams, report.Omitted = found.OK(), found.Events, found.Streams, found.Omitted
		for _, p := range found.Problems {
			report.Problems = append(report.Problems, verifyProblem(p))
		}
		return nil
	})
	var damage *eventstream.CorruptionError
	if errors.As(err, &damage) {
		report.OK = false
		report.Problems = append(report.Problems, verifyProblem{
			Kind: "open", Stream: damage.Stream, Version: damage.Version, Position: damage.Position, Detail: err.Error(),
		})
		err = nil
	}
	return report, err
}
