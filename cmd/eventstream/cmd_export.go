package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
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
	format, out string
	to          uint64
}

func newExportCommand(env *environment) *cobra.Command {
	var flags exportFlags
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write events as JSON lines that import reads",
		Long: `export writes one event a line, in the global order, with the fields of read and
codec, commit, and data_base64 for a payload that JSON cannot say all of. Events
with the same commit were written by one append.

--from and --to are positions, both inclusive. Commits stay whole: one that begins
before --to is written to its end, one that --from falls into from its begin.
--type and --category leave events out of commits.

A full export, imported into an empty store and exported again, gives the same
bytes but for recorded_at.`,
		Example: "  eventstream export --format jsonl --out events.jsonl\n  eventstream export | gzip > events.jsonl.gz",
		Args:    cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&flags.format, "format", "jsonl", "the file format: jsonl")
	f.StringVar(&flags.out, "out", "-", "the file to write, - is stdout")
	f.Uint64Var(&flags.to, "to", 0, "the last position")
	flags.register(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if flags.format != "jsonl" {
			return usagef("--format %q is not known: use jsonl", flags.format)
		}
		return withTenant(cmd, env, readAccess, func(_ *eventstream.DB, t *eventstream.Tenant) error {
			if flags.out == "-" {
				_, err := flags.write(cmd.Context(), t, env.stdout)
				return err
			}
			n, err := flags.writeFile(cmd.Context(), t)
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
func (f *exportFlags) writeFile(ctx context.Context, t *eventstream.Tenant) (n int, err error) {
	tmp, err := os.CreateTemp(filepath.Dir(f.out), filepath.Base(f.out)+".partial-*")
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(tmp.Name()))
		}
	}()
	n, err = f.write(ctx, t, tmp)
	if err == nil {
		err = tmp.Sync()
	}
	if err = errors.Join(err, tmp.Close()); err != nil {
		return n, err
	}
	return n, os.Rename(tmp.Name(), f.out)
}

func (f *exportFlags) write(ctx context.Context, t *eventstream.Tenant, to io.Writer) (n int, err error) {
	opts, err := f.wholeCommits(ctx, t)
	if err != nil {
		return 0, err
	}
	w := bufio.NewWriterSize(to, 256<<10)
	var line []byte
	for ev, err := range t.ReadAll(ctx, opts...) {
		if err != nil {
			return n, errors.Join(err, w.Flush())
		}
		if f.to > 0 && uint64(ev.CommitPosition()) > f.to {
			break
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
