package stock

import (
	"fmt"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/projection/field"
)

// Fields says where events hold what they move: one move each. The texts are paths of
// package field.
type Fields struct {
	// Item names the item. Required.
	Item string
	// Location names where it lies. Default: the location "".
	Location string
	// Quantity is how much moves; what comes in is positive. Required.
	Quantity string
	// Value is what that is worth, with the same sign. Default: nothing is valued, unless
	// Price is given.
	Value string
	// Price is what one is worth, instead of Value.
	Price string
	// Decimals is how many of the last digits of the value or price are decimals: 2 if it
	// is in cents.
	Decimals int
}

// Mapping returns the mapping that f describes. It fails with an
// [*eventstream.ArgumentError] that names the field at fault.
func (f Fields) Mapping() (Mapping, error) {
	fault := func(name, format string, args ...any) error {
		return &eventstream.ArgumentError{Field: name, Reason: fmt.Sprintf(format, args...)}
	}
	switch {
	case f.Item == "":
		return nil, fault("Item", "it is required: the path of the item, as data.item")
	case f.Quantity == "":
		return nil, fault("Quantity", "it is required: the path of the quantity, as data.quantity")
	case f.Value != "" && f.Price != "":
		return nil, fault("Value", "give the value or the price, not both")
	case f.Decimals < 0 || f.Decimals > 100:
		return nil, fault("Decimals", "%d is not between 0 and 100", f.Decimals)
	}
	if f.Location == "" {
		f.Location = "''"
	}
	paths, err := field.ParsePaths(map[string]string{
		"Item": f.Item, "Location": f.Location, "Quantity": f.Quantity, "Value": f.Value, "Price": f.Price,
	})
	if err != nil {
		return nil, err
	}
	item, location, quantity, decimals := paths["Item"], paths["Location"], paths["Quantity"], f.Decimals
	first, second := paths["Value"], field.Path{}
	if f.Price != "" {
		first, second = paths["Quantity"], paths["Price"]
	}
	return func(e eventstream.Event) ([]Move, error) {
		values := field.Of(&e)
		var m Move
		var err error
		if m.Item, err = values.Text(item); err != nil {
			return nil, err
		}
		if m.Location, err = values.Text(location); err != nil {
			return nil, err
		}
		if m.Quantity, err = values.Number(quantity); err != nil {
			return nil, err
		}
		if first.IsZero() {
			return []Move{m}, nil
		}
		if m.Value, err = values.Product(first, second); err != nil {
			return nil, err
		}
		if decimals > 0 {
			m.Value = m.Value.Shift(decimals)
		}
		return []Move{m}, nil
	}, nil
}
