package bench

import (
	"math"
	"testing"
	"time"
)

func TestPercentilesCoverAllWorkers(t *testing.T) {
	t.Parallel()
	l := newLatencies(2)
	for i := 1; i <= 500; i++ {
		l.record(0, time.Duration(i)*time.Microsecond)
		l.record(1, time.Duration(500+i)*time.Microsecond)
	}
	p := l.percentiles()
	for _, c := range []struct {
		name      string
		got, want float64
	}{{"p50", p.p50, 500}, {"p95", p.p95, 950}, {"p99", p.p99, 990}, {"p99.9", p.p999, 999}} {
		if math.Abs(c.got-c.want) > c.want/100 {
			t.Errorf("%s = %.1f us, want %.1f within 1 %%", c.name, c.got, c.want)
		}
	}
}

func TestPercentilesOfNothingAreZero(t *testing.T) {
	t.Parallel()
	if got := newLatencies(3).percentiles(); got != (percentiles{}) {
		t.Errorf("percentiles = %+v, want zeros", got)
	}
}

func TestALatencyBeyondTheMaximumCountsAsTheMaximum(t *testing.T) {
	t.Parallel()
	l := newLatencies(1)
	l.record(0, time.Hour)
	if got, want := l.percentiles().p50, float64(latencyMax)/1e3; math.Abs(got-want) > want/100 {
		t.Errorf("p50 = %.0f us, want %.0f", got, want)
	}
}
