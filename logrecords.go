package eventstream

import (
	"errors"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/keys"
)

// commitSize returns how many events the record's commit has.
func (r *record) commitSize() int {
	_, count := codec.CommitOf(r.envelope)
	return count
}

// logRecords reads the log in order of position, of all tenants: from the tail in
// memory if it reaches back far enough, else from disk. It verifies every event.
type logRecords struct {
	db   *DB
	next Position // what comes next

	page    page
	records []record
	budget  int // how many records one read from disk may fetch
}

// logRecordsMost is how many records one read gives.
const logRecordsMost = 1024

// read returns the records from next on, some of them and not beyond until, and
// moves next behind them. They are valid until the next read, but what they point
// to stays as it is.
//
// REQUIRES: next <= until, and until is readable.
func (l *logRecords) read(until Position) ([]record, error) {
	if l.records == nil {
		l.records = make([]record, 0, logRecordsMost)
	}
	records, ok := l.db.tail.read(l.records[:0], l.next, until)
	if !ok {
		var err error
		if records, err = l.fromDisk(until); err != nil {
			return nil, err
		}
	}
	l.next += Position(len(records))
	return records, nil
}

func (l *logRecords) fromDisk(until Position) ([]record, error) {
	l.page.scratch = nil // what it held may be in use
	if l.budget == 0 {
		l.budget = logRecordsMost
	}
	pointers, err := l.pointers(min(until, l.next+Position(min(l.budget, logRecordsMost))-1))
	if err != nil {
		return nil, err
	}
	if pointers, err = fetch(l.db.eng, &l.page, pointers, &l.budget); err != nil {
		return nil, readError("log", err)
	}
	records := l.records[:0]
	for i := range pointers {
		p := &pointers[i]
		tenantID, stream, version, err := keys.ParseEvent(p.key)
		if err != nil {
			return nil, &CorruptionError{What: "position pointer", Position: p.position, Err: err}
		}
		env, err := codec.ParseEnvelope(p.envelope, tenantID, stream, version)
		if err != nil {
			return nil, damagedEvent(stream, version, p.position, err)
		}
		if env.Position != p.position {
			return nil, damagedEvent(stream, version, p.position, errElsewhere)
		}
		tn := l.db.tenants.findID(tenantID)
		if tn == nil {
			return nil, damagedEvent(stream, version, p.position, errTenantUnknown)
		}
		records = append(records, record{tenant: tn, stream: stream, version: version, envelope: p.envelope})
	}
	return records, nil
}

var errTenantUnknown = errors.New("its tenant has no name")

// pointers reads the pointers from next up to until.
func (l *logRecords) pointers(until Position) (found []pointer, err error) {
	it, err := l.db.eng.NewIter(keys.AppendPosition(nil, l.next), keys.AppendPosition(nil, until+1))
	if err != nil {
		return nil, err
	}
	defer func() { err = readError("position pointer", errors.Join(err, it.Close())) }()
	expected := l.next
	for ok := it.First(); ok; ok = it.Next() {
		position, err := keys.ParsePosition(it.Key())
		if err != nil || position != expected {
			break
		}
		key, err := it.Value()
		if err != nil {
			return nil, err
		}
		found = append(found, pointer{position: position, key: l.page.keep(key)})
		expected++
	}
	if expected <= until && it.Err() == nil {
		return nil, &CorruptionError{What: "position pointer", Position: expected, Err: errPositionMissing}
	}
	return found, nil
}
