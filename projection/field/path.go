package field

import (
	"fmt"
	"maps"
	"slices"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
)

// Path says where an event holds a value:
//
//	data.NAME        a member of the payload; data.a.b is a member of a member
//	metadata.NAME    an entry of the metadata
//	stream           the stream's name
//	category         its category
//	id               what stands behind the category in the stream's name
//	type             the event's type
//	user             who did it
//	correlation      what it belongs to
//	'TEXT'           the text itself, whatever the event holds
//
// Names are separated by points; a point or "\" in a name is written with a "\" before it,
// see [codec.SplitPath]. The zero Path is nowhere.
type Path struct {
	text    string
	root    string
	names   []string
	literal bool
}

// ParsePath reads a path. It fails with an [*eventstream.ArgumentError].
func ParsePath(text string) (Path, error) {
	refuse := func(format string, args ...any) (Path, error) {
		return Path{}, &eventstream.ArgumentError{Field: "path", Reason: fmt.Sprintf("%q "+format, append([]any{text}, args...)...)}
	}
	if len(text) > 1 && text[0] == '\'' && text[len(text)-1] == '\'' {
		return Path{text: text, root: text[1 : len(text)-1], literal: true}, nil
	}
	names, ok := codec.SplitPath(text)
	if !ok {
		return refuse("has an empty name, or ends in half an escape")
	}
	p := Path{text: text, root: names[0], names: names[1:]}
	switch p.root {
	case "data":
		if len(p.names) == 0 {
			return refuse("names no member of the payload: write data.NAME")
		}
	case "metadata":
		if len(p.names) != 1 {
			return refuse("names no entry of the metadata: write metadata.NAME")
		}
	case "stream", "category", "id", "type", "user", "correlation":
		if len(p.names) > 0 {
			return refuse("goes below %s, which is a text", p.root)
		}
	default:
		return refuse("begins with none of data, metadata, stream, category, id, type, user, correlation; a text stands in 'quotes'")
	}
	return p, nil
}

// ParsePaths reads the paths that a mapping is given, by the names of its fields. An empty
// text is no path. It fails with an [*eventstream.ArgumentError] that names the field.
func ParsePaths(texts map[string]string) (map[string]Path, error) {
	paths := make(map[string]Path, len(texts))
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		if texts[name] == "" {
			continue
		}
		p, err := ParsePath(texts[name])
		if err != nil {
			return nil, &eventstream.ArgumentError{Field: name, Reason: err.Error()}
		}
		paths[name] = p
	}
	return paths, nil
}

// String returns the path as it was written.
func (p Path) String() string { return p.text }

// IsZero reports whether p is nowhere.
func (p Path) IsZero() bool { return p.text == "" }
