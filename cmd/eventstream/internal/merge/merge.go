// Package merge folds the payloads of a stream into one JSON object: what can be said of
// an aggregate by somebody who does not know its code.
package merge

import (
	"encoding/json"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/render"
	"github.com/nexus-erp/eventstream/codec"
)

// State is a state so far. The zero value is that of no events.
type State struct {
	doc map[string]any
}

// Apply merges an event into the state. An object is merged member by member: objects in
// it are merged too, all else, lists and null included, replaces what was there. Any
// other payload is kept under the type of its event, bytes as base64. An event without a
// payload changes nothing.
func (s *State) Apply(ev *eventstream.Event) error {
	if s.doc == nil {
		s.doc = make(map[string]any)
	}
	if len(ev.Data) == 0 {
		return nil
	}
	text, _, err := codec.ToJSON(ev.Codec, ev.Data)
	if err != nil {
		return err
	}
	if ev.Codec == codec.Raw {
		s.doc[ev.Type] = ev.Data // base64
		return nil
	}
	var payload any // numbers as texts
	if err := codec.Decode(codec.JSON, ev.Type, ev.SchemaVersion, text, &payload); err != nil {
		return err
	}
	if object, ok := payload.(map[string]any); ok {
		merge(s.doc, object)
		return nil
	}
	s.doc[ev.Type] = payload
	return nil
}

// merge merges from into to. How deep they nest was checked when they were decoded.
func merge(to, from map[string]any) {
	for name, value := range from {
		object, ok := value.(map[string]any)
		if there, isObject := to[name].(map[string]any); ok && isObject {
			merge(there, object)
			continue
		}
		to[name] = value
	}
}

// JSON returns the state on one line, names sorted, numbers with the digits that they
// had.
func (s *State) JSON() (json.RawMessage, error) {
	if s.doc == nil {
		return json.RawMessage("{}"), nil
	}
	return render.Marshal(s.doc)
}
