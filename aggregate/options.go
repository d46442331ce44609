package aggregate

import (
	"fmt"
	"log/slog"
	"reflect"
	"strings"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/snapshot"
)

// Options says how a repository works. A nil *Options is all defaults.
type Options struct {
	// Tenant is whose streams are meant. Default: [eventstream.DefaultTenant].
	Tenant string
	// Logger receives what happens to snapshots; never states. Default: silent.
	Logger *slog.Logger
	// OnFault is told of each damaged snapshot that a load came across, an
	// [*eventstream.SnapshotCorruptError], and of each that could not be taken, a
	// [*SnapshotError]. States are right in spite of both. It must not block, and must be
	// safe for concurrent use. Default: none.
	OnFault func(err error)

	// NoSnapshots neither takes nor uses snapshots: for states that cannot be stored.
	// Default: false.
	NoSnapshots bool
	// Policy says when to take a snapshot. Default: [snapshot.EveryN] of 100.
	Policy snapshot.Policy
	// Keep is how many snapshots of a stream are kept. Default: 10.
	Keep int
	// StateVersion is the version of what a state means. Raise it when Evolve or Apply
	// changes, or an upcaster does, so that the same events come to another state: older
	// snapshots are not used any more. What the Go type of the state shows by itself, as a
	// field more, needs no new version. Default: 1.
	StateVersion eventstream.SchemaVersion
	// StateCodec encodes states. Default: [codec.Msgpack].
	StateCodec codec.ID
	// Algorithm sums snapshots up. Default: [snapshot.XXHash64].
	Algorithm snapshot.Algorithm
	// Uncompressed stores states without zstd. Default: false.
	Uncompressed bool
}

func (o *Options) withDefaults() Options {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Tenant == "" {
		c.Tenant = eventstream.DefaultTenant
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.OnFault == nil {
		c.OnFault = func(error) {}
	}
	if c.Policy == nil {
		c.Policy = snapshot.EveryN(snapshot.DefaultEvery)
	}
	if c.Keep == 0 {
		c.Keep = snapshot.DefaultKeep
	}
	if c.StateVersion == 0 {
		c.StateVersion = 1
	}
	if c.StateCodec == 0 {
		c.StateCodec = codec.Msgpack
	}
	if c.Algorithm == 0 {
		c.Algorithm = snapshot.XXHash64
	}
	return c
}

// validate checks the options, and that states of type t can be stored with them.
func (o *Options) validate(t reflect.Type) error {
	switch {
	case o.Keep < 1:
		return argument("Options.Keep", "%d is less than 1: the newest snapshot is always kept", o.Keep)
	case !o.StateCodec.Valid():
		return argument("Options.StateCodec", "unknown codec %d: use Msgpack, JSON or Raw", o.StateCodec)
	case !o.Algorithm.Valid():
		return argument("Options.Algorithm", "unknown algorithm %d: use XXHash64 or SHA256", o.Algorithm)
	case o.NoSnapshots:
		return nil
	}
	if faults := codec.CheckState(t, o.StateCodec); len(faults) > 0 {
		return argument("Decider", "snapshots would lose a part of the state %s: %s; mend it, or set Options.NoSnapshots", t, strings.Join(faults, "; "))
	}
	return nil
}

func argument(field, format string, args ...any) error {
	return &eventstream.ArgumentError{Field: field, Reason: fmt.Sprintf(format, args...)}
}
