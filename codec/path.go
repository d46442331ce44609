package codec

import "strings"

// SplitPath takes a path to a value apart, as "lines.0.amount", into the names that lead
// to it. Names are separated by "."; a "." or "\" in a name is written with a "\" before
// it, and so may be any other character. ok is false if a name is empty or the path ends
// in half an escape.
func SplitPath(path string) (names []string, ok bool) {
	var name strings.Builder
	end := func() bool {
		names = append(names, name.String())
		name.Reset()
		return names[len(names)-1] != ""
	}
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '\\' && i+1 < len(path):
			i++
			name.WriteByte(path[i])
		case c == '\\', c == '.' && !end():
			return nil, false
		case c != '.':
			name.WriteByte(c)
		}
	}
	if !end() {
		return nil, false
	}
	return names, true
}
