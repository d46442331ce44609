package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/readmodel"
	"github.com/nexus-erp/eventstream/projection"
)

// ranProjection is what run says: how the projection stands, and what was done.
type ranProjection struct {
	projectionStatus
	Seconds         float64 `json:"seconds"`
	EventsPerSecond float64 `json:"events_per_second"`
}

func newProjectionRunCommand(env *environment) *cobra.Command {
	policy := onFailure("halt")
	cmd := &cobra.Command{
		Use:   "run NAME",
		Short: "Bring a projection up to the head of the log, and end",
		Long: `run applies the events that the projection does not show yet, and says how it
stands. It may be killed at any time: the view is always the fold of the log up to its
checkpoint, and the next run goes on there.

If an event is put aside with --on-failure park, the exit code is 8.
` + mappingHelp,
		Example: `  eventstream projection run balances --preset ledger
  eventstream projection run balances        # again: what is new
  eventstream projection run stock --item data.StockCode --quantity data.Quantity`,
		Args: cobra.ExactArgs(1),
	}
	mapping := addMappingFlags(cmd)
	cmd.Flags().Var(&policy, "on-failure", "what becomes of an event that cannot be applied: halt, park or retry")
	out := addRecordOutput(cmd, env)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withTenant(cmd, env, writeAccess, func(db *eventstream.DB, t *eventstream.Tenant) error {
			p, err := mapping.findMapped(cmd, db, t, args[0], policy.define(env))
			if err != nil {
				return err
			}
			return p.run(cmd, env, out)
		})
	}
	return cmd
}

// run brings the projection up to the head.
func (p *openProjection) run(cmd *cobra.Command, env *environment, out *output) error {
	begin := env.now()
	before, err := p.status(cmd)
	if err != nil {
		return err
	}
	switch before.Status {
	case projection.StatusPaused:
		return &usageError{reason: fmt.Sprintf("projection %s is paused", p.name), hint: "let it go on with: eventstream projection resume " + p.name}
	case projection.StatusHalted:
		return fmt.Errorf("projection %s: %w (%s)", p.name, projection.ErrHalted, before.LastError)
	case projection.StatusOutdated:
		return fmt.Errorf("projection %s: %w: it was built with another mapping", p.name, projection.ErrOutdated)
	}
	if err := readmodel.Store(p.tenant, p.name, p.config); err != nil {
		return err
	}
	if err := p.catchUp(cmd.Context(), env, before.Checkpoint); err != nil {
		return err
	}
	after, err := p.status(cmd)
	if err != nil {
		return err
	}
	ran := ranProjection{projectionStatus: after, Seconds: env.now().Sub(begin).Seconds()}
	if ran.Seconds > 0 {
		ran.EventsPerSecond = float64(int64(float64(after.Processed-before.Processed) / ran.Seconds))
	}
	if err := out.record(ran); err != nil {
		return err
	}
	if after.Parked > before.Parked {
		return &codeOnly{exitWarnings}
	}
	return nil
}

// catchUp runs the engine until the view shows everything up to the head.
func (p *openProjection) catchUp(ctx context.Context, env *environment, from eventstream.Position) (err error) {
	if empty, err := p.hasNoEvents(ctx); empty || err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	waiting, stopWaiting := context.WithCancelCause(ctx)
	running := make(chan error, 1)
	go func() {
		err := p.engine.Run(ctx)
		stopWaiting(err) // nobody brings the view on any more
		running <- err
	}()
	defer func() {
		stop()
		if ended := <-running; !errors.Is(ended, context.Canceled) {
			err = ended
		}
	}()
	head := p.db.Head()
	bar := newProgress(env, int64(head-from))
	bar.begin("applying")
	defer bar.end()
	for at := from; at < head; {
		next := min(at+max((head-from)/100, 1), head)
		if err := p.engine.WaitFor(waiting, p.name, next); err != nil {
			return err
		}
		bar.add(int(next - at))
		at = next
	}
	return nil
}

// hasNoEvents reports whether the tenant has no events: then there is nothing to apply,
// and nowhere to write.
func (p *openProjection) hasNoEvents(ctx context.Context) (bool, error) {
	for _, err := range p.tenant.ReadAll(ctx, eventstream.Limit(1)) {
		return false, err
	}
	return true, nil
}
