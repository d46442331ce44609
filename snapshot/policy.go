package snapshot

import (
	"slices"
	"time"

	"github.com/nexus-erp/eventstream/keys"
)

// Defaults of what is taken and kept.
const (
	// DefaultEvery is how many events lie between two snapshots.
	DefaultEvery = 100
	// DefaultKeep is how many snapshots of a stream are kept.
	DefaultKeep = 10
)

// Situation is what a policy decides by.
type Situation struct {
	Version   keys.Version // of the state
	Last      keys.Version // of the newest snapshot that serves; 0: there is none
	LastTaken time.Time    // when that was taken; zero: there is none
	Now       time.Time
	Bytes     int64    // of the payloads since the newest snapshot
	Types     []string // of the events since then, in any order, each once or oftener
}

// events returns how many events there are since the newest snapshot.
func (s *Situation) events() uint64 {
	if s.Version < s.Last {
		return 0
	}
	return uint64(s.Version - s.Last)
}

// Policy reports whether it is time for a snapshot. It is called after an append and
// after a load, if there is at least one event since the newest snapshot. It must be
// safe for concurrent use.
type Policy func(s Situation) bool

// EveryN asks for a snapshot once n events were added since the newest one, or since the
// stream began. An n of 0 counts as 1.
func EveryN(n uint64) Policy {
	return func(s Situation) bool { return s.events() >= max(n, 1) }
}

// ByBytes asks for a snapshot once the payloads that were added since the newest one have
// n bytes in all: an aggregate with few, large events is loaded slowly too.
func ByBytes(n int64) Policy {
	return func(s Situation) bool { return s.events() > 0 && s.Bytes >= n }
}

// ByAge asks for a snapshot if the newest one is d old, or if there is none. It alone
// takes one at the first event of every stream; see [All].
func ByAge(d time.Duration) Policy {
	return func(s Situation) bool {
		return s.events() > 0 && (s.LastTaken.IsZero() || s.Now.Sub(s.LastTaken) >= d)
	}
}

// AfterTypes asks for a snapshot once an event of one of the types was added: at the end
// of a period, of a batch.
func AfterTypes(types ...string) Policy {
	wanted := slices.Clone(types)
	return func(s Situation) bool {
		return slices.ContainsFunc(s.Types, func(t string) bool { return slices.Contains(wanted, t) })
	}
}

// All asks for a snapshot if all policies do. Without any it asks for none.
func All(policies ...Policy) Policy {
	wanted := slices.Clone(policies)
	return func(s Situation) bool {
		return len(wanted) > 0 && !slices.ContainsFunc(wanted, func(p Policy) bool { return !p(s) })
	}
}

// Any asks for a snapshot if one of the policies does.
func Any(policies ...Policy) Policy {
	wanted := slices.Clone(policies)
	return func(s Situation) bool {
		return slices.ContainsFunc(wanted, func(p Policy) bool { return p(s) })
	}
}

// Never asks for none.
func Never() Policy { return func(Situation) bool { return false } }
