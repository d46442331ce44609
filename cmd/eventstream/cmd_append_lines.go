package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/eventline"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/load"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/render"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
)

// appendLines appends the events on stdin, each commit as it is complete, and says
// what became of each event before it waits for the next one.
func appendLines(cmd *cobra.Command, env *environment, out *output) error {
	return withTenant(cmd, env, writeAccess, func(_ *eventstream.DB, t *eventstream.Tenant) (err error) {
		list := out.list()
		defer func() { err = errors.Join(err, list.Close()) }()
		lines := eventline.NewBlocks(env.stdin, 1)
		for {
			block, err := lines.Next()
			var bad *source.BadRecord
			var syntax *source.SyntaxError
			switch {
			case errors.Is(err, io.EOF):
				return nil
			case errors.As(err, &bad):
				bad.File = "stdin"
				return bad
			case errors.As(err, &syntax):
				syntax.File = "stdin"
				return syntax
			case err != nil:
				return err
			}
			res, err := t.AppendAll(cmd.Context(), load.StreamAppends(block.Records))
			if err != nil {
				return fmt.Errorf("stdin:%d: %w", block.Records[0].Line, err)
			}
			if err := listAppended(list, res.Streams); err != nil {
				return err
			}
		}
	})
}

func listAppended(list *render.List, streams []eventstream.AppendResult) error {
	for _, s := range streams {
		for i, id := range s.EventIDs {
			doc, err := render.Marshal(appended{
				s.Stream, s.FirstVersion + eventstream.Version(i), s.FirstPosition + eventstream.Position(i), id, s.Deduplicated,
			})
			if err != nil {
				return err
			}
			if err := list.Add(doc); err != nil {
				return err
			}
		}
	}
	return list.Flush()
}
