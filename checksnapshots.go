package eventstream

import (
	"context"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
)

// snapshots walks all snapshots: each is what was stored, and ends with the event that
// the log has there.
func (c *checker) snapshots(ctx context.Context) error {
	return c.walk(ctx, keys.KindSnapshot, func(it engine.Iter) error {
		id, stream, version, err := keys.ParseSnapshot(it.Key())
		if err != nil {
			c.problem(Problem{Kind: ProblemKey, Detail: err.Error()})
			return nil
		}
		record, err := it.Value()
		if err != nil {
			return err
		}
		f := facts{tenantID: id, stream: stream, version: version}
		s, fault, err := c.db.parseSnapshot(id, stream, version, record)
		if err != nil {
			return err
		}
		f.position = s.Position
		switch {
		case fault != nil:
			c.about(&f, ProblemSnapshot, "%v", fault)
		case c.db.tenants.findID(id) == nil:
			c.about(&f, ProblemSnapshot, "no tenant has number %d", id)
		case c.deep:
			if c.scratch, err = codec.Encode(c.scratch[:0], s.Codec, codec.Encoded(s.State)); err != nil {
				c.about(&f, ProblemSnapshot, "its state does not decode: %v", err)
			}
		}
		return nil
	})
}
