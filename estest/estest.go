package estest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/pprof"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream"
)

// Start is what the clock of a new store shows.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// DB is a store that a test opened. It is used as the eventstream.DB inside.
type DB struct {
	*eventstream.DB
	// Clock is the store's clock. It starts at 2026-01-01 00:00 UTC and stands still.
	Clock *Clock

	fs      *vfs.MemFS
	path    string
	options eventstream.Options
	random  *rand.Rand
	label   string
	done    bool // crashed or closed by this package
}

// Option changes how Open opens a store.
type Option func(*config)

type config struct {
	seed    uint64
	options eventstream.Options
}

// Seed chooses the random bytes of event ids, and what a crash leaves. Default: 1.
func Seed(seed uint64) Option { return func(c *config) { c.seed = seed } }

// Options lets change set fields of the store's options. FS, Clock and Entropy are
// set afterwards.
func Options(change func(*eventstream.Options)) Option {
	return func(c *config) { change(&c.options) }
}

// Open opens an empty store in memory that t owns: at the end of the test it is
// checked and closed. A problem that the check finds, or something that is left
// open inside the store, fails the test.
func Open(t testing.TB, opts ...Option) *DB {
	t.Helper()
	c := config{seed: 1, options: eventstream.Options{
		CacheBytes: 1 << 20, MemTableBytes: 256 << 10, TailBytes: 256 << 10, StreamHeads: 1024,
	}}
	for _, opt := range opts {
		opt(&c)
	}
	db := &DB{
		Clock:  NewClock(start),
		fs:     vfs.NewCrashableMem(),
		path:   "store",
		random: rand.New(rand.NewPCG(c.seed, 0)),
	}
	c.options.Clock = db.Clock.Now
	c.options.Entropy = rand.NewChaCha8([32]byte{byte(c.seed), byte(c.seed >> 8), byte(c.seed >> 16), byte(c.seed >> 24)})
	db.options = c.options
	db.open(t)
	return db
}

// opened numbers the stores of the process, to tell their goroutines apart.
var opened atomic.Uint64

func (db *DB) open(t testing.TB) {
	t.Helper()
	db.options.FS = db.fs
	db.label = fmt.Sprintf("store-%d", opened.Add(1))
	var (
		store *eventstream.DB
		err   error
	)
	// Goroutines inherit labels from who starts them: a leak can be told from the
	// goroutines of other stores that are open at the same time.
	pprof.Do(context.Background(), pprof.Labels("eventstream", db.label), func(context.Context) {
		store, err = eventstream.Open(db.path, &db.options)
	})
	if err != nil {
		t.Fatalf("open store: %v", err)
	}
	db.DB = store
	t.Cleanup(func() { db.finish(t) })
}

// finish checks and closes the store, unless the test closed it itself.
func (db *DB) finish(t testing.TB) {
	t.Helper()
	if db.done {
		return
	}
	db.done = true
	report, err := db.Check(context.Background(), eventstream.Deep())
	switch {
	case errors.Is(err, eventstream.ErrClosed):
	case err != nil:
		t.Errorf("check store: %v", err)
	case !report.OK():
		t.Errorf("check store: %d problems, the first: %+v", len(report.Problems), report.Problems[0])
	}
	if err := db.Close(); err != nil {
		t.Errorf("close store: %v", err)
	}
	if leaked := leakedGoroutines(db.label); leaked != "" {
		t.Errorf("close store: goroutines still run:\n%s", leaked)
	}
}

// Crash cuts the power: everything that was synced stays, and of what was not, any
// part: how much is likely to stay depends on the seed. It returns the store as it is opened again; the old
// one is of no use any more. Its clock and its ids go on.
func Crash(t testing.TB, db *DB) *DB {
	t.Helper()
	crashed := &DB{Clock: db.Clock, path: db.path, options: db.options, random: db.random}
	crashed.fs = db.fs.CrashClone(vfs.CrashCloneCfg{
		UnsyncedDataPercent: db.random.IntN(101),
		RNG:                 db.random,
	})
	db.done = true
	// The old store goes on with files that nobody will see; what it says no longer
	// matters.
	_ = db.Close()
	crashed.open(t)
	return crashed
}

// leakedGoroutines returns the stacks of goroutines that carry label. They may need
// a moment to end after Close returned.
func leakedGoroutines(label string) string {
	patience := time.After(5 * time.Second)
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for {
		leaked := labelled(label)
		if leaked == "" {
			return ""
		}
		select {
		case <-again.C:
		case <-patience:
			return leaked
		}
	}
}

func labelled(label string) string {
	var profile bytes.Buffer
	if err := pprof.Lookup("goroutine").WriteTo(&profile, 1); err != nil {
		return err.Error()
	}
	var found []string
	for stack := range strings.SplitSeq(profile.String(), "\n\n") {
		if strings.Contains(stack, fmt.Sprintf("%q:%q", "eventstream", label)) {
			found = append(found, stack)
		}
	}
	return strings.Join(found, "\n\n")
}
