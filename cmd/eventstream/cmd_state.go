package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/aggregate"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/merge"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/render"
)

// stateRecord is what state says.
type stateRecord struct {
	Stream        eventstream.StreamID `json:"stream"`
	Version       eventstream.Version  `json:"version"` // of the last event in the state; 0: none
	Events        int                  `json:"events"`
	OccurredUntil string               `json:"occurred_until"` // the greatest times of the events; "" if there are none
	RecordedUntil string               `json:"recorded_until"`
	State         json.RawMessage      `json:"state"`
}

// stateChange is a line of state --diff.
type stateChange struct {
	Path   string          `json:"path"`
	Change string          `json:"change"` // "added", "removed" or "changed"
	Before json.RawMessage `json:"before"` // null also if there is none
	After  json.RawMessage `json:"after"`
}

func newStateCommand(env *environment) *cobra.Command {
	var at, asKnownAt, diff string
	cmd := &cobra.Command{
		Use:   "state STREAM",
		Short: "Print what the events of a stream come to, now or at a point of the past",
		Long: `state merges the payloads of a stream's events, by version, into one JSON object:
objects member by member, all else replaces what was there. A payload that is no
object is kept under the type of its event. Numbers keep their digits.

--at is a version, or the time up to which events occurred; --as-known-at is the
time up to which they were recorded. Both are inclusive. Times are RFC 3339, "now",
or relative as -15m. An event that was recorded late counts from when it occurred.

--diff A..B compares two such points, as 3..7 or -30d..now, and lists what differs
by JSON Pointer. Without A it begins with nothing, without B it ends now.`,
		Example: `  eventstream state finance-account-1000 --at 2026-03-31T23:59:59Z --as-known-at 2026-04-02T00:00:00Z
  eventstream state stock-item-4711 --diff 12..`,
		Args: cobra.ExactArgs(1),
	}
	f := cmd.Flags()
	f.StringVar(&at, "at", "", "version, or time of occurrence, of the last event (default: all)")
	f.StringVar(&asKnownAt, "as-known-at", "", "only what was recorded up to this moment")
	f.StringVar(&diff, "diff", "", "compare two points, A..B")
	out := addRecordOutput(cmd, env)
	f.BoolVar(&out.pretty, "pretty", false, "spread JSON over several lines")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		changed := cmd.Flags().Changed
		if changed("diff") && changed("at") {
			return usagef("--diff and --at contradict each other: --diff names both points")
		}
		points, err := parsePoints(env, diff, at, asKnownAt)
		if err != nil {
			return err
		}
		stream := eventstream.StreamID(args[0])
		return withTenant(cmd, env, readAccess, func(_ *eventstream.DB, t *eventstream.Tenant) error {
			if _, err := t.Stream(cmd.Context(), stream); err != nil {
				return err
			}
			var states []stateRecord
			for _, p := range points {
				s, err := mergedState(cmd.Context(), t, stream, p)
				if err != nil {
					return err
				}
				states = append(states, s)
			}
			if len(states) == 1 {
				return out.record(states[0])
			}
			out.piped = render.JSONL // of changes there are many
			return listChanges(out.list(), states[0].State, states[1].State)
		})
	}
	return cmd
}

// parsePoints returns the points that are asked for: one, or two to compare.
func parsePoints(env *environment, diff, at, asKnownAt string) (points [][]eventstream.ReadOption, err error) {
	texts := []string{at}
	flag := "--at"
	if diff != "" {
		first, last, ok := strings.Cut(diff, "..")
		if !ok || first == "" && last == "" {
			return nil, usagef("--diff: %q is not A..B, as 3..7 or -30d..now", diff)
		}
		if first == "" {
			first = "0"
		}
		texts, flag = []string{first, last}, "--diff"
	}
	var known []eventstream.ReadOption
	if asKnownAt != "" {
		t, err := parseTime(env, "--as-known-at", asKnownAt)
		if err != nil {
			return nil, err
		}
		known = append(known, eventstream.RecordedUntil(t))
	}
	for _, text := range texts {
		point, err := parsePoint(env, flag, text)
		if err != nil {
			return nil, err
		}
		points = append(points, append(point, known...))
	}
	return points, nil
}

// parsePoint reads a version, or a time of occurrence; nothing is now.
func parsePoint(env *environment, flag, text string) ([]eventstream.ReadOption, error) {
	if text == "" {
		return nil, nil
	}
	if version, err := strconv.ParseUint(text, 10, 63); err == nil {
		return []eventstream.ReadOption{eventstream.To(eventstream.Version(version))}, nil
	}
	t, err := parseTime(env, flag, text)
	if err != nil {
		return nil, err
	}
	return []eventstream.ReadOption{eventstream.OccurredUntil(t)}, nil
}

// mergedState folds the events of a stream that pass the options.
func mergedState(ctx context.Context, t *eventstream.Tenant, stream eventstream.StreamID, at []eventstream.ReadOption) (stateRecord, error) {
	var (
		state              merge.State
		occurred, recorded time.Time
	)
	s := stateRecord{Stream: stream}
	for ev, err := range t.ReadStream(ctx, stream, at...) {
		if err != nil {
			return stateRecord{}, err
		}
		if err := state.Apply(&ev); err != nil {
			return stateRecord{}, fmt.Errorf("event %q at version %d of %s: %w", ev.Type, ev.Version, stream, err)
		}
		if s.Events++; s.Events == 1 || ev.OccurredAt.After(occurred) {
			occurred = ev.OccurredAt
		}
		s.Version, recorded = ev.Version, ev.RecordedAt
	}
	s.OccurredUntil, s.RecordedUntil = timeOrNone(occurred), timeOrNone(recorded)
	var err error
	s.State, err = state.JSON()
	return s, err
}

func listChanges(list *render.List, before, after json.RawMessage) (err error) {
	defer func() { err = errors.Join(err, list.Close()) }()
	changes, err := aggregate.DiffJSON(before, after)
	if err != nil {
		return err
	}
	for _, c := range changes {
		line := stateChange{Path: c.Path, Change: "changed", Before: c.Before, After: c.After}
		switch {
		case c.Before == nil:
			line.Change = "added"
		case c.After == nil:
			line.Change = "removed"
		}
		doc, err := render.Marshal(line)
		if err != nil {
			return err
		}
		if err := list.Add(doc); err != nil {
			return err
		}
	}
	return nil
}
