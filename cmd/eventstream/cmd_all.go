package main

import (
	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
)

func newAllCommand(env *environment) *cobra.Command {
	var sel selection
	var limit int
	cmd := &cobra.Command{
		Use:     "all",
		Short:   "Print the events of all streams in their one order",
		Example: "  eventstream all --from 1000 --limit 20 --category finance-account",
		Args:    cobra.NoArgs,
	}
	sel.register(cmd)
	cmd.Flags().IntVar(&limit, "limit", 0, "at most so many events (0: all)")
	out := addListOutput(cmd, env, eventColumns...)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		opts, err := withLimit(sel.options(), limit)
		if err != nil {
			return err
		}
		return withTenant(cmd, env, readAccess, func(_ *eventstream.DB, t *eventstream.Tenant) error {
			_, err := listEvents(out.list(), t.ReadAll(cmd.Context(), opts...))
			return err
		})
	}
	return cmd
}

// selection are the flags that choose events of the global order.
type selection struct {
	from     uint64
	types    []string
	category string
}

func (s *selection) register(cmd *cobra.Command) {
	cmd.Flags().Uint64Var(&s.from, "from", 0, "the first position")
	cmd.Flags().StringArrayVar(&s.types, "type", nil, "only events of this type, may be repeated")
	cmd.Flags().StringVar(&s.category, "category", "", "only streams of this category, as finance-account")
}

func (s *selection) options() []eventstream.ReadOption {
	var opts []eventstream.ReadOption
	if s.from > 1 {
		opts = append(opts, eventstream.After(eventstream.Position(s.from-1)))
	}
	return append(opts, s.filters()...)
}

// filters are the options but for the place to begin at.
func (s *selection) filters() []eventstream.ReadOption {
	var opts []eventstream.ReadOption
	if len(s.types) > 0 {
		opts = append(opts, eventstream.Types(s.types...))
	}
	if s.category != "" {
		opts = append(opts, eventstream.Category(s.category))
	}
	return opts
}
