package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// The histograms count nanoseconds in buckets of 1 %, up to a minute. Two digits
// keep a histogram at 30 KB: 256 writers record into one each without a lock.
const (
	latencyMax    = int64(time.Minute)
	latencyDigits = 2
)

// latencies holds one histogram per worker.
type latencies struct{ workers []*hdrhistogram.Histogram }

func newLatencies(workers int) *latencies {
	l := &latencies{workers: make([]*hdrhistogram.Histogram, workers)}
	for i := range l.workers {
		l.workers[i] = hdrhistogram.New(1, latencyMax, latencyDigits)
	}
	return l
}

// record counts one operation of one worker. Each worker calls it from its own
// goroutine.
func (l *latencies) record(worker int, took time.Duration) {
	_ = l.workers[worker].RecordValue(min(int64(took), latencyMax)) // cannot fail below the maximum
}

// percentiles are in microseconds. All are zero if nothing was recorded.
type percentiles struct{ p50, p95, p99, p999 float64 }

func (l *latencies) percentiles() percentiles {
	all := hdrhistogram.New(1, latencyMax, latencyDigits)
	for _, h := range l.workers {
		all.Merge(h)
	}
	if all.TotalCount() == 0 {
		return percentiles{}
	}
	us := func(p float64) float64 { return float64(all.ValueAtQuantile(p)) / 1e3 }
	return percentiles{p50: us(50), p95: us(95), p99: us(99), p999: us(99.9)}
}
