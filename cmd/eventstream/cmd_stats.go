package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/render"
)

// storeStats is what stats says. Counts are those of all tenants.
type storeStats struct {
	Events       uint64            `json:"events"`
	Streams      uint64            `json:"streams"`
	Tenants      int               `json:"tenants"`
	BytesOnDisk  uint64            `json:"bytes_on_disk"`
	Keyspaces    map[string]uint64 `json:"keyspace_bytes"`
	EventsByType map[string]uint64 `json:"events_by_type"`
	AppendRate   float64           `json:"append_rate"` // events a second that were recorded in the last minute
	ReadRate     float64           `json:"read_rate"`   // events a second that this command read to count them
}

func newStatsCommand(env *environment) *cobra.Command {
	var every time.Duration
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Count events by type, and bytes by keyspace",
		Long: `stats counts the whole store, all tenants. It reads every event once.

append_rate is how many events a second were recorded in the last minute,
read_rate how many a second stats itself read. With --watch it repeats until it is
interrupted, and then reads only what is new.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().DurationVar(&every, "watch", 0, "repeat after this time, as 1s")
	out := addRecordOutput(cmd, env)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if every < 0 || every == 0 && cmd.Flags().Changed("watch") {
			return usagef("--watch %s is no time to wait", every)
		}
		return withTenant(cmd, env, readAccess, func(db *eventstream.DB, _ *eventstream.Tenant) error {
			s := sampler{env: env, db: db, byType: make(map[string]uint64)}
			if every > 0 {
				return s.watch(cmd.Context(), out, every)
			}
			stats, err := s.sample(cmd.Context())
			if err != nil {
				return err
			}
			return out.record(stats)
		})
	}
	return cmd
}

// rateWindow is how far back appends count for the rate.
const rateWindow = time.Minute

// sampler counts a store again and again, each time from where it stopped.
type sampler struct {
	env    *environment
	db     *eventstream.DB
	upTo   eventstream.Position
	byType map[string]uint64
	recent []time.Time // when the events of the last minute were recorded
}

func (s *sampler) sample(ctx context.Context) (storeStats, error) {
	begin := s.env.now()
	head := s.db.Head()
	read := 0
	for _, tenant := range s.db.Tenants() {
		for ev, err := range s.db.Tenant(tenant).ReadAll(ctx, eventstream.After(s.upTo), eventstream.Until(head)) {
			if err != nil {
				return storeStats{}, err
			}
			read++
			s.byType[ev.Type]++
			if begin.Sub(ev.RecordedAt) < rateWindow {
				s.recent = append(s.recent, ev.RecordedAt)
			}
		}
	}
	s.upTo = head
	kept := s.recent[:0]
	for _, at := range s.recent {
		if begin.Sub(at) < rateWindow {
			kept = append(kept, at)
		}
	}
	s.recent = kept

	usage, err := s.db.Stats()
	if err != nil {
		return storeStats{}, err
	}
	stats := storeStats{
		Events: uint64(head), BytesOnDisk: usage.BytesOnDisk, Keyspaces: usage.KindBytes, EventsByType: s.byType,
		AppendRate: float64(len(s.recent)) / rateWindow.Seconds(),
	}
	if took := s.env.now().Sub(begin); took > 0 {
		stats.ReadRate = float64(read) / took.Seconds()
	}
	stats.Tenants, stats.Streams, err = countStreams(ctx, s.db)
	return stats, err
}

// watch writes a sample at once, and another one each time the interval passed.
func (s *sampler) watch(ctx context.Context, out *output, every time.Duration) (err error) {
	out.piped = render.JSONL // of samples there are many
	list := out.list()
	defer func() { err = errors.Join(err, list.Close()) }()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		stats, err := s.sample(ctx)
		if err != nil {
			return err
		}
		doc, err := render.Marshal(stats)
		if err != nil {
			return err
		}
		if err := errors.Join(list.Add(doc), list.Flush()); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}
