package main

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/eventline"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/render"
)

// queryFlags are the flags of query.
type queryFlags struct {
	types, streams, categories, correlations, causations, users, tags, where []string

	since, until, recordedSince, recordedUntil string
	from, to                                   uint64
	order, cursor                              string
	limit, offset, budget                      int
	explain, count                             bool
}

// queryPage is what query prints.
type queryPage struct {
	Events         []json.RawMessage    `json:"events"`
	NextCursor     string               `json:"next_cursor"`
	HasMore        bool                 `json:"has_more"`
	PreviousCursor string               `json:"previous_cursor"`
	Head           eventstream.Position `json:"head"`
}

const queryHelp = `query prints one page of the events that match all of its conditions, in the global
order. A flag that may be repeated takes any of its values, but for --tag and
--where, of which all must hold.

next_cursor leads to the next page: give it as --cursor with the same conditions and
order. All pages stand at the head of the first one, so nothing is left out or
comes twice while others append. --offset leaves out as many events, at most 10,000,
and reads them all.

--where compares a value in the payload or the metadata:
  --where 'data.amount >= 100.50'
  --where 'data.lines.0.sku = "A-7"'
  --where 'data.status IN ["open","held"]'
  --where 'metadata.site LIKE "north-%"'
The value is JSON; what is not JSON is a text as it stands. Numbers compare exactly.

--explain says how the query would be run, --count how many events match.`

func newQueryCommand(env *environment) *cobra.Command {
	var flags queryFlags
	cmd := &cobra.Command{
		Use:   "query",
		Short: "Find events, page by page",
		Long:  queryHelp,
		Example: `  eventstream query --type InvoiceIssued --user ada --since -30d
  eventstream query --tag document=4507000290 --order desc --limit 20`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringArrayVar(&flags.types, "type", nil, "events of this type, may be repeated")
	f.StringArrayVar(&flags.streams, "stream", nil, "events of this stream, may be repeated")
	f.StringArrayVar(&flags.categories, "category", nil, "events of streams of this category, may be repeated")
	f.StringArrayVar(&flags.correlations, "correlation", nil, "events with this correlation id, may be repeated")
	f.StringArrayVar(&flags.causations, "causation", nil, "events with this causation id, may be repeated")
	f.StringArrayVar(&flags.users, "user", nil, "events of this user, may be repeated")
	f.StringArrayVar(&flags.tags, "tag", nil, "events with this metadata entry, KEY=VALUE, may be repeated")
	f.StringArrayVar(&flags.where, "where", nil, "events whose value at a path compares so, may be repeated")
	f.StringVar(&flags.since, "since", "", "what occurred at this moment or later")
	f.StringVar(&flags.until, "until", "", "what occurred at this moment or before")
	f.StringVar(&flags.recordedSince, "recorded-since", "", "what was recorded at this moment or later")
	f.StringVar(&flags.recordedUntil, "recorded-until", "", "what was recorded at this moment or before")
	f.Uint64Var(&flags.from, "from", 0, "the first position")
	f.Uint64Var(&flags.to, "to", 0, "the last position")
	f.StringVar(&flags.order, "order", "asc", "asc, the oldest first, or desc")
	f.IntVar(&flags.limit, "limit", 100, "events on a page, up to 10000")
	f.StringVar(&flags.cursor, "cursor", "", "the page that this cursor leads to")
	f.IntVar(&flags.offset, "offset", 0, "leave out so many events, up to 10000")
	f.IntVar(&flags.budget, "budget", 0, "how many events that do not match may be read (default: a million)")
	f.BoolVar(&flags.explain, "explain", false, "say how the query would be run")
	f.BoolVar(&flags.count, "count", false, "say how many events match")
	out := addRecordOutput(cmd, env)
	out.columns = eventColumns
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		q, err := flags.query(env)
		if err != nil {
			return err
		}
		return withTenant(cmd, env, readAccess, func(_ *eventstream.DB, t *eventstream.Tenant) error {
			switch {
			case flags.explain:
				plan, err := t.Explain(cmd.Context(), q)
				if err != nil {
					return err
				}
				out.columns = nil
				return out.record(describePlan(&plan))
			case flags.count:
				n, err := t.Count(cmd.Context(), q)
				if err != nil {
					return err
				}
				out.columns = nil
				return out.record(struct {
					Events uint64 `json:"events"`
				}{n})
			}
			page, err := t.QueryPage(cmd.Context(), q, eventstream.PageOptions{Size: flags.limit, Cursor: flags.cursor, Offset: flags.offset})
			if err != nil {
				return err
			}
			return out.page(&page)
		})
	}
	return cmd
}

// page writes a page: as one record, or its events where the format is one of rows.
func (o *output) page(page *eventstream.Page) error {
	if format := o.style().Format; format == render.JSON || format == render.YAML {
		doc := queryPage{Events: []json.RawMessage{}, NextCursor: page.Next, HasMore: page.HasMore(), PreviousCursor: page.Previous, Head: page.Head}
		for i := range page.Events {
			doc.Events = append(doc.Events, eventline.AppendView(nil, &page.Events[i]))
		}
		return o.record(doc)
	}
	_, err := listEvents(o.list(), func(yield func(eventstream.Event, error) bool) {
		for i := range page.Events {
			if !yield(page.Events[i], nil) {
				return
			}
		}
	})
	return err
}

// planRecord is what --explain prints.
type planRecord struct {
	Method    string               `json:"method"`
	From      eventstream.Position `json:"from"`
	To        eventstream.Position `json:"to"`
	Stream    string               `json:"stream,omitempty"`
	Indexes   []planIndex          `json:"indexes"`
	IndexedTo eventstream.Position `json:"indexed_to"`
	Estimate  uint64               `json:"estimate"`
	Filtered  bool                 `json:"filtered"`
}

type planIndex struct {
	Index    string   `json:"index"`
	Terms    []string `json:"terms,omitempty"`
	Estimate uint64   `json:"estimate"`
	Rough    bool     `json:"rough"`
}

func describePlan(p *eventstream.Plan) planRecord {
	r := planRecord{
		Method: p.Method, From: p.From, To: p.To, Stream: string(p.Stream), Indexes: []planIndex{},
		IndexedTo: p.IndexedTo, Estimate: p.Estimate, Filtered: p.Filtered,
	}
	for _, i := range p.Indexes {
		r.Indexes = append(r.Indexes, planIndex{Index: string(i.Index), Terms: i.Terms, Estimate: i.Estimate, Rough: i.Rough})
	}
	return r
}

// query builds the query that the flags ask for.
func (f *queryFlags) query(env *environment) (eventstream.Query, error) {
	var q eventstream.Query
	for _, field := range []struct {
		values []string
		narrow func(eventstream.Query, ...string) eventstream.Query
	}{
		{f.types, eventstream.Query.Types},
		{f.categories, eventstream.Query.Categories},
		{f.correlations, eventstream.Query.Correlations},
		{f.causations, eventstream.Query.Causations},
		{f.users, eventstream.Query.Users},
	} {
		if len(field.values) > 0 {
			q = field.narrow(q, field.values...)
		}
	}
	if len(f.streams) > 0 {
		var streams []eventstream.StreamID
		for _, s := range f.streams {
			streams = append(streams, eventstream.StreamID(s))
		}
		q = q.Streams(streams...)
	}
	for _, t := range f.tags {
		key, value, ok := strings.Cut(t, "=")
		if !ok {
			return q, usagef("--tag %q is not KEY=VALUE", t)
		}
		q = q.Tag(key, value)
	}
	for _, w := range f.where {
		path, op, value, err := parseWhere(w)
		if err != nil {
			return q, err
		}
		q = q.Where(path, op, value)
	}
	q, err := f.times(env, q)
	if err != nil {
		return q, err
	}
	if f.from > 1 {
		q = q.After(eventstream.Position(f.from - 1))
	}
	if f.to > 0 {
		q = q.Until(eventstream.Position(f.to))
	}
	if f.budget != 0 {
		q = q.Budget(f.budget)
	}
	switch {
	case f.cursor != "" && f.offset > 0:
		return q, usagef("give --cursor or --offset, not both")
	case f.explain && f.count, (f.explain || f.count) && (f.cursor != "" || f.offset > 0):
		return q, usagef("--explain and --count are about the whole query: give one of them, and no page")
	}
	if f.limit < 1 {
		return q, usagef("--limit %d is less than 1", f.limit)
	}
	switch f.order {
	case "asc":
		return q, nil
	case "desc":
		return q.Backward(), nil
	default:
		return q, usagef("--order %q is neither asc nor desc", f.order)
	}
}

// times narrows the query to the times that the flags name.
func (f *queryFlags) times(env *environment, q eventstream.Query) (eventstream.Query, error) {
	for _, bound := range []struct {
		flag, text string
		narrow     func(eventstream.Query, time.Time) eventstream.Query
	}{
		{"--since", f.since, eventstream.Query.OccurredSince},
		{"--until", f.until, eventstream.Query.OccurredUntil},
		{"--recorded-since", f.recordedSince, eventstream.Query.RecordedSince},
		{"--recorded-until", f.recordedUntil, eventstream.Query.RecordedUntil},
	} {
		if bound.text == "" {
			continue
		}
		at, err := parseTime(env, bound.flag, bound.text)
		if err != nil {
			return q, err
		}
		q = bound.narrow(q, at)
	}
	return q, nil
}

// parseWhere reads "PATH OP VALUE". In the path, a blank or a sign of an operator stands
// behind a "\" if it is part of a name, as a "." does.
func parseWhere(text string) (path string, op eventstream.Op, value any, err error) {
	bad := func(reason string) (string, eventstream.Op, any, error) {
		return "", "", nil, usagef("--where %q %s: write PATH OP VALUE, as data.amount >= 100", text, reason)
	}
	text = strings.TrimSpace(text)
	at := 0
	for at < len(text) && !strings.ContainsRune(" =!<>", rune(text[at])) {
		if text[at] == '\\' {
			at++
		}
		at++
	}
	if at == 0 || at >= len(text) {
		return bad("has no operator")
	}
	path, rest := text[:at], strings.TrimSpace(text[at:])
	for _, candidate := range []eventstream.Op{
		eventstream.NotEqual, eventstream.LessOrEqual, eventstream.GreaterOrEqual, eventstream.Equal, eventstream.Less, eventstream.Greater,
		eventstream.In, eventstream.Like,
	} {
		name := string(candidate)
		if len(rest) >= len(name) && strings.EqualFold(rest[:len(name)], name) {
			op, rest = candidate, rest[len(name):]
			break
		}
	}
	worded := op == eventstream.In || op == eventstream.Like
	if op == "" || worded && rest != "" && !strings.ContainsAny(rest[:1], ` ["`) {
		return bad("has no operator =, !=, <, <=, >, >=, IN or LIKE behind the path")
	}
	rest = strings.TrimSpace(rest)
	if rest == "" {
		return bad("has no value")
	}
	value = rest
	decoder := json.NewDecoder(strings.NewReader(rest))
	decoder.UseNumber()
	var parsed any
	if decoder.Decode(&parsed) == nil && !decoder.More() {
		value = parsed
	}
	if list, ok := value.([]any); op == eventstream.In && (!ok || len(list) == 0 || slices.Contains(list, nil)) {
		return bad("needs a list behind IN, as [1,2]")
	}
	return path, op, value, nil
}
