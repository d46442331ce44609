package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nexus-erp/eventstream"
)

// lockedWriters is the number of writers of append-locked.
const lockedWriters = 64

// Options says what to run. The zero value runs every figure at full size.
type Options struct {
	// Figures names what to run: see [Figures]. Default: all.
	Figures []string
	// Writers are the numbers of writers of the figure "append". Default: 1, 8, 64, 256.
	Writers []int
	// Batches are the sizes of the figure "append-batch". Default: 10, 100, 1000.
	Batches []int
	// BatchWriters is the number of writers of "append-batch". Default: 1.
	BatchWriters int
	// Size is the size of a generated payload in msgpack, in bytes, at least about
	// 170. Default: DefaultPayloadBytes.
	Size int
	// Duration is the time for each figure and side, all rounds together. Default: 2s.
	Duration time.Duration
	// Rounds is how often the sides take turns. Default: 5.
	Rounds int
	// Events is the size of the data set of the read figures. Default: 1,000,000, or
	// 50,000 if Duration is under a second.
	Events int
	// Seed makes the workloads. Default: 1.
	Seed uint64
	// Durability is the store's. The baseline syncs as the store does. Default: Sync.
	Durability eventstream.Durability
	// Dir is where the run makes its temporary directory. It must be on the disk that
	// is to be measured. Default: the system's directory for temporary files.
	Dir string
	// ScanMemory runs MeasureScanMemory in a process of its own. Default:
	// MeasureScanMemory itself, which then counts what else the process holds.
	ScanMemory func(ctx context.Context, dir string) (ScanMemory, error)
	// Progress is told what the run is about to do. Default: nobody is.
	Progress func(what string)
}

// withDefaults returns a copy with every default filled in.
func (o Options) withDefaults() Options {
	if len(o.Writers) == 0 {
		o.Writers = []int{1, 8, 64, 256}
	}
	if len(o.Batches) == 0 {
		o.Batches = []int{10, 100, 1000}
	}
	if o.BatchWriters == 0 {
		o.BatchWriters = 1
	}
	if o.Size == 0 {
		o.Size = DefaultPayloadBytes
	}
	if o.Duration == 0 {
		o.Duration = 2 * time.Second
	}
	if o.Rounds == 0 {
		o.Rounds = 5
	}
	if o.Events == 0 {
		o.Events = 1_000_000
		if o.Duration < time.Second {
			o.Events = 50_000
		}
	}
	if o.Seed == 0 {
		o.Seed = 1
	}
	if o.Dir == "" {
		o.Dir = os.TempDir()
	}
	if o.ScanMemory == nil {
		o.ScanMemory = MeasureScanMemory
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return o
}

// The bounds of an append, from the store's own limits.
const (
	maxBatch   = 1000
	maxWriters = 100_000
	maxSize    = 64 << 10
)

// Validate reports every fault of o, as Run would.
func (o Options) Validate() error {
	o = o.withDefaults()
	var errs []error
	within := func(name string, v, least, most int) {
		if v < least || v > most {
			errs = append(errs, fmt.Errorf("%s is %d: choose %d to %d", name, v, least, most))
		}
	}
	for _, w := range o.Writers {
		within("number of writers", w, 1, maxWriters)
	}
	for _, b := range o.Batches {
		within("batch", b, 1, maxBatch)
	}
	within("number of writers", o.BatchWriters, 1, maxWriters)
	within("size", o.Size, 1, maxSize)
	within("rounds", o.Rounds, 1, 1000)
	within("events", o.Events, shortStream, 1<<30)
	for _, name := range o.Figures {
		if known := Figures(); !slices.Contains(known, name) {
			errs = append(errs, fmt.Errorf("no figure is called %q: choose among %s", name, strings.Join(known, ", ")))
		}
	}
	if o.Duration < 0 {
		errs = append(errs, fmt.Errorf("duration is %s: choose a positive one", o.Duration))
	}
	return errors.Join(errs...)
}
