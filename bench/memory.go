package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/nexus-erp/eventstream"
)

// ScanMemory is what [MeasureScanMemory] found.
type ScanMemory struct {
	ResidentBytes int64 `json:"resident_bytes"`
	Events        int   `json:"events"`
}

// MeasureScanMemory opens the store in dir with default options, reads all of its
// events once, and returns the memory that the process holds then. The figure means
// something only in a process that has done nothing else: see [Options.ScanMemory].
func MeasureScanMemory(ctx context.Context, dir string) (m ScanMemory, err error) {
	db, err := eventstream.Open(dir, &eventstream.Options{ErrorIfNotExists: true})
	if err != nil {
		return ScanMemory{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for _, err := range db.ReadAll(ctx) {
		if err != nil {
			return ScanMemory{}, err
		}
		m.Events++
	}
	m.ResidentBytes, err = residentBytes()
	return m, err
}

// scanMemoryFigure measures the memory of a process that scans the store.
func scanMemoryFigure() figure {
	return figure{
		name: "scan-memory",
		prepare: func(ctx context.Context, b *bed) (*contest, error) {
			d, err := b.shortStreams(ctx)
			if err != nil {
				return nil, err
			}
			return &contest{
				bytes: d.bytesPerEvent, events: d.events(),
				once: func(ctx context.Context, r *Result) error {
					m, err := b.opts.ScanMemory(ctx, d.dir)
					if err != nil {
						return err
					}
					if m.Events != d.events() {
						return fmt.Errorf("scan read %d events, want %d", m.Events, d.events())
					}
					r.ResidentBytes = m.ResidentBytes
					return nil
				},
			}, nil
		},
	}
}
