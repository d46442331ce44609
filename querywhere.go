package eventstream

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/nexus-erp/eventstream/codec"
)

// Op compares a value of an event with one of the query.
type Op string

// The operators of [Query.Where].
const (
	Equal          Op = "="
	NotEqual       Op = "!="
	Less           Op = "<"
	LessOrEqual    Op = "<="
	Greater        Op = ">"
	GreaterOrEqual Op = ">="
	// In: equal to one of several.
	In Op = "IN"
	// Like: a text in which "%" stands for any bytes and "_" for any one character; "\" takes
	// the meaning from the character behind it.
	Like Op = "LIKE"
)

// predicate is one comparison of a query.
type predicate struct {
	path     string
	op       Op
	metadata bool
	names    []string // of the path, behind data or metadata
	values   []any    // string, bool or json.Number; one but for In
	pattern  pattern  // for Like
}

var errPath = errors.New(`a path is "data." and names with "." between them, or "metadata." and one name; a "." or "\" in a name is written with a "\" before it`)

func newPredicate(path string, op Op, value any) (predicate, error) {
	p := predicate{path: path, op: op}
	names, ok := codec.SplitPath(path)
	if ok {
		p.metadata, p.names = names[0] == "metadata", names[1:]
	}
	if !ok || p.metadata && len(p.names) != 1 || !p.metadata && (names[0] != "data" || len(p.names) == 0) {
		return predicate{}, fmt.Errorf("%q: %w", path, errPath)
	}
	values := []any{value}
	switch op {
	case Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual, Like:
	case In:
		list := reflect.ValueOf(value)
		if list.Kind() != reflect.Slice || list.Len() == 0 {
			return predicate{}, fmt.Errorf("IN compares with a slice of at least one value, not with %v", value)
		}
		values = nil
		for i := range list.Len() {
			values = append(values, list.Index(i).Interface())
		}
	default:
		return predicate{}, fmt.Errorf("there is no operator %q: use =, !=, <, <=, >, >=, IN or LIKE", op)
	}
	for _, v := range values {
		v, err := comparableValue(v)
		if err != nil {
			return predicate{}, err
		}
		p.values = append(p.values, v)
	}
	if op == Like {
		text, ok := p.values[0].(string)
		if !ok {
			return predicate{}, fmt.Errorf("LIKE compares with a string, not with %v", value)
		}
		p.pattern = parsePattern(text)
	}
	return p, nil
}

// comparableValue returns v as one of the kinds that values of events have.
func comparableValue(v any) (any, error) {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Bool:
		return r.Bool(), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return json.Number(strconv.FormatInt(r.Int(), 10)), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return json.Number(strconv.FormatUint(r.Uint(), 10)), nil
	case reflect.Float32, reflect.Float64:
		return nil, fmt.Errorf("%v is a float, which is not exact: give a json.Number or an integer", v)
	case reflect.String:
		if n, ok := v.(json.Number); ok {
			if _, ok := parseNumber(n.String()); !ok {
				return nil, fmt.Errorf("%q is no number", n)
			}
			return n, nil
		}
		return r.String(), nil
	default:
		return nil, fmt.Errorf("%v is not a string, a bool, an integer or a json.Number", v)
	}
}

// payload is what predicates compare of one event, decoded when first asked for.
type payload struct {
	codec    codec.ID
	data     []byte
	metadata []byte

	decoded bool
	value   any // nil: there are no names in it
	entries map[string]string
	parsed  bool
}

// lookup returns the value at the predicate's path.
func (e *payload) lookup(p *predicate) (value any, ok bool) {
	if p.metadata {
		if !e.parsed {
			e.entries, _ = codec.ParseMetadata(e.metadata) // damage is told by whoever decodes the event
			e.parsed = true
		}
		value, ok := e.entries[p.names[0]]
		return value, ok
	}
	if !e.decoded {
		e.decoded = true
		if text, _, err := codec.ToJSON(e.codec, e.data); err == nil && text != nil {
			decoder := json.NewDecoder(bytes.NewReader(text))
			decoder.UseNumber()
			_ = decoder.Decode(&e.value) // it is JSON: ToJSON made it
		}
	}
	at := e.value
	for _, name := range p.names {
		switch v := at.(type) {
		case map[string]any:
			if at, ok = v[name]; !ok {
				return nil, false
			}
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(v) {
				return nil, false
			}
			at = v[i]
		default:
			return nil, false
		}
	}
	return at, true
}

// matches reports whether the event has a value at the path that compares as it must.
func (p *predicate) matches(e *payload) bool {
	value, ok := e.lookup(p)
	if !ok {
		return false
	}
	switch p.op {
	case Equal, In:
		for _, want := range p.values {
			if c, ok := compareValues(value, want); ok && c == 0 {
				return true
			}
		}
		return false
	case NotEqual:
		c, ok := compareValues(value, p.values[0])
		return !ok || c != 0
	case Like:
		text, ok := value.(string)
		return ok && p.pattern.matches(text)
	}
	if _, isBool := value.(bool); isBool {
		return false
	}
	c, ok := compareValues(value, p.values[0])
	switch {
	case !ok:
		return false
	case p.op == Less:
		return c < 0
	case p.op == LessOrEqual:
		return c <= 0
	case p.op == Greater:
		return c > 0
	default:
		return c >= 0
	}
}

// compareValues compares two values of one kind. ok is false if their kinds differ, or it
// is one that has no order.
func compareValues(a, b any) (c int, ok bool) {
	switch a := a.(type) {
	case string:
		if b, ok := b.(string); ok {
			return strings.Compare(a, b), true
		}
	case bool:
		if b, ok := b.(bool); ok {
			if a == b {
				return 0, true
			}
			return 1, true
		}
	case json.Number:
		if b, ok := b.(json.Number); ok {
			x, okX := parseNumber(a.String())
			y, okY := parseNumber(b.String())
			return x.compare(y), okX && okY
		}
	}
	return 0, false
}
