package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/cloudevents"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/csvmap"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/eventline"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/ledger"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/load"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/xes"
)

// importFlags are the flags of import.
type importFlags struct {
	format, mapFile, streamFrom, category, sourceID string
	dryRun, resume, skipBad                         bool
	tags                                            []string
}

// importResult is what import says at its end.
type importResult struct {
	Events          int     `json:"events"`  // appended by this run
	Streams         int     `json:"streams"` // distinct ones in the file
	Skipped         int     `json:"skipped"`
	Duplicates      int     `json:"duplicates"` // in the store already
	Seconds         float64 `json:"seconds"`
	EventsPerSecond float64 `json:"events_per_second"`
	Source          string  `json:"source"`
	DryRun          bool    `json:"dry_run"`
}

// importFormatNames are the formats that import reads.
const importFormatNames = "xes, jsonl, csv, cloudevents or ledger"

const importHelp = `import loads a file, which may be compressed with gzip; - is stdin. The first pass
reads all of it and stops at the first record that is broken, with file, line and
field, before anything is appended; --skip-bad counts such records and leaves them
out. The second pass appends, in the order of the file.

An import does not begin on a disk that is nearly full.

The ids of events are made of the file's SHA-256 (or --source), their stream and
their place in it: importing a file again adds nothing, and an import that was
interrupted is finished by running it again. That is what --resume asks for; it
changes nothing.

The result counts events: those appended now, skipped ones, and duplicates, which
were in the store already. streams are the distinct streams in the file. --dry-run
stops before the second pass; if it skipped anything, the exit code is 8.

xes: one stream per case, CATEGORY-CASE, one commit per case of up to 1,000 events.
  concept:name is the event's type, time:timestamp when it occurred. The other
  attributes are the payload, values as text exactly as written; the attributes of
  the case are "case" in the payload of its first event. Each event's metadata has
  the original case id as "case". A bad event is left out alone, a case without a
  name whole.
jsonl: lines as export writes them. Consecutive lines with the same commit are one
  commit, which loads whole or not at all.
csv: the first row names the columns; --map says how a row becomes an event, or
  --stream-from names the column of the stream, and the whole row is the payload.
ledger: a journal of ledger-cli. One stream per account, CATEGORY-ACCOUNT (default:
  ledger-account), one event per posting, one commit per transaction. Amounts are
  text with all their digits; those left out are filled in. A transaction that does
  not balance is bad, and left out whole. What would need ledger's expressions, or
  another file, ends the import with its line.
cloudevents: CloudEvents 1.0 in JSON, a batch or one after the other. What export wrote
  becomes the same events. Others go to streams CATEGORY-SUBJECT, or else the source;
  source and id make the event's id, so an event is added once whatever file it comes
  in; both stay in its metadata, as other attributes do, after "cloudevents.".

--tag gives each event a metadata entry made of something else in it, by which query
finds it: --tag 'document=metadata.case~^([0-9]+)_' takes the document's number out
of the case id. FIELD is stream, type, user_id, correlation_id or metadata.NAME.

A mapping is a YAML file:

  stream_from: Invoice          # the column that names the stream
  category: sales-invoice       # in front of it (default: --category)
  type: LineRecorded            # or type_from: COLUMN (default: RowImported)
  occurred_at:
    column: InvoiceDate
    layout: 2006-01-02 15:04:05 # in Go's notation (default: RFC 3339)
    location: Europe/London     # of times without an offset from UTC
  payload:                      # column: name (default: all columns)
    StockCode: stock_code
  commit: Invoice               # consecutive rows with the same value: one commit
  delimiter: ";"                # default: ,`

func newImportCommand(env *environment) *cobra.Command {
	var flags importFlags
	cmd := &cobra.Command{
		Use:   "import FILE|-",
		Short: "Load a file of events",
		Long:  importHelp,
		Example: `  eventstream import --format xes orders.xes.gz --category purchasing-item
  eventstream import --format csv sales.csv --map sales.yaml --dry-run`,
		Args: cobra.ExactArgs(1),
	}
	f := cmd.Flags()
	f.StringVar(&flags.format, "format", "", "the file format: "+importFormatNames+" (default: by the file's name)")
	f.StringVar(&flags.mapFile, "map", "", "csv: the mapping file")
	f.StringVar(&flags.streamFrom, "stream-from", "", "csv: the column that names the stream, instead of --map")
	f.StringVar(&flags.category, "category", "import-case", "xes, csv, cloudevents, ledger: what stands before the id in stream names; a single word A is A-case")
	f.StringVar(&flags.sourceID, "source", "", "make event ids of this text instead of the file's SHA-256")
	f.StringArrayVar(&flags.tags, "tag", nil, "give each event a metadata entry, NAME=FIELD or NAME=FIELD~REGEXP, may be repeated")
	f.BoolVar(&flags.dryRun, "dry-run", false, "check the file and append nothing")
	f.BoolVar(&flags.resume, "resume", false, "finish an interrupted import (import always does)")
	f.BoolVar(&flags.skipBad, "skip-bad", false, "count broken records instead of stopping at the first one")
	out := addRecordOutput(cmd, env)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		decode, err := flags.decoder(cmd, args[0])
		if err != nil {
			return err
		}
		return runImport(cmd, env, out, &flags, args[0], decode)
	}
	return cmd
}

// decoder reads the flags that say how the file is read.
func (f *importFlags) decoder(cmd *cobra.Command, file string) (func(io.Reader) source.Decoder, error) {
	format := f.format
	if format == "" {
		format = formatOf(file)
	}
	for name, of := range map[string]string{"map": "csv", "stream-from": "csv", "category": "csv, ledger, xes, cloudevents"} {
		if cmd.Flags().Changed(name) && !strings.Contains(of, format) {
			return nil, usagef("--%s is for %s files", name, of)
		}
	}
	switch format {
	case "xes":
		category, err := source.ParseCategory(f.category)
		if err != nil {
			return nil, usagef("--category: %v", err)
		}
		return func(r io.Reader) source.Decoder { return xes.NewBlocks(r, category) }, nil
	case "cloudevents":
		category, err := source.ParseCategory(f.category)
		if err != nil {
			return nil, usagef("--category: %v", err)
		}
		return func(r io.Reader) source.Decoder { return cloudevents.NewBlocks(r, category) }, nil
	case "ledger":
		return f.ledger(cmd)
	case "jsonl":
		return func(r io.Reader) source.Decoder { return eventline.NewBlocks(r, source.LooseBlock) }, nil
	case "csv":
		mapping, err := f.mapping()
		if err != nil {
			return nil, err
		}
		return func(r io.Reader) source.Decoder { return csvmap.NewBlocks(r, mapping) }, nil
	case "":
		return nil, usagef("the name of %s does not tell its format: give --format %s", file, importFormatNames)
	}
	return nil, usagef("--format %q is not known: use %s", format, importFormatNames)
}

func (f *importFlags) ledger(cmd *cobra.Command) (func(io.Reader) source.Decoder, error) {
	text := ledger.DefaultCategory
	if cmd.Flags().Changed("category") {
		text = f.category
	}
	category, err := source.ParseCategory(text)
	if err != nil {
		return nil, usagef("--category: %v", err)
	}
	if category.Beside(ledger.PriceKind) == category {
		return nil, usagef("--category %s is where market prices go: choose another type than %q", text, ledger.PriceKind)
	}
	return func(r io.Reader) source.Decoder { return ledger.NewBlocks(r, category) }, nil
}

// parseTags reads --tag.
func (f *importFlags) parseTags() ([]load.Tag, error) {
	var tags []load.Tag
	for _, text := range f.tags {
		tag, err := load.ParseTag(text)
		if err != nil {
			return nil, usagef("--tag %q: %v", text, err)
		}
		tags = append(tags, tag)
	}
	return tags, nil
}

func formatOf(file string) string {
	name := strings.TrimSuffix(strings.ToLower(file), ".gz")
	for _, format := range []string{"xes", "jsonl", "csv", "ledger"} {
		if strings.HasSuffix(name, "."+format) {
			return format
		}
	}
	if strings.HasSuffix(name, ".journal") {
		return "ledger"
	}
	return ""
}

func (f *importFlags) mapping() (*csvmap.Mapping, error) {
	switch {
	case f.mapFile != "" && f.streamFrom != "":
		return nil, usagef("give --map or --stream-from, not both")
	case f.streamFrom != "":
		m, err := csvmap.FromStream(f.streamFrom, f.category)
		if err != nil {
			return nil, usagef("--stream-from: %v", err)
		}
		return m, nil
	case f.mapFile != "":
		file, err := os.ReadFile(f.mapFile)
		if err != nil {
			return nil, err
		}
		m, err := csvmap.ParseMapping(file, f.category)
		if err != nil {
			return nil, usagef("%s: %v", f.mapFile, err)
		}
		return m, nil
	}
	return nil, usagef("a csv file needs --map FILE or --stream-from COLUMN")
}

func runImport(cmd *cobra.Command, env *environment, out *output, flags *importFlags, file string, decode func(io.Reader) source.Decoder) (err error) {
	if flags.dryRun {
		return importFile(cmd.Context(), env, out, flags, file, decode, nil)
	}
	// The store comes first: to check a file for minutes and then to find no store
	// helps nobody.
	return withTenant(cmd, env, writeAccess, func(db *eventstream.DB, t *eventstream.Tenant) error {
		return importFile(cmd.Context(), env, out, flags, file, decode, &target{db: db, tenant: t})
	})
}

// target is where an import goes.
type target struct {
	db     *eventstream.DB
	tenant *eventstream.Tenant
}

// checkRoom refuses to begin on a disk that is nearly full: appends would be refused in
// the middle of the file.
func (t *target) checkRoom() error {
	stats, err := t.db.Stats()
	if err != nil {
		return err
	}
	return roomFor(t.db.Info().Path, stats.Disk)
}

var errImportNeedsRoom = errors.New("an import does not begin below this mark: free some space")

func roomFor(path string, disk eventstream.DiskStats) error {
	if disk.Level != eventstream.DiskLow && disk.Level != eventstream.DiskFull {
		return nil
	}
	return &eventstream.DiskFullError{Path: path, Free: disk.Free, Needed: disk.LowBelow, Err: errImportNeedsRoom}
}

// importFile runs the passes. Without a target there is only the first one.
func importFile(ctx context.Context, env *environment, out *output, flags *importFlags, file string,
	decode func(io.Reader) source.Decoder, to *target,
) (err error) {
	begin := env.now()
	tags, err := flags.parseTags()
	if err != nil {
		return err
	}
	input, err := load.NewInput(file, env.stdin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, input.Close()) }()
	bad := badRecords{to: env.stderr}
	bar := newProgress(env, input.Size)
	job := load.Job{
		Input: input, Decode: decode, SourceID: flags.sourceID, Tags: tags, SkipBad: flags.skipBad, OnBad: bad.add, Progress: bar.add,
	}
	bar.begin("checking")
	plan, err := job.Check(ctx)
	bar.end()
	bad.end()
	if err != nil {
		return err
	}
	res := importResult{Streams: plan.Streams, Skipped: plan.Skipped, Source: plan.Source, DryRun: to == nil}
	if to == nil {
		res.Events = plan.Events
	} else {
		if err := to.checkRoom(); err != nil {
			return err
		}
		bar.begin("loading")
		loaded, err := job.Load(ctx, plan, to.tenant)
		bar.end()
		if err != nil {
			fmt.Fprintf(env.stderr, "%d events were appended before the import stopped; run it again to finish it\n", loaded.Events)
			return err
		}
		res.Events, res.Duplicates = loaded.Events, loaded.Duplicates
	}
	res.Seconds = env.now().Sub(begin).Round(time.Millisecond).Seconds()
	if res.Seconds > 0 {
		res.EventsPerSecond = float64(int64(float64(res.Events) / res.Seconds))
	}
	if err := out.record(res); err != nil {
		return err
	}
	if res.DryRun && res.Skipped > 0 {
		return &codeOnly{exitWarnings}
	}
	return nil
}

// badRecords tells of the first bad records one by one, and how many more there are.
type badRecords struct {
	to    io.Writer
	count int
}

const badShown = 20

func (b *badRecords) add(bad *source.BadRecord) {
	if b.count++; b.count <= badShown {
		fmt.Fprintln(b.to, "skipped:", bad)
	}
}

func (b *badRecords) end() {
	if b.count > badShown {
		fmt.Fprintf(b.to, "skipped: %d more\n", b.count-badShown)
	}
}
