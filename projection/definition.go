package projection

import (
	"context"
	"fmt"
	"time"

	"github.com/nexus-erp/eventstream"
)

// Policy says what becomes of an event that a projection cannot apply.
type Policy int

const (
	// Retry tries again, ever slower, until it succeeds. It is the default: nothing is
	// left out, and the projection stands still meanwhile.
	Retry Policy = iota
	// Park puts the event aside with its error after some attempts, and goes on. Parked
	// events are listed, and applied or dropped later, by somebody who decides that.
	Park
	// Halt stops the projection after some attempts, until it is resumed.
	Halt
)

// String returns "retry", "park" or "halt".
func (p Policy) String() string {
	switch p {
	case Retry:
		return "retry"
	case Park:
		return "park"
	case Halt:
		return "halt"
	default:
		return fmt.Sprintf("policy %d", int(p))
	}
}

// Definition is a projection: which events it takes, and what it makes of them.
type Definition struct {
	// Name is 1 to 64 of a-z, 0-9, "-" and "_". It names the view for good. Required.
	Name string
	// Version names what the projection makes of events: it is to be raised whenever Apply,
	// Keyed, Types or Category change. A view that was built by another version is not
	// written any more, so that none holds records of both: it is read as it is until
	// [Engine.Rebuild] has made a new one. Default: 0.
	Version uint64
	// Types are the event types that Apply gets. Default: all.
	Types []string
	// Category leaves all but its streams out. Default: all streams.
	Category string
	// Apply writes to the view what follows from one event. It gets every event once, in
	// order; if it fails, nothing that it wrote for the event is kept. It must depend on
	// nothing but the event and the view: a rebuild calls it again, and so does a batch
	// that did not commit. It must not change e. Several goroutines may call it at once,
	// each for another view or part of one. Either Apply or Keyed is required.
	Apply func(ctx context.Context, tx *eventstream.Tx, e eventstream.Event) error
	// Keyed is for views whose records each follow from the events that bear on their key.
	// It takes the place of Apply.
	Keyed *Keyed
	// PartitionedByStream declares that each key of the view is written by the events of
	// one stream alone, and that Apply reads no other keys. Then several workers may
	// rebuild the view. That no key is written by two of them is checked. Default: false.
	PartitionedByStream bool
	// OnFailure says what becomes of an event that Apply cannot take. Default: [Retry].
	OnFailure Policy
	// Attempts is how often Park and Halt try an event. Default: 3.
	Attempts int
	// BatchEvents is how many events are committed at once as a rule; a commit of the log
	// is never cut. Default: 512.
	BatchEvents int
	// Backoff is the pause after the first failure; it doubles up to a minute.
	// Default: 100 ms.
	Backoff time.Duration
}

const (
	maxName      = 64
	mostBackoff  = time.Minute
	mostBatch    = 100_000
	defaultBatch = 512
	defaultTries = 3
	defaultPause = 100 * time.Millisecond
)

// withDefaults validates d and fills in what was left out.
func (d Definition) withDefaults() (Definition, error) {
	refuse := func(field, format string, args ...any) (Definition, error) {
		return Definition{}, argument("Definition."+field, format, args...)
	}
	switch {
	case !validName(d.Name):
		return refuse("Name", "%q is not 1 to %d of a-z, 0-9, - and _", d.Name, maxName)
	case d.Apply == nil && d.Keyed == nil:
		return refuse("Apply", "either Apply or Keyed is required")
	case d.Apply != nil && d.Keyed != nil:
		return refuse("Keyed", "it takes the place of Apply: leave one of them out")
	case d.Keyed != nil && d.Keyed.Keys == nil:
		return refuse("Keyed.Keys", "it is required")
	case d.Keyed != nil && d.Keyed.Fold == nil:
		return refuse("Keyed.Fold", "it is required")
	case d.OnFailure < Retry || d.OnFailure > Halt:
		return refuse("OnFailure", "%d is not Retry, Park or Halt", int(d.OnFailure))
	case d.Attempts < 0:
		return refuse("Attempts", "%d is negative", d.Attempts)
	case d.BatchEvents < 0 || d.BatchEvents > mostBatch:
		return refuse("BatchEvents", "%d is not between 0 and %d", d.BatchEvents, mostBatch)
	case d.Backoff < 0:
		return refuse("Backoff", "%v is negative", d.Backoff)
	}
	if d.Keyed != nil {
		d.Apply = d.Keyed.apply
	}
	if d.Attempts == 0 {
		d.Attempts = defaultTries
	}
	if d.BatchEvents == 0 {
		d.BatchEvents = defaultBatch
	}
	if d.Backoff == 0 {
		d.Backoff = defaultPause
	}
	return d, nil
}

// asOf reports whether the history of records is kept.
func (d *Definition) asOf() bool { return d.Keyed != nil && d.Keyed.AsOf }

func argument(field, format string, args ...any) error {
	return &eventstream.ArgumentError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

func validName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// reads returns what the projection reads of the log.
func (d *Definition) reads() []eventstream.ReadOption {
	var opts []eventstream.ReadOption
	if len(d.Types) > 0 {
		opts = append(opts, eventstream.Types(d.Types...))
	}
	if d.Category != "" {
		opts = append(opts, eventstream.Category(d.Category))
	}
	return opts
}
