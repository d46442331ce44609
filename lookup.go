package eventstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/keys"
)

// eventKeyAt returns the key of the event at position.
func (db *DB) eventKeyAt(position Position) (key []byte, ok bool, err error) {
	key, ok, err = db.eng.Get(nil, keys.AppendPosition(nil, position))
	return key, ok, readError("position pointer", err)
}

// placeOf returns the stream and version of the event at position, which must
// exist.
func (db *DB) placeOf(position Position) (StreamID, Version, error) {
	key, ok, err := db.eventKeyAt(position)
	if err != nil {
		return "", 0, err
	}
	if !ok {
		return "", 0, &CorruptionError{What: "position pointer", Position: position, Err: errPositionMissing}
	}
	_, stream, version, err := keys.ParseEvent(key)
	if err != nil {
		return "", 0, &CorruptionError{What: "position pointer", Position: position, Err: err}
	}
	return stream, version, nil
}

// eventAt returns the event at position, which must exist, whatever its tenant.
func (db *DB) eventAt(position Position) (Event, error) {
	key, ok, err := db.eventKeyAt(position)
	if err == nil && !ok {
		err = &CorruptionError{What: "position pointer", Position: position, Err: errPositionMissing}
	}
	if err != nil {
		return Event{}, err
	}
	return db.eventByKey(key, position)
}

// eventByKey returns the event stored under key, which a pointer at position led
// to.
func (db *DB) eventByKey(key []byte, position Position) (Event, error) {
	id, stream, version, env, err := db.envelopeByKey(key, position)
	if err != nil {
		return Event{}, err
	}
	tenantName := ""
	if tn := db.tenants.findID(id); tn != nil {
		tenantName = tn.name
	}
	var d eventDecoder
	var event Event
	if err := d.decode(&event, tenantName, stream, version, &env); err != nil {
		return Event{}, err
	}
	return event, nil
}

// envelopeByKey returns the stored form of the event under key, which a pointer at
// position led to, and what the key says.
func (db *DB) envelopeByKey(key []byte, position Position) (tenant TenantID, stream StreamID, version Version, env codec.Envelope, err error) {
	if tenant, stream, version, err = keys.ParseEvent(key); err != nil {
		return 0, "", 0, env, &CorruptionError{What: "position pointer", Position: position, Err: err}
	}
	value, ok, err := db.eng.Get(nil, key)
	switch {
	case err != nil:
		err = readError("event", err)
	case !ok:
		err = damagedEvent(stream, version, position, errEventMissing)
	default:
		if env, err = codec.ParseEnvelope(value, tenant, stream, version); err == nil && env.Position != position {
			err = errElsewhere
		}
		if err != nil {
			err = damagedEvent(stream, version, position, err)
		}
	}
	return tenant, stream, version, env, err
}

// event is Event at the view's head.
func (v view) event(ctx context.Context, id EventID) (Event, error) {
	if err := v.begin(ctx); err != nil {
		return Event{}, err
	}
	defer v.end()
	notFound := fmt.Errorf("%w: id %s in tenant %q", ErrEventNotFound, id, v.tenant)
	tenantID, ok := v.tenantID()
	if !ok {
		return Event{}, notFound
	}
	if position, ok := v.db.locator.Position(id); ok && position > 0 && position <= v.head {
		v.db.stats.eventsRead.Add(1)
		event, err := v.db.eventAt(position)
		if err != nil || event.ID == id && event.Tenant == v.tenant {
			return event, err
		}
	}
	position, _, err := v.db.recordedID(tenantID, id)
	if err != nil {
		return Event{}, err
	}
	if position == 0 || position > v.head {
		return Event{}, notFound
	}
	event, err := v.db.eventAt(position)
	if err == nil && event.ID != id {
		err = damagedEvent(event.Stream, event.Version, position, errors.New("another event stands where the event id leads to"))
	}
	v.db.stats.eventsRead.Add(1)
	return event, err
}

// eventAt is EventAt at the view's head.
func (v view) eventAt(ctx context.Context, position Position) (Event, error) {
	if err := v.begin(ctx); err != nil {
		return Event{}, err
	}
	defer v.end()
	notFound := fmt.Errorf("%w: position %d in tenant %q", ErrEventNotFound, position, v.tenant)
	tenantID, ok := v.tenantID()
	if !ok || position == 0 || position > v.head {
		return Event{}, notFound
	}
	key, ok, err := v.db.eventKeyAt(position)
	if err == nil && !ok {
		err = &CorruptionError{What: "position pointer", Position: position, Err: errPositionMissing}
	}
	if err != nil {
		return Event{}, err
	}
	if tenantOf(key) != tenantID {
		return Event{}, notFound
	}
	v.db.stats.eventsRead.Add(1)
	return v.db.eventByKey(key, position)
}

// lookupID returns where the event with an id stands, and with what content. The
// position is 0 if it stands nowhere.
func (db *DB) lookupID(tenantID TenantID, id EventID) (Position, codec.ContentHash, error) {
	told, ok := db.locator.Position(id)
	if !ok || told == 0 {
		return db.recordedID(tenantID, id)
	}
	readable := db.readable.Load()
	key, ok, err := db.eventKeyAt(told)
	if err == nil && !ok && told <= readable {
		err = &CorruptionError{What: "position pointer", Position: told, Err: errPositionMissing}
	}
	if err != nil {
		return 0, codec.ContentHash{}, err
	}
	if tenantOf(key) == tenantID {
		_, stream, _, env, err := db.envelopeByKey(key, told)
		if err != nil {
			return 0, codec.ContentHash{}, err
		}
		if env.EventID == id {
			return told, env.ContentHash(stream), nil
		}
	}
	return db.recordedID(tenantID, id)
}

// recordedID returns what the record of an event id says. The position is 0 if there is
// none.
func (db *DB) recordedID(tenantID TenantID, id EventID) (Position, codec.ContentHash, error) {
	var buf [codec.EventIDRecordLen]byte
	value, ok, err := db.eng.Get(buf[:0], keys.AppendEventID(make([]byte, 0, keys.EventIDKeyLen), tenantID, id))
	if err != nil || !ok {
		return 0, codec.ContentHash{}, readError("event-id record", err)
	}
	position, content, ok := codec.ParseEventIDRecord(value)
	if !ok || position == 0 {
		return 0, codec.ContentHash{}, &CorruptionError{What: "event-id record", Err: fmt.Errorf("of event id %s: malformed", id)}
	}
	return position, content, nil
}

// findID is lookupID for the write path.
func (db *DB) findID(key idKey) (Position, codec.ContentHash, error) {
	tenantID, ok := key.tenant.number()
	if !ok {
		return 0, codec.ContentHash{}, nil
	}
	return db.lookupID(tenantID, key.id)
}

// findHead reads the last event of a stream, for the write path. Both results are
// 0 if it has none.
func (db *DB) findHead(key streamKey) (_ Version, _ Position, err error) {
	tenantID, ok := key.tenant.number()
	if !ok {
		return 0, 0, nil
	}
	it, err := db.eng.NewPrefixIter(keys.AppendStream(nil, tenantID, key.stream))
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = readError("stream", errors.Join(err, it.Close())) }()
	if !it.Last() {
		return 0, 0, nil // an error surfaces in Close
	}
	_, _, version, err := keys.ParseEvent(it.Key())
	if err != nil {
		return 0, 0, err
	}
	value, err := it.Value()
	if err != nil {
		return 0, 0, err
	}
	env, err := codec.ParseEnvelope(value, tenantID, key.stream, version)
	if err != nil {
		return 0, 0, damagedEvent(key.stream, version, 0, err)
	}
	return version, env.Position, nil
}
