package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/eventline"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/render"
	"github.com/nexus-erp/eventstream/keys"
)

func newEventCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "event ID|POSITION",
		Short:   "Print one event",
		Example: "  eventstream event 01HV5ZP1XVQ9K2J6B1N3C8D4E5\n  eventstream event 42",
		Args:    cobra.ExactArgs(1),
	}
	out := addRecordOutput(cmd, env)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		find, err := eventLookup(args[0])
		if err != nil {
			return err
		}
		return withTenant(cmd, env, readAccess, func(_ *eventstream.DB, t *eventstream.Tenant) error {
			ev, err := find(cmd.Context(), t)
			if err != nil {
				return err
			}
			return render.Record(env.stdout, out.style(), eventline.AppendView(nil, &ev))
		})
	}
	return cmd
}

// eventLookup finds by position what is a number, and by id what is a ULID.
func eventLookup(arg string) (func(context.Context, *eventstream.Tenant) (eventstream.Event, error), error) {
	if position, err := strconv.ParseUint(arg, 10, 63); err == nil {
		return func(ctx context.Context, t *eventstream.Tenant) (eventstream.Event, error) {
			return t.EventAt(ctx, eventstream.Position(position))
		}, nil
	}
	id, err := keys.ParseEventID(arg)
	if err != nil {
		return nil, usagef("%q is neither a position nor an event id of 26 characters", arg)
	}
	return func(ctx context.Context, t *eventstream.Tenant) (eventstream.Event, error) {
		return t.Event(ctx, id)
	}, nil
}
