package bench

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nexus-erp/eventstream"
)

// tiny returns options for a run of a fraction of a second.
func tiny(t *testing.T, figures ...string) Options {
	t.Helper()
	return Options{
		Figures: figures, Writers: []int{1, 4}, Batches: []int{10}, Duration: 20 * time.Millisecond, Rounds: 2,
		Events: 2000, Dir: t.TempDir(), Durability: eventstream.None,
	}
}

func TestAFullRunMeasuresEveryFigure(t *testing.T) {
	t.Parallel()
	opts := tiny(t)
	report, err := Run(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"append", "append", "append-locked", "append-sealer", "append-indexes", "append-batch", "stream-load-10", "stream-load-10k",
		"read-all", "read-all-seek", "query-type", "query-correlation", "query-page-10", "query-page-10k", "query-page-1m",
		"aggregate-load-10k", "aggregate-replay-10k", "state-at-10k",
		"snapshot-encode-1k", "snapshot-decode-1k", "snapshot-encode-60k", "snapshot-decode-60k",
		"project", "project-live", "project-rebuild", "open", "scan-memory",
	}
	var got []string
	for _, r := range report.Results {
		got = append(got, r.Name)
		checkResult(t, r)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("figures = %v, want %v", got, want)
	}
	if report.Durability != "none" || report.Rounds != 2 || report.Seed != 1 || report.Cores < 1 ||
		report.CPU == "" || report.Go == "" || report.Pebble == "" || report.Filesystem == "" {
		t.Errorf("report does not describe the run: %+v", report)
	}
	left, err := os.ReadDir(opts.Dir)
	if err != nil || len(left) > 0 {
		t.Errorf("the run left %v behind (%v)", left, err)
	}
}

// checkResult holds a result to what every figure must have.
func checkResult(t *testing.T, r Result) {
	t.Helper()
	if r.BytesPerEvent < 50 {
		t.Errorf("%s: %.0f bytes per event, want more than 50", r.Name, r.BytesPerEvent)
	}
	if r.Name == "scan-memory" {
		if r.ResidentBytes < 1<<20 || r.Events != 2000 {
			t.Errorf("%s: %d bytes resident after %d events", r.Name, r.ResidentBytes, r.Events)
		}
		return
	}
	if r.EventsPerSecond <= 0 || r.BaselineEventsPerSecond <= 0 || r.Baseline == "" {
		t.Errorf("%s: rates %v and %v against %q, want both sides measured", r.Name, r.EventsPerSecond, r.BaselineEventsPerSecond, r.Baseline)
	}
	if r.RatioMin <= 0 || r.RatioMin > r.Ratio || r.Ratio > r.RatioMax {
		t.Errorf("%s: ratio %v is not within %v to %v", r.Name, r.Ratio, r.RatioMin, r.RatioMax)
	}
	isScan := strings.HasPrefix(r.Name, "read-all") || r.Name == "project" || r.Name == "project-rebuild"
	if isScan != (r.P50 == 0) || r.P50 > r.P95 || r.P95 > r.P99 || r.P99 > r.P999 {
		t.Errorf("%s: percentiles %v %v %v %v do not ascend", r.Name, r.P50, r.P95, r.P99, r.P999)
	}
}

func TestADurableRunSaysSo(t *testing.T) {
	t.Parallel()
	opts := tiny(t, "append")
	opts.Durability, opts.Writers = eventstream.Sync, []int{2}
	report, err := Run(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	if report.Durability != "sync" || len(report.Results) != 2 {
		t.Errorf("durability %q with %d results, want sync with append and append-locked", report.Durability, len(report.Results))
	}
}

func TestFiguresAreSelectedByName(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		figures []string
		want    string
	}{
		{"append means single appends and the lock", []string{"append"}, "append append append append append-locked"},
		{"read means loads and scans", []string{"read"}, "stream-load-10 stream-load-10k read-all read-all-seek"},
		{"query means queries and pages", []string{"query"}, "query-type query-correlation query-page-10 query-page-10k query-page-1m"},
		{"one figure can be named", []string{"open"}, "open"},
		{"several figures come in the report's order, each once", []string{"read-all", "append-locked", "read-all"}, "append-locked read-all"},
		{"all overrides the rest", []string{"open", "all"}, "append append append append append-locked append-sealer append-indexes append-batch append-batch append-batch " +
			"stream-load-10 stream-load-10k read-all read-all-seek query-type query-correlation query-page-10 query-page-10k query-page-1m " +
			"aggregate-load-10k aggregate-replay-10k state-at-10k snapshot-encode-1k snapshot-decode-1k snapshot-encode-60k snapshot-decode-60k " +
			"project project-live project-rebuild open scan-memory"},
		{"project means all of projections", []string{"project"}, "project project-live project-rebuild"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, f := range selectFigures(Options{Figures: tc.figures}.withDefaults()) {
				got = append(got, f.name)
			}
			if strings.Join(got, " ") != tc.want {
				t.Errorf("figures = %v, want %s", got, tc.want)
			}
		})
	}
}

func TestOptionsAreRefusedWithTheirFault(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		opts Options
		want string
	}{
		{"an unknown figure", Options{Figures: []string{"speed"}}, `no figure is called "speed"`},
		{"no writers", Options{Writers: []int{0}}, "number of writers is 0"},
		{"a batch beyond the store's limit", Options{Batches: []int{1001}}, "batch is 1001"},
		{"a negative duration", Options{Duration: -time.Second}, "duration is -1s"},
		{"too few events", Options{Events: 5}, "events is 5"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := Run(t.Context(), tc.opts)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Run = %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func TestACancelledRunStopsAndCleansUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	opts := tiny(t, "append")
	opts.Progress = func(string) { cancel() }
	if _, err := Run(ctx, opts); !errors.Is(err, context.Canceled) {
		t.Errorf("Run = %v, want %v", err, context.Canceled)
	}
	left, err := os.ReadDir(opts.Dir)
	if err != nil || len(left) > 0 {
		t.Errorf("the run left %v behind (%v)", left, err)
	}
}

func TestTheBaselineWritesTheStoresOwnBytes(t *testing.T) {
	t.Parallel()
	pool, err := newEventPool(t.Context(), filepath.Join(t.TempDir(), "store"), 1, DefaultPayloadBytes)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, r := range pool.records {
		total += len(r.value)
	}
	if mean := total / len(pool.records); mean < 340 || mean > 370 {
		t.Errorf("stored events have %d bytes on average, want 340 to 370", mean)
	}
	a, b := pool.records[0].withSerial(nil, 1), pool.records[0].withSerial(nil, 2)
	if string(a) == string(b) || len(a) != len(pool.records[0].key) {
		t.Errorf("keys of two serials are %x and %x, want two keys of the store's length", a, b)
	}
}
