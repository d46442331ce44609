package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/keys"
)

// appended is what append says about each event.
type appended struct {
	Stream       eventstream.StreamID `json:"stream"`
	Version      eventstream.Version  `json:"version"`
	Position     eventstream.Position `json:"position"`
	EventID      eventstream.EventID  `json:"event_id"`
	Deduplicated bool                 `json:"deduplicated"`
}

// appendFlags are the flags of an append of one event.
type appendFlags struct {
	data, expect, id, correlation, causation, user, occurredAt string
	schema                                                     uint32
	meta                                                       []string
}

func newAppendCommand(env *environment) *cobra.Command {
	var flags appendFlags
	cmd := &cobra.Command{
		Use:   "append STREAM TYPE | append -",
		Short: "Append one event, or the events on stdin",
		Long: `append STREAM TYPE appends one event. With --id it can be repeated safely: the
event is stored once, and "deduplicated" tells.

append - reads JSON lines from stdin, one event a line:

  {"stream":"finance-account-1000","type":"Debited","data":{"amount":"12.50"}}

Required are stream and type. Optional are data (any JSON) or data_base64, codec,
event_id, schema_version, occurred_at, correlation_id, causation_id, user_id,
metadata, expect (any, none, exists or a version) and commit. Consecutive lines
with the same commit are one atomic append over several streams; in it, the
events of one stream stand together. Lines are appended as they come: an error
in a line leaves the ones before it appended.`,
		Example: `  eventstream append finance-account-1000 Debited --data '{"amount":"12.50"}' --expect 7
  eventstream append - < events.jsonl`,
		Args: cobra.RangeArgs(1, 2),
	}
	f := cmd.Flags()
	f.StringVar(&flags.data, "data", "", "the payload: JSON, @FILE, or - for stdin")
	f.StringArrayVar(&flags.meta, "meta", nil, "metadata as KEY=VALUE, may be repeated")
	f.StringVar(&flags.expect, "expect", "any", "the version that the stream must have: any, none, exists or a number")
	f.StringVar(&flags.id, "id", "", "the event's id, a ULID (default: a new one)")
	f.StringVar(&flags.correlation, "correlation", "", "the id of the business process")
	f.StringVar(&flags.causation, "causation", "", "the id of what caused the event")
	f.StringVar(&flags.user, "user", "", "who did it")
	f.StringVar(&flags.occurredAt, "occurred-at", "", "when it happened, RFC 3339 or relative as -15m (default: now)")
	f.Uint32Var(&flags.schema, "schema-version", 1, "the version of the payload's shape")
	out := addListOutput(cmd, env)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 && args[0] == "-" {
			return appendLines(cmd, env, out)
		}
		if len(args) == 1 {
			return &usageError{reason: "give a stream and a type, or - alone to read lines from stdin", hint: helpHint(cmd)}
		}
		return appendOne(cmd, env, out, args[0], args[1], &flags)
	}
	return cmd
}

func appendOne(cmd *cobra.Command, env *environment, out *output, stream, eventType string, flags *appendFlags) error {
	ev, err := flags.event(env, eventType)
	if err != nil {
		return err
	}
	expect, err := eventstream.ParseExpected(flags.expect)
	if err != nil {
		return usagef("--expect: %v", err)
	}
	return withTenant(cmd, env, writeAccess, func(_ *eventstream.DB, t *eventstream.Tenant) error {
		res, err := t.Append(cmd.Context(), eventstream.StreamID(stream), expect, ev)
		if err != nil {
			return err
		}
		return out.record(appended{res.Stream, res.FirstVersion, res.FirstPosition, res.EventIDs[0], res.Deduplicated})
	})
}

// event is the event that the flags describe.
func (f *appendFlags) event(env *environment, eventType string) (eventstream.NewEvent, error) {
	ev := eventstream.NewEvent{
		Type: eventType, SchemaVersion: eventstream.SchemaVersion(f.schema), Codec: codec.JSON,
		CorrelationID: f.correlation, CausationID: f.causation, UserID: f.user,
	}
	var err error
	if ev.Data, err = readPayload(env, f.data); err != nil {
		return ev, err
	}
	if f.id != "" {
		if ev.ID, err = keys.ParseEventID(f.id); err != nil {
			return ev, usagef("--id: %v", err)
		}
	}
	if f.occurredAt != "" {
		if ev.OccurredAt, err = parseTime(env, "--occurred-at", f.occurredAt); err != nil {
			return ev, err
		}
	}
	for _, entry := range f.meta {
		key, value, ok := strings.Cut(entry, "=")
		if !ok || key == "" {
			return ev, usagef("--meta %q is not KEY=VALUE", entry)
		}
		if ev.Metadata == nil {
			ev.Metadata = make(map[string]string)
		}
		if _, twice := ev.Metadata[key]; twice {
			return ev, usagef("--meta %s comes twice", key)
		}
		ev.Metadata[key] = value
	}
	return ev, nil
}

// readPayload reads --data. The JSON is stored as it is, but for blanks between its
// parts: no number passes through a float.
func readPayload(env *environment, from string) (codec.Encoded, error) {
	var text []byte
	var err error
	switch {
	case from == "":
		return codec.Encoded{}, nil
	case from == "-":
		if text, err = io.ReadAll(env.stdin); err != nil {
			return nil, fmt.Errorf("read the payload from stdin: %w", err)
		}
	case from[0] == '@':
		if text, err = os.ReadFile(from[1:]); err != nil {
			return nil, err
		}
	default:
		text = []byte(from)
	}
	if len(bytes.TrimSpace(text)) == 0 || !json.Valid(text) {
		return nil, usagef("--data is not valid JSON; a text needs its quotes, as in --data '\"text\"'")
	}
	data, err := codec.FromJSON(codec.JSON, text)
	return data, err
}
