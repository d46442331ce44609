package source

import (
	"fmt"
	"strings"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/keys"
)

// Category is the "context-type" in front of the streams that an import makes.
type Category struct {
	context, kind string
}

// ParseCategory reads "context-type". A single word A is "A-case".
func ParseCategory(text string) (Category, error) {
	context, kind, ok := strings.Cut(text, "-")
	if !ok {
		kind = "case"
	}
	c := Category{context, kind}
	if _, err := c.Stream("1"); err != nil {
		return Category{}, fmt.Errorf("category %q: %w", text, err)
	}
	return c, nil
}

// Stream names the stream of an id that comes from outside. Ids that differ, differ
// in their streams as well.
func (c Category) Stream(id string) (eventstream.StreamID, error) {
	return keys.DefaultNamer(c.context, c.kind, keys.SafeID(id))
}

// Beside returns the category of the same context with another type.
func (c Category) Beside(kind string) Category { return Category{c.context, kind} }
