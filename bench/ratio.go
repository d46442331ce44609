package bench

import "slices"

// spread is the median and the range of a few values.
type spread struct{ median, least, greatest float64 }

// spreadOf returns the spread of values, or zeros of none. The median of an even
// number of values is the mean of the middle two.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return spread{
		median:   (sorted[(n-1)/2] + sorted[n/2]) / 2,
		least:    sorted[0],
		greatest: sorted[n-1],
	}
}

// contestSpreads returns the spread of each side's rate and of the per-round
// ratios. Rounds pair up: product[i] and baseline[i] ran one after the other. A
// round whose baseline did nothing has no ratio.
func contestSpreads(product, baseline []sample) (rate, baseRate, ratio spread) {
	var rates, baseRates, ratios []float64
	for i := range product {
		p := product[i].rate()
		rates = append(rates, p)
		if i >= len(baseline) {
			continue
		}
		b := baseline[i].rate()
		baseRates = append(baseRates, b)
		if b > 0 {
			ratios = append(ratios, p/b)
		}
	}
	return spreadOf(rates), spreadOf(baseRates), spreadOf(ratios)
}
