package bench

import (
	"context"

	"github.com/nexus-erp/eventstream"
)

// figure is one line of the report: a product and a baseline that take turns.
type figure struct {
	name    string
	writers int
	batch   int
	unit    string // default: "events"
	// baseline says what the product is compared with.
	baseline string
	// prepare makes what the turns need. It is not measured.
	prepare func(ctx context.Context, b *bed) (*contest, error)
}

// contest is a prepared figure.
type contest struct {
	product  turn
	baseline turn                                       // nil: the figure has none
	bytes    func() (float64, error)                    // bytes per event, asked for at the end; nil: none
	events   int                                        // size of the data set
	once     func(ctx context.Context, r *Result) error // measured once, instead of in turns
}

// over returns the preparation of a contest over one data set, of which both turns take
// their events.
func over(data func(*bed, context.Context) (*dataset, error), turns func(*dataset, eventstream.Durability) (product, baseline turn)) func(context.Context, *bed) (*contest, error) {
	return func(ctx context.Context, b *bed) (*contest, error) {
		d, err := data(b, ctx)
		if err != nil {
			return nil, err
		}
		c := &contest{bytes: d.bytesPerEvent, events: d.events()}
		c.product, c.baseline = turns(d, b.opts.Durability)
		return c, nil
	}
}

// The names that Options.Figures takes beside those of the figures.
const (
	groupAll       = "all"
	groupAppend    = "append"
	groupRead      = "read"
	groupQuery     = "query"
	groupAggregate = "aggregate"
	groupViews     = "project"
)

// Figures returns the names that [Options.Figures] takes, groups first.
func Figures() []string {
	return []string{
		groupAll, groupAppend, groupRead, groupQuery, groupAggregate, groupViews,
		"append-locked", "append-sealer", "append-indexes", "append-batch", "stream-load-10", "stream-load-10k", "read-all", "read-all-seek",
		"query-type", "query-correlation", "query-page-10", "query-page-10k", "query-page-1m",
		"aggregate-load-10k", "aggregate-replay-10k", "state-at-10k", "snapshot", "project-live", "project-rebuild", "open", "scan-memory",
	}
}

// selectFigures returns the figures that opts asks for, each once, in the order of
// the report. The groups: "all"; "append" is appends of one event, and the variant
// with the lock; "read" is loads and scans; "query" is queries and pages; "aggregate" is
// loads of aggregates, states of the past and snapshots; "project" is everything about
// projections.
//
// REQUIRES: valid options, with defaults.
func selectFigures(opts Options) []figure {
	want := map[string]bool{}
	for _, name := range opts.Figures {
		want[name] = true
	}
	all := want[groupAll] || len(want) == 0
	var chosen []figure
	add := func(asked bool, figures ...figure) {
		if asked || all {
			chosen = append(chosen, figures...)
		}
	}
	add(want[groupAppend], appendFigures(opts.Writers)...)
	add(want[groupAppend] || want["append-locked"], lockedFigure(lockedWriters))
	add(want["append-sealer"], sealerFigure(lockedWriters))
	add(want["append-indexes"], indexesFigure(lockedWriters))
	add(want["append-batch"], batchFigures(opts.BatchWriters, opts.Batches)...)
	add(want[groupRead] || want["stream-load-10"], shortLoadFigure())
	add(want[groupRead] || want["stream-load-10k"], longLoadFigure())
	add(want[groupRead] || want["read-all"], readAllFigure())
	add(want[groupRead] || want["read-all-seek"], readAllSeekFigure())
	for _, f := range append(queryFigures(), pageFigures()...) {
		add(want[groupQuery] || want[f.name], f)
	}
	add(want[groupAggregate] || want["aggregate-load-10k"], aggregateLoadFigure())
	add(want[groupAggregate] || want["aggregate-replay-10k"], aggregateReplayFigure())
	add(want[groupAggregate] || want["state-at-10k"], stateAtFigure())
	add(want[groupAggregate] || want["snapshot"], snapshotFigures()...)
	add(want[groupViews], projectFigure())
	add(want[groupViews] || want["project-live"], liveFigure())
	add(want[groupViews] || want["project-rebuild"], rebuildFigure())
	add(want["open"], openFigure())
	add(want["scan-memory"], scanMemoryFigure())
	return chosen
}
