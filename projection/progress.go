package projection

import (
	"fmt"
	"time"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
)

// The states of a projection are stored under these names, beside its views.
//
//	NAME                    settings: which generation is live, and whether it is to run
//	NAME/progress/GEN       how far a generation is
//	NAME/progress/GEN/PART  how far a part of one is that is built in parts
//	NAME/parked/GEN/POS     an event that could not be applied
//	NAME/audit/TIME         what somebody did about one
//	NAME/rebuild            the rebuild that is not finished
func settingsName(name string) string { return name }

func progressName(name string, generation uint64) string {
	return fmt.Sprintf("%s/progress/%020d", name, generation)
}

func partPrefix(name string, generation uint64) string { return progressName(name, generation) + "/" }

func partName(name string, generation uint64, part int) string {
	return fmt.Sprintf("%s%05d", partPrefix(name, generation), part)
}

func parkedPrefix(name string, generation uint64) string {
	return fmt.Sprintf("%s/parked/%020d/", name, generation)
}

func parkedName(name string, generation uint64, position eventstream.Position) string {
	return fmt.Sprintf("%s%020d", parkedPrefix(name, generation), uint64(position))
}

func auditPrefix(name string) string { return name + "/audit/" }

func rebuildName(name string) string { return name + "/rebuild" }

// settings are what a projection's name stands for.
type settings struct {
	Live    uint64 `msgpack:"live"`    // the generation that readers see
	Newest  uint64 `msgpack:"newest"`  // no number is used twice
	Retired uint64 `msgpack:"retired"` // the one that was live before, or 0
	Paused  bool   `msgpack:"paused"`
	Halted  string `msgpack:"halted"` // why the live one does not run, or ""
}

// firstSettings are those of a projection of which nothing is stored.
var firstSettings = settings{Live: 1, Newest: 1}

// progress is how far a generation, or a part of one, is. It is stored in every commit
// of its view.
type progress struct {
	Checkpoint  uint64 `msgpack:"checkpoint"` // everything up to it took effect
	Processed   uint64 `msgpack:"processed"`
	Failures    uint64 `msgpack:"failures"`
	LastError   string `msgpack:"last_error"`
	LastErrorAt int64  `msgpack:"last_error_at"` // ns since 1970, UTC
	UpdatedAt   int64  `msgpack:"updated_at"`
	Version     uint64 `msgpack:"version"` // of the definition that it is built by
	AsOf        bool   `msgpack:"as_of"`   // the history of its records is kept
}

// begin makes p the progress of a generation that d builds, if it holds no event yet.
func (p *progress) begin(d *Definition) {
	if p.Checkpoint == 0 {
		p.Version, p.AsOf = d.Version, d.asOf()
	}
}

// builtBy reports whether d can go on with the generation.
func (p *progress) builtBy(d *Definition) bool { return p.Version == d.Version && p.AsOf == d.asOf() }

// outdated says that d cannot go on with the generation.
func (p *progress) outdated(d *Definition) error {
	if p.Version == d.Version {
		return fmt.Errorf("%w: projection %q was built with Keyed.AsOf %v, which is %v now", ErrOutdated, d.Name, p.AsOf, d.asOf())
	}
	return fmt.Errorf("%w: projection %q was built by version %d, this is version %d", ErrOutdated, d.Name, p.Version, d.Version)
}

// rebuild is a rebuild that is not finished. How far it is stands in the progress of its
// generation.
type rebuild struct {
	Generation uint64 `msgpack:"generation"`
	Parts      int    `msgpack:"parts"` // that the streams are in, until they are joined; else 1
	StartedAt  int64  `msgpack:"started_at"`
}

// ParkedEvent is an event that a projection put aside.
type ParkedEvent struct {
	Position eventstream.Position
	EventID  eventstream.EventID
	Stream   eventstream.StreamID
	Version  eventstream.Version
	Type     string
	Error    string // of the last attempt
	Attempts int
	ParkedAt time.Time
}

// AuditRecord is what was done about a parked event.
type AuditRecord struct {
	At       time.Time
	Action   string // "applied" or "dropped"
	Position eventstream.Position
	By       string
	Reason   string
}

// pack and unpack store states.
func pack(v any) ([]byte, error) { return codec.Encode(nil, codec.Msgpack, v) }

func unpack(name string, state []byte, v any) error {
	if err := codec.Decode(codec.Msgpack, "projection state", 1, state, v); err != nil {
		return &eventstream.CorruptionError{What: "state " + name, Err: err}
	}
	return nil
}

// stored reads states: as they are now, or at one moment.
type stored func(name string) ([]byte, error)

// read fills v from a state, and reports whether it is there.
func (s stored) read(name string, v any) (bool, error) {
	state, err := s(name)
	if err != nil || state == nil {
		return false, err
	}
	return true, unpack(name, state, v)
}

// settings returns the settings of a projection.
func (s stored) settings(name string) (settings, error) {
	set := firstSettings
	_, err := s.read(settingsName(name), &set)
	return set, err
}

// progress returns how far a generation is.
func (s stored) progress(name string, generation uint64) (progress, error) {
	var p progress
	_, err := s.read(progressName(name, generation), &p)
	return p, err
}
