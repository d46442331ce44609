package eventstream

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
)

// DefaultTenant is the tenant that DB's own methods act on.
const DefaultTenant = "default"

// Tenant is an isolated set of streams in a store: the same stream name in two
// tenants is two streams, and no call reaches from one into another. Positions are
// the store's, so a tenant sees gaps in them. Its methods are safe for concurrent
// use; it lives as long as its DB and needs no closing.
type Tenant struct{ streams }

// Tenant returns the tenant called name: 1 to 255 bytes of UTF-8. It exists from
// its first append on; until then its streams are empty. With a name that the
// rules refuse, every method returns the [*ArgumentError].
func (db *DB) Tenant(name string) *Tenant {
	t := &Tenant{streams{db: db, tenant: name}}
	if err := keys.ValidateName("tenant", name); err != nil {
		t.err = &ArgumentError{Field: "tenant", Reason: err.Error(), Err: err}
	}
	return t
}

// Tenants returns the names of all tenants with readable events, sorted.
func (db *DB) Tenants() []string { return db.tenants.names(db.readable.Load()) }

// tenant is a tenant in memory.
type tenant struct {
	name string
	id   atomic.Uint32 // 0 until the commit of its first append
	// since is the first position of that commit, or 0 if it is older than this DB.
	// The table's lock guards it.
	since Position
}

// number returns the tenant's interned id. ok is false before its first append.
func (t *tenant) number() (id TenantID, ok bool) {
	n := t.id.Load()
	return TenantID(n), n != 0
}

// tenantTable knows all tenants. Entries are never removed.
type tenantTable struct {
	mu       sync.RWMutex
	byName   map[string]*tenant
	byID     map[TenantID]*tenant
	greatest TenantID // guarded by the sequencer once the store is open
}

func newTenantTable() *tenantTable {
	return &tenantTable{byName: make(map[string]*tenant), byID: make(map[TenantID]*tenant)}
}

// find returns the tenant called name, or nil if it never appended.
func (t *tenantTable) find(name string) *tenant {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byName[name]
}

// findID returns the tenant numbered id, or nil.
func (t *tenantTable) findID(id TenantID) *tenant {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.byID[id]
}

// ensure returns the tenant called name, in memory if it never appended.
func (t *tenantTable) ensure(name string) *tenant {
	if found := t.find(name); found != nil {
		return found
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	found, ok := t.byName[name]
	if !ok {
		found = &tenant{name: name}
		t.byName[name] = found
	}
	return found
}

// intern records that the tenant has the number id, which the commit that starts at
// since stores.
func (t *tenantTable) intern(tn *tenant, id TenantID, since Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tn.since = since
	tn.id.Store(uint32(id))
	t.byName[tn.name] = tn
	t.byID[id] = tn
	t.greatest = max(t.greatest, id)
}

// names returns the tenants whose first events lie at or below head.
func (t *tenantTable) names(head Position) []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var names []string
	for _, tn := range t.byID {
		if tn.since <= head {
			names = append(names, tn.name)
		}
	}
	slices.Sort(names)
	return names
}

// ids returns the numbers of all tenants.
func (t *tenantTable) ids() []TenantID {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Collect(maps.Keys(t.byID))
}

// metaTenantPrefix starts the names of the facts that map a tenant's name to its
// number.
const metaTenantPrefix = "tenant/"

func appendTenantKey(dst []byte, name string) []byte {
	return keys.AppendMeta(dst, metaTenantPrefix+name)
}

var errTenantRecord = errors.New("malformed tenant record")

// load reads all tenants of the store.
func (t *tenantTable) load(eng *engine.Engine) error {
	prefix := keys.AppendPartPrefix([]byte{byte(keys.KindMeta)}, metaTenantPrefix)
	it, err := eng.NewPrefixIter(prefix)
	if err != nil {
		return err
	}
	for ok := it.First(); ok; ok = it.Next() {
		name, err := keys.ParseMeta(it.Key())
		if err != nil {
			return errors.Join(err, it.Close())
		}
		value, err := it.Value()
		if err != nil {
			return errors.Join(err, it.Close())
		}
		if len(value) != 4 || binary.BigEndian.Uint32(value) == 0 || len(name) <= len(metaTenantPrefix) {
			return errors.Join(errTenantRecord, it.Close())
		}
		id := TenantID(binary.BigEndian.Uint32(value))
		if t.findID(id) != nil {
			return errors.Join(errTenantRecord, it.Close())
		}
		t.intern(t.ensure(name[len(metaTenantPrefix):]), id, 0)
	}
	return it.Close()
}
