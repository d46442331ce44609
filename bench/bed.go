package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// bed is a run's temporary directory, and what figures share in it. What is
// expensive is made when the first figure asks for it.
type bed struct {
	opts      Options
	dir       string
	dirs      int
	pool      *eventPool
	short     *dataset
	long      *dataset
	small     *dataset
	queries   *queryset
	aggregate *aggregateStore
}

func newBed(opts Options) (*bed, error) {
	dir, err := os.MkdirTemp(opts.Dir, "eventstream-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the run: %w", err)
	}
	return &bed{opts: opts, dir: dir}, nil
}

// close removes the directory.
func (b *bed) close() error { return os.RemoveAll(b.dir) }

// subdir makes a new directory.
func (b *bed) subdir(name string) (string, error) {
	b.dirs++
	dir := filepath.Join(b.dir, fmt.Sprintf("%s-%d", name, b.dirs))
	return dir, os.Mkdir(dir, 0o700)
}

// eventPool returns the pool of the appending figures.
func (b *bed) eventPool(ctx context.Context) (*eventPool, error) {
	if b.pool != nil {
		return b.pool, nil
	}
	dir, err := b.subdir("pool")
	if err != nil {
		return nil, err
	}
	b.pool, err = newEventPool(ctx, filepath.Join(dir, "store"), b.opts.Seed, b.opts.Size)
	return b.pool, err
}

// shortStreams returns the data set of streams of ten events.
func (b *bed) shortStreams(ctx context.Context) (*dataset, error) {
	return b.dataset(ctx, &b.short, b.opts.Events/shortStream, shortStream)
}

// longStreams returns the data set of streams of ten thousand events, of a fifth of
// the size.
func (b *bed) longStreams(ctx context.Context) (*dataset, error) {
	return b.dataset(ctx, &b.long, max(b.opts.Events/longStream/5, 2), longStream)
}

// fewStreams returns the data set of streams of ten events that has a tenth of the size.
func (b *bed) fewStreams(ctx context.Context) (*dataset, error) {
	return b.dataset(ctx, &b.small, max(b.opts.Events/shortStream/10, 2), shortStream)
}

func (b *bed) dataset(ctx context.Context, slot **dataset, streams, perStream int) (*dataset, error) {
	if *slot != nil {
		return *slot, nil
	}
	dir, err := b.subdir("data")
	if err != nil {
		return nil, err
	}
	b.opts.Progress(fmt.Sprintf("building a store of %d streams of %d events", streams, perStream))
	*slot, err = buildDataset(ctx, dir, b.opts.Seed, b.opts.Size, streams, perStream)
	return *slot, err
}
