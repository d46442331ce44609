package field_test

import (
	"errors"
	"testing"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/projection/decimal"
	"github.com/nexus-erp/eventstream/projection/field"
)

func event(t *testing.T, id codec.ID, data any) *eventstream.Event {
	t.Helper()
	b, err := codec.Encode(nil, id, data)
	if err != nil {
		t.Fatal(err)
	}
	return &eventstream.Event{
		Stream: "finance-account-1000-x", Type: "Posted", UserID: "ann", CorrelationID: "c1",
		Metadata: map[string]string{"case": "1000 X", "n": "7"}, Codec: id, Data: b,
	}
}

func TestValuesAreFoundByTheirPaths(t *testing.T) {
	t.Parallel()
	payload := map[string]any{"amount": "1.10", "n": 12, "deep": map[string]any{"a.b": -3, "t": true}, "Customer ID": "17"}
	for _, id := range []codec.ID{codec.JSON, codec.Msgpack} {
		values := field.Of(event(t, id, payload))
		for path, want := range map[string]string{
			"data.amount": "1.10", "data.n": "12", `data.deep.a\.b`: "-3", "data.deep.t": "true", "data.Customer ID": "17",
			"metadata.case": "1000 X", "stream": "finance-account-1000-x", "category": "finance-account", "id": "1000-x",
			"type": "Posted", "user": "ann", "correlation": "c1", "'EUR'": "EUR", "''": "",
		} {
			p, err := field.ParsePath(path)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := values.Text(p); err != nil || got != want || p.String() != path {
				t.Errorf("%s %s: got %q, %v, want %q", id, path, got, err, want)
			}
		}
		for path, want := range map[string]string{"data.amount": "1.10", "data.n": "12", "metadata.n": "7", "'-2'": "-2"} {
			p, err := field.ParsePath(path)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := values.Number(p); err != nil || got.String() != want {
				t.Errorf("%s %s: got %s, %v, want %s", id, path, got, err, want)
			}
		}
	}
}

func TestNumbersOfJSONKeepTheirDigits(t *testing.T) {
	t.Parallel()
	e := event(t, codec.JSON, codec.Encoded(`{"amount":53.6599999999999999998612221219}`))
	p, err := field.ParsePath("data.amount")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := field.Of(e).Number(p); err != nil || n.String() != "53.6599999999999999998612221219" {
		t.Errorf("got %s, %v", n, err)
	}
}

func TestValuesThatAreNotThereAreErrors(t *testing.T) {
	t.Parallel()
	payload := map[string]any{"text": "x", "float": 0.1, "none": nil, "list": []int{1}, "object": map[string]any{"a": 1}, "bytes": []byte{1}, "true": true}
	e := event(t, codec.Msgpack, payload)
	values := field.Of(e)
	for path, want := range map[string]string{
		"data.amount": "field data.amount: the event has none", "data.none": "field data.none: the event has none",
		"data.text": `field data.text: decimal: invalid: "x" is no number`, "data.float": "field data.float: is a binary float, and no exact number",
		"data.list": "field data.list: is an array, and no exact number", "data.object": "field data.object: is an object, and no exact number",
		"data.bytes": "field data.bytes: is bytes, and no exact number", "data.true": "field data.true: is a truth value, and no exact number",
		"data.text.a": `field data.text.a: "text" is a string, and has no members`, "metadata.x": "field metadata.x: the event has none",
	} {
		p, err := field.ParsePath(path)
		if err != nil {
			t.Fatal(err)
		}
		_, err = values.Number(p)
		var fault *field.Error
		if !errors.As(err, &fault) || fault.Path != path || err.Error() != want {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
	for path, want := range map[string]string{
		"data.float": "field data.float: is a binary float, and no text", "data.object": "field data.object: is an object, and no text",
	} {
		p, err := field.ParsePath(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := values.Text(p); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
	p, err := field.ParsePath("data.x")
	if err != nil {
		t.Fatal(err)
	}
	damaged := *e
	damaged.Data = damaged.Data[:3]
	var payloadFault *codec.Error
	if _, err := field.Of(&damaged).Text(p); !errors.As(err, &payloadFault) {
		t.Errorf("a damaged payload: got %v, want the codec's error", err)
	}
	if _, err := field.Of(&eventstream.Event{Codec: codec.JSON, Data: []byte("[1]")}).Text(p); err == nil || err.Error() != "field data.x: the payload is an array, and has no members" {
		t.Errorf("a payload that is no object: %v", err)
	}
	if _, err := field.Of(&eventstream.Event{Codec: codec.JSON}).Text(p); err == nil || err.Error() != "field data.x: the payload is empty, and has no members" {
		t.Errorf("no payload: %v", err)
	}
	id, err := field.ParsePath("id")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := field.Of(&eventstream.Event{Stream: "plain"}).Text(id); err == nil {
		t.Error("a stream without a category has no id")
	}
	if _, err := values.Text(field.Path{}); err == nil || !(field.Path{}).IsZero() {
		t.Errorf("the zero path leads nowhere: %v", err)
	}
	long := event(t, codec.JSON, map[string]any{"x": "1" + string(make([]byte, 50))})
	if _, err := field.Of(long).Number(p); !errors.Is(err, decimal.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

func TestPathsThatAreNoneAreRefused(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"", "amount", "data", "data.", "data..a", ".data", `data.a\`, `data\.a`, "metadata", "metadata.a.b", "stream.a", "'", "Data.a"} {
		var fault *eventstream.ArgumentError
		if p, err := field.ParsePath(path); !errors.As(err, &fault) || fault.Field != "path" {
			t.Errorf("ParsePath(%q) = %v, %v; want an ArgumentError", path, p, err)
		}
	}
}

// A mapping's paths come under the names that they were given, and what is wrong with one
// says which.
func TestPathsAreParsedByName(t *testing.T) {
	t.Parallel()
	paths, err := field.ParsePaths(map[string]string{"account": "data.account", "price": "", "commodity": "'EUR'"})
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) != 2 || paths["account"].String() != "data.account" || paths["commodity"].String() != "'EUR'" || !paths["price"].IsZero() {
		t.Errorf("got %v, want account and commodity", paths)
	}
	var fault *eventstream.ArgumentError
	if _, err := field.ParsePaths(map[string]string{"account": "data.account", "price": "data", "quantity": "x"}); !errors.As(err, &fault) || fault.Field != "price" {
		t.Errorf("got %v, want an ArgumentError of price, the first by name", err)
	}
}

// A quantity times its price is exact; without a price it is itself.
func TestProductsAreExact(t *testing.T) {
	t.Parallel()
	values := field.Of(event(t, codec.JSON, codec.Encoded(`{"quantity":-3,"price":"19.9900000000000000000000000001","text":"x"}`)))
	path := func(text string) field.Path {
		t.Helper()
		if text == "" {
			return field.Path{}
		}
		p, err := field.ParsePath(text)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range []struct{ quantity, price, want, fault string }{
		{"data.quantity", "data.price", "-59.9700000000000000000000000003", ""},
		{"data.price", "data.quantity", "-59.9700000000000000000000000003", ""},
		{"data.quantity", "", "-3", ""},
		{"data.quantity", "'0.5'", "-1.5", ""},
		{"data.text", "data.price", "", "data.text"},
		{"data.quantity", "data.text", "", "data.text"},
		{"data.nothing", "", "", "data.nothing"},
	} {
		got, err := values.Product(path(c.quantity), path(c.price))
		var fault *field.Error
		switch {
		case c.fault != "":
			if !errors.As(err, &fault) || fault.Path != c.fault {
				t.Errorf("%s times %s: got %s, %v, want an error of %s", c.quantity, c.price, got, err, c.fault)
			}
		case err != nil || got.String() != c.want:
			t.Errorf("%s times %s: got %s, %v, want %s", c.quantity, c.price, got, err, c.want)
		}
	}
}
