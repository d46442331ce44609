package eventstream

import "context"

// The kinds of problems that Check names.
const (
	ProblemEvent    = "event"    // an event is damaged, or not where its key says
	ProblemPosition = "position" // a position is missing, or leads to no event
	ProblemVersion  = "version"  // a stream has a hole
	ProblemCommit   = "commit"   // a commit is not whole
	ProblemTime     = "time"     // recorded-at goes back
	ProblemEventID  = "event_id" // an event id leads elsewhere or is missing
	ProblemOrphan   = "orphan"   // a record that no position leads to
	ProblemKey      = "key"      // a key of no known form
	ProblemPayload  = "payload"  // a payload does not decode (deep)
	ProblemContent  = "content"  // an event's content is not what its id recorded (deep)
	ProblemTable    = "table"    // damage in Pebble's files
	ProblemTenant   = "tenant"   // a tenant's name is lost (salvage)
	ProblemSeal     = "seal"     // a run of positions is not what was sealed, or a seal is damaged
	ProblemIndex    = "index"    // an index does not hold what the log says
	ProblemSegment  = "segment"  // a packed run is damaged or missing; it is packed again from the events
	ProblemSnapshot = "snapshot" // a snapshot is damaged, or of events that are not there; the events serve instead
)

// maxProblems is how many problems a report lists.
const maxProblems = 10_000

// Problem is one thing that Check found wrong.
type Problem struct {
	Kind     string // one of the Problem constants
	Tenant   string
	Stream   StreamID
	Version  Version
	Position Position
	Detail   string
}

// Report is what Check found.
type Report struct {
	Head     Position // the readable head that was checked
	Events   uint64
	Streams  uint64
	Problems []Problem // at most 10,000
	Omitted  uint64    // problems beyond those
}

// OK reports whether nothing is wrong.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

// CheckOption directs Check.
type CheckOption func(*checker)

// Deep makes Check decode every payload and hash every event's content again.
func Deep() CheckOption { return func(c *checker) { c.deep = true } }

// Check reads the whole store and recomputes what must hold: every position from 1
// to the head leads to one whole, undamaged event, and every event has a position;
// the versions of each stream run from 1 without a hole; every commit is whole;
// recorded-at times never go back; every event id leads to its event and no id
// leads anywhere else; no key is of an unknown form; every sealed run is what its seal
// says, each seal follows the one before, and every segment holds its run; every index
// leads to the events that it should up to its checkpoint, and to no others; every
// snapshot is what was stored, and ends with the event that its stream has there. It
// covers all tenants.
//
// What it finds is in the report; the error says only why the check could not be
// finished. Appends may go on meanwhile: what comes after the head at the call is
// not looked at.
func (db *DB) Check(ctx context.Context, opts ...CheckOption) (Report, error) {
	if !db.gate.enter() {
		return Report{}, ErrClosed
	}
	defer db.gate.leave()
	c := &checker{db: db}
	for _, opt := range opts {
		opt(c)
	}
	c.sealedUntil = db.sealer.reached()
	c.beginIndexes() // before the head is taken: none is beyond it
	c.report.Head = db.readable.Load()
	for _, step := range []func(context.Context) error{
		c.loadSeals, c.log, c.streams, c.eventIDs, c.segments, c.orphanSegments, c.indexes, c.snapshots, c.kinds,
	} {
		if err := step(ctx); err != nil {
			if err := c.damaged(err); err != nil {
				return c.report, err
			}
		}
	}
	return c.report, nil
}
