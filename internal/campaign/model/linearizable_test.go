package model_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/internal/campaign"
	"github.com/nexus-erp/eventstream/internal/campaign/model"
)

// history is what clients ask of a few streams at once, and what they are told.
type history struct {
	began     time.Time
	oracle    *model.Store
	mu        sync.Mutex // guards the oracle
	ids       atomic.Int64
	followers []*follower
	// cut is when the power failed, and 0 before. What is answered later counts for
	// nothing: whoever asked does not know what became of it.
	cut  atomic.Int64
	gone atomic.Bool // nothing that is asked now is in what is left
}

func newHistory() *history { return &history{began: time.Now(), oracle: model.New()} }

func (h *history) now() int64 { return max(1, time.Since(h.began).Nanoseconds()) }

func (h *history) freshID() eventstream.EventID {
	n := h.ids.Add(1)
	return eventstream.EventID{0: 1, 13: byte(n >> 16), 14: byte(n >> 8), 15: byte(n)}
}

const (
	historyClients = 8
	historyCalls   = 30
	historyStreams = 4
)

func historyStream(n int) eventstream.StreamID {
	return eventstream.StreamID(fmt.Sprintf("s-s-%d", n%historyStreams))
}

// run lets all clients make calls, each after the other of its own.
func (h *history) run(t failer, db *eventstream.DB, rng *rand.Rand, calls int) {
	var wg sync.WaitGroup
	for c := range historyClients {
		client := historyClient{history: h, t: t, db: db, number: c, rng: rand.New(rand.NewPCG(rng.Uint64(), uint64(c)))}
		wg.Go(func() {
			for i := 0; i < calls && !h.gone.Load(); i++ {
				client.call()
			}
		})
	}
	wg.Wait()
}

// historyClient asks one thing after the other.
type historyClient struct {
	*history
	t      failer
	db     *eventstream.DB
	number int
	rng    *rand.Rand
	seen   [historyStreams]eventstream.Version
}

func (c *historyClient) call() {
	switch c.rng.IntN(16) {
	case 0:
		c.readAll()
	case 1, 2, 3, 4:
		c.read(c.rng.IntN(historyStreams))
	case 5, 6:
		c.append(2)
	default:
		c.append(1)
	}
}

func (c *historyClient) read(n int) {
	call := model.Call{Client: c.number, Stream: string(historyStream(n)), Began: c.now()}
	for e, err := range c.db.ReadStream(ctx, historyStream(n)) {
		if err != nil {
			c.t.Errorf("read: %v", err)
			return
		}
		call.Saw = append(call.Saw, e.ID)
	}
	c.seen[n] = eventstream.Version(len(call.Saw))
	c.answered(&call)
}

// readAll reads the whole log, which must be that of the oracle up to somewhere.
func (c *historyClient) readAll() {
	var got []eventstream.Event
	for e, err := range c.db.ReadAll(ctx) {
		if err != nil {
			c.t.Errorf("read all: %v", err)
			return
		}
		if e.Position != eventstream.Position(len(got)+1) {
			c.t.Errorf("read all: got position %d behind %d", e.Position, len(got))
		}
		got = append(got, e)
	}
	ended := c.now()
	if cut := c.cut.Load(); cut != 0 && ended >= cut {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.oracle.Delivered = append(c.oracle.Delivered, model.Delivery{Follower: fmt.Sprint("client ", c.number), Tenant: eventstream.DefaultTenant, Events: got})
}

// answered notes a call that was answered, if that was before the power failed.
func (c *historyClient) answered(call *model.Call) {
	call.Ended = c.now()
	if cut := c.cut.Load(); cut != 0 && call.Ended >= cut {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.oracle.Calls = append(c.oracle.Calls, *call)
}

// append appends to some streams at once, as a rule at the version that was seen last.
func (c *historyClient) append(streams int) {
	a := model.Append{Tenant: eventstream.DefaultTenant}
	first := c.rng.IntN(historyStreams)
	for i := range streams {
		n := (first + i) % historyStreams
		entry := eventstream.StreamAppend{Stream: historyStream(n), Expect: eventstream.Exact(c.seen[n])}
		switch c.rng.IntN(10) {
		case 0:
			entry.Expect = eventstream.Any
		case 1:
			entry.Expect = eventstream.StreamExists
		}
		for range 1 + c.rng.IntN(2) {
			entry.Events = append(entry.Events, eventstream.NewEvent{ID: c.freshID(), Type: "X"})
		}
		a.Entries = append(a.Entries, entry)
	}
	began := c.now()
	res, err := c.db.AppendAll(ctx, a.Entries)
	ended := c.now()
	conflict, refused := errors.AsType[*eventstream.ConflictError](err)
	cut := c.cut.Load()
	unknown := cut != 0 && ended >= cut
	if err != nil && !refused {
		c.t.Errorf("append: %v", err)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case unknown && refused:
		return // nothing was written
	case unknown:
		c.oracle.Doubt(a)
	case !refused:
		c.oracle.Acknowledge(a, res)
	}
	for i, entry := range a.Entries {
		call := model.Call{Client: c.number, Stream: string(entry.Stream), Began: began, Ended: ended, Append: true, Expect: entry.Expect, Unknown: unknown}
		for _, e := range entry.Events {
			call.IDs = append(call.IDs, e.ID)
		}
		n := (first + i) % historyStreams
		switch {
		case unknown:
		case refused && conflict.Stream != entry.Stream:
			continue // nobody was told about this stream
		case refused:
			call.Conflict, call.Actual = true, conflict.Actual
			c.seen[n] = conflict.Actual
		default:
			call.First = res.Streams[i].FirstVersion
			c.seen[n] = res.Streams[i].LastVersion
		}
		c.oracle.Calls = append(c.oracle.Calls, call)
	}
}

func historyOptions(fs vfs.FS) *eventstream.Options {
	return &eventstream.Options{FS: fs, MemTableBytes: 256 << 10, CacheBytes: 1 << 20, TailBytes: 64 << 10, StreamHeads: 2, Unstable: eventstream.Unstable{RunEvents: 32}}
}

// What eight clients read and append at once is as if they had come one after the other.
func TestConcurrentAppendsAreLinearizable(t *testing.T) {
	t.Parallel()
	seeds := campaign.Seeds(t, campaign.Scale(t, campaign.Cases{Short: 5, PullRequest: 200, Nightly: 5_000}))
	for _, seed := range seeds {
		db, err := eventstream.Open("store", historyOptions(vfs.NewMem()))
		if err != nil {
			t.Fatal(err)
		}
		h := newHistory()
		h.run(t, db, campaign.Rand(t, seed), historyCalls)
		verify(t, fmt.Sprintf("seed %d, %d calls", seed, len(h.oracle.Calls)), db, h.oracle)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	campaign.Count(t, campaign.Histories, len(seeds))
}

// The power fails while eight clients read and append, at any moment. What was answered
// before holds afterwards, what was not is there whole or not at all, and all of it, with
// what is asked of the store that was opened again, fits one order.
func TestHistoriesThroughACrashAreLinearizable(t *testing.T) {
	t.Parallel()
	seeds := campaign.Seeds(t, campaign.Scale(t, campaign.Cases{Short: 3, PullRequest: 100, Nightly: 2_000}))
	lost, doubts := 0, 0
	for _, seed := range seeds {
		rng := campaign.Rand(t, seed)
		at, percent := 1+rng.Int64N(200), []int{0, 50, 100}[rng.IntN(3)]
		mem := vfs.NewCrashableMem()
		h := newHistory()
		var left atomic.Pointer[vfs.MemFS]
		var running atomic.Bool
		var operations atomic.Int64
		crash := func() {
			h.cut.Store(h.now()) // before the clone: what is answered meanwhile does not count
			h.cutDeliveries()
			left.Store(mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(seed, 1))}))
			h.gone.Store(true)
		}
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if running.Load() && op.Kind.ReadOrWrite() == errorfs.OpIsWrite && operations.Add(1) == at {
				crash()
			}
			return nil
		}))
		db, err := eventstream.Open("store", historyOptions(fs))
		if err != nil {
			t.Fatal(err)
		}
		h.follow(t, db, 0, eventstream.Position(rng.Int64N(40)))
		running.Store(true)
		h.run(t, db, rng, historyCalls)
		running.Store(false)
		if left.Load() == nil {
			crash()
		}
		h.stopFollowing()
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		db, err = eventstream.Open("store", historyOptions(left.Load()))
		if err != nil && withoutManifest(left.Load(), "store", err) {
			lost++
			continue
		}
		if err != nil {
			t.Fatalf("seed %d: open after a crash of %d %%: %v", seed, percent, err)
		}
		opened := h.now()
		for i := range h.oracle.Calls {
			if c := &h.oracle.Calls[i]; c.Unknown {
				doubts++
				c.Ended = opened // what is not there by now never will be
			}
		}
		h.cut.Store(0)
		h.gone.Store(false)
		h.oracle.Crash()
		h.run(t, db, rng, historyCalls/3)
		verify(t, fmt.Sprintf("seed %d, crash of %d %% at operation %d, %d calls", seed, percent, at, len(h.oracle.Calls)), db, h.oracle)
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	campaign.Count(t, campaign.Histories, len(seeds)-lost)
	campaign.Exception(t, campaign.LostManifest, lost)
	if len(seeds) > 10 && doubts < len(seeds)/3 {
		t.Errorf("got %d calls of which nobody knew in %d histories, want more", doubts, len(seeds))
	}
}

// A checker that accepts what cannot have happened would show nothing.
func TestHistoriesThatCannotBeAreFound(t *testing.T) {
	t.Parallel()
	id := func(n byte) []eventstream.EventID { return []eventstream.EventID{{15: n}} }
	appended := func(began, ended int64, first eventstream.Version, n byte) model.Call {
		return model.Call{Stream: "s", Began: began, Ended: ended, Append: true, Expect: eventstream.Exact(first - 1), First: first, IDs: id(n)}
	}
	saw := func(began, ended int64, ids ...byte) model.Call {
		c := model.Call{Stream: "s", Began: began, Ended: ended}
		for _, n := range ids {
			c.Saw = append(c.Saw, id(n)...)
		}
		return c
	}
	refused := func(began, ended int64, expect eventstream.Expected, actual eventstream.Version) model.Call {
		return model.Call{Stream: "s", Began: began, Ended: ended, Append: true, Expect: expect, Conflict: true, Actual: actual, IDs: id(99)}
	}
	unknown := func(began, ended int64, expect eventstream.Expected, n byte) model.Call {
		return model.Call{Stream: "s", Began: began, Ended: ended, Append: true, Expect: expect, Unknown: true, IDs: id(n)}
	}
	for name, c := range map[string]struct {
		calls []model.Call
		can   bool
	}{
		"a read behind an append":                          {[]model.Call{appended(1, 2, 1, 1), saw(3, 4, 1)}, true},
		"a read beside an append":                          {[]model.Call{appended(1, 4, 1, 1), saw(2, 3)}, true},
		"a read that misses an append":                     {[]model.Call{appended(1, 2, 1, 1), saw(3, 4)}, false},
		"a read that foresees an append":                   {[]model.Call{saw(1, 2, 1), appended(3, 4, 1, 1)}, false},
		"reads that go back":                               {[]model.Call{appended(1, 9, 1, 1), saw(2, 3, 1), saw(4, 5)}, false},
		"a version that two won":                           {[]model.Call{appended(1, 9, 1, 1), appended(1, 9, 1, 2)}, false},
		"a version won behind a gap":                       {[]model.Call{appended(1, 2, 1, 1), appended(3, 4, 3, 2)}, false},
		"a refusal of what was stale":                      {[]model.Call{appended(1, 2, 1, 1), refused(3, 4, eventstream.NoStream, 1)}, true},
		"a refusal of what was not stale":                  {[]model.Call{appended(1, 2, 1, 1), refused(3, 4, eventstream.Exact(1), 1)}, false},
		"a refusal that names another version":             {[]model.Call{appended(1, 2, 1, 1), refused(3, 4, eventstream.NoStream, 2)}, false},
		"a refusal that rests on what comes later":         {[]model.Call{refused(1, 2, eventstream.NoStream, 1), appended(3, 4, 1, 1)}, false},
		"an append in doubt that took effect":              {[]model.Call{unknown(1, 5, eventstream.NoStream, 1), saw(6, 7, 1)}, true},
		"an append in doubt that did not":                  {[]model.Call{unknown(1, 5, eventstream.NoStream, 1), saw(6, 7)}, true},
		"an append in doubt that took effect and then not": {[]model.Call{unknown(1, 5, eventstream.NoStream, 1), saw(2, 3, 1), saw(6, 7)}, false},
		"an append in doubt that comes too late":           {[]model.Call{unknown(1, 5, eventstream.NoStream, 1), saw(6, 7), saw(8, 9, 1)}, false},
		"an append in doubt that was stale":                {[]model.Call{appended(1, 2, 1, 1), unknown(3, 5, eventstream.NoStream, 2), saw(6, 7, 1, 2)}, false},
		"an append lost in a crash":                        {[]model.Call{appended(1, 2, 1, 1), unknown(3, 4, eventstream.Any, 2), saw(5, 6, 2)}, false},
	} {
		if got := model.Linearizable(slices.Clone(c.calls), 10*time.Second); (got == "") != c.can {
			t.Errorf("%s: got %q, want that it can be: %v", name, got, c.can)
		}
	}
}
