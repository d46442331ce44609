package eventstream

import (
	"bytes"
	"iter"

	"github.com/nexus-erp/eventstream/keys"
)

// Beside returns a Tx of the same commit over records that lie beside the view of this
// one, under a name, and that no key of the view reaches: for what a projection keeps of
// its records. They belong to the view's generation, and are cleared with it. It takes
// slightly more than a view: keys of twice the length, and 64 bytes. What spoils it spoils
// both.
func (tx *Tx) Beside(name string) *Tx {
	return &Tx{ViewReader: *tx.ViewReader.Beside(name), batch: tx.batch, streams: tx.streams, owner: tx, fault: tx.fault}
}

// ClearBeside removes what lies beside the view under a name.
func (tx *Tx) ClearBeside(name string) error {
	lower, upper, err := keys.Range(tx.ViewReader.Beside(name).prefix)
	if err != nil {
		return tx.spoil(err)
	}
	tx.batch.DeleteRange(lower, upper)
	return nil
}

// Beside returns a reader, at the same moment, of what lies beside the view under a name.
func (r *ViewReader) Beside(name string) *ViewReader {
	if r.empty {
		return &ViewReader{empty: true}
	}
	id, projection, generation, _, err := keys.ParseView(r.prefix)
	if err != nil { // it was built from exactly these
		return &ViewReader{empty: true}
	}
	return &ViewReader{source: r.source, prefix: keys.AppendBeside(nil, id, projection, generation, name), failed: r.failed}
}

// Written returns the keys that were put or deleted so far in the view of this Tx, in the
// order of the writes, each as often as it was written. What it yields is valid until the
// next step; nothing must be written meanwhile.
func (tx *Tx) Written() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for key := range tx.batch.Keys() {
			if user, ok := bytes.CutPrefix(key, tx.prefix); ok && !yield(user) {
				return
			}
		}
	}
}
