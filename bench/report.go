package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
)

// Report is the outcome of a run. Its JSON field names are fixed.
type Report struct {
	Seed       uint64   `json:"seed"`
	Durability string   `json:"durability"`
	Go         string   `json:"go"`
	Pebble     string   `json:"pebble"`
	CPU        string   `json:"cpu"`
	Cores      int      `json:"cores"`
	Filesystem string   `json:"filesystem"`
	Rounds     int      `json:"rounds"`
	Results    []Result `json:"results"`
}

// Result is one figure. What does not apply to a figure is zero.
type Result struct {
	Name            string  `json:"name"`
	Writers         int     `json:"writers"`
	Batch           int     `json:"batch"`
	Unit            string  `json:"unit"`              // of the rates: "events"; "opens", "loads", "states", "KiB" of some
	EventsPerSecond float64 `json:"events_per_second"` // median over the rounds
	// Baseline says what the figure is compared with.
	Baseline                string  `json:"baseline"`
	BaselineEventsPerSecond float64 `json:"baseline_events_per_second"`
	// Ratio is the median of the ratios product to baseline within each round,
	// RatioMin and RatioMax are their range.
	Ratio    float64 `json:"ratio"`
	RatioMin float64 `json:"ratio_min"`
	RatioMax float64 `json:"ratio_max"`
	// Latencies of one operation (an append, a load, an open) of the product.
	P50  float64 `json:"p50_us"`
	P95  float64 `json:"p95_us"`
	P99  float64 `json:"p99_us"`
	P999 float64 `json:"p999_us"`
	// BaselineP50 and BaselineP99 are the baseline's latencies.
	BaselineP50    float64 `json:"baseline_p50_us"`
	BaselineP99    float64 `json:"baseline_p99_us"`
	AllocsPerEvent float64 `json:"allocs_per_event"`
	// CPU and BaselineCPU are microseconds of processor time for each event, by the
	// whole process. They hardly depend on the disk, nor on what else the machine does.
	CPU         float64 `json:"cpu_us_per_event"`
	BaselineCPU float64 `json:"baseline_cpu_us_per_event"`
	// BytesPerEvent is what an event takes on disk: of the appending figures, in the
	// tables as flushed; of the others, the whole directory, compacted.
	BytesPerEvent float64 `json:"bytes_per_event"`
	// ResidentBytes is the resident memory after a full scan, of scan-memory alone.
	ResidentBytes int64 `json:"resident_bytes,omitempty"`
	// Events is the size of the data set that a read figure runs on.
	Events int `json:"events,omitempty"`
}

// WriteJSON writes the report as one JSON object.
func (r Report) WriteJSON(w io.Writer) error {
	if r.Results == nil {
		r.Results = []Result{} // a list, not null
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

// WriteTable writes the report for people.
func (r Report) WriteTable(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "durability %s, seed %d, %d rounds, %s, pebble %s, %s, %d cores, %s\n\n",
		r.Durability, r.Seed, r.Rounds, r.Go, r.Pebble, r.CPU, r.Cores, r.Filesystem); err != nil {
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "figure\twriters\tbatch\tper second\tbaseline\tratio\trange\tp50 us\tp95 us\tp99 us\tp99.9 us\tcpu us/event\tbaseline\tallocs/event\tbytes/event\t")
	for _, x := range r.Results {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n",
			x.Name, count(x.Writers), count(x.Batch),
			number(x.EventsPerSecond, 0), number(x.BaselineEventsPerSecond, 0), number(x.Ratio, 2), ratioRange(x),
			number(x.P50, 0), number(x.P95, 0), number(x.P99, 0), number(x.P999, 0),
			number(x.CPU, 2), number(x.BaselineCPU, 2), number(x.AllocsPerEvent, 1), number(x.BytesPerEvent, 0))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	return r.writeNotes(w)
}

// writeNotes says what each baseline is, once, and prints what has no column.
func (r Report) writeNotes(w io.Writer) error {
	said := map[string]bool{}
	for _, x := range r.Results {
		line := ""
		switch {
		case x.ResidentBytes > 0:
			line = fmt.Sprintf("%s: %d MB resident after a scan of %d events", x.Name, x.ResidentBytes>>20, x.Events)
		case x.Baseline != "":
			line = x.Name + " against " + x.Baseline
		}
		if line == "" || said[line] {
			continue
		}
		lead := ""
		if len(said) == 0 {
			lead = "\n"
		}
		said[line] = true
		if _, err := fmt.Fprintln(w, lead+line); err != nil {
			return err
		}
	}
	return nil
}

func count(n int) string {
	if n == 0 {
		return "-"
	}
	return strconv.Itoa(n)
}

func number(v float64, decimals int) string {
	if v == 0 {
		return "-"
	}
	return strconv.FormatFloat(v, 'f', decimals, 64)
}

func ratioRange(x Result) string {
	if x.Ratio == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f-%.2f", x.RatioMin, x.RatioMax)
}
