package eventstream

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/nexus-erp/eventstream/cursor"
	"github.com/nexus-erp/eventstream/internal/segment"
	"github.com/nexus-erp/eventstream/keys"
)

// Hard bounds that options cannot exceed, and limits that are not options.
const (
	hardPayloadBytes = 16 << 20
	hardAppendBytes  = 32 << 20
	maxAppendEvents  = 1000
	maxMetadataBytes = 64 << 10
)

// Options says how to open a store. The zero value of each field is its default,
// and a nil *Options is all defaults. Open copies it.
type Options struct {
	// Durability says when an append is acknowledged. Default: [Sync].
	Durability Durability
	// ReadOnly opens a store that nobody writes, and writes nothing to it but the
	// lock. Default: false.
	ReadOnly bool
	// ErrorIfExists makes Open fail with [ErrExists] if the directory holds a store.
	// Default: false.
	ErrorIfExists bool
	// ErrorIfNotExists makes Open fail with [ErrNotExist] if it does not.
	// Default: false.
	ErrorIfNotExists bool
	// Node is a label of the machine or shop, kept in a store that Open creates. At
	// most 255 bytes. Default: none.
	Node string
	// Logger receives what happens behind the API; never payloads. Default: silent.
	Logger *slog.Logger
	// Clock tells the time at which events are recorded. It may go back: recorded-at
	// times do not. It must be safe for concurrent use. Default: time.Now.
	Clock func() time.Time
	// Entropy gives the random bytes of the store's id, and three for each opening, which are
	// part of the event ids that it makes. It is read under a lock.
	// Default: crypto/rand.
	Entropy io.Reader
	// FS is the file system, for tests and for encryption at rest.
	// Default: the operating system's.
	FS vfs.FS
	// CacheBytes is the size of the cache of table blocks. Default: 64 MiB.
	CacheBytes int64
	// MemTableBytes is the greatest size of a table in memory, from 256 KiB to 1 GiB;
	// up to four exist at once. Default: 64 MiB.
	MemTableBytes int64
	// TailBytes bounds the memory for the newest events, which followers read without
	// touching the disk. Default: 16 MiB.
	TailBytes int64
	// StreamHeads is how many streams' versions are kept in memory; others are looked
	// up on their next append. Default: 100,000.
	StreamHeads int
	// MaxPayloadBytes is the greatest size of an encoded payload, at most 16 MiB.
	// Default: 1 MiB.
	MaxPayloadBytes int64
	// Indexes are the indexes that queries find. One that is added later is built behind the
	// log; one that is left out stays as it is, and goes on when it is named again. The set is
	// kept in the store. Empty, but not nil: none. Default: those that the store was opened
	// for writing with last; for a new one, [DefaultIndexes].
	Indexes []Index
	// CursorKeys sign page tokens, as for stores behind one service. Default: a ring of the
	// store's own, made with it and kept in its directory under keys.
	CursorKeys *cursor.Ring
	// MaxAppendBytes is the greatest size of all events of one append, at most 32 MiB.
	// Default: 8 MiB.
	MaxAppendBytes int64

	// Unstable is for tests and benchmarks of the store itself. It may change in any
	// release. Default: none.
	Unstable Unstable
}

// Unstable changes what no user should.
type Unstable struct {
	// RunEvents is how many events a sealed run holds, 0 for the usual number. If it is
	// negative, nothing is sealed. A store must always be opened with the same number.
	RunEvents int
	// ClosePatience is how long Close waits for whoever does not answer, 0 for the usual
	// 10 seconds. Who waits less gives up a store that is only slow.
	ClosePatience time.Duration
}

func (o *Options) withDefaults() Options {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Entropy == nil {
		c.Entropy = rand.Reader
	}
	for _, d := range []struct {
		field *int64
		value int64
	}{
		{&c.CacheBytes, 64 << 20},
		{&c.MemTableBytes, 64 << 20},
		{&c.TailBytes, 16 << 20},
		{&c.MaxPayloadBytes, 1 << 20},
		{&c.MaxAppendBytes, 8 << 20},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if c.StreamHeads == 0 {
		c.StreamHeads = 100_000
	}
	if c.Unstable.RunEvents == 0 {
		c.Unstable.RunEvents = segment.RunEvents
	}
	if c.Unstable.ClosePatience == 0 {
		c.Unstable.ClosePatience = 10 * time.Second
	}
	return c
}

// memoryFS returns an empty file system in memory.
func memoryFS() vfs.FS { return vfs.NewMem() }

// validate returns all faults at once, each an [*ArgumentError].
func (o *Options) validate() error {
	var faults []error
	fault := func(field, format string, args ...any) {
		faults = append(faults, &ArgumentError{Field: "Options." + field, Reason: fmt.Sprintf(format, args...)})
	}
	if d := time.Duration(o.Durability); o.Durability != Sync && o.Durability != None && d < time.Millisecond {
		fault("Durability", "%v between syncs is less than 1ms: use Sync, None, or SyncEvery with more", d)
	}
	if o.ReadOnly && o.ErrorIfExists {
		fault("ErrorIfExists", "contradicts ReadOnly, which opens only what exists")
	}
	if o.ErrorIfExists && o.ErrorIfNotExists {
		fault("ErrorIfExists", "contradicts ErrorIfNotExists: set one of them")
	}
	if o.Node != "" {
		if err := keys.ValidateName("node", o.Node); err != nil {
			fault("Node", "%v", err)
		}
	}
	if err := validateIndexes(o.Indexes); err != nil {
		fault("Indexes", "%v", err)
	}
	for _, r := range []struct {
		field         string
		value, lo, hi int64
	}{
		{"CacheBytes", o.CacheBytes, 0, 1 << 40},
		{"MemTableBytes", o.MemTableBytes, 256 << 10, 1 << 30},
		{"TailBytes", o.TailBytes, 64 << 10, 1 << 30},
		{"StreamHeads", int64(o.StreamHeads), 1, 1 << 30},
		{"MaxPayloadBytes", o.MaxPayloadBytes, 1, hardPayloadBytes},
		{"MaxAppendBytes", o.MaxAppendBytes, 1, hardAppendBytes},
	} {
		if r.value < r.lo || r.value > r.hi {
			fault(r.field, "%d is not between %d and %d", r.value, r.lo, r.hi)
		}
	}
	return errors.Join(faults...)
}

// SalvageOptions says how to read a damaged store. A nil *SalvageOptions is all
// defaults.
type SalvageOptions struct {
	// FS is the file system of the store. What is found is then gathered in memory.
	// Default: the operating system's.
	FS vfs.FS
	// Scratch is the directory in which a temporary directory is made for what is found:
	// about as large as the store. Default: that of temporary files.
	Scratch string
}
