package main

import (
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
		return withTenant(cmd, env, readAccess, func(db *eventstream.DB, _ *eventstream.Tenant) error {
			found, err := db.Check(cmd.Context(), opts...)
			if err != nil {
				return err
			}
			report := verifyReport{OK: found.OK(), Events: found.Events, Streams: found.Streams, Problems: []verifyProblem{}, Omitted: found.Omitted}
			for _, p := range found.Problems {
				report.Problems = append(report.Problems, verifyProblem(p))
			}
			if err := out.record(report); err != nil {
				return err
			}
			if !report.OK {
				return &codeOnly{exitDamage}
			}
			return nil
		})
	}
	return cmd
}
