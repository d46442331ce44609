package main

import (
	"errors"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/render"
	"github.com/nexus-erp/eventstream/projection"
)

// parkedEvent is an event that was put aside.
type parkedEvent struct {
	Position eventstream.Position `json:"position"`
	EventID  string               `json:"event_id"`
	Stream   eventstream.StreamID `json:"stream"`
	Version  eventstream.Version  `json:"version"`
	Type     string               `json:"type"`
	Error    string               `json:"error"`
	Attempts int                  `json:"attempts"`
	ParkedAt time.Time            `json:"parked_at"`
}

func showParked(p projection.ParkedEvent) parkedEvent {
	return parkedEvent{p.Position, p.EventID.String(), p.Stream, p.Version, p.Type, p.Error, p.Attempts, p.ParkedAt.UTC()}
}

// auditRecord is what somebody did about one.
type auditRecord struct {
	At       time.Time            `json:"at"`
	Action   string               `json:"action"`
	Position eventstream.Position `json:"position"`
	By       string               `json:"by"`
	Reason   string               `json:"reason"`
}

func newProjectionParkedCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "parked",
		Short: "Look after events that a projection put aside",
		Long: `An event that a projection with the policy park cannot apply is put aside with its
error, and the view goes on without it. It stays on the list until somebody applies
it, behind those that were applied meanwhile, or drops it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newParkedListCommand(env),
		newParkedSettleCommand(env, "apply", "Apply an event that was put aside, now"),
		newParkedSettleCommand(env, "drop", "Take an event off the list: the view never shows it"),
		newParkedAuditCommand(env),
	)
	return cmd
}

func newParkedListCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list NAME",
		Short: "List the events that are put aside, by position",
		Args:  cobra.ExactArgs(1),
	}
	out := addListOutput(cmd, env, "position", "stream", "version", "type", "error")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withTenant(cmd, env, readAccess, func(db *eventstream.DB, t *eventstream.Tenant) error {
			p, err := findProjection(cmd, db, t, args[0], nil)
			if err != nil {
				return err
			}
			parked, err := p.engine.Parked(p.name)
			if err != nil {
				return err
			}
			return listAll(out.list(), parked, showParked)
		})
	}
	return cmd
}

func newParkedAuditCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit NAME",
		Short: "List who applied or dropped what, and why, oldest first",
		Args:  cobra.ExactArgs(1),
	}
	out := addListOutput(cmd, env)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withTenant(cmd, env, readAccess, func(db *eventstream.DB, t *eventstream.Tenant) error {
			p, err := findProjection(cmd, db, t, args[0], nil)
			if err != nil {
				return err
			}
			records, err := p.engine.Audit(p.name)
			if err != nil {
				return err
			}
			return listAll(out.list(), records, func(r projection.AuditRecord) auditRecord {
				return auditRecord{r.At.UTC(), r.Action, r.Position, r.By, r.Reason}
			})
		})
	}
	return cmd
}

// listAll writes all values as show shows them.
func listAll[V, R any](list *render.List, values []V, show func(V) R) (err error) {
	defer func() { err = errors.Join(err, list.Close()) }()
	for _, v := range values {
		doc, err := render.Marshal(show(v))
		if err != nil {
			return err
		}
		if err := list.Add(doc); err != nil {
			return err
		}
	}
	return nil
}

func newParkedSettleCommand(env *environment, action, short string) *cobra.Command {
	var by, reason string
	var yes bool
	cmd := &cobra.Command{
		Use:   action + " NAME POSITION",
		Short: short,
		Args:  cobra.ExactArgs(2),
	}
	cmd.Flags().StringVar(&by, "by", "", "who decides it, for the audit records (default: $USER)")
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the audit records (required)")
	if action == "drop" {
		cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	}
	var position eventstream.Position
	cmd.PreRunE = func(_ *cobra.Command, args []string) error { // before the store is opened
		n, err := strconv.ParseUint(args[1], 10, 64)
		if err != nil || n == 0 {
			return usagef("%q is no position", args[1])
		}
		position = eventstream.Position(n)
		if by == "" {
			by = env.getenv("USER")
		}
		if by == "" || reason == "" {
			return usagef("say who decides it, and why: --by and --reason go to the audit records")
		}
		return nil
	}
	return withProjection(cmd, env, writeAccess, func(p *openProjection) error {
		return p.settle(cmd, env, action, position, by, reason, yes)
	})
}

func (p *openProjection) settle(cmd *cobra.Command, env *environment, action string, position eventstream.Position, by, reason string, yes bool) error {
	if action == "drop" {
		if err := confirm(env, yes, "the view of projection %q will never show the event at position %d", p.name, position); err != nil {
			return err
		}
		return p.engine.DropParked(p.name, position, by, reason)
	}
	if !p.known {
		return usagef("projection %s: %v", p.name, errOfAnotherProgram)
	}
	return p.engine.ApplyParked(cmd.Context(), p.name, position, by, reason)
}
