package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/readmodel"
	"github.com/nexus-erp/eventstream/projection"
)

// rebuildFlags are the flags of rebuild.
type rebuildFlags struct {
	workers           int
	startOver, dryRun bool
	policy            onFailure
}

func newProjectionRebuildCommand(env *environment) *cobra.Command {
	flags := rebuildFlags{policy: "halt"}
	cmd := &cobra.Command{
		Use:   "rebuild NAME",
		Short: "Build a view anew beside the old one, then put it in its place",
		Long: `rebuild applies all events from the first one on to a new generation of the view,
and switches to it in one commit. Readers see the old one until then, and switch-back
returns to it. One that is interrupted is finished by running it again.

With another mapping than before, the new view is built by it. --dry-run builds it in
memory, compares it with the view as it is, and changes nothing; if an event cannot be
applied, its exit code is 8.
` + mappingHelp,
		Example: `  eventstream projection rebuild balances --history
  eventstream projection rebuild sales --map sales.yaml --dry-run`,
		Args: cobra.ExactArgs(1),
	}
	mapping := addMappingFlags(cmd)
	f := cmd.Flags()
	f.Var(&flags.policy, "on-failure", "what becomes of an event that cannot be applied: halt, park or retry")
	f.IntVar(&flags.workers, "workers", 1, "apply events of different streams at once; for directories")
	f.BoolVar(&flags.startOver, "start-over", false, "drop what an unfinished rebuild left")
	f.BoolVar(&flags.dryRun, "dry-run", false, "only say what would be different")
	out := addRecordOutput(cmd, env)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		mode := writeAccess
		if flags.dryRun {
			mode = readAccess
		}
		return withTenant(cmd, env, mode, func(db *eventstream.DB, t *eventstream.Tenant) error {
			p, err := mapping.findMapped(cmd, db, t, args[0], flags.policy.define(env))
			if err != nil {
				return err
			}
			if flags.dryRun {
				return p.dryRun(cmd, out)
			}
			return p.rebuild(cmd, env, out, &flags)
		})
	}
	return cmd
}

func (p *openProjection) rebuild(cmd *cobra.Command, env *environment, out *output, flags *rebuildFlags) error {
	if empty, err := p.hasNoEvents(cmd.Context()); empty || err != nil {
		if err == nil {
			err = fmt.Errorf("%w: the tenant has no events, and projection %q no view", projection.ErrUnknown, p.name)
		}
		return err
	}
	bar := newProgress(env, int64(p.db.Head()))
	bar.begin("rebuilding")
	defer bar.end()
	shown := eventstream.Position(0)
	err := p.engine.Rebuild(cmd.Context(), p.name, projection.RebuildOptions{
		Workers: flags.workers, StartOver: flags.startOver,
		Progress: func(now projection.RebuildProgress) {
			if now.Checkpoint > shown {
				bar.add(int(now.Checkpoint - shown))
				shown = now.Checkpoint
			}
		},
	})
	bar.end()
	if err != nil {
		return err
	}
	if err := readmodel.Store(p.tenant, p.name, p.config); err != nil {
		return err
	}
	status, err := p.status(cmd)
	if err != nil {
		return err
	}
	return out.record(status)
}

// dryRunReport is what a dry run says.
type dryRunReport struct {
	Until       eventstream.Position `json:"until"` // the last position that was applied
	Live        eventstream.Position `json:"live"`  // the view's checkpoint
	Processed   uint64               `json:"processed"`
	Failed      uint64               `json:"failed"`
	Same        uint64               `json:"same"`
	Added       uint64               `json:"added"`
	Removed     uint64               `json:"removed"`
	Changed     uint64               `json:"changed"`
	Failures    []parkedEvent        `json:"failures"`    // the first of them
	Differences []viewDifference     `json:"differences"` // the first of them
}

// viewDifference is a record that differs. Live and New are null where there is none.
type viewDifference struct {
	Live json.RawMessage `json:"live"`
	New  json.RawMessage `json:"new"`
}

func (p *openProjection) dryRun(cmd *cobra.Command, out *output) error {
	d, err := p.config.Definition(p.name)
	if err != nil {
		return usagef("projection %s: %v", p.name, err)
	}
	res, err := p.engine.DryRun(cmd.Context(), d, projection.DryRunOptions{})
	if err != nil {
		return err
	}
	report := dryRunReport{
		Until: res.Until, Live: res.Live, Processed: res.Processed, Failed: res.Failed, Same: res.Same, Added: res.Added, Removed: res.Removed,
		Changed: res.Changed, Failures: []parkedEvent{}, Differences: []viewDifference{},
	}
	for _, failure := range res.Failures {
		report.Failures = append(report.Failures, showParked(failure))
	}
	for _, difference := range res.Differences {
		var shown viewDifference
		for _, side := range []struct {
			to    *json.RawMessage
			value []byte
		}{{&shown.Live, difference.Live}, {&shown.New, difference.New}} {
			if *side.to, err = readmodel.Show(p.config.Kind, difference.Key, side.value); err != nil {
				return err
			}
		}
		report.Differences = append(report.Differences, shown)
	}
	if err := out.record(report); err != nil {
		return err
	}
	if report.Failed > 0 {
		return &codeOnly{exitWarnings}
	}
	return nil
}

func newProjectionSwitchBackCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "switch-back NAME",
		Short: "Return to the view from before the last rebuild",
		Long: `switch-back brings the view from before the last rebuild up to the head and puts it
in its place; the other one is kept, so that a second switch-back returns to it. If
the rebuild changed the mapping, say the earlier one again.
` + mappingHelp,
		Args: cobra.ExactArgs(1),
	}
	mapping := addMappingFlags(cmd)
	out := addRecordOutput(cmd, env)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withTenant(cmd, env, writeAccess, func(db *eventstream.DB, t *eventstream.Tenant) error {
			policy := onFailure("halt")
			p, err := mapping.findMapped(cmd, db, t, args[0], policy.define(env))
			if err != nil {
				return err
			}
			if err := p.engine.SwitchBack(cmd.Context(), p.name); err != nil {
				return err
			}
			if err := readmodel.Store(p.tenant, p.name, p.config); err != nil {
				return err
			}
			status, err := p.status(cmd)
			if err != nil {
				return err
			}
			return out.record(status)
		})
	}
	return cmd
}
