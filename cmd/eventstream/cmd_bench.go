package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/bench"
)

// benchFlags are the flags of bench.
type benchFlags struct {
	writers, batches []int
	size             int
	duration         time.Duration
	rounds           int
	events           int
	seed             uint64
	durability       string
	json             string
}

// newBenchCommand returns the command bench.
func newBenchCommand(env *environment) *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench [figure]...",
		Short: "Measure the store against raw Pebble, on this machine and disk",
		Long: `bench measures the store against a baseline that takes turns with it on the same
disk. ratio is the median of the rounds' own ratios; absolute rates say more about
the disk than about the store.

Figures: ` + strings.Join(bench.Figures(), ", ") + `.
"append" is appends of one event by 1, 8, 64 and 256 writers, and append-locked;
"read" is loads and scans; "query" is queries and pages; "aggregate" is aggregates,
states of the past, snapshots. Without a figure, all run.

The files go to a temporary directory beside --dir, or else to the system's. It
must be on the disk that is to be measured.`,
		ValidArgs: bench.Figures(),
		Args:      cobra.OnlyValidArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			opts, err := f.options(cmd, env, args)
			if err != nil {
				return err
			}
			report, err := bench.Run(cmd.Context(), opts)
			if err != nil {
				return err
			}
			return f.write(env, report)
		},
	}
	flags := cmd.Flags()
	flags.IntSliceVar(&f.writers, "writers", nil, "numbers of concurrent writers (default: 1,8,64,256; 1 for batches)")
	flags.IntSliceVar(&f.batches, "batch", nil, "events in one append (default: 10,100,1000 for append-batch)")
	flags.IntVar(&f.size, "size", bench.DefaultPayloadBytes, "bytes of a payload, about")
	flags.DurationVar(&f.duration, "duration", 2*time.Second, "time for each figure and side, all rounds together")
	flags.IntVar(&f.rounds, "rounds", 5, "turns of each side")
	flags.IntVar(&f.events, "events", 0, "size of the data set that reads run on (default: 1000000; 50000 if --duration is under 1s)")
	flags.Uint64Var(&f.seed, "seed", 1, "makes the workloads")
	flags.StringVar(&f.durability, "durability", "sync", "sync, or none to leave the disk out")
	flags.StringVar(&f.json, "json", "", "write the report as JSON to this file, - for stdout instead of the table")
	cmd.AddCommand(newBenchScanCommand(env))
	return cmd
}

// options turns the command line into what to run.
func (f *benchFlags) options(cmd *cobra.Command, env *environment, figures []string) (bench.Options, error) {
	dir, err := benchDir(cmd, env)
	if err != nil {
		return bench.Options{}, err
	}
	opts := bench.Options{
		Figures: figures, Writers: f.writers, Batches: f.batches, Size: f.size, Duration: f.duration,
		Rounds: f.rounds, Events: f.events, Seed: f.seed, Dir: dir,
		ScanMemory: scanMemoryInChild,
		Progress:   func(what string) { fmt.Fprintln(env.stderr, what) },
	}
	if len(f.writers) > 0 {
		opts.BatchWriters = f.writers[0]
	}
	if i := slices.Index(figures, "append"); i >= 0 && len(f.batches) > 0 {
		opts.Figures = slices.Clone(figures) // asked for batches, so "append" means those
		opts.Figures[i] = "append-batch"
	}
	switch f.durability {
	case "sync":
	case "none":
		opts.Durability = eventstream.None
	default:
		return bench.Options{}, usagef("--durability is %q: choose sync or none", f.durability)
	}
	if err := opts.Validate(); err != nil {
		return bench.Options{}, &usageError{reason: err.Error(), hint: helpHint(cmd)}
	}
	return opts, nil
}

// benchDir returns the directory beside the store that is named, or "".
func benchDir(cmd *cobra.Command, env *environment) (string, error) {
	dir, err := cmd.Flags().GetString("dir")
	if err != nil {
		return "", err
	}
	if dir == "" {
		dir = env.getenv("EVENTSTREAM_DIR")
	}
	if dir == "" {
		return "", nil
	}
	dir, err = filepath.Abs(dir)
	return filepath.Dir(dir), err
}

// write writes the report where the flags say.
func (f *benchFlags) write(env *environment, report bench.Report) error {
	if f.json == "-" {
		return report.WriteJSON(env.stdout)
	}
	if f.json != "" {
		var doc bytes.Buffer
		if err := report.WriteJSON(&doc); err != nil {
			return err
		}
		if err := os.WriteFile(f.json, doc.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return report.WriteTable(env.stdout)
}

// scanMemoryInChild measures in a process that does nothing else.
func scanMemoryInChild(ctx context.Context, dir string) (bench.ScanMemory, error) {
	program, err := os.Executable()
	if err != nil {
		return bench.ScanMemory{}, err
	}
	out, err := exec.CommandContext(ctx, program, "bench", "scan", "--dir", dir).Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return bench.ScanMemory{}, fmt.Errorf("scan in a child process: %w", err)
	}
	var m bench.ScanMemory
	if err := json.Unmarshal(out, &m); err != nil {
		return bench.ScanMemory{}, fmt.Errorf("scan in a child process: %w", err)
	}
	return m, nil
}

// newBenchScanCommand returns the command that scanMemoryInChild starts.
func newBenchScanCommand(env *environment) *cobra.Command {
	return &cobra.Command{
		Use:    "scan",
		Short:  "Read all of --dir and print the memory that it took (bench starts this)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := storeDir(cmd, env)
			if err != nil {
				return err
			}
			m, err := bench.MeasureScanMemory(cmd.Context(), dir)
			if err != nil {
				return err
			}
			return json.NewEncoder(env.stdout).Encode(m)
		},
	}
}
