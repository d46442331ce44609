package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/eventline"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
)

// exportFlags are the flags of export.
type exportFlags struct {
	selection
	format, out, tenantName string
	to                      uint64
	salvage                 bool
	tags                    []string
}

func newExportCommand(env *environment) *cobra.Command {
	var flags exportFlags
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write events to a file: JSON lines, CSV, CloudEvents or OCEL",
		Long: `export writes events in the global order. Formats:

jsonl: one event a line, with the fields of read and codec, commit, and data_base64
  for a payload that JSON cannot say all of. Events with the same commit were
  written by one append.
csv: the same in columns; metadata and data are JSON.
cloudevents: a batch of CloudEvents 1.0. The stream is the subject, and what
  CloudEvents has no attribute for is in extensions, so that import makes the same
  events of it.
ocel: an object-centric event log, OCEL 2.0. Each stream is an object of its category,
  and so is each metadata entry that --tag names.

--from and --to are positions, both inclusive. Commits stay whole: one that begins
before --to is written to its end, one that --from falls into from its begin.
--type and --category leave events out of commits.

A full export, imported into an empty store and exported again, gives the same
bytes but for recorded_at.

--salvage reads a store that does not open for damage: every event that is still
whole, wherever it lies. It changes nothing in the store, names on stderr what is
missing, and exits with 5 if anything is.`,
		Example: "  eventstream export --format jsonl --out events.jsonl\n  eventstream export | gzip > events.jsonl.gz",
		Args:    cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&flags.format, "format", "jsonl", "the file format: "+exportFormatNames)
	f.StringArrayVar(&flags.tags, "tag", nil, "ocel: metadata entries of this name are objects, may be repeated")
	f.StringVar(&flags.out, "out", "-", "the file to write, - is stdout")
	f.Uint64Var(&flags.to, "to", 0, "the last position")
	f.BoolVar(&flags.salvage, "salvage", false, "read what is left of a damaged store")
	flags.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		write, ok := exportFormats[flags.format]
		switch {
		case !ok:
			return usagef("--format %q is not known: use %s", flags.format, exportFormatNames)
		case len(flags.tags) > 0 && flags.format != "ocel":
			return usagef("--tag is for ocel files")
		case flags.salvage && flags.format != "jsonl":
			return usagef("--salvage writes jsonl, which import reads")
		case flags.salvage:
			return flags.writeSalvage(cmd, env)
		}
		var err error
		if flags.tenantName, err = cmd.Flags().GetString("tenant"); err != nil {
			return err
		}
		return withTenant(cmd, env, readAccess, func(db *eventstream.DB, t *eventstream.Tenant) error {
			x := exportSource{flags: &flags, db: db, tenant: t}
			var err error
			if x.opts, err = flags.wholeCommits(cmd.Context(), t); err != nil {
				return err
			}
			if flags.out == "-" {
				_, err := write(cmd.Context(), &x, env.stdout)
				return err
			}
			n, err := flags.writeFile(func(to io.Writer) (int, error) { return write(cmd.Context(), &x, to) })
			if err == nil {
				fmt.Fprintf(env.stderr, "%d events written to %s\n", n, flags.out)
			}
			return err
		})
	}
	return cmd
}

// writeFile writes to a file beside the one that is meant and renames it at the
// end, so that nobody takes half an export for a whole one.
func (f *exportFlags) writeFile(write func(io.Writer) (int, error)) (n int, err error) {
	tmp, err := os.CreateTemp(filepath.Dir(f.out), filepath.Base(f.out)+".partial-*")
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	n, err = write(tmp)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return n, err
	}
	return n, os.Rename(tmp.Name(), f.out)
}

// writeLines writes events as lines.
func writeLines(to io.Writer, events iter.Seq2[eventstream.Event, error]) (n int, err error) {
	w := bufio.NewWriterSize(to, 256<<10)
	var line []byte
	for ev, err := range events {
		if err != nil {
			return n, errors.Join(err, w.Flush())
		}
		line = append(eventline.AppendExport(line[:0], &ev), '\n')
		if _, err := w.Write(line); err != nil {
			return n, err
		}
		n++
	}
	return n, w.Flush()
}

// wholeCommits are the options of a read that splits no commit: it begins with the
// commit of the first event in the range, and reads on beyond the last one as far as
// a commit may reach.
func (f *exportFlags) wholeCommits(ctx context.Context, t *eventstream.Tenant) ([]eventstream.ReadOption, error) {
	opts := f.filters()
	if f.to > 0 {
		opts = append(opts, eventstream.Until(eventstream.Position(f.to)+source.MaxBlockEvents-1))
	}
	if f.from <= 1 {
		return opts, nil
	}
	after := eventstream.Position(f.from - 1)
	for ev, err := range t.ReadAll(ctx, eventstream.After(after), eventstream.Limit(1)) {
		if err != nil {
			return nil, err
		}
		after = min(after, ev.CommitPosition()-1)
	}
	return append(opts, eventstream.After(after)), nil
}
