package bench

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fieldNames returns the names of a JSON object's fields, in order of the alphabet.
func fieldNames(t *testing.T, doc []byte) []string {
	t.Helper()
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(doc, &fields); err != nil {
		t.Fatalf("not a JSON object: %v\n%s", err, doc)
	}
	return slices.Sorted(maps.Keys(fields))
}

func TestJSONFieldNamesAreFixed(t *testing.T) {
	t.Parallel()
	var doc bytes.Buffer
	if err := (Report{Results: []Result{{Name: "append"}}}).WriteJSON(&doc); err != nil {
		t.Fatal(err)
	}
	want := []string{"cores", "cpu", "durability", "filesystem", "go", "pebble", "results", "rounds", "seed"}
	if diff := cmp.Diff(want, fieldNames(t, doc.Bytes())); diff != "" {
		t.Errorf("fields of the report (-want +got):\n%s", diff)
	}
	var report struct{ Results []json.RawMessage }
	if err := json.Unmarshal(doc.Bytes(), &report); err != nil {
		t.Fatal(err)
	}
	want = []string{
		"allocs_per_event", "baseline", "baseline_cpu_us_per_event", "baseline_events_per_second", "baseline_p50_us", "baseline_p99_us", "batch",
		"bytes_per_event", "cpu_us_per_event", "events_per_second", "name", "p50_us", "p95_us", "p999_us", "p99_us",
		"ratio", "ratio_max", "ratio_min", "unit", "writers",
	}
	if diff := cmp.Diff(want, fieldNames(t, report.Results[0])); diff != "" {
		t.Errorf("fields of a result (-want +got):\n%s", diff)
	}
}

func TestAReportWithoutResultsHasAnEmptyList(t *testing.T) {
	t.Parallel()
	var doc bytes.Buffer
	if err := (Report{}).WriteJSON(&doc); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(doc.String(), `"results": []`) {
		t.Errorf("report = %s, want an empty list of results, not null", doc.String())
	}
}

func TestTheTableShowsWhatWasMeasured(t *testing.T) {
	t.Parallel()
	r := Report{
		Seed: 3, Durability: "sync", Go: "go1.26", Pebble: "v2.1.7", CPU: "a cpu", Cores: 2, Filesystem: "ext4", Rounds: 5,
		Results: []Result{
			{
				Name: "append", Writers: 64, Batch: 1, EventsPerSecond: 123456, BaselineEventsPerSecond: 130000,
				Ratio: 0.951, RatioMin: 0.9, RatioMax: 1.012, P50: 400, P99: 700, Baseline: "raw Pebble", AllocsPerEvent: 3.25,
			},
			{Name: "append", Writers: 8, Batch: 1, Baseline: "raw Pebble"},
			{Name: "scan-memory", ResidentBytes: 100 << 20, Events: 1000},
		},
	}
	var out bytes.Buffer
	if err := r.WriteTable(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"durability sync", "ext4", "123456", "0.95", "0.90-1.01", "3.2", "append against raw Pebble",
		"scan-memory: 100 MB resident after a scan of 1000 events",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("table lacks %q:\n%s", want, out.String())
		}
	}
	if n := strings.Count(out.String(), "append against raw Pebble"); n != 1 {
		t.Errorf("table explains the baseline %d times, want once", n)
	}
}
