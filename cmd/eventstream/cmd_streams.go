package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/render"
)

// streamRecord is what streams says about each stream.
type streamRecord struct {
	Stream         eventstream.StreamID `json:"stream"`
	Version        eventstream.Version  `json:"version"`
	FirstPosition  eventstream.Position `json:"first_position"`
	LastPosition   eventstream.Position `json:"last_position"`
	LastRecordedAt time.Time            `json:"last_recorded_at"`
}

func newStreamsCommand(env *environment) *cobra.Command {
	var order string
	cmd := &cobra.Command{
		Use:   "streams [PREFIX]",
		Short: "List the streams whose names begin with PREFIX",
		Long: `streams lists streams. A stream's version is how many events it has. --sort name
lists them as they are read; events (most first) and last (newest first) hold all
of them in memory.`,
		Args: cobra.MaximumNArgs(1),
	}
	cmd.Flags().StringVar(&order, "sort", "name", "order by name, events or last")
	out := addListOutput(cmd, env)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		less, err := streamOrder(order)
		if err != nil {
			return err
		}
		prefix := ""
		if len(args) == 1 {
			prefix = args[0]
		}
		return withTenant(cmd, env, readAccess, func(_ *eventstream.DB, t *eventstream.Tenant) error {
			return listStreams(cmd.Context(), t, prefix, less, out.list())
		})
	}
	return cmd
}

// streamOrder compares streams as --sort says; nil is the order of names.
func streamOrder(order string) (func(a, b streamRecord) int, error) {
	switch order {
	case "name":
		return nil, nil
	case "events":
		return func(a, b streamRecord) int { return cmp.Compare(b.Version, a.Version) }, nil
	case "last":
		return func(a, b streamRecord) int { return cmp.Compare(b.LastPosition, a.LastPosition) }, nil
	}
	return nil, usagef("--sort %q is none of name, events, last", order)
}

func listStreams(ctx context.Context, t *eventstream.Tenant, prefix string, less func(a, b streamRecord) int, list *render.List) (err error) {
	defer func() { err = errors.Join(err, list.Close()) }()
	add := func(s streamRecord) error {
		doc, err := render.Marshal(s)
		if err != nil {
			return err
		}
		return list.Add(doc)
	}
	var held []streamRecord
	for info, err := range t.Streams(ctx, prefix) {
		if err != nil {
			return err
		}
		s := streamRecord{info.Stream, info.Version, info.FirstPosition, info.LastPosition, info.LastRecordedAt}
		if less != nil {
			held = append(held, s)
			continue
		}
		if err := add(s); err != nil {
			return err
		}
	}
	slices.SortStableFunc(held, less)
	for _, s := range held {
		if err := add(s); err != nil {
			return err
		}
	}
	return nil
}
