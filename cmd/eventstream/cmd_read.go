package main

import (
	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
)

// readFlags are the flags of read.
type readFlags struct {
	from, to      uint64
	limit         int
	reverse       bool
	at, asKnownAt string
}

func newReadCommand(env *environment) *cobra.Command {
	var flags readFlags
	cmd := &cobra.Command{
		Use:   "read STREAM",
		Short: "Print the events of a stream",
		Long: `read prints the events of a stream by version. --from and --to are versions,
both inclusive. --at leaves out what occurred after a moment, --as-known-at what
was recorded after it; both take RFC 3339 or a relative time as -15m.

A payload that has no JSON form is in data_base64.`,
		Example: `  eventstream read finance-account-1000 --from 10 --limit 5
  eventstream read finance-account-1000 --at 2026-03-31T23:59:59Z --as-known-at -1h`,
		Args: cobra.ExactArgs(1),
	}
	f := cmd.Flags()
	f.Uint64Var(&flags.from, "from", 0, "the first version")
	f.Uint64Var(&flags.to, "to", 0, "the last version")
	f.BoolVar(&flags.reverse, "reverse", false, "the newest first")
	f.IntVar(&flags.limit, "limit", 0, "at most so many events (0: all)")
	f.StringVar(&flags.at, "at", "", "only what occurred up to this moment")
	f.StringVar(&flags.asKnownAt, "as-known-at", "", "only what was recorded up to this moment")
	out := addListOutput(cmd, env, eventColumns...)
	f.BoolVar(&out.pretty, "pretty", false, "spread JSON over several lines")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts, err := flags.options(env)
		if err != nil {
			return err
		}
		stream := eventstream.StreamID(args[0])
		return withTenant(cmd, env, readAccess, func(_ *eventstream.DB, t *eventstream.Tenant) error {
			if _, err := t.Stream(cmd.Context(), stream); err != nil {
				return err
			}
			_, err := listEvents(out.list(), t.ReadStream(cmd.Context(), stream, opts...))
			return err
		})
	}
	return cmd
}

func (f *readFlags) options(env *environment) ([]eventstream.ReadOption, error) {
	var opts []eventstream.ReadOption
	if f.from > 0 {
		opts = append(opts, eventstream.From(eventstream.Version(f.from)))
	}
	if f.to > 0 {
		opts = append(opts, eventstream.To(eventstream.Version(f.to)))
	}
	if f.reverse {
		opts = append(opts, eventstream.Backward())
	}
	opts, err := withLimit(opts, f.limit)
	if err != nil {
		return nil, err
	}
	if f.at != "" {
		at, err := parseTime(env, "--at", f.at)
		if err != nil {
			return nil, err
		}
		opts = append(opts, eventstream.OccurredUntil(at))
	}
	if f.asKnownAt != "" {
		at, err := parseTime(env, "--as-known-at", f.asKnownAt)
		if err != nil {
			return nil, err
		}
		opts = append(opts, eventstream.RecordedUntil(at))
	}
	return opts, nil
}

// withLimit adds --limit, of which 0 is none.
func withLimit(opts []eventstream.ReadOption, limit int) ([]eventstream.ReadOption, error) {
	switch {
	case limit < 0:
		return nil, usagef("--limit %d is negative", limit)
	case limit > 0:
		opts = append(opts, eventstream.Limit(limit))
	}
	return opts, nil
}
