package eventstream

import (
	"bytes"
	"errors"

	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
)

// DerivedReader reads the views and the states of a tenant as they are at one moment. It
// may be used by several goroutines, each with views of its own.
type DerivedReader struct {
	streams streams
	source  engine.Reader
	id      TenantID
	empty   bool // the tenant has no events, so there is no view
}

// ReadDerived calls fn with a reader of what is derived from the tenant's events, as it
// is now: several views, and the states that belong to them, fit together. The reader,
// and what it returned, is valid until fn returns. It keeps files from being removed
// meanwhile.
func (s streams) ReadDerived(fn func(*DerivedReader) error) (err error) {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.db.gate.leave()
	id, ok := s.view().tenantID()
	snapshot, err := s.db.eng.NewSnapshot()
	if err != nil {
		return s.db.poisoned(err)
	}
	defer func() { err = errors.Join(err, snapshot.Close()) }()
	return fn(&DerivedReader{streams: s, source: snapshot, id: id, empty: !ok})
}

// View returns a reader of a view. A view that nobody wrote is empty.
func (r *DerivedReader) View(v ViewID) (*ViewReader, error) {
	if err := checkView(v); err != nil {
		return nil, err
	}
	db := r.streams.db
	if err := db.namespaces.allow(db.eng, namespaceKey{tenant: r.streams.tenant, name: v.Projection}, writtenByProjection); err != nil {
		return nil, err
	}
	if r.empty {
		return &ViewReader{empty: true}, nil
	}
	return &ViewReader{source: r.source, prefix: keys.AppendViewGeneration(nil, r.id, v.Projection, v.Generation)}, nil
}

// State is [Tenant.DerivedState] at the reader's moment.
func (r *DerivedReader) State(name string) ([]byte, error) {
	if err := checkStateName(name); err != nil {
		return nil, err
	}
	return r.streams.stateFrom(r.source, name)
}

// States is [Tenant.DerivedStates] at the reader's moment.
func (r *DerivedReader) States(prefix string) ([]NamedState, error) {
	return r.streams.statesFrom(r.source, prefix)
}

func (s streams) stateFrom(source engine.Reader, name string) ([]byte, error) {
	state, ok, err := source.Get([]byte{}, s.stateKey(name))
	if !ok {
		state = nil
	}
	return state, readError("derived state", err)
}

func (s streams) statesFrom(source engine.Reader, prefix string) (states []NamedState, err error) {
	start := keys.AppendPart([]byte{byte(keys.KindDerived)}, derivedState)
	lower, upper, err := keys.Range(keys.AppendPartPrefix(start, s.statePrefix()+prefix))
	if err != nil {
		return nil, err
	}
	it, err := source.NewIter(lower, upper)
	if err != nil {
		return nil, err
	}
	defer func() { err = readError("derived state", errors.Join(err, it.Close())) }()
	for ok := it.First(); ok; ok = it.Next() {
		_, name, err := keys.ParseDerived(it.Key())
		if err != nil {
			return nil, &CorruptionError{What: "derived state", Err: err}
		}
		value, err := it.Value()
		if err != nil {
			return nil, err
		}
		states = append(states, NamedState{Name: name[len(s.statePrefix()):], State: bytes.Clone(value)})
	}
	return states, nil
}
