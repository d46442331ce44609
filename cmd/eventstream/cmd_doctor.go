package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/internal/engine"
)

// Severities of findings.
const (
	severityError   = "error"
	severityWarning = "warning"
)

// leastFreeBytes is the free space below which doctor warns.
const leastFreeBytes = 1 << 30

// doctorReport is what doctor says.
type doctorReport struct {
	OK       bool            `json:"ok"`
	Findings []doctorFinding `json:"findings"`
}

type doctorFinding struct {
	Severity string `json:"severity"`
	What     string `json:"what"`
	Fix      string `json:"fix"`
}

func (r *doctorReport) add(severity, fix, format string, args ...any) {
	r.Findings = append(r.Findings, doctorFinding{Severity: severity, What: fmt.Sprintf(format, args...), Fix: fix})
}

// exit returns what the report amounts to: damage outweighs warnings.
func (r *doctorReport) exit() int {
	code := exitOK
	for _, f := range r.Findings {
		if f.Severity == severityError {
			return exitDamage
		}
		code = exitWarnings
	}
	return code
}

func newDoctorCommand(env *environment) *cobra.Command {
	var fix bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say what is wrong with the store and the disk, and what to do",
		Long: `doctor opens the store without writing, as any opening does with proof that nothing
is missing, checks it as verify does, and looks at the files beside the database and
at the free space. It exits with 5 if it finds damage, with 8 if it only warns.

--fix opens the store for writing once, which mends what can be mended without a
choice: a copy of the identity, the high-water mark, seals and packed runs. It does
nothing to a store that does not open.`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().BoolVar(&fix, "fix", false, "mend what can be mended without a choice")
	out := addRecordOutput(cmd, env)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		report, err := examine(cmd, env, fix)
		if err != nil {
			return err
		}
		if err := out.record(report); err != nil {
			return err
		}
		if code := report.exit(); code != exitOK {
			return &codeOnly{code}
		}
		return nil
	}
	return cmd
}

// examine reports on the store, after it was opened for writing once if fix is set
// and the store opens.
func examine(cmd *cobra.Command, env *environment, fix bool) (doctorReport, error) {
	if fix {
		db, err := openStore(cmd, env, writeAccess)
		if err == nil {
			err = db.Close()
		}
		if err != nil && !errors.Is(err, eventstream.ErrCorrupt) {
			return doctorReport{}, err
		}
	}
	report := doctorReport{Findings: []doctorFinding{}}
	if err := examineHistory(cmd.Context(), cmd, env, &report); err != nil {
		return report, err
	}
	dir, err := storeDir(cmd, env)
	if err != nil {
		return report, err
	}
	if err := examineDirectory(dir, &report); err != nil {
		return report, err
	}
	report.OK = len(report.Findings) == 0
	return report, nil
}

// examineHistory opens the store without writing, and checks it.
func examineHistory(ctx context.Context, cmd *cobra.Command, env *environment, report *doctorReport) (err error) {
	const restore = "keep a copy of the directory, restore a backup, or read what is left with: eventstream export --salvage"
	db, err := openStore(cmd, env, readAccess)
	if errors.Is(err, eventstream.ErrCorrupt) {
		report.add(severityError, restore, "the store does not open: %v", err)
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	found, err := db.Check(ctx)
	if err != nil {
		return err
	}
	segments, snapshots := 0, 0
	for _, p := range found.Problems {
		switch p.Kind {
		case eventstream.ProblemSegment:
			segments++
			continue
		case eventstream.ProblemSnapshot:
			snapshots++
			continue
		}
		report.add(severityError, restore, "%s at position %d: %s", p.Kind, p.Position, p.Detail)
	}
	if segments > 0 {
		report.add(severityWarning, "run: eventstream doctor --fix", "%d packed runs are damaged or missing; they are packed again from the events", segments)
	}
	if snapshots > 0 {
		report.add(severityWarning, "run: eventstream snapshot prune, for each tenant", "%d snapshots are damaged; states are folded from the events instead", snapshots)
	}
	if found.Omitted > 0 {
		report.add(severityError, restore, "%d problems more", found.Omitted)
	}
	return nil
}

// examineDirectory looks at what lies beside the database.
func examineDirectory(path string, report *doctorReport) (err error) {
	dir, err := engine.OpenDirectory(engine.DirectoryConfig{Path: path, ReadOnly: true, ErrorIfNotExists: true})
	if errors.Is(err, engine.ErrIdentityLost) {
		return nil // the store did not open for that: it is reported
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, dir.Close()) }()
	survey, err := dir.Survey()
	if err != nil {
		return err
	}
	describeSurvey(&survey, report)
	return nil
}

func describeSurvey(s *engine.Survey, report *doctorReport) {
	const mend = "run: eventstream doctor --fix"
	for _, name := range s.BadIdentities {
		report.add(severityWarning, mend, "%s, one of two copies of the identity, is missing or damaged", name)
	}
	if s.Mark == engine.MarkDamaged || s.Mark == engine.MarkForeign {
		report.add(severityWarning, mend, "the high-water mark is %s: a loss at the end of the store would not show", s.Mark)
	}
	for _, path := range s.Leftovers {
		report.add(severityWarning, "remove it if no backup or restore is running", "%s is left of something that did not end", path)
	}
	if s.FreeBytes < leastFreeBytes {
		report.add(severityWarning, "free space on the disk", "%d of %d bytes are free on the disk", s.FreeBytes, s.TotalBytes)
	}
}
