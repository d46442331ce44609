package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/nexus-erp/eventstream"
)

// The data set of the query figures: one event in rareEvery is of another type, and
// correlatedEvents in a row share a correlation id.
const (
	rareEvery        = 100
	rareType         = "CreditNoteIssued"
	correlatedEvents = 4
	queryPageSize    = 100
)

// queryset is a closed store with the default indexes, built.
type queryset struct {
	dir    string
	events int
}

// queryset returns the data set of the query figures.
func (b *bed) queryset(ctx context.Context) (*queryset, error) {
	if b.queries != nil {
		return b.queries, nil
	}
	dir, err := b.subdir("query")
	if err != nil {
		return nil, err
	}
	q := &queryset{dir: filepath.Join(dir, "store"), events: b.opts.Events}
	b.opts.Progress(fmt.Sprintf("building a store of %d events with indexes", q.events))
	if err := q.write(ctx, newGenerator(b.opts.Seed, max(q.events/shortStream, 1), b.opts.Size)); err != nil {
		return nil, fmt.Errorf("build data set of %d events: %w", q.events, err)
	}
	b.queries = q
	return q, nil
}

// correlation names the process that the n-th event is of.
func correlation(n int) string { return fmt.Sprintf("process-%08d", n/correlatedEvents) }

func (q *queryset) open(d eventstream.Durability) (*eventstream.DB, error) {
	opts := storeOptions(d)
	opts.Indexes = nil // the default
	return eventstream.Open(q.dir, opts)
}

func (q *queryset) write(ctx context.Context, g *generator) (err error) {
	db, err := q.open(eventstream.None)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	for n := 0; n < q.events; {
		var appends []eventstream.StreamAppend
		at := map[eventstream.StreamID]int{}
		for range min(maxBatch, q.events-n) {
			e := g.event()
			e.CorrelationID = correlation(n)
			if n%rareEvery == 0 {
				e.Type = rareType
			}
			stream := g.stream()
			if i, ok := at[stream]; ok {
				appends[i].Events = append(appends[i].Events, e)
			} else {
				at[stream] = len(appends)
				appends = append(appends, eventstream.StreamAppend{Stream: stream, Expect: eventstream.Any, Events: []eventstream.NewEvent{e}})
			}
			n++
		}
		if _, err := db.AppendAll(ctx, appends); err != nil {
			return err
		}
	}
	return awaitIndexed(ctx, db)
}

// awaitIndexed waits until every index is within 4,096 positions of the head.
func awaitIndexed(ctx context.Context, db *eventstream.DB) error {
	const behind = 4096
	return await(ctx, func() (bool, error) {
		for _, i := range db.Indexes() {
			if i.Checkpoint+behind < db.Head() {
				return false, nil
			}
		}
		return true, nil
	})
}

// queryFigures returns the figures of queries by index, each against reading the log.
func queryFigures() []figure {
	return []figure{
		queryFigure("query-type", "ReadAll, which leaves all but the type out", func(*rand.Rand, *queryset) (eventstream.Query, []eventstream.ReadOption, func(*eventstream.Event) bool) {
			return eventstream.Query{}.Types(rareType), []eventstream.ReadOption{eventstream.Types(rareType)}, func(*eventstream.Event) bool { return true }
		}),
		queryFigure("query-correlation", "ReadAll, and a look at each event", func(rng *rand.Rand, q *queryset) (eventstream.Query, []eventstream.ReadOption, func(*eventstream.Event) bool) {
			id := correlation(rng.IntN(q.events))
			return eventstream.Query{}.Correlations(id), nil, func(e *eventstream.Event) bool { return e.CorrelationID == id }
		}),
	}
}

func queryFigure(name, baseline string, pick func(*rand.Rand, *queryset) (eventstream.Query, []eventstream.ReadOption, func(*eventstream.Event) bool)) figure {
	return figure{
		name: name, baseline: baseline,
		prepare: func(ctx context.Context, b *bed) (*contest, error) {
			q, err := b.queryset(ctx)
			if err != nil {
				return nil, err
			}
			rng := rand.New(rand.NewPCG(b.opts.Seed, 2))
			product := q.turn(b.opts.Durability, func(ctx context.Context, db *eventstream.DB, _ call) (int, error) {
				query, _, _ := pick(rng, q)
				n := 0
				for _, err := range db.Query(ctx, query) {
					if err != nil {
						return n, err
					}
					n++
				}
				return n, nil
			})
			scan := q.turn(b.opts.Durability, func(ctx context.Context, db *eventstream.DB, _ call) (int, error) {
				_, opts, wanted := pick(rng, q)
				n := 0
				for e, err := range db.ReadAll(ctx, opts...) {
					if err != nil {
						return n, err
					}
					if wanted(&e) {
						n++
					}
				}
				return n, nil
			})
			return &contest{product: product, baseline: scan, bytes: q.bytesPerEvent, events: q.events}, nil
		},
	}
}

func (q *queryset) bytesPerEvent() (float64, error) {
	size, err := directoryBytes(q.dir)
	return float64(size) / float64(q.events), err
}

// turn opens the store and repeats an operation.
func (q *queryset) turn(durability eventstream.Durability, op func(context.Context, *eventstream.DB, call) (int, error)) turn {
	return func(ctx context.Context, d time.Duration, lat *latencies) (s sample, err error) {
		db, err := q.open(durability)
		if err != nil {
			return sample{}, err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		return measure(ctx, 1, d, lat, func(ctx context.Context, c call) (int, error) { return op(ctx, db, c) })
	}
}

// pageFigures returns the figures of a page at some depth, by cursor and by leaving out
// what comes before it.
func pageFigures() []figure {
	var figures []figure
	for _, at := range []struct {
		name  string
		depth int
	}{{"query-page-10", 10}, {"query-page-10k", 10_000}, {"query-page-1m", 1_000_000}} {
		figures = append(figures, figure{
			name: at.name, unit: "pages", baseline: "the same page by leaving out all events before it",
			prepare: func(ctx context.Context, b *bed) (*contest, error) {
				q, err := b.queryset(ctx)
				if err != nil {
					return nil, err
				}
				depth := min(at.depth, q.events-2*queryPageSize)
				return &contest{
					product: q.cursorTurn(b.opts.Durability, depth), baseline: q.skipTurn(b.opts.Durability, depth),
					bytes: q.bytesPerEvent, events: q.events,
				}, nil
			},
		})
	}
	return figures
}

// cursorTurn asks for the page behind the first depth events, by the cursor that led there.
func (q *queryset) cursorTurn(durability eventstream.Durability, depth int) turn {
	cursor := ""
	return q.turn(durability, func(ctx context.Context, db *eventstream.DB, _ call) (int, error) {
		if cursor == "" {
			page, err := db.QueryPage(ctx, eventstream.Query{}, eventstream.PageOptions{Size: min(depth, 10_000)})
			for err == nil && page.Events[len(page.Events)-1].Position < eventstream.Position(depth) {
				page, err = db.QueryPage(ctx, eventstream.Query{}, eventstream.PageOptions{
					Size: min(depth-int(page.Events[len(page.Events)-1].Position), 10_000), Cursor: page.Next,
				})
			}
			if err != nil {
				return 0, err
			}
			cursor = page.Next
		}
		page, err := db.QueryPage(ctx, eventstream.Query{}, eventstream.PageOptions{Size: queryPageSize, Cursor: cursor})
		if err == nil && page.Events[0].Position != eventstream.Position(depth+1) {
			err = fmt.Errorf("the page begins at position %d, want %d", page.Events[0].Position, depth+1)
		}
		return 1, err
	})
}

// skipTurn reads up to the page's end and drops what comes before it, as paging by offset
// does, without its bound.
func (q *queryset) skipTurn(durability eventstream.Durability, depth int) turn {
	return q.turn(durability, func(ctx context.Context, db *eventstream.DB, _ call) (int, error) {
		n := 0
		for _, err := range db.Query(ctx, eventstream.Query{}) {
			if err != nil {
				return 0, err
			}
			if n++; n == depth+queryPageSize {
				break
			}
		}
		return 1, nil
	})
}

// indexesFigure returns the figure "append-indexes": what it costs appends that the default
// indexes are built meanwhile. Its time ends when they have caught up.
func indexesFigure(writers int) figure {
	return figure{
		name: "append-indexes", writers: writers, batch: 1,
		baseline: "the store without indexes",
		prepare: func(ctx context.Context, b *bed) (*contest, error) {
			t, err := newAppendTest(ctx, b)
			if err != nil {
				return nil, err
			}
			off := *t
			t.indexed = true
			return &contest{product: t.productTurn(writers, 1), baseline: off.productTurn(writers, 1), bytes: t.bytesPerEvent}, nil
		},
	}
}
