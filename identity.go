package eventstream

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
)

// Names of facts about the store.
const (
	metaIdentity   = "identity"
	metaDurability = "durability"
	metaIndexes    = "indexes"
)

// Info describes the store.
type Info struct {
	Path          string // canonical
	StoreID       EventID
	Incarnation   EventID // made anew when the store is restored from a backup
	Node          string
	CreatedAt     time.Time
	Format        int
	PebbleVersion string
	Durability    Durability // as opened; in a read-only store, as last opened for writing
	Head          Position   // the readable head
	DurableHead   Position
}

// Info returns who the store is and where it stands.
func (db *DB) Info() Info {
	id := db.dir.Identity
	return Info{
		Path:          db.dir.Path,
		StoreID:       id.Store,
		Incarnation:   id.Incarnation,
		Node:          id.Node,
		CreatedAt:     id.CreatedAt,
		Format:        id.Format,
		PebbleVersion: pebbleVersion(),
		Durability:    db.opts.Durability,
		Head:          db.Head(),
		DurableHead:   db.DurableHead(),
	}
}

// pebbleVersion returns the version of Pebble that is linked, or "unknown" in a
// binary without build information.
func pebbleVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == "github.com/cockroachdb/pebble/v2" {
				return dep.Version
			}
		}
	}
	return "unknown"
}

// checkIdentity makes sure that the database of an existing store is the one that its
// identity files name, and reads its durability for a store that nobody writes.
func (db *DB) checkIdentity() error {
	stored, ok, err := db.eng.Get(nil, keys.AppendMeta(nil, metaIdentity))
	if err != nil {
		return readError("identity", err)
	}
	if !ok {
		return &HistoryDamagedError{Detail: "the database has lost its identity, which was the first record in it"}
	}
	if string(stored) != string(identityRecord(db.dir.Identity)) {
		return &CorruptionError{What: "identity", Err: errors.New("the database is not the one that the file STORE names: files of two stores were mixed")}
	}
	if !db.opts.ReadOnly {
		return nil
	}
	durability, _, err := db.eng.Get(nil, keys.AppendMeta(nil, metaDurability))
	if err != nil {
		return readError("durability", err)
	}
	if db.opts.Durability, ok = parseDurability(string(durability)); !ok {
		return &CorruptionError{What: "durability", Err: fmt.Errorf("%q is none", durability)}
	}
	return nil
}

// establish gives a new store its identity, and notes the durability and the indexes of
// an existing one.
func (db *DB) establish() error {
	if db.dir.Fresh {
		return db.create()
	}
	durability, _, err := db.eng.Get(nil, keys.AppendMeta(nil, metaDurability))
	if err != nil {
		return readError("durability", err)
	}
	indexes, known, err := db.eng.Get(nil, keys.AppendMeta(nil, metaIndexes))
	if err != nil {
		return readError("indexes", err)
	}
	set, err := db.indexSet()
	if err != nil {
		return err
	}
	if string(durability) == db.opts.Durability.String() && known && string(indexes) == string(indexSetText(set)) {
		return nil
	}
	batch := db.eng.NewBatch()
	batch.Set(keys.AppendMeta(nil, metaDurability), []byte(db.opts.Durability.String()))
	batch.Set(keys.AppendMeta(nil, metaIndexes), indexSetText(set))
	return db.poisoned(db.eng.SubmitAndWait(context.Background(), batch, 0))
}

func (db *DB) create() error {
	var ids [2]EventID
	if err := db.ids.Next(ids[:]); err != nil {
		return err
	}
	id := engine.Identity{
		Format:      engine.StoreFormat,
		Store:       ids[0],
		Incarnation: ids[1],
		Node:        db.opts.Node,
		CreatedAt:   db.opts.Clock().UTC(),
	}
	batch := db.eng.NewBatch()
	batch.Set(keys.AppendMeta(nil, metaIdentity), identityRecord(id))
	batch.Set(keys.AppendMeta(nil, metaDurability), []byte(db.opts.Durability.String()))
	set, err := db.indexSet()
	if err != nil {
		batch.Release()
		return err
	}
	batch.Set(keys.AppendMeta(nil, metaIndexes), indexSetText(set))
	if err := db.eng.SubmitAndWait(context.Background(), batch, 0); err != nil {
		return db.poisoned(err)
	}
	if err := db.dir.Establish(id); err != nil {
		return fmt.Errorf("create store: %w", err)
	}
	return nil
}

// identityRecord is what the database itself knows of its identity.
func identityRecord(id engine.Identity) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(id.Format))
	b = append(b, id.Store[:]...)
	return append(b, id.Incarnation[:]...)
}
