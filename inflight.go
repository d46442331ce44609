package eventstream

import (
	"sync"

	"github.com/nexus-erp/eventstream/codec"
)

// idKey names an event across tenants.
type idKey struct {
	tenant *tenant
	id     EventID
}

// idClaim is what is known of an event id that appends under way were given. Like
// a streamHead it is pinned, so that two appends of the same id that run at once
// meet at one claim.
type idClaim struct {
	key idKey

	// position and content say where the id was recorded, and with what; position is
	// 0 while it is not. They are set by the load, and from then on guarded by the
	// sequencer.
	position Position
	content  codec.ContentHash

	load   sync.Mutex
	loaded bool // guarded by load

	pins int // guarded by inflightIDs.mu
}

// inflightIDs holds the claims of all appends under way.
type inflightIDs struct {
	mu     sync.Mutex
	claims map[idKey]*idClaim
}

func newInflightIDs() *inflightIDs {
	return &inflightIDs{claims: make(map[idKey]*idClaim)}
}

// pin returns the claim of an id and keeps it until unpin. shared says that someone
// else holds it as well.
func (f *inflightIDs) pin(key idKey) (c *idClaim, shared bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c, ok := f.claims[key]
	if !ok {
		c = &idClaim{key: key}
		f.claims[key] = c
	}
	c.pins++
	return c, ok
}

func (f *inflightIDs) unpin(c *idClaim) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.pins--; c.pins == 0 {
		delete(f.claims, c.key)
	}
}

// warm makes sure that c is loaded. find looks the id up on disk.
//
// REQUIRES: c is pinned.
func (c *idClaim) warm(find func(idKey) (Position, codec.ContentHash, error)) error {
	c.load.Lock()
	defer c.load.Unlock()
	if c.loaded {
		return nil
	}
	position, content, err := find(c.key)
	if err != nil {
		return err
	}
	c.position, c.content, c.loaded = position, content, true
	return nil
}

// decided says where the id is going to be, which nobody finds on disk yet.
//
// REQUIRES: c is pinned, and the caller is the sequencer or keeps it from deciding.
func (c *idClaim) decided(position Position, content codec.ContentHash) {
	c.load.Lock()
	defer c.load.Unlock()
	c.position, c.content, c.loaded = position, content, true
}
