package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"strconv"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/cloudevents"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/eventline"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/ocel"
)

// exportFormats are what export writes, by the name of the format.
var exportFormats = map[string]func(ctx context.Context, x *exportSource, to io.Writer) (n int, err error){
	"jsonl": func(ctx context.Context, x *exportSource, to io.Writer) (int, error) {
		return writeLines(to, x.events(ctx))
	},
	"csv":         writeCSV,
	"cloudevents": writeCloudEvents,
	"ocel":        writeOCEL,
}

const exportFormatNames = "jsonl, csv, cloudevents or ocel"

// exportSource is what an export reads.
type exportSource struct {
	flags  *exportFlags
	db     *eventstream.DB
	tenant *eventstream.Tenant
	opts   []eventstream.ReadOption
}

// events yields the events of whole commits that the flags choose.
func (x *exportSource) events(ctx context.Context) iter.Seq2[eventstream.Event, error] {
	return func(yield func(eventstream.Event, error) bool) {
		for ev, err := range x.tenant.ReadAll(ctx, x.opts...) {
			if err == nil && x.flags.to > 0 && uint64(ev.CommitPosition()) > x.flags.to || !yield(ev, err) {
				return
			}
		}
	}
}

// csvColumns are the columns of an export as CSV.
var csvColumns = []string{
	"position", "stream", "version", "event_id", "type", "schema_version", "occurred_at", "recorded_at",
	"correlation_id", "causation_id", "user_id", "metadata", "codec", "commit", "data", "data_base64",
}

// writeCSV writes a row for each event. Metadata and data are JSON.
func writeCSV(ctx context.Context, x *exportSource, to io.Writer) (n int, err error) {
	w := csv.NewWriter(to)
	if err := w.Write(csvColumns); err != nil {
		return 0, err
	}
	for ev, err := range x.events(ctx) {
		if err != nil {
			w.Flush()
			return n, errors.Join(err, w.Error())
		}
		metadata, err := json.Marshal(ev.Metadata)
		if err != nil {
			return n, err
		}
		if ev.Metadata == nil {
			metadata = []byte("{}")
		}
		data, base64 := eventline.Data(&ev)
		n++
		if err := w.Write([]string{
			strconv.FormatUint(uint64(ev.Position), 10), string(ev.Stream), strconv.FormatUint(uint64(ev.Version), 10), ev.ID.String(), ev.Type,
			strconv.FormatUint(uint64(ev.SchemaVersion), 10), ev.OccurredAt.Format(time.RFC3339Nano), ev.RecordedAt.Format(time.RFC3339Nano),
			ev.CorrelationID, ev.CausationID, ev.UserID, string(metadata), ev.Codec.String(),
			strconv.FormatUint(uint64(ev.CommitPosition()), 10), data, base64,
		}); err != nil {
			return n, err
		}
	}
	w.Flush()
	return n, w.Error()
}

// writeCloudEvents writes a batch, an event a line.
func writeCloudEvents(ctx context.Context, x *exportSource, to io.Writer) (n int, err error) {
	from := cloudevents.Source(x.db.Info().StoreID, x.flags.tenantName)
	w := bufio.NewWriterSize(to, 256<<10)
	var doc []byte
	for ev, err := range x.events(ctx) {
		if err != nil {
			return n, errors.Join(err, w.Flush())
		}
		doc = append(doc[:0], ",\n"...)
		if n == 0 {
			doc = append(doc[:0], "[\n"...)
		}
		if _, err := w.Write(cloudevents.Append(doc, &ev, from)); err != nil {
			return n, err
		}
		n++
	}
	end := "\n]\n"
	if n == 0 {
		end = "[]\n"
	}
	_, _ = w.WriteString(end)
	return n, w.Flush()
}

func writeOCEL(ctx context.Context, x *exportSource, to io.Writer) (int, error) {
	return ocel.Write(to, func() iter.Seq2[eventstream.Event, error] { return x.events(ctx) }, x.flags.tags)
}
