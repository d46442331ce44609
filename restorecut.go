package eventstream

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"time"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
)

// cut is where a restored store ends.
type cut struct {
	head   Position // the last position that stays
	commit Position // the first one of a commit that was asked for in part, or 0
}

// rewrite gives the copied database its new identity, and cuts it back. The engine is
// used by itself: a DB would remember a head that is about to go.
func (r *restore) rewrite(ctx context.Context) (err error) {
	if err := r.withEngine(func(eng *engine.Engine) error {
		c := cutter{eng: eng}
		if err := c.identified(r.backup); err != nil {
			return err
		}
		if r.cut, err = c.find(&r.asOf, r.backup.Head); err != nil {
			return err
		}
		if r.cut.head < r.backup.Head {
			if err := c.cutBack(ctx, r.cut.head, r.backup.Head); err != nil {
				return err
			}
		}
		batch := eng.NewBatch()
		batch.Set(keys.AppendMeta(nil, metaIdentity), identityRecord(r.id))
		if err := eng.SubmitAndWait(ctx, batch, 0); err != nil {
			return err
		}
		if r.cut.head < r.backup.Head {
			return eng.Compact(ctx)
		}
		return nil
	}); err != nil || r.cut.head == r.backup.Head {
		return err
	}
	// Opening it again takes away what still shows keys that were cut off: the log and the
	// manifest of the first time. Twice, since Pebble keeps the manifest before its present
	// one.
	for range 2 {
		if err := r.withEngine(func(*engine.Engine) error { return nil }); err != nil {
			return err
		}
	}
	return r.staged.Remove("db/archive")
}

// withEngine opens the copied database, calls fn, and closes it flushed.
func (r *restore) withEngine(fn func(*engine.Engine) error) (err error) {
	eng, err := engine.Open(engine.Config{
		FS: r.opts.FS, Dir: r.staged.PebbleDir(), CacheBytes: r.opts.CacheBytes, MemTableBytes: r.opts.MemTableBytes, Logger: r.opts.Logger,
		ClosePatience: r.opts.Unstable.ClosePatience,
	})
	if err != nil {
		return readError("database", err)
	}
	defer func() { err = errors.Join(err, eng.Close()) }()
	return readError("database", fn(eng))
}

// cutter takes the newest commits out of a database.
type cutter struct{ eng *engine.Engine }

// identified makes sure that the database is the one that the backup is of.
func (c *cutter) identified(b *engine.Backup) error {
	stored, ok, err := c.eng.Get(nil, keys.AppendMeta(nil, metaIdentity))
	if err != nil {
		return err
	}
	if !ok || string(stored) != string(identityRecord(engine.Identity{Format: b.StoreFormat, Store: b.Store, Incarnation: b.Incarnation})) {
		return &CorruptionError{What: "identity", Err: errors.New("the database is not the one that the file BACKUP names: files of two backups were mixed")}
	}
	return nil
}

// find returns where to cut.
func (c *cutter) find(asOf *RestoreOptions, head Position) (cut, error) {
	switch {
	case asOf.AsOfPosition != 0:
		return c.findPosition(asOf.AsOfPosition)
	case !asOf.AsOfTime.IsZero():
		return c.findTime(asOf.AsOfTime, head)
	default:
		return cut{head: head}, nil
	}
}

func (c *cutter) findPosition(p Position) (cut, error) {
	_, env, err := c.event(p)
	if err != nil {
		return cut{}, err
	}
	if env.Index+1 == env.Count {
		return cut{head: p}, nil
	}
	first := p - Position(env.Index)
	if first == 1 {
		return cut{}, &ArgumentError{
			Field:  "RestoreOptions.AsOfPosition",
			Reason: fmt.Sprintf("position %d lies inside the first commit, which ends at %d: nothing would be left", p, first+Position(env.Count)-1),
		}
	}
	return cut{head: first - 1, commit: first}, nil
}

// findTime relies on recorded-at times never going back, and being one in a commit.
func (c *cutter) findTime(t time.Time, head Position) (_ cut, err error) {
	var first time.Time
	n := sort.Search(int(head), func(i int) bool {
		_, env, failed := c.event(Position(i + 1))
		if failed != nil {
			err = failed
			return true
		}
		first = time.Unix(0, env.RecordedAt).UTC()
		return first.After(t)
	})
	if err != nil {
		return cut{}, err
	}
	if n == 0 {
		return cut{}, &ArgumentError{
			Field:  "RestoreOptions.AsOfTime",
			Reason: fmt.Sprintf("nothing was recorded by %s: the first event was recorded at %s", t.UTC().Format(time.RFC3339Nano), first.Format(time.RFC3339Nano)),
		}
	}
	return cut{head: Position(n)}, nil
}

// event returns the key and the envelope of the event at p.
func (c *cutter) event(p Position) (key []byte, env codec.Envelope, err error) {
	key, ok, err := c.eng.Get(nil, keys.AppendPosition(nil, p))
	if err != nil {
		return nil, env, err
	}
	if !ok {
		return nil, env, &CorruptionError{What: "position pointer", Position: p, Err: errPositionMissing}
	}
	tenant, stream, version, err := keys.ParseEvent(key)
	if err != nil {
		return nil, env, &CorruptionError{What: "position pointer", Position: p, Err: err}
	}
	value, ok, err := c.eng.Get(nil, key)
	if err != nil {
		return nil, env, err
	}
	if !ok {
		return nil, env, damagedEvent(stream, version, p, errEventMissing)
	}
	if env, err = codec.ParseEnvelope(value, tenant, stream, version); err != nil {
		return nil, env, damagedEvent(stream, version, p, err)
	}
	if env.Position != p {
		return nil, env, damagedEvent(stream, version, p, errElsewhere)
	}
	return key, env, nil
}

// cutBatch is how many events are taken out at once.
const cutBatch = 1000

// cutBack takes out everything above the position last, up to head, and everything
// that may tell of it.
func (c *cutter) cutBack(ctx context.Context, last, head Position) error {
	if err := c.cutDerived(ctx, last); err != nil {
		return err
	}
	for p := last; p < head; {
		if err := ctx.Err(); err != nil {
			return err
		}
		batch := c.eng.NewBatch()
		for end := min(p+cutBatch, head); p < end; p++ {
			key, env, err := c.event(p + 1)
			if err != nil {
				batch.Release()
				return err
			}
			tenant, _, _, err := keys.ParseEvent(key)
			if err != nil {
				batch.Release()
				return err
			}
			batch.Delete(key)
			batch.Delete(keys.AppendPosition(nil, p+1))
			batch.Delete(keys.AppendEventID(nil, tenant, env.EventID))
		}
		if err := c.eng.SubmitAndWait(ctx, batch, 0); err != nil {
			return err
		}
	}
	return c.cutTenants(ctx)
}

// cutDerived drops what is made from events: all of it where a record does not say
// from which, and the runs that reach above the position last.
func (c *cutter) cutDerived(ctx context.Context, last Position) error {
	batch := c.eng.NewBatch()
	for _, kind := range []keys.Kind{keys.KindIndex, keys.KindSnapshot, keys.KindView, keys.KindDerived} {
		lower, upper, err := keys.Range([]byte{byte(kind)})
		if err != nil {
			batch.Release()
			return err
		}
		batch.DeleteRange(lower, upper)
	}
	first, err := c.lastRun(last)
	if err != nil {
		batch.Release()
		return err
	}
	for kind, key := range map[keys.Kind][]byte{keys.KindSeal: keys.AppendSeal(nil, first), keys.KindSegment: keys.AppendSegment(nil, first)} {
		_, upper, err := keys.Range([]byte{byte(kind)})
		if err != nil {
			batch.Release()
			return err
		}
		batch.DeleteRange(key, upper)
	}
	return c.eng.SubmitAndWait(ctx, batch, 0)
}

// lastRun returns the first position of the run that holds the position last, or last
// itself if no run begins before it. Whether a run ends there or above, it goes: the
// store builds it again.
func (c *cutter) lastRun(last Position) (first Position, err error) {
	first = last
	for _, run := range []struct {
		kind  keys.Kind
		above []byte
		parse func([]byte) (Position, error)
	}{
		{keys.KindSeal, keys.AppendSeal(nil, last+1), keys.ParseSeal},
		{keys.KindSegment, keys.AppendSegment(nil, last+1), keys.ParseSegment},
	} {
		it, err := c.eng.NewPrefixIter([]byte{byte(run.kind)})
		if err != nil {
			return 0, err
		}
		if it.SeekLT(run.above) {
			p, err := run.parse(it.Key())
			if err != nil {
				return 0, errors.Join(&CorruptionError{What: "key of a run", Err: err}, it.Close())
			}
			first = min(first, p)
		}
		if err := it.Close(); err != nil {
			return 0, err
		}
	}
	return first, nil
}

// cutTenants forgets the tenants that are left without an event.
func (c *cutter) cutTenants(ctx context.Context) error {
	tenants := newTenantTable()
	if err := tenants.load(c.eng); err != nil {
		return &CorruptionError{What: "tenants", Err: err}
	}
	batch := c.eng.NewBatch()
	for id, tn := range tenants.byID {
		lower, upper, err := keys.Range(keys.StreamPrefix(nil, id, ""))
		if err != nil {
			batch.Release()
			return err
		}
		it, err := c.eng.NewIter(lower, upper)
		if err != nil {
			batch.Release()
			return err
		}
		used := it.First()
		if err := it.Close(); err != nil {
			batch.Release()
			return err
		}
		if !used {
			batch.Delete(appendTenantKey(nil, tn.name))
		}
	}
	return c.eng.SubmitAndWait(ctx, batch, 0)
}
