package main

import (
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/render"
	"github.com/nexus-erp/eventstream/projection"
)

const projectionHelp = `A projection is a read model that follows the log: each event takes effect exactly
once, whatever ends the process. These commands run the ones that come with the
program, and look after those of any program.

  balances   debits, credits and their difference, by account, commodity and month
  stock      quantity and value on hand, by item and location
  directory  streams, with their versions, positions, types and times

NAME names a projection in the store; one that is called like a kind is of that
kind. The first run says where events hold what it needs, by --preset, by flags or
by a mapping file; that is stored beside the view and need not be said again.`

func newProjectionCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "projection",
		Short: "Run, rebuild, read and look after read models",
		Long:  projectionHelp,
		Example: `  eventstream projection run balances --preset ledger
  eventstream projection inspect balances Assets:Cash --period 2004-06
  eventstream projection run sales --kind balances --type LineRecorded \
    --account data.Country --commodity "'GBP'" --quantity data.Quantity --price data.Price`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newProjectionListCommand(env),
		newProjectionStatusCommand(env),
		newProjectionRunCommand(env),
		newProjectionRebuildCommand(env),
		newProjectionSwitchBackCommand(env),
		newProjectionPauseCommand(env),
		newProjectionResumeCommand(env),
		newProjectionResetCommand(env),
		newProjectionInspectCommand(env),
		newProjectionParkedCommand(env),
	)
	return cmd
}

// projectionStatus is what status says of a projection.
type projectionStatus struct {
	Name       string               `json:"name"`
	Status     string               `json:"status"`
	Generation uint64               `json:"generation"`
	Checkpoint eventstream.Position `json:"checkpoint"`
	Head       eventstream.Position `json:"head"`
	LagEvents  uint64               `json:"lag_events"`
	LagSeconds float64              `json:"lag_seconds"`
	Processed  uint64               `json:"processed"`
	Failures   uint64               `json:"failures"`
	LastError  string               `json:"last_error"`
	Lock       *projectionLock      `json:"lock"`
	Parked     int                  `json:"parked"`
	Kind       string               `json:"kind"`       // "": of another program
	UpdatedAt  string               `json:"updated_at"` // of the last commit; "" if there was none
	Retired    uint64               `json:"retired"`    // the generation that switch-back goes to; 0 if there is none
	Rebuild    *projectionRebuild   `json:"rebuild"`    // one that is not finished
}

// projectionLock is who holds the right to run it.
type projectionLock struct {
	Owner      string    `json:"owner"`
	Session    string    `json:"session"`
	Token      uint64    `json:"token"`
	AcquiredAt time.Time `json:"acquired_at"`
	RenewedAt  time.Time `json:"renewed_at"`
	TTLSeconds float64   `json:"ttl_seconds"`
	Zombie     bool      `json:"zombie"` // the holder is gone
}

type projectionRebuild struct {
	Generation uint64               `json:"generation"`
	Checkpoint eventstream.Position `json:"checkpoint"`
	Processed  uint64               `json:"processed"`
	Failures   uint64               `json:"failures"`
	LastError  string               `json:"last_error"`
	Parked     int                  `json:"parked"`
	StartedAt  time.Time            `json:"started_at"`
}

// status returns how the projection stands.
func (p *openProjection) status(cmd *cobra.Command) (projectionStatus, error) {
	s, err := p.engine.Status(cmd.Context(), p.name)
	if err != nil {
		return projectionStatus{}, err
	}
	if s.Status == projection.StatusOutdated && !p.known {
		s.Status = projection.StatusIdle // only its own program can tell
	}
	out := projectionStatus{
		Name: s.Name, Status: s.Status, Generation: s.Generation, Checkpoint: s.Checkpoint, Head: s.Head, LagEvents: s.LagEvents,
		LagSeconds: s.LagSeconds, Processed: s.Processed, Failures: s.Failures, LastError: s.LastError, Parked: s.Parked,
		Kind: p.config.Kind, UpdatedAt: timeOrNone(s.UpdatedAt), Retired: s.Retired,
	}
	if l := s.Lock; l.Owner != "" {
		out.Lock = &projectionLock{l.Owner, l.Session, l.Token, l.AcquiredAt, l.RenewedAt, l.TTL.Seconds(), l.Zombie}
	}
	if b := s.Rebuild; b != nil {
		out.Rebuild = &projectionRebuild{b.Generation, b.Checkpoint, b.Processed, b.Failures, b.LastError, b.Parked, b.StartedAt}
	}
	return out, nil
}

func newProjectionListCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the projections of the store, each as status shows it",
		Args:  cobra.NoArgs,
	}
	out := addListOutput(cmd, env, "name", "kind", "status", "generation", "checkpoint", "lag_events", "parked")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withTenant(cmd, env, readAccess, func(db *eventstream.DB, t *eventstream.Tenant) (err error) {
			names, err := projection.StoredNames(t)
			if err != nil {
				return err
			}
			list := out.list()
			defer func() { err = errors.Join(err, list.Close()) }()
			for _, name := range names {
				p, err := findProjection(cmd, db, t, name, nil)
				if err != nil {
					return err
				}
				status, err := p.status(cmd)
				if err != nil {
					return err
				}
				doc, err := render.Marshal(status)
				if err != nil {
					return err
				}
				if err := list.Add(doc); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return cmd
}

func newProjectionStatusCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status NAME",
		Short: "Say how far a projection is, and what keeps it",
		Args:  cobra.ExactArgs(1),
	}
	return withProjection(cmd, env, readAccess, nil)
}

func newProjectionPauseCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pause NAME",
		Short: "Keep a projection where it is, in every program, until it is resumed",
		Args:  cobra.ExactArgs(1),
	}
	return withProjection(cmd, env, writeAccess, func(p *openProjection) error { return p.engine.Pause(p.name) })
}

func newProjectionResumeCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "resume NAME",
		Short: "Let a projection go on that was paused or halted",
		Long: `resume lets a projection go on the next time that it is run, here or by its own
program. What halted it is tried again.`,
		Args: cobra.ExactArgs(1),
	}
	return withProjection(cmd, env, writeAccess, func(p *openProjection) error { return p.engine.Resume(p.name) })
}

func newProjectionResetCommand(env *environment) *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "reset NAME",
		Short: "Drop a view, and begin again with an empty one",
		Long: `reset drops all generations of a view with the events parked in them, so that
readers see an empty one until the projection was run again. rebuild leaves them
with a view meanwhile. Events are never touched.`,
		Args: cobra.ExactArgs(1),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	return withProjection(cmd, env, writeAccess, func(p *openProjection) error {
		if err := confirm(env, yes, "the view of projection %q will be dropped", p.name); err != nil {
			return err
		}
		return p.engine.Reset(cmd.Context(), p.name)
	})
}

// withProjection lets cmd do something with the projection that its first argument names,
// and say how it stands then.
func withProjection(cmd *cobra.Command, env *environment, mode access, do func(*openProjection) error) *cobra.Command {
	out := addRecordOutput(cmd, env)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withTenant(cmd, env, mode, func(db *eventstream.DB, t *eventstream.Tenant) error {
			p, err := findProjection(cmd, db, t, args[0], nil)
			if err != nil {
				return err
			}
			if do != nil {
				if err := do(p); err != nil {
					return err
				}
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
