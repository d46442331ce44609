package main

import (
	"bufio"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newManCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:     "man",
		Short:   "Print the manual page",
		Long:    "man prints the manual page of the program and all its commands, in roff.",
		Example: "  eventstream man > /usr/local/share/man/man1/eventstream.1\n  eventstream man | man -l -",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			page := manPage{w: bufio.NewWriter(env.stdout)}
			page.write(cmd.Root())
			return page.w.Flush()
		},
	}
}

// manPage writes a command tree as a manual page. The page is written here because
// cobra's own generator comes with a Markdown converter.
type manPage struct {
	w *bufio.Writer // keeps the first error until Flush
}

func (p manPage) write(root *cobra.Command) {
	p.line(`.TH EVENTSTREAM 1 "" "%s" "User Commands"`, roff(readVersion().Version))
	p.line(".SH NAME")
	p.line(`%s \- %s`, roff(root.Name()), roff(root.Short))
	p.line(".SH SYNOPSIS")
	p.line(`\fB%s\fR \fICOMMAND\fR [\fIOPTIONS\fR]`, roff(root.Name()))
	p.line(".SH DESCRIPTION")
	p.text(root.Long)
	p.line(".SH OPTIONS OF EVERY COMMAND")
	p.flags(root.PersistentFlags())
	p.line(".SH COMMANDS")
	for _, cmd := range root.Commands() {
		if !cmd.Hidden {
			p.command(cmd)
		}
	}
	p.line(".SH ENVIRONMENT")
	for _, v := range [][2]string{
		{"EVENTSTREAM_DIR", "the store's directory, where no --dir is given"},
		{"NO_COLOR", "no colour, if it is set to anything"},
		{"TERM", "dumb: no colour and no progress bar"},
	} {
		p.line(".TP\n.B %s", roff(v[0]))
		p.text(v[1])
	}
}

func (p manPage) command(cmd *cobra.Command) {
	p.line(".SS %s", roff(strings.TrimPrefix(cmd.UseLine(), cmd.Root().Name()+" ")))
	if cmd.Long != "" {
		p.text(cmd.Long)
	} else {
		p.text(cmd.Short + ".")
	}
	p.flags(cmd.LocalNonPersistentFlags())
	if cmd.Example != "" {
		p.line(".PP\nExamples:\n.PP\n.nf")
		p.line("%s", roff(cmd.Example))
		p.line(".fi")
	}
	for _, child := range cmd.Commands() {
		p.line(".TP\n.B %s", roff(strings.TrimPrefix(child.CommandPath(), cmd.Root().Name()+" ")))
		p.text(child.Short)
	}
}

func (p manPage) flags(flags *pflag.FlagSet) {
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if kind := f.Value.Type(); kind != "bool" {
			name += " " + strings.ToUpper(kind)
		}
		p.line(".TP\n.B %s", roff(name))
		p.text(f.Usage)
	})
}

// text writes paragraphs. Lines that begin with a blank keep their line ends.
func (p manPage) text(text string) {
	for paragraph := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		if strings.HasPrefix(paragraph, " ") {
			p.line(".PP\n.nf\n%s\n.fi", roff(paragraph))
			continue
		}
		p.line("%s\n.PP", roff(paragraph))
	}
}

func (p manPage) line(format string, args ...any) { fmt.Fprintf(p.w, format+"\n", args...) }

// roff protects what roff would take for its own: backslashes, hyphens, and dots
// and quotes at the begin of a line.
func roff(s string) string {
	lines := strings.Split(strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(s), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
