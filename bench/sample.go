package bench

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// sample is what one side did in one of its turns.
type sample struct {
	units   uint64        // events, or opens
	busy    time.Duration // time spent on them
	mallocs uint64        // heap objects allocated meanwhile, by the whole process
	cpu     time.Duration // processor time spent meanwhile, by the whole process
}

// rate returns units per second.
func (s sample) rate() float64 {
	if s.busy <= 0 {
		return 0
	}
	return float64(s.units) / s.busy.Seconds()
}

// turn lets one side work for about d, and records the latency of its operations
// in lat.
type turn func(ctx context.Context, d time.Duration, lat *latencies) (sample, error)

// operation does one piece of work and returns how many units it was.
type operation func(ctx context.Context, c call) (units int, err error)

// call says which worker an operation is for, how many that worker did before, and
// when the turn is over: an operation that can end there does. One that measures its
// latency itself sets took.
type call struct {
	worker, i int
	until     time.Time
	took      *time.Duration
}

// maxWarmUp bounds the part of a turn that runs before the clock does.
const maxWarmUp = 50 * time.Millisecond

// measure runs op from workers goroutines for d, after a warm-up that is not
// counted. Garbage of earlier work is collected first.
func measure(ctx context.Context, workers int, d time.Duration, lat *latencies, op operation) (sample, error) {
	if _, _, err := drive(ctx, workers, min(d/10, maxWarmUp), nil, op); err != nil {
		return sample{}, err
	}
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu := processorTime()
	units, busy, err := drive(ctx, workers, d, lat, op)
	cpu = processorTime() - cpu
	runtime.ReadMemStats(&after)
	return sample{units: units, busy: busy, mallocs: after.Mallocs - before.Mallocs, cpu: cpu}, err
}

// drive runs op from workers goroutines until d is over, at least once each. It
// returns the units done and the time until the last worker ended: an operation
// that began within d counts, and so does its time.
func drive(ctx context.Context, workers int, d time.Duration, lat *latencies, op operation) (uint64, time.Duration, error) {
	var (
		wg    sync.WaitGroup
		total atomic.Uint64
		errs  = make([]error, workers)
		start = time.Now()
		until = start.Add(d)
	)
	for w := range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			var (
				units int
				took  time.Duration
			)
			began := start
			for i := 0; i == 0 || began.Before(until); i++ {
				took = -1
				n, err := op(ctx, call{worker: w, i: i, until: until, took: &took})
				if err != nil {
					errs[w] = err
					break
				}
				ended := time.Now()
				if took < 0 {
					took = ended.Sub(began)
				}
				if lat != nil {
					lat.record(w, took)
				}
				began = ended
				units += n
			}
			total.Add(uint64(units))
		}()
	}
	wg.Wait()
	return total.Load(), time.Since(start), errors.Join(errs...)
}
