package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// Run runs the figures that opts asks for and returns their results. It writes to a
// temporary directory, which it removes, and stops between turns once ctx is done.
func Run(ctx context.Context, opts Options) (report Report, err error) {
	if err := opts.Validate(); err != nil {
		return Report{}, err
	}
	opts = opts.withDefaults()
	b, err := newBed(opts)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, b.close()) }()

	report, err = describeMachine(b)
	if err != nil {
		return Report{}, err
	}
	for _, f := range selectFigures(opts) {
		result, err := b.run(ctx, f)
		if err != nil {
			return Report{}, fmt.Errorf("%s: %w", f.label(), err)
		}
		report.Results = append(report.Results, result)
	}
	return report, nil
}

// describeMachine fills in what is the same for all figures.
func describeMachine(b *bed) (r Report, err error) {
	dir, err := b.subdir("info")
	if err != nil {
		return Report{}, err
	}
	db, err := openStore(dir, b.opts.Durability)
	if err != nil {
		return Report{}, err
	}
	info := db.Info()
	return Report{
		Seed:       b.opts.Seed,
		Durability: info.Durability.String(),
		Go:         runtime.Version(),
		Pebble:     info.PebbleVersion,
		CPU:        cpuName(),
		Cores:      runtime.NumCPU(),
		Filesystem: filesystemName(b.dir),
		Rounds:     b.opts.Rounds,
	}, db.Close()
}

// label names a figure with its parameters.
func (f figure) label() string {
	switch {
	case f.batch > 1:
		return fmt.Sprintf("%s of %d", f.name, f.batch)
	case f.writers > 0:
		return fmt.Sprintf("%s with %d writers", f.name, f.writers)
	default:
		return f.name
	}
}

// run prepares a figure, lets its sides take turns, and sums up.
func (b *bed) run(ctx context.Context, f figure) (Result, error) {
	b.opts.Progress("preparing " + f.label())
	c, err := f.prepare(ctx, b)
	if err != nil {
		return Result{}, err
	}
	result := Result{
		Name: f.name, Writers: f.writers, Batch: f.batch, Unit: f.unit, Baseline: f.baseline, Events: c.events,
	}
	if result.Unit == "" {
		result.Unit = "events"
	}
	b.opts.Progress("measuring " + f.label())
	if c.once != nil {
		err = c.once(ctx, &result)
	} else {
		err = b.takeTurns(ctx, f, c, &result)
	}
	if err == nil {
		result.BytesPerEvent, err = c.bytes()
	}
	return result, err
}

// takeTurns runs product and baseline in turns and fills in rates, ratios and
// latencies.
func (b *bed) takeTurns(ctx context.Context, f figure, c *contest, result *Result) error {
	var (
		each              = b.opts.Duration / time.Duration(b.opts.Rounds)
		workers           = max(f.writers, 1)
		lat, baseLat      = newLatencies(workers), newLatencies(workers)
		product, baseline []sample
	)
	for range b.opts.Rounds {
		if err := ctx.Err(); err != nil {
			return err
		}
		p, err := c.product(ctx, each, lat)
		if err != nil {
			return fmt.Errorf("product: %w", err)
		}
		s, err := c.baseline(ctx, each, baseLat)
		if err != nil {
			return fmt.Errorf("baseline: %w", err)
		}
		product, baseline = append(product, p), append(baseline, s)
	}
	result.addRates(product, baseline)
	result.addLatencies(lat.percentiles(), baseLat.percentiles())
	return nil
}

// addRates fills in the medians of the rounds, and the means of what an event costs.
func (r *Result) addRates(product, baseline []sample) {
	rate, baseRate, ratio := contestSpreads(product, baseline)
	r.EventsPerSecond, r.BaselineEventsPerSecond = rate.median, baseRate.median
	r.Ratio, r.RatioMin, r.RatioMax = ratio.median, ratio.least, ratio.greatest
	sum, baseSum := total(product), total(baseline)
	r.AllocsPerEvent = perUnit(float64(sum.mallocs), sum)
	r.CPU = perUnit(micros(sum.cpu), sum)
	r.BaselineCPU = perUnit(micros(baseSum.cpu), baseSum)
}

// total sums samples up.
func total(samples []sample) (t sample) {
	for _, s := range samples {
		t.units += s.units
		t.busy += s.busy
		t.mallocs += s.mallocs
		t.cpu += s.cpu
	}
	return t
}

func perUnit(v float64, s sample) float64 {
	if s.units == 0 {
		return 0
	}
	return v / float64(s.units)
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// addLatencies fills in the percentiles of all rounds together.
func (r *Result) addLatencies(product, baseline percentiles) {
	r.P50, r.P95, r.P99, r.P999 = product.p50, product.p95, product.p99, product.p999
	r.BaselineP50, r.BaselineP99 = baseline.p50, baseline.p99
}
