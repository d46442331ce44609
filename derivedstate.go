package eventstream

import (
	"bytes"
	"iter"
	"strconv"

	"github.com/nexus-erp/eventstream/keys"
)

// NamedState is a state that something derived from the log keeps: a checkpoint, a
// lease, an event that could not be applied.
type NamedState struct {
	Name  string
	State []byte
}

// derivedState is what the records are called that hold such states.
const derivedState = "state"

func (s streams) stateKey(name string) []byte {
	return keys.AppendDerived(nil, derivedState, s.statePrefix()+name)
}

// statePrefix starts the names of the tenant's states. No tenant's prefix starts
// another's.
func (s streams) statePrefix() string { return quotedTenant(s.tenant) }

// quotedTenant is how keys of derived states name a tenant: in ASCII alone, since which
// other characters Go prints as they are changes with its Unicode tables.
func quotedTenant(name string) string { return strconv.QuoteToASCII(name) + "/" }

func checkStateName(name string) error {
	if err := keys.ValidateName("state", name); err != nil {
		return &ArgumentError{Field: "name", Reason: err.Error(), Err: err}
	}
	return nil
}

// enterState checks the name of a state and enters the store.
func (s streams) enterState(name string) error {
	if err := checkStateName(name); err != nil {
		return err
	}
	return s.enter()
}

// DerivedState returns a copy of the state that was stored under name with
// [Tx.SetState] or [Tenant.SwapState], and nil if there is none.
func (s streams) DerivedState(name string) ([]byte, error) {
	if err := s.enterState(name); err != nil {
		return nil, err
	}
	defer s.db.gate.leave()
	return s.stateFrom(s.db.eng.Reader(), name)
}

// DerivedStates returns copies of the tenant's states whose names start with prefix, in
// the order of their names, as they are at the call. An error is the last item.
func (s streams) DerivedStates(prefix string) iter.Seq2[NamedState, error] {
	return func(yield func(NamedState, error) bool) {
		states, err := s.derivedStates(prefix)
		if err != nil {
			yield(NamedState{}, err)
			return
		}
		for _, state := range states {
			if !yield(state, nil) {
				return
			}
		}
	}
}

func (s streams) derivedStates(prefix string) ([]NamedState, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.db.gate.leave()
	return s.statesFrom(s.db.eng.Reader(), prefix)
}

// SwapState replaces the state under name if it is still old, durably, and reports
// whether it was. A nil old is none, a nil state removes it. Swaps and the commits of
// [Tenant.Derive] follow each other.
func (s streams) SwapState(name string, old, state []byte) (swapped bool, err error) {
	if err := s.enterState(name); err != nil {
		return false, err
	}
	defer s.db.gate.leave()
	if err := s.db.writable(); err != nil {
		return false, err
	}
	s.db.deriving.Lock()
	defer s.db.deriving.Unlock()
	key := s.stateKey(name)
	current, ok, err := s.db.eng.Get(nil, key)
	if err != nil {
		return false, readError("derived state", err)
	}
	if ok != (old != nil) || !bytes.Equal(current, old) {
		return false, nil
	}
	batch := s.db.eng.NewBatch()
	if state == nil {
		batch.Delete(key)
	} else {
		batch.Set(key, state)
	}
	if err := s.db.apply(batch, true); err != nil {
		return false, s.db.poisoned(err)
	}
	return true, nil
}
