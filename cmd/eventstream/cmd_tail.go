package main

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/eventline"
)

// tailFlags are the flags of tail.
type tailFlags struct {
	follow bool
	from   uint64
	count  int
}

func newTailCommand(env *environment) *cobra.Command {
	var flags tailFlags
	cmd := &cobra.Command{
		Use:   "tail [STREAM]",
		Short: "Print the last events, and with -f those to come",
		Long: `tail prints the last events of the store, or of a stream, oldest first. With -f it
waits for new ones until it is interrupted, and ends with exit code 7.

A store belongs to one process at a time: while tail -f holds it, no other
process can open it.`,
		Args: cobra.MaximumNArgs(1),
	}
	f := cmd.Flags()
	f.BoolVarP(&flags.follow, "follow", "f", false, "wait for new events")
	f.Uint64Var(&flags.from, "from", 0, "begin at this position, instead of with the last events")
	f.IntVarP(&flags.count, "lines", "n", 10, "how many of the last events")
	out := addListOutput(cmd, env, eventColumns...)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if flags.count < 0 {
			return usagef("--lines %d is negative", flags.count)
		}
		var stream eventstream.StreamID
		if len(args) == 1 {
			stream = eventstream.StreamID(args[0])
		}
		return withTenant(cmd, env, readAccess, func(db *eventstream.DB, t *eventstream.Tenant) error {
			return flags.run(cmd.Context(), db, t, stream, out)
		})
	}
	return cmd
}

func (f *tailFlags) run(ctx context.Context, db *eventstream.DB, t *eventstream.Tenant, stream eventstream.StreamID, out *output) (err error) {
	if stream != "" {
		if _, err := t.Stream(ctx, stream); err != nil && !(f.follow && errors.Is(err, eventstream.ErrStreamNotFound)) {
			return err
		}
	}
	list := out.list()
	defer func() { err = errors.Join(err, list.Close()) }()
	var buf []byte
	show := func(ev *eventstream.Event) error {
		buf = eventline.AppendView(buf[:0], ev)
		return list.Add(buf)
	}
	head := db.Head()
	after := eventstream.Position(0)
	if f.from > 0 {
		after = eventstream.Position(f.from - 1)
		for ev, err := range t.ReadAll(ctx, eventstream.After(after), eventstream.Until(head)) {
			if err != nil {
				return err
			}
			if stream == "" || ev.Stream == stream {
				if err := show(&ev); err != nil {
					return err
				}
			}
		}
	} else {
		last, err := f.last(ctx, t, stream, head)
		if err != nil {
			return err
		}
		for i := range last {
			if err := show(&last[i]); err != nil {
				return err
			}
		}
	}
	if !f.follow {
		return nil
	}
	if err := list.Flush(); err != nil {
		return err
	}
	for ev, err := range t.Follow(ctx, eventstream.After(max(after, head))) {
		if err != nil {
			return err
		}
		if stream != "" && ev.Stream != stream {
			continue
		}
		if err := errors.Join(show(&ev), list.Flush()); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// last returns the newest events up to head, oldest first.
func (f *tailFlags) last(ctx context.Context, t *eventstream.Tenant, stream eventstream.StreamID, head eventstream.Position) ([]eventstream.Event, error) {
	if f.count == 0 {
		return nil, nil
	}
	var events iter.Seq2[eventstream.Event, error]
	if stream == "" {
		events = t.ReadAll(ctx, eventstream.Backward(), eventstream.Until(head), eventstream.Limit(f.count))
	} else {
		events = t.ReadStream(ctx, stream, eventstream.Backward())
	}
	var last []eventstream.Event
	for ev, err := range events {
		if err != nil {
			return nil, err
		}
		if ev.Position > head { // appended in between: Follow brings it
			continue
		}
		if last = append(last, ev); len(last) == f.count {
			break
		}
	}
	slices.Reverse(last)
	return last, nil
}
