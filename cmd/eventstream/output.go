package main

import (
	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/render"
)

// output is the -o flag of one command, and writes what the command has to say.
type output struct {
	cmd     *cobra.Command
	env     *environment
	format  render.Format // what the user chose, or ""
	piped   render.Format // the default where no person reads
	columns []string      // of tables
	pretty  bool
}

// addListOutput gives cmd the flag -o for any number of records: a table on a
// terminal, JSON lines in a pipe. columns are the fields that tables show.
func addListOutput(cmd *cobra.Command, env *environment, columns ...string) *output {
	return addOutput(cmd, &output{cmd: cmd, env: env, piped: render.JSONL, columns: columns})
}

// addRecordOutput gives cmd the flag -o for one record: a table on a terminal, JSON
// in a pipe.
func addRecordOutput(cmd *cobra.Command, env *environment) *output {
	return addOutput(cmd, &output{cmd: cmd, env: env, piped: render.JSON})
}

func addOutput(cmd *cobra.Command, o *output) *output {
	cmd.Flags().VarP((*formatValue)(&o.format), "output", "o",
		"output format: table, json, jsonl, yaml or csv (default: table on a terminal, else "+string(o.piped)+")")
	return o
}

// style is how the output looks on this run.
func (o *output) style() render.Style {
	format := o.format
	switch {
	case format != "":
	case o.pretty:
		format = render.JSON
	case o.env.stdoutTTY:
		format = render.Table
	default:
		format = o.piped
	}
	noColor, err := o.cmd.Flags().GetBool("no-color")
	colour := err == nil && o.env.stdoutTTY && o.env.colour(noColor)
	return render.Style{Format: format, Columns: o.columns, Colour: colour, Indent: o.pretty}
}

// list starts a list on stdout. Its Close must be called.
func (o *output) list() *render.List { return render.NewList(o.env.stdout, o.style()) }

// record writes one record to stdout.
func (o *output) record(v any) error {
	doc, err := render.Marshal(v)
	if err != nil {
		return err
	}
	return render.Record(o.env.stdout, o.style(), doc)
}

// formatValue refuses an unknown format while the flags are read.
type formatValue render.Format

func (f *formatValue) String() string { return string(*f) }
func (f *formatValue) Type() string   { return "format" }

func (f *formatValue) Set(name string) error {
	format, err := render.ParseFormat(name)
	if err != nil {
		return err
	}
	*f = formatValue(format)
	return nil
}
