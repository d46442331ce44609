package eventstream

import (
	"context"
	"iter"
	"slices"
)

// streams is what DB and Tenant share: one tenant's streams.
type streams struct {
	db     *DB
	tenant string
	err    error // the tenant's name is refused
}

// check returns why no call on these streams can go on.
func (s streams) check() error { return s.err }

// view is one tenant's streams up to a head: what was committed later does not
// exist for it. Events never change, so the head alone makes reads consistent, and
// a view holds nothing that must be released.
type view struct {
	db     *DB
	tenant string
	head   Position
	err    error
}

func (s streams) view() view {
	return view{db: s.db, tenant: s.tenant, head: s.db.readable.Load(), err: s.err}
}

// tenantID returns the tenant's number. ok is false if it has no events.
func (v view) tenantID() (id TenantID, ok bool) {
	tn := v.db.tenants.find(v.tenant)
	if tn == nil {
		return 0, false
	}
	return tn.number()
}

// ReadStream returns the events of stream, in order of version, up to the readable
// head at the call. A stream that does not exist has none. It takes From, To,
// Backward, Limit, and the options of both times.
//
// An error is the last item. Leaving the loop releases everything. The iterator
// reads page by page and holds nothing between events, so a slow loop costs
// nothing; ctx is checked once a page. It can be ranged over once at a time.
func (s streams) ReadStream(ctx context.Context, stream StreamID, opts ...ReadOption) iter.Seq2[Event, error] {
	return s.view().readStream(ctx, stream, opts)
}

// ReadAll returns the tenant's events in the store's total order, up to the
// readable head at the call. It takes After, Until, Backward, Limit, Types and
// Category. The rest is as for ReadStream.
func (s streams) ReadAll(ctx context.Context, opts ...ReadOption) iter.Seq2[Event, error] {
	return s.view().readAll(ctx, opts)
}

// Event returns the event with the given id, or [ErrEventNotFound].
func (s streams) Event(ctx context.Context, id EventID) (Event, error) {
	return s.view().event(ctx, id)
}

// EventAt returns the event at position, or [ErrEventNotFound] if there is none or
// it belongs to another tenant.
func (s streams) EventAt(ctx context.Context, position Position) (Event, error) {
	return s.view().eventAt(ctx, position)
}

// Stream tells where a stream stands. A stream that does not exist is
// [ErrStreamNotFound].
func (s streams) Stream(ctx context.Context, stream StreamID) (StreamInfo, error) {
	return s.view().stream(ctx, stream)
}

// Streams returns the streams whose names start with prefix, by name. The rest is
// as for ReadStream.
func (s streams) Streams(ctx context.Context, prefix string) iter.Seq2[StreamInfo, error] {
	return s.view().streams(ctx, prefix)
}

// Read calls fn with a Reader that sees the store at one head, so that several
// reads fit together. It returns what fn returns. The Reader may be kept: it goes
// on showing the same head.
func (s streams) Read(ctx context.Context, fn func(*Reader) error) error {
	if err := s.check(); err != nil {
		return err
	}
	if !s.db.gate.enter() {
		return ErrClosed
	}
	s.db.gate.leave()
	if err := ctx.Err(); err != nil {
		return err
	}
	return fn(&Reader{s.view()})
}

// Reader reads one tenant's streams at one head. Its methods are safe for
// concurrent use.
type Reader struct{ v view }

// Head returns the newest position that the reader sees.
func (r *Reader) Head() Position { return r.v.head }

// ReadStream is DB.ReadStream at the reader's head.
func (r *Reader) ReadStream(ctx context.Context, stream StreamID, opts ...ReadOption) iter.Seq2[Event, error] {
	return r.v.readStream(ctx, stream, opts)
}

// ReadAll is DB.ReadAll at the reader's head.
func (r *Reader) ReadAll(ctx context.Context, opts ...ReadOption) iter.Seq2[Event, error] {
	return r.v.readAll(ctx, opts)
}

// Event is DB.Event at the reader's head.
func (r *Reader) Event(ctx context.Context, id EventID) (Event, error) {
	return r.v.event(ctx, id)
}

// EventAt is DB.EventAt at the reader's head.
func (r *Reader) EventAt(ctx context.Context, position Position) (Event, error) {
	return r.v.eventAt(ctx, position)
}

// Stream is DB.Stream at the reader's head.
func (r *Reader) Stream(ctx context.Context, stream StreamID) (StreamInfo, error) {
	return r.v.stream(ctx, stream)
}

// Streams is DB.Streams at the reader's head.
func (r *Reader) Streams(ctx context.Context, prefix string) iter.Seq2[StreamInfo, error] {
	return r.v.streams(ctx, prefix)
}

// begin is how every read enters the store, and end how it leaves.
func (v view) begin(ctx context.Context) error {
	if v.err != nil {
		return v.err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if !v.db.gate.enter() {
		return ErrClosed
	}
	return nil
}

func (v view) end() { v.db.gate.leave() }

// page is a stretch of events that was read at once.
type page struct {
	events  []Event
	scratch []byte // what is needed until the page is read
}

// keep copies b into the scratch memory.
func (p *page) keep(b []byte) []byte {
	start := len(p.scratch)
	p.scratch = append(p.scratch, b...)
	return p.scratch[start:len(p.scratch):len(p.scratch)]
}

// add makes room for one more event, which the caller fills.
func (p *page) add() *Event {
	n := len(p.events)
	if n == cap(p.events) {
		p.events = slices.Grow(p.events, max(n, pageFirst))
	}
	p.events = p.events[:n+1]
	return &p.events[n]
}

// drop takes the last event back, which could not be filled, and returns why.
func (p *page) drop(err error) error {
	p.events = p.events[:len(p.events)-1]
	return err
}

// The sizes of pages: the first is small, for short streams and for those who stop
// early, and each is larger than the one before.
const (
	pageFirst = 64
	pageMost  = 4096
	pageBytes = 4 << 20
)

// pages ranges over pages of events until one is the last, fails, or the loop is
// left. next reads a page of up to n events, inside the store; ready, if there is
// one, is called before it, outside, and may wait.
func (v view) pages(ctx context.Context, limit int, ready func() error, next func(p *page, n int) (last bool, err error)) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		p, _ := v.db.pagePool.Get().(*page)
		if p == nil {
			p = &page{}
		}
		defer func() {
			clear(p.events)
			p.events = p.events[:0]
			if cap(p.scratch) > pageBytes {
				p.scratch = nil
			}
			v.db.pagePool.Put(p)
		}()
		left := limit
		for size := pageFirst; left > 0; size = min(4*size, pageMost) {
			if ready != nil {
				if err := ready(); err != nil {
					yield(Event{}, err)
					return
				}
			}
			last, err := v.readPage(ctx, p, min(size, left), next)
			for i := range p.events {
				if !yield(p.events[i], nil) {
					return
				}
			}
			if err != nil {
				yield(Event{}, readError("log", err))
				return
			}
			if last {
				return
			}
			left -= len(p.events)
		}
	}
}

func (v view) readPage(ctx context.Context, p *page, n int, next func(p *page, n int) (last bool, err error)) (last bool, err error) {
	p.events, p.scratch = p.events[:0], p.scratch[:0]
	if err := v.begin(ctx); err != nil {
		return false, err
	}
	defer v.end()
	last, err = next(p, n)
	v.db.stats.eventsRead.Add(uint64(len(p.events)))
	return last, err
}
