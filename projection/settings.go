package projection

import (
	"bytes"
	"errors"

	"github.com/nexus-erp/eventstream"
)

// changeSettings changes the stored settings.
func (r *runner) changeSettings(change func(*settings)) error {
	if err := r.load(); err != nil {
		return err
	}
	name := settingsName(r.def.Name)
	for {
		old, s, err := r.storedSettings()
		if err != nil {
			return err
		}
		change(&s)
		state, err := pack(s)
		if err != nil {
			return err
		}
		swapped, err := r.e.tenant.SwapState(name, old, state)
		if err != nil {
			return err
		}
		if swapped {
			r.show(func() { r.set = s })
			return nil
		}
	}
}

// storedSettings returns the settings, and their stored form, or nil.
func (r *runner) storedSettings() (old []byte, s settings, err error) {
	old, err = r.e.tenant.DerivedState(settingsName(r.def.Name))
	s = firstSettings
	if err == nil && old != nil {
		err = unpack(settingsName(r.def.Name), old, &s)
	}
	return old, s, err
}

// errSettingsMoved is a commit of settings that somebody changed meanwhile.
var errSettingsMoved = errors.New("projection: the settings were changed meanwhile")

// commitSettings changes the stored settings in one durable commit with what d clears and
// fn writes, and returns them. change may be called again, on what somebody else stored
// meanwhile.
func (r *runner) commitSettings(d eventstream.Derivation, change func(*settings) error, fn func(*eventstream.Tx, settings) error) (settings, error) {
	guard := d.Guard
	for {
		old, s, err := r.storedSettings()
		if err != nil {
			return settings{}, err
		}
		if err := change(&s); err != nil {
			return settings{}, err
		}
		d.Durable = true
		d.Guard = func() error {
			if err := guard(); err != nil {
				return err
			}
			now, err := r.e.tenant.DerivedState(settingsName(r.def.Name))
			if err == nil && !bytes.Equal(now, old) {
				err = errSettingsMoved
			}
			return err
		}
		r.e.at("before settings")
		err = r.e.tenant.Derive(d, func(tx *eventstream.Tx) error {
			if err := setState(tx, settingsName(r.def.Name), s); err != nil {
				return err
			}
			return fn(tx, s)
		})
		r.e.at("after settings")
		if !errors.Is(err, errSettingsMoved) {
			return s, err
		}
	}
}

// viewOf names the view of a generation.
func (r *runner) viewOf(generation uint64) eventstream.ViewID {
	return eventstream.ViewID{Projection: r.def.Name, Generation: generation}
}

// What lies beside the view of a projection.
const (
	besideHistory = "history"
	besideOwners  = "owners"
)

// dropStates removes the states of a generation.
func (r *runner) dropStates(tx *eventstream.Tx, generation uint64) error {
	for _, prefix := range []string{progressName(r.def.Name, generation), parkedPrefix(r.def.Name, generation)} {
		for state, err := range r.e.tenant.DerivedStates(prefix) {
			if err != nil {
				return err
			}
			if err := tx.SetState(state.Name, nil); err != nil {
				return err
			}
		}
	}
	return nil
}
