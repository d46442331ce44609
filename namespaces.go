package eventstream

import (
	"fmt"
	"sync"

	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
)

// namespaceWriter says who writes the records under a name: a projection, whose lease
// and checkpoint make each event count once, or [Tenant.Update], which holds its reads
// against what was written meanwhile. Neither would see what the other does, so it is
// never both. The numbers are on disk.
type namespaceWriter byte

const (
	writtenByNobody     namespaceWriter = 0
	writtenByProjection namespaceWriter = 1
	writtenByUpdate     namespaceWriter = 2
)

// derivedNamespace is what the records are called that say who writes a namespace.
const derivedNamespace = "namespace"

type namespaceKey struct{ tenant, name string }

func (k namespaceKey) key() []byte {
	return keys.AppendDerived(nil, derivedNamespace, quotedTenant(k.tenant)+k.name)
}

// namespaces knows who writes each namespace that was used since Open.
type namespaces struct {
	mu    sync.Mutex
	known map[namespaceKey]namespaceWriter
}

func newNamespaces() *namespaces {
	return &namespaces{known: make(map[namespaceKey]namespaceWriter)}
}

// writer returns who writes k, from the store if that is not known yet.
func (n *namespaces) writer(eng *engine.Engine, k namespaceKey) (namespaceWriter, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if w, ok := n.known[k]; ok {
		return w, nil
	}
	mark, ok, err := eng.Get(nil, k.key())
	if err != nil {
		return writtenByNobody, readError("namespace", err)
	}
	w := writtenByNobody
	if ok {
		if len(mark) != 1 || mark[0] < byte(writtenByProjection) || mark[0] > byte(writtenByUpdate) {
			return writtenByNobody, &CorruptionError{What: "namespace " + k.name}
		}
		w = namespaceWriter(mark[0])
	}
	n.known[k] = w
	return w, nil
}

// allow returns an [*ArgumentError] if somebody else than w writes k.
func (n *namespaces) allow(eng *engine.Engine, k namespaceKey, w namespaceWriter) error {
	found, err := n.writer(eng, k)
	if err != nil || found == w || found == writtenByNobody {
		return err
	}
	return namespaceTaken(k, found)
}

// claim makes w the writer of k, which allow was asked about. With fresh, the caller's
// batch must store it. It needs no disk.
func (n *namespaces) claim(k namespaceKey, w namespaceWriter) (fresh bool, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch found := n.known[k]; found {
	case w:
		return false, nil
	case writtenByNobody:
		n.known[k] = w
		return true, nil
	default:
		return false, namespaceTaken(k, found)
	}
}

// mark adds to batch that w writes k.
func (k namespaceKey) mark(batch engine.Batch, w namespaceWriter) {
	batch.Set(k.key(), []byte{byte(w)})
}

func namespaceTaken(k namespaceKey, w namespaceWriter) error {
	reason := "a projection writes the records under %q: choose another name for an update's"
	if w == writtenByUpdate {
		reason = "updates write the records under %q: read them in Update, and choose another name for a projection"
	}
	return &ArgumentError{Field: "namespace", Reason: fmt.Sprintf(reason, k.name)}
}
