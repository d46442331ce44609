package field

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/projection/decimal"
)

// Error is a value that an event does not have, or not as it is needed.
type Error struct {
	Path   string
	Reason string
	Err    error // the cause, if another error says more
}

// Error names the path.
func (e *Error) Error() string { return "field " + e.Path + ": " + e.Reason }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Values reads the values of one event. It decodes the payload once, when it is first
// asked for. It is not safe for concurrent use.
type Values struct {
	event   *eventstream.Event
	payload any
	decoded bool
	fault   error
}

// Of returns the values of e, which must not change meanwhile.
func Of(e *eventstream.Event) *Values { return &Values{event: e} }

// Text returns the value at p as a text: a text as it is, a number with its digits, a
// truth value as true or false. It fails with an [*Error].
func (v *Values) Text(p Path) (string, error) {
	value, err := v.at(p)
	if err != nil {
		return "", err
	}
	switch value := value.(type) {
	case string:
		return value, nil
	case bool:
		return strconv.FormatBool(value), nil
	}
	n, ok := digits(value)
	if !ok {
		return "", &Error{Path: p.text, Reason: fmt.Sprintf("is %s, and no text", kind(value))}
	}
	return n, nil
}

// Number returns the value at p as a number: one that is written as a text, or as a
// number with all its digits. A binary float has lost some, and is refused. It fails with
// an [*Error].
func (v *Values) Number(p Path) (decimal.Decimal, error) {
	value, err := v.at(p)
	if err != nil {
		return decimal.Decimal{}, err
	}
	text, ok := value.(string)
	if !ok {
		if text, ok = digits(value); !ok {
			return decimal.Decimal{}, &Error{Path: p.text, Reason: fmt.Sprintf("is %s, and no exact number", kind(value))}
		}
	}
	n, err := decimal.Parse(text)
	if err != nil {
		return decimal.Decimal{}, &Error{Path: p.text, Reason: err.Error(), Err: err}
	}
	return n, nil
}

// Product returns the number at p times the one at q; the one at p alone if q is nowhere.
func (v *Values) Product(p, q Path) (decimal.Decimal, error) {
	n, err := v.Number(p)
	if err != nil || q.IsZero() {
		return n, err
	}
	m, err := v.Number(q)
	if err != nil {
		return decimal.Decimal{}, err
	}
	return n.Mul(m), nil
}

// at returns the value at p.
func (v *Values) at(p Path) (any, error) {
	e := v.event
	switch {
	case p.IsZero():
		return nil, &Error{Path: "-", Reason: "no path was given"}
	case p.literal:
		return p.root, nil
	}
	switch p.root {
	case "stream":
		return string(e.Stream), nil
	case "type":
		return e.Type, nil
	case "user":
		return e.UserID, nil
	case "correlation":
		return e.CorrelationID, nil
	case "category":
		return e.Stream.Category(), nil
	case "id":
		category := e.Stream.Category()
		if category == "" {
			return nil, &Error{Path: p.text, Reason: fmt.Sprintf("stream %q has no category, and so no id", e.Stream)}
		}
		return string(e.Stream[len(category)+1:]), nil
	case "metadata":
		text, ok := e.Metadata[p.names[0]]
		if !ok {
			return nil, &Error{Path: p.text, Reason: "the event has none"}
		}
		return text, nil
	}
	return v.member(p)
}

// member returns a member of the payload.
func (v *Values) member(p Path) (any, error) {
	if !v.decoded {
		v.decoded = true
		v.fault = v.event.Decode(&v.payload)
	}
	if v.fault != nil {
		return nil, &Error{Path: p.text, Reason: v.fault.Error(), Err: v.fault}
	}
	value := v.payload
	for i, name := range p.names {
		object, ok := value.(map[string]any)
		if !ok {
			where := "the payload"
			if i > 0 {
				where = strconv.Quote(p.names[i-1])
			}
			return nil, &Error{Path: p.text, Reason: fmt.Sprintf("%s is %s, and has no members", where, kind(value))}
		}
		if value, ok = object[name]; !ok || value == nil {
			return nil, &Error{Path: p.text, Reason: "the event has none"}
		}
	}
	return value, nil
}

// digits returns a number that lost no digit.
func digits(value any) (string, bool) {
	switch n := value.(type) {
	case json.Number:
		return n.String(), true
	case int8, int16, int32, int64, int, uint8, uint16, uint32, uint64, uint:
		return fmt.Sprint(n), true
	}
	return "", false
}

func kind(value any) string {
	switch value.(type) {
	case nil:
		return "empty"
	case map[string]any, map[any]any:
		return "an object"
	case []any:
		return "an array"
	case bool:
		return "a truth value"
	case float32, float64:
		return "a binary float"
	case []byte:
		return "bytes"
	default:
		return fmt.Sprintf("a %T", value)
	}
}
