package estest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
)

// GoldenPayload is a payload as it was stored once, and what it has to be today.
type GoldenPayload struct {
	Type   string
	Schema eventstream.SchemaVersion
	Codec  codec.ID
	Data   []byte
	Want   []any // the Go values that it decodes to, in order; none if it is dropped
}

// CheckUpcasts decodes golden payloads with r. Besides what each must become, it proves
// that every step of r is used by one of them, and that no step changes the bytes that
// it is given or returns something else when it is asked again.
func CheckUpcasts(t testing.TB, r *codec.Registry, goldens ...GoldenPayload) {
	t.Helper()
	c := newUpcastCheck(r)
	for i := range goldens {
		g := &goldens[i]
		p := codec.Payload{Type: g.Type, Schema: g.Schema, Codec: g.Codec, Data: g.Data}
		name := fmt.Sprintf("golden payload %d, %s %d", i, g.Type, g.Schema)
		if _, err := c.follow(p); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got, err := r.Decode(nil, p)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(got) != len(g.Want) {
			t.Errorf("%s: got %d values %s, want %d values %s", name, len(got), shown(got), len(g.Want), shown(g.Want))
			continue
		}
		for j := range got {
			if !reflect.DeepEqual(got[j], g.Want[j]) {
				t.Errorf("%s, value %d:\n got %s\nwant %s", name, j, shown(got[j]), shown(g.Want[j]))
			}
		}
	}
	c.finish(t)
}

// shown prints a value with its types and fields.
func shown(v any) string { return fmt.Sprintf("%#v", v) }

// goldenSuffix ends the names of files with what is expected.
const goldenSuffix = ".golden"

// CheckUpcastFiles is [CheckUpcasts] for payloads in files of dir. A file is called
// TYPE.vSCHEMA.CODEC, as AccountPosted.v1.json: it holds the bytes as they were stored
// once, by the codec json, msgpack or raw. What they become today stands in a file of
// the same name with ".golden" behind it, one JSON object a line: type, schema version,
// and the payload as JSON.
//
// They are written anew as [GoldenFile] says.
func CheckUpcastFiles(t testing.TB, r *codec.Registry, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	c := newUpcastCheck(r)
	found := 0
	for _, entry := range entries {
		name := entry.Name()
		if entry.IsDir() || strings.HasSuffix(name, goldenSuffix) {
			continue
		}
		found++
		path := filepath.Join(dir, name)
		p, err := readGoldenPayload(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		got, err := c.describe(p)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		GoldenFile(t, path+goldenSuffix, got)
	}
	if found == 0 {
		t.Errorf("%s holds no payloads", dir)
	}
	c.finish(t)
}

// readGoldenPayload reads a file that is called TYPE.vSCHEMA.CODEC.
func readGoldenPayload(path string) (codec.Payload, error) {
	parts := strings.Split(filepath.Base(path), ".")
	if len(parts) < 3 || !strings.HasPrefix(parts[len(parts)-2], "v") {
		return codec.Payload{}, fmt.Errorf("a payload's file is called TYPE.vSCHEMA.CODEC, as AccountPosted.v1.json")
	}
	schema, err := strconv.ParseUint(parts[len(parts)-2][1:], 10, 31)
	if err != nil {
		return codec.Payload{}, fmt.Errorf("schema version: %w", err)
	}
	id, err := codec.ParseID(parts[len(parts)-1])
	if err != nil {
		return codec.Payload{}, err
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return codec.Payload{}, err
	}
	if id == codec.JSON {
		data = bytes.TrimRight(data, "\r\n") // which editors add
	}
	return codec.Payload{
		Type: strings.Join(parts[:len(parts)-2], "."), Schema: eventstream.SchemaVersion(schema), Codec: id, Data: data,
	}, nil
}

// upcastCheck follows payloads through the steps of a registry.
type upcastCheck struct {
	r    *codec.Registry
	left map[codec.Target]bool // steps that no payload went through, by where they start
}

func newUpcastCheck(r *codec.Registry) *upcastCheck {
	c := &upcastCheck{r: r, left: make(map[codec.Target]bool)}
	for _, s := range r.Steps("") {
		c.left[codec.Target{Type: s.Type, Schema: s.From}] = true
	}
	return c
}

// finish reports the steps that no payload went through.
func (c *upcastCheck) finish(t testing.TB) {
	t.Helper()
	for _, s := range c.r.Steps("") {
		if c.left[codec.Target{Type: s.Type, Schema: s.From}] {
			t.Errorf("no golden payload goes through the step of %q from schema version %d", s.Type, s.From)
		}
	}
}

// guard lies behind what a step is given, where an append would write.
var guard = []byte("what lies behind the payload")

// follow takes p through its steps, one by one, and returns what it becomes.
func (c *upcastCheck) follow(p codec.Payload) ([]codec.Payload, error) {
	memory := append(slices.Clone(p.Data), guard...)
	given := p
	given.Data = memory[:len(p.Data)]
	next, stepped, err := c.r.UpcastOnce(given)
	if err != nil {
		return nil, err
	}
	if !stepped {
		return []codec.Payload{p}, nil
	}
	delete(c.left, codec.Target{Type: p.Type, Schema: p.Schema})
	if !bytes.Equal(memory, append(slices.Clone(p.Data), guard...)) {
		return nil, fmt.Errorf("the step from schema version %d of %q changes the bytes that it is given", p.Schema, p.Type)
	}
	given.Data = slices.Clone(p.Data)
	again, _, err := c.r.UpcastOnce(given)
	if err != nil || !reflect.DeepEqual(next, again) {
		return nil, fmt.Errorf("the step from schema version %d of %q gives %s, and then %s, %v", p.Schema, p.Type, shown(next), shown(again), err)
	}
	var all []codec.Payload
	for _, n := range next {
		n.Data = slices.Clone(n.Data) // the next step must not change what this one returned
		more, err := c.follow(n)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return all, nil
}

// describe returns what p becomes, one JSON object a line. It has to decode.
func (c *upcastCheck) describe(p codec.Payload) ([]byte, error) {
	payloads, err := c.follow(p)
	if err != nil {
		return nil, err
	}
	if _, err := c.r.Decode(nil, p); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for i := range payloads {
		n := &payloads[i]
		data, _, err := codec.ToJSON(n.Codec, n.Data)
		if err != nil {
			return nil, err
		}
		if n.Codec == codec.Raw {
			if data, err = json.Marshal(n.Data); err != nil { // base64
				return nil, err
			}
		}
		line, err := json.Marshal(struct {
			Type   string                    `json:"type"`
			Schema eventstream.SchemaVersion `json:"schema"`
			Data   json.RawMessage           `json:"data"`
		}{n.Type, n.Schema, data})
		if err != nil {
			return nil, err
		}
		out.Write(append(line, '\n'))
	}
	return out.Bytes(), nil
}
