package projection

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/nexus-erp/eventstream"
)

// Options says how to run projections. A nil *Options is all defaults.
type Options struct {
	// Tenant is whose events are projected, and whose views are written. Default:
	// [eventstream.DefaultTenant].
	Tenant string
	// Logger receives failures. Default: silent.
	Logger *slog.Logger
	// Locker hands out the right to run a projection. Default: a [StoreLocker].
	Locker Locker
	// Owner is the name under which the engine holds leases. Default: "engine".
	Owner string
	// LeaseTTL is after how long without a sign of life a lease may be taken over; a
	// running projection gives one three times as often. At least 100 ms. Default: 30 s.
	LeaseTTL time.Duration
}

// Engine runs the projections of one tenant. All its methods are safe for concurrent
// use.
type Engine struct {
	db     *eventstream.DB
	tenant *eventstream.Tenant
	name   string // the tenant's
	log    *slog.Logger
	locker Locker
	owner  string
	ttl    time.Duration
	at     func(point string) // is told of each commit, by tests

	mu      sync.Mutex
	runners map[string]*runner
	running bool
}

const (
	defaultTTL = 30 * time.Second
	leastTTL   = 100 * time.Millisecond
)

// New returns an engine over db, which must stay open while it runs.
func New(db *eventstream.DB, opts *Options) *Engine {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Tenant == "" {
		o.Tenant = eventstream.DefaultTenant
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Locker == nil {
		o.Locker = NewStoreLocker(db, o.Tenant)
	}
	if o.Owner == "" {
		o.Owner = "engine"
	}
	if o.LeaseTTL == 0 {
		o.LeaseTTL = defaultTTL
	}
	return &Engine{
		db: db, tenant: db.Tenant(o.Tenant), name: o.Tenant, log: o.Logger, locker: o.Locker, owner: o.Owner, ttl: max(o.LeaseTTL, leastTTL),
		at: func(string) {}, runners: make(map[string]*runner),
	}
}

// ErrUnknown is matched by errors that name a projection that was not registered.
var ErrUnknown = errors.New("projection: unknown")

// Register adds a projection, before Run. It fails with an
// [*eventstream.ArgumentError] for a definition that is not whole, or a name that is
// registered already.
func (e *Engine) Register(d Definition) error {
	d, err := d.withDefaults()
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.running:
		return &eventstream.ArgumentError{Field: "Definition", Reason: "the engine is running: register before Run"}
	case e.runners[d.Name] != nil:
		return &eventstream.ArgumentError{Field: "Definition.Name", Reason: fmt.Sprintf("%q is registered already", d.Name)}
	}
	e.runners[d.Name] = newRunner(e, d)
	return nil
}

// Run runs all registered projections until ctx ends or the store is closed or
// poisoned, and returns why. A projection that fails stands still, is retried, or
// parks the event, as its policy says, and disturbs no other.
func (e *Engine) Run(ctx context.Context) error {
	e.mu.Lock()
	if e.running {
		e.mu.Unlock()
		return &eventstream.ArgumentError{Field: "Engine", Reason: "it is running already"}
	}
	e.running = true
	runners := e.sortedLocked()
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		e.running = false
		e.mu.Unlock()
	}()

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	for _, r := range runners {
		all.Go(func() {
			if err := r.run(ctx); err != nil && ctx.Err() == nil {
				cancel(err) // the store itself fails: it fails for all
			}
		})
	}
	if len(runners) == 0 {
		<-ctx.Done()
	}
	all.Wait()
	return context.Cause(ctx)
}

// sortedLocked returns all runners by name.
func (e *Engine) sortedLocked() []*runner {
	all := make([]*runner, 0, len(e.runners))
	for _, r := range e.runners {
		all = append(all, r)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].def.Name < all[j].def.Name })
	return all
}

func (e *Engine) runner(name string) (*runner, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if r := e.runners[name]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("%w: %q is not registered", ErrUnknown, name)
}

// WaitFor waits until a projection's live view shows everything up to position, whoever
// brings it there. It fails with [ErrHalted] or [ErrOutdated] if nobody does, unless a
// rebuild is under way in this engine.
func (e *Engine) WaitFor(ctx context.Context, name string, position eventstream.Position) error {
	r, err := e.runner(name)
	if err != nil {
		return err
	}
	return r.waitFor(ctx, position)
}

// empty reports whether the tenant has no event up to position: views that show nothing
// show all of that. Nothing is stored for such a tenant, no checkpoint either.
func (e *Engine) empty(position eventstream.Position) bool {
	return position <= e.db.Head() && !slices.Contains(e.db.Tenants(), e.name)
}
