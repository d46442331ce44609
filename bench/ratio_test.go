package bench

import (
	"testing"
	"time"
)

func TestSpread(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		values []float64
		want   spread
	}{
		{"no values give zeros", nil, spread{}},
		{"one value is its own spread", []float64{3}, spread{3, 3, 3}},
		{"an odd number has a middle value", []float64{9, 1, 5}, spread{5, 1, 9}},
		{"an even number has the mean of the middle two", []float64{8, 1, 2, 4}, spread{3, 1, 8}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := spreadOf(tc.values); got != tc.want {
				t.Errorf("spreadOf(%v) = %+v, want %+v", tc.values, got, tc.want)
			}
		})
	}
}

func TestSpreadLeavesItsInputInOrder(t *testing.T) {
	t.Parallel()
	values := []float64{3, 1, 2}
	spreadOf(values)
	if values[0] != 3 || values[1] != 1 || values[2] != 2 {
		t.Errorf("spreadOf sorted its argument: %v", values)
	}
}

// perSecond makes a sample with a given rate.
func perSecond(rate uint64) sample { return sample{units: rate * 2, busy: 2 * time.Second} }

func TestRatiosAreTakenWithinRounds(t *testing.T) {
	t.Parallel()
	// The disk slows down tenfold after the first round. The ratio of the medians
	// would be 200/100 = 2; within each round the product is at 0.5, 2 and 4.
	product := []sample{perSecond(500), perSecond(200), perSecond(40)}
	baseline := []sample{perSecond(1000), perSecond(100), perSecond(10)}
	rate, baseRate, ratio := contestSpreads(product, baseline)
	if want := (spread{200, 40, 500}); rate != want {
		t.Errorf("rates = %+v, want %+v", rate, want)
	}
	if want := (spread{100, 10, 1000}); baseRate != want {
		t.Errorf("baseline rates = %+v, want %+v", baseRate, want)
	}
	if want := (spread{2, 0.5, 4}); ratio != want {
		t.Errorf("ratios = %+v, want %+v", ratio, want)
	}
}

func TestARoundWithoutABaselineRateHasNoRatio(t *testing.T) {
	t.Parallel()
	_, _, ratio := contestSpreads([]sample{perSecond(10), perSecond(30)}, []sample{{}, perSecond(10)})
	if want := (spread{3, 3, 3}); ratio != want {
		t.Errorf("ratios = %+v, want %+v", ratio, want)
	}
}

func TestASampleWithoutTimeHasNoRate(t *testing.T) {
	t.Parallel()
	if got := (sample{units: 5}).rate(); got != 0 {
		t.Errorf("rate = %v, want 0", got)
	}
}
