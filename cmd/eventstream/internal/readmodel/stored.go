package readmodel

import (
	"encoding/json"

	"github.com/nexus-erp/eventstream"
)

// A Config is stored beside the states of its projection, under NAME/mapping.
func stateName(name string) string { return name + "/mapping" }

// Load returns the Config that was stored for a projection; ok is false if there is none.
func Load(t *eventstream.Tenant, name string) (c Config, ok bool, err error) {
	state, err := t.DerivedState(stateName(name))
	if err != nil || state == nil {
		return Config{}, false, err
	}
	if err := json.Unmarshal(state, &c); err != nil {
		return Config{}, false, &eventstream.CorruptionError{What: "state " + stateName(name), Err: err}
	}
	return c, true, nil
}

// Store stores c for a projection, durably.
func Store(t *eventstream.Tenant, name string, c Config) error {
	for {
		old, err := t.DerivedState(stateName(name))
		if err != nil {
			return err
		}
		if string(old) == string(c.json()) {
			return nil
		}
		swapped, err := t.SwapState(stateName(name), old, c.json())
		if err != nil || swapped {
			return err
		}
	}
}
