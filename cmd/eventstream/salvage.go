package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
)

// writeSalvage writes what is left of a damaged store.
func (f *exportFlags) writeSalvage(cmd *cobra.Command, env *environment) (err error) {
	for _, name := range []string{"from", "to", "type", "category"} {
		if cmd.Flags().Changed(name) {
			return usagef("--salvage writes everything that is left: leave --%s out", name)
		}
	}
	dir, err := storeDir(cmd, env)
	if err != nil {
		return err
	}
	tenant, err := cmd.Flags().GetString("tenant")
	if err != nil {
		return err
	}
	s, err := eventstream.OpenSalvage(cmd.Context(), dir, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	others := 0
	write := func(to io.Writer) (int, error) {
		return writeLines(to, func(yield func(eventstream.Event, error) bool) {
			for ev, err := range s.ReadAll(cmd.Context()) {
				if err == nil && ev.Tenant != tenant {
					others++
					continue
				}
				if !yield(ev, err) {
					return
				}
			}
		})
	}
	n := 0
	if f.out == "-" {
		n, err = write(env.stdout)
	} else {
		n, err = f.writeFile(write)
	}
	if err != nil {
		return err
	}
	return reportSalvage(env.stderr, s, n, others)
}

// reportSalvage says what was found and what was not.
func reportSalvage(to io.Writer, s *eventstream.Salvage, written, others int) error {
	fmt.Fprintf(to, "%d events written", written)
	if others > 0 {
		fmt.Fprintf(to, ", %d of other tenants were found: name them with --tenant", others)
	}
	fmt.Fprintln(to)
	for _, p := range s.Problems() {
		fmt.Fprintf(to, "damaged: %s: %s\n", p.Kind, p.Detail)
	}
	for _, m := range s.Missing() {
		fmt.Fprintf(to, "missing: positions %d to %d\n", m.From, m.To)
	}
	if len(s.Problems()) > 0 || len(s.Missing()) > 0 {
		return &codeOnly{exitDamage}
	}
	return nil
}
