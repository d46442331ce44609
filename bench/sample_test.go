package bench

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestDriveRunsEveryWorkerAtLeastOnce(t *testing.T) {
	t.Parallel()
	lat := newLatencies(5)
	units, _, err := drive(t.Context(), 5, 0, lat, func(_ context.Context, c call) (int, error) {
		if c.i > 0 {
			t.Errorf("worker %d ran operation %d with no time left", c.worker, c.i)
		}
		return 3, nil
	})
	if err != nil || units != 15 {
		t.Errorf("drive = %d units, %v; want 15 units", units, err)
	}
	for w, h := range lat.workers {
		if h.TotalCount() != 1 {
			t.Errorf("worker %d recorded %d latencies, want 1", w, h.TotalCount())
		}
	}
}

func TestAnOperationMayMeasureItsLatencyItself(t *testing.T) {
	t.Parallel()
	lat := newLatencies(1)
	_, _, err := drive(t.Context(), 1, 0, lat, func(_ context.Context, c call) (int, error) {
		*c.took = 7 * time.Second
		return 1, nil
	})
	if got := lat.percentiles().p50; err != nil || got < 6.9e6 || got > 7.1e6 {
		t.Errorf("p50 = %.0f us, %v; want 7 s", got, err)
	}
}

func TestDriveReturnsTheWorkersErrors(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	units, _, err := drive(t.Context(), 3, 0, nil, func(_ context.Context, c call) (int, error) {
		if c.worker == 1 {
			return 0, boom
		}
		return 1, nil
	})
	if !errors.Is(err, boom) || units != 2 {
		t.Errorf("drive = %d units, %v; want 2 units and %v", units, err, boom)
	}
}
