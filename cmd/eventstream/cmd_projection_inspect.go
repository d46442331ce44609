package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/readmodel"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/render"
	"github.com/nexus-erp/eventstream/projection"
)

// asOfFlags are the flags that ask for a view as it was.
type asOfFlags struct{ asOf, asKnownAt string }

func newProjectionInspectCommand(env *environment) *cobra.Command {
	var query readmodel.Query
	var flags asOfFlags
	cmd := &cobra.Command{
		Use:   "inspect NAME [KEY]",
		Short: "Print the records of a view",
		Long: `inspect prints the records of a view as it is, in the order of their keys, or those
of KEY: an account, an item, a stream. It applies nothing: run does.

--as-of shows the view as of a time: what follows from the events that had occurred by
then, whenever they were recorded. --as-known-at leaves out what was recorded later:
both together are what the books said on one day of another. A position leaves out
what is behind it in the log. Bounds are inclusive, and a day alone is its very end,
in UTC. That needs a projection that keeps its history: run or rebuild it with
--history.

Records of a projection of another program are shown as they are stored, as far as
they are MessagePack.`,
		Example: `  eventstream projection inspect balances
  eventstream projection inspect balances Assets:Cash --as-of 2004-06-30
  eventstream projection inspect stock --as-of 2004-06-30 --as-known-at 2004-07-05`,
		Args: cobra.RangeArgs(1, 2),
	}
	cmd.Flags().StringVar(&flags.asOf, "as-of", "", "a position, or the time up to which events occurred")
	cmd.Flags().StringVar(&flags.asKnownAt, "as-known-at", "", "the time up to which events were recorded")
	cmd.Flags().StringVar(&query.Period, "period", "", `balances: a month as 2004-06, or "all" (default: the total)`)
	out := addListOutput(cmd, env)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 2 {
			query.Key, query.HasKey = args[1], true
		}
		return withTenant(cmd, env, readAccess, func(db *eventstream.DB, t *eventstream.Tenant) error {
			p, err := findProjection(cmd, db, t, args[0], nil)
			if err != nil {
				return err
			}
			if err := p.checkQuery(&query); err != nil {
				return err
			}
			out.columns = readmodel.Columns(p.config.Kind)
			at, bounded, err := flags.bounds(env)
			if err != nil {
				return err
			}
			return p.read(cmd.Context(), at, bounded, func(r projection.Reader) error {
				return listRecords(out.list(), readmodel.Rows(r, p.config.Kind, query), &query, p.name)
			})
		})
	}
	return cmd
}

var monthForm = regexp.MustCompile(`^\d{4}-(0[1-9]|1[0-2])$`)

func (p *openProjection) checkQuery(q *readmodel.Query) error {
	switch {
	case q.Period == "":
	case p.config.Kind != readmodel.Balances:
		return usagef("--period is for balances")
	case q.Period != readmodel.AllPeriods && !monthForm.MatchString(q.Period):
		return usagef("--period %q is no month as 2004-06, nor all", q.Period)
	}
	return nil
}

// read calls fn with the view, as it is or as it was.
func (p *openProjection) read(ctx context.Context, at projection.AsOf, bounded bool, fn func(projection.Reader) error) error {
	switch {
	case !bounded:
		return p.engine.Read(p.name, func(r *eventstream.ViewReader) error { return fn(r) })
	case !p.known:
		return usagef("projection %s: %v", p.name, errOfAnotherProgram)
	case !p.config.History:
		return &usageError{
			reason: fmt.Sprintf("projection %s keeps no history", p.name),
			hint:   "let it keep one with: eventstream projection rebuild " + p.name + " --history",
		}
	}
	return p.engine.ReadAsOf(ctx, p.name, at, func(r *projection.AsOfReader) error { return fn(r) })
}

// bounds returns what the flags ask for.
func (f *asOfFlags) bounds(env *environment) (at projection.AsOf, bounded bool, err error) {
	if f.asOf != "" {
		if position, wrong := strconv.ParseUint(f.asOf, 10, 64); wrong == nil {
			if position == 0 {
				return at, false, usagef("--as-of: position 0 is before the first event: the view is empty")
			}
			at.Position = eventstream.Position(position)
		} else if at.Occurred, err = parseDayOrTime(env, "--as-of", f.asOf); err != nil {
			return at, false, err
		}
	}
	if f.asKnownAt != "" {
		if at.Recorded, err = parseDayOrTime(env, "--as-known-at", f.asKnownAt); err != nil {
			return at, false, err
		}
	}
	return at, f.asOf != "" || f.asKnownAt != "", nil
}

// parseDayOrTime also reads a day, which stands for its end, in UTC.
func parseDayOrTime(env *environment, flag, text string) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.AddDate(0, 0, 1).Add(-1), nil
	}
	return parseTime(env, flag, text)
}

// errNoRecord is matched by the error of a key that has no record.
var errNoRecord = errors.New("no record")

func listRecords(list *render.List, records iter.Seq2[any, error], q *readmodel.Query, name string) (err error) {
	defer func() { err = errors.Join(err, list.Close()) }()
	found := false
	for record, err := range records {
		if err != nil {
			return err
		}
		doc, err := render.Marshal(record)
		if err != nil {
			return err
		}
		if err := list.Add(doc); err != nil {
			return err
		}
		found = true
	}
	if q.HasKey && !found {
		return fmt.Errorf("%w: projection %s has none of %q", errNoRecord, name, q.Key)
	}
	return nil
}
