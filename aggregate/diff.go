package aggregate

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
)

// Change is a value that differs between two states.
type Change struct {
	// Path is where it stands in the state's JSON, as a JSON Pointer (RFC 6901):
	// "/lines/0/cents". It is "" if the states differ as a whole.
	Path string `json:"path"`
	// Before and After are the values as JSON, numbers with all their digits, and nil
	// where there was or is none.
	Before json.RawMessage `json:"before"`
	After  json.RawMessage `json:"after"`
}

// Diff compares the aggregate of stream at two points of the past, each given as for
// StateAt: what differs, in the order of the paths. Lists are compared place by place.
func (r *Repository[S, C]) Diff(ctx context.Context, stream eventstream.StreamID, before, after []eventstream.ReadOption) ([]Change, error) {
	var docs [2][]byte
	for i, at := range [...][]eventstream.ReadOption{before, after} {
		loaded, err := r.StateAt(ctx, stream, at...)
		if err != nil {
			return nil, err
		}
		if docs[i], err = r.json(&loaded.State); err != nil {
			return nil, fmt.Errorf("aggregate %s: state at version %d: %w", stream, loaded.Version, err)
		}
	}
	return DiffJSON(docs[0], docs[1])
}

// json returns a state as JSON, with the names under which it is stored.
func (r *Repository[S, C]) json(state *S) ([]byte, error) {
	data, err := codec.EncodeAs(r.opts.StateCodec, state)
	if err != nil {
		return nil, err
	}
	if r.opts.StateCodec == codec.Raw {
		return json.Marshal(data) // base64
	}
	doc, _, err := codec.ToJSON(r.opts.StateCodec, data)
	return doc, err
}

// DiffJSON compares two JSON documents as Diff does. It fails with a [*codec.Error] for
// what is no JSON, or in which a name occurs twice in an object.
func DiffJSON(before, after []byte) ([]Change, error) {
	var docs [2]any
	for i, text := range [...][]byte{before, after} {
		if err := codec.Decode(codec.JSON, "", 0, text, &docs[i]); err != nil {
			return nil, err
		}
	}
	d := differ{}
	if err := d.compare("", docs[0], docs[1]); err != nil {
		return nil, err
	}
	return d.changes, nil
}

// differ gathers changes.
type differ struct{ changes []Change }

// absent stands for a value that is not there, which is not null.
type absent struct{}

// compare goes through two values. How deep they nest was checked when they were read.
func (d *differ) compare(path string, before, after any) error {
	switch b := before.(type) {
	case map[string]any:
		if a, ok := after.(map[string]any); ok {
			return d.compareObjects(path, b, a)
		}
	case []any:
		if a, ok := after.([]any); ok {
			return d.compareLists(path, b, a)
		}
	default:
		if before == after { // both are null, a text, a number as a text, or a truth value
			return nil
		}
	}
	change := Change{Path: path}
	for _, side := range [...]struct {
		value any
		text  *json.RawMessage
	}{{before, &change.Before}, {after, &change.After}} {
		if side.value == (absent{}) {
			continue
		}
		text, err := codec.Encode(nil, codec.JSON, present(side.value))
		if err != nil {
			return err
		}
		*side.text = text
	}
	d.changes = append(d.changes, change)
	return nil
}

// present makes null a value: to the codec, nil is none.
func present(value any) any {
	if value == nil {
		return json.RawMessage("null")
	}
	return value
}

func (d *differ) compareObjects(path string, before, after map[string]any) error {
	names := slices.Collect(maps.Keys(before))
	for name := range after {
		if _, ok := before[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		b, ok := before[name]
		if !ok {
			b = absent{}
		}
		a, ok := after[name]
		if !ok {
			a = absent{}
		}
		if err := d.compare(path+"/"+pointerEscaper.Replace(name), b, a); err != nil {
			return err
		}
	}
	return nil
}

// pointerEscaper writes a name as a part of a JSON Pointer.
var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

func (d *differ) compareLists(path string, before, after []any) error {
	for i := range max(len(before), len(after)) {
		b, a := any(absent{}), any(absent{})
		if i < len(before) {
			b = before[i]
		}
		if i < len(after) {
			a = after[i]
		}
		if err := d.compare(path+"/"+strconv.Itoa(i), b, a); err != nil {
			return err
		}
	}
	return nil
}

// String returns the change on one line.
func (c Change) String() string {
	side := func(text json.RawMessage) string {
		if text == nil {
			return "nothing"
		}
		return string(bytes.TrimSpace(text))
	}
	return fmt.Sprintf("%s: %s -> %s", c.Path, side(c.Before), side(c.After))
}
