package eventstream

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
	"github.com/nexus-erp/eventstream/snapshot"
)

// StoredSnapshot is a snapshot as a read found it.
type StoredSnapshot struct {
	Stream  StreamID
	Version Version
	Bytes   int // of its record
	// Snapshot is what the record holds, in memory of its own, if Err is nil.
	Snapshot snapshot.Snapshot
	// Err is a [*SnapshotCorruptError] if the record is damaged. Older ones may be sound,
	// and the events are there in any case.
	Err error
}

// snapshotReadOptions are the options that a read of snapshots takes.
var snapshotReadOptions = []string{"To", "OccurredUntil", "RecordedUntil"}

// Snapshots returns the snapshots of stream, the newest first, up to the readable head
// at the call. It takes To, OccurredUntil and RecordedUntil: a snapshot is left out if an
// event in it lies beyond one of them, since its state then is not what was asked for.
// Damaged ones are not left out, but carry an error, and the read goes on.
//
// Each is read and verified when its turn comes: whoever wants the newest leaves the loop
// after it. An error is the last item. The rest is as for ReadStream.
func (s streams) Snapshots(ctx context.Context, stream StreamID, opts ...ReadOption) iter.Seq2[StoredSnapshot, error] {
	return s.view().snapshots(ctx, stream, opts)
}

// Snapshots is DB.Snapshots at the reader's head.
func (r *Reader) Snapshots(ctx context.Context, stream StreamID, opts ...ReadOption) iter.Seq2[StoredSnapshot, error] {
	return r.v.snapshots(ctx, stream, opts)
}

func (v view) snapshots(ctx context.Context, stream StreamID, opts []ReadOption) iter.Seq2[StoredSnapshot, error] {
	o, err := newReadOptions("Snapshots", snapshotReadOptions, opts)
	if err == nil {
		err = validStream(stream)
	}
	if err != nil {
		return failed[StoredSnapshot](err)
	}
	return func(yield func(StoredSnapshot, error) bool) {
		below := min(o.toVersion, keys.MaxVersion-1) + 1
		for {
			found, ok, err := v.snapshotBelow(ctx, stream, below)
			if err != nil {
				yield(StoredSnapshot{}, readError("snapshot", err))
				return
			}
			if !ok {
				return
			}
			below = found.Version
			if v.shows(&found, o) && !yield(found, nil) {
				return
			}
		}
	}
}

// shows reports whether a snapshot belongs to what the view and the options show.
func (v view) shows(found *StoredSnapshot, o *readOptions) bool {
	s := &found.Snapshot
	return found.Err != nil ||
		s.Position <= v.head && s.OccurredUntil.UnixNano() <= o.occurredTo && s.RecordedUntil.UnixNano() <= o.recordedTo
}

// snapshotBelow returns the newest snapshot below a version.
func (v view) snapshotBelow(ctx context.Context, stream StreamID, below Version) (found StoredSnapshot, ok bool, err error) {
	if err := v.begin(ctx); err != nil {
		return StoredSnapshot{}, false, err
	}
	defer v.end()
	id, known := v.tenantID()
	if !known || below <= 1 {
		return StoredSnapshot{}, false, nil
	}
	lower, upper, err := keys.Range(keys.AppendSnapshots(nil, id, stream))
	if err != nil {
		return StoredSnapshot{}, false, err
	}
	lower = keys.AppendSnapshot(lower[:0], id, stream, below-1)
	it, err := v.db.eng.NewIter(lower, upper)
	if err != nil {
		return StoredSnapshot{}, false, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	if !it.First() {
		return StoredSnapshot{}, false, nil // an error surfaces in Close
	}
	_, _, version, err := keys.ParseSnapshot(it.Key())
	if err != nil {
		return StoredSnapshot{}, false, &CorruptionError{What: "snapshot key", Stream: stream, Err: err}
	}
	found = StoredSnapshot{Stream: stream, Version: version}
	record, err := it.Value()
	if err != nil {
		return StoredSnapshot{}, false, err
	}
	found.Bytes = len(record)
	var fault error
	if found.Snapshot, fault, err = v.db.parseSnapshot(id, stream, version, record); err != nil {
		return StoredSnapshot{}, false, err
	}
	if fault != nil {
		found.Err = v.corruptSnapshot(&found, fault)
		v.db.stats.snapshotsDamaged.Add(1)
	}
	return found, true, nil
}

// errAnchor is a snapshot of another history than the stream's.
var errAnchor = errors.New("the event that it ends with is not the one in the log")

// parseSnapshot takes a record apart, into memory of its own, and verifies it: its sum,
// and that the event at its version is the one that it was taken at. fault is what is
// wrong with the snapshot, err why nobody can tell.
func (db *DB) parseSnapshot(id TenantID, stream StreamID, version Version, record []byte) (s snapshot.Snapshot, fault, err error) {
	if s, fault = snapshot.Parse(record, id, stream, version); fault != nil {
		return snapshot.Snapshot{}, fault, nil
	}
	if s.Compression == snapshot.None {
		s.State = bytes.Clone(s.State)
	}
	envelope, ok, err := db.eng.Get(nil, keys.AppendEvent(nil, id, stream, version))
	if engine.IsCorruption(err) {
		return snapshot.Snapshot{}, fmt.Errorf("%w: it cannot be read: %w", errAnchor, err), nil
	}
	if err != nil {
		return snapshot.Snapshot{}, nil, err
	}
	anchor, _ := codec.HeaderSumOf(envelope)
	position, _ := codec.PositionOf(envelope)
	switch {
	case !ok:
		fault = fmt.Errorf("%w: the stream has no version %d", errAnchor, version)
	case anchor != s.Anchor || position != s.Position:
		fault = errAnchor
	case position > db.readable.Load():
		fault = fmt.Errorf("%w: position %d lies above the head", errAnchor, position)
	}
	return s, fault, nil
}

func (v view) corruptSnapshot(found *StoredSnapshot, err error) error {
	e := &SnapshotCorruptError{Tenant: v.tenant, Stream: found.Stream, Version: found.Version, Err: err}
	if sum, ok := errors.AsType[*snapshot.SumError](err); ok {
		e.Algorithm, e.Want, e.Got = sum.Algorithm, sum.Want, sum.Got
	}
	return e
}

// SaveSnapshot stores s, the state that the events of s.Stream come to, from the first
// to the one at s.Version, and keeps the newest keep snapshots of the stream, at least
// one: older ones are deleted with the same commit, damaged ones too. A snapshot at the
// same version is replaced.
//
// Stream, Version, Fingerprint, Codec, State, OccurredUntil, Algorithm and Compression
// are the caller's; the rest is filled in here. The event at s.Version must be readable,
// so a snapshot never holds more than readers see. The write is not synced: there is one
// log, so it never outlives its events, and what a crash takes is taken again.
//
// Errors: [*ArgumentError], [*LimitError], [*DiskFullError], and nothing was written;
// [ErrPoisoned], [ErrReadOnly], [ErrClosed]; ctx's error before anything is written.
func (s streams) SaveSnapshot(ctx context.Context, snap snapshot.Snapshot, keep int) error {
	if err := validStream(snap.Stream); err != nil {
		return err
	}
	if err := validKeep(keep); err != nil {
		return err
	}
	err := s.changeSnapshots(ctx, func(v view, id TenantID, batch engine.Batch) error {
		if err := v.anchorSnapshot(id, &snap); err != nil {
			return err
		}
		record, err := snapshot.Append(nil, id, &snap)
		if len(snap.State) > snapshot.MaxStateBytes {
			return &LimitError{Field: "snapshot.State", Size: int64(len(snap.State)), Limit: snapshot.MaxStateBytes, Unit: "bytes"}
		}
		if err != nil {
			return &ArgumentError{Field: "snapshot", Reason: err.Error(), Err: err}
		}
		versions, err := v.snapshotVersions(id, snap.Stream)
		if err != nil {
			return err
		}
		batch.Set(keys.AppendSnapshot(nil, id, snap.Stream, snap.Version), record)
		if !slices.Contains(versions, snap.Version) {
			versions = append(versions, snap.Version)
			slices.SortFunc(versions, func(a, b Version) int { return cmp.Compare(b, a) })
		}
		for _, version := range versions[min(keep, len(versions)):] {
			batch.Delete(keys.AppendSnapshot(nil, id, snap.Stream, version))
		}
		return nil
	})
	if err == nil {
		s.db.stats.snapshots.Add(1)
	}
	return err
}

// anchorSnapshot fills in what binds s to the event at its version.
func (v view) anchorSnapshot(id TenantID, s *snapshot.Snapshot) error {
	envelope, ok, err := v.db.eng.Get(nil, keys.AppendEvent(nil, id, s.Stream, s.Version))
	if err != nil {
		return readError("event", err)
	}
	var env codec.Envelope
	if ok {
		if env, err = codec.ParseEnvelope(envelope, id, s.Stream, s.Version); err != nil {
			return damagedEvent(s.Stream, s.Version, 0, err)
		}
	}
	if !ok || env.Position > v.head {
		return &ArgumentError{Field: "snapshot.Version", Reason: fmt.Sprintf("stream %q has no readable event at version %d", s.Stream, s.Version)}
	}
	if s.OccurredUntil.Before(time.Unix(0, env.OccurredAt)) {
		return &ArgumentError{Field: "snapshot.OccurredUntil", Reason: fmt.Sprintf("%v is before the time of an event in it: give the greatest of all", s.OccurredUntil)}
	}
	if s.OccurredUntil.After(maxTime) {
		return &ArgumentError{Field: "snapshot.OccurredUntil", Reason: fmt.Sprintf("%v lies after %v", s.OccurredUntil, maxTime)}
	}
	s.Position = env.Position
	s.Anchor, _ = codec.HeaderSumOf(envelope)
	s.RecordedUntil = time.Unix(0, env.RecordedAt).UTC() // it never decreases within a stream
	s.TakenAt = v.db.Now().UTC()
	return nil
}

// DeleteSnapshot deletes the snapshot of stream at version. The newest one is not
// deleted, so that no aggregate becomes slow to load by mistake: it is an
// [*ArgumentError]. One that does not exist is [ErrSnapshotNotFound].
func (s streams) DeleteSnapshot(ctx context.Context, stream StreamID, version Version) error {
	if err := validStream(stream); err != nil {
		return err
	}
	return s.changeSnapshots(ctx, func(v view, id TenantID, batch engine.Batch) error {
		versions, err := v.snapshotVersions(id, stream)
		if err != nil {
			return err
		}
		switch {
		case !slices.Contains(versions, version):
			return fmt.Errorf("%w: stream %q in tenant %q, version %d", ErrSnapshotNotFound, stream, v.tenant, version)
		case versions[0] == version:
			return &ArgumentError{Field: "version", Reason: fmt.Sprintf("%d is the newest snapshot of %q, which is not deleted", version, stream)}
		}
		batch.Delete(keys.AppendSnapshot(nil, id, stream, version))
		return nil
	})
}

// PruneSnapshots deletes the snapshots of stream but for the newest keep that are sound,
// at least one, and returns how many it deleted. Damaged ones are deleted too, unless
// all are: then the newest stays, so that what was found is not lost.
func (s streams) PruneSnapshots(ctx context.Context, stream StreamID, keep int) (deleted int, err error) {
	if err := validKeep(keep); err != nil {
		return 0, err
	}
	if s.db.opts.ReadOnly {
		return 0, ErrReadOnly
	}
	var drop []Version
	kept := 0
	for found, err := range s.Snapshots(ctx, stream) {
		if err != nil {
			return 0, err
		}
		if found.Err == nil && kept < keep {
			kept++
			continue
		}
		drop = append(drop, found.Version)
	}
	if kept == 0 && len(drop) > 0 {
		drop = drop[1:]
	}
	if len(drop) == 0 {
		return 0, nil
	}
	err = s.changeSnapshots(ctx, func(_ view, id TenantID, batch engine.Batch) error {
		for _, version := range drop {
			batch.Delete(keys.AppendSnapshot(nil, id, stream, version))
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return len(drop), nil
}

func validKeep(keep int) error {
	if keep < 1 {
		return &ArgumentError{Field: "keep", Reason: fmt.Sprintf("%d is less than 1: the newest snapshot is always kept", keep)}
	}
	return nil
}

// changeSnapshots commits what fn adds to a batch. Changes follow each other, as all
// commits of derived data do.
func (s streams) changeSnapshots(ctx context.Context, fn func(v view, id TenantID, batch engine.Batch) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.db.gate.leave()
	if err := s.db.writable(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	v := s.view()
	id, ok := v.tenantID()
	if !ok {
		return &ArgumentError{Field: "tenant", Reason: fmt.Sprintf("%q has no events, so it has no snapshots", s.tenant)}
	}
	s.db.deriving.Lock()
	defer s.db.deriving.Unlock()
	batch := s.db.eng.NewBatch()
	if err := fn(v, id, batch); err != nil {
		batch.Release()
		return err
	}
	if err := s.db.admitDerived(batch); err != nil {
		batch.Release()
		return err
	}
	return s.db.poisoned(s.db.apply(batch, false))
}

// snapshotVersions returns the versions of a stream's snapshots, the newest first.
func (v view) snapshotVersions(id TenantID, stream StreamID) (versions []Version, err error) {
	it, err := v.db.eng.NewPrefixIter(keys.AppendSnapshots(nil, id, stream))
	if err != nil {
		return nil, err
	}
	defer func() { err = readError("snapshot", errors.Join(err, it.Close())) }()
	for ok := it.First(); ok; ok = it.Next() {
		_, _, version, err := keys.ParseSnapshot(it.Key())
		if err != nil {
			return nil, &CorruptionError{What: "snapshot key", Stream: stream, Err: err}
		}
		versions = append(versions, version)
	}
	return versions, nil
}

// SnapshotStreams returns the streams that have snapshots and whose names start with
// prefix, by name. The rest is as for Streams.
func (s streams) SnapshotStreams(ctx context.Context, prefix string) iter.Seq2[StreamID, error] {
	if !utf8.ValidString(prefix) || len(prefix) > keys.MaxNameBytes {
		return failed[StreamID](&ArgumentError{Field: "prefix", Reason: fmt.Sprintf("%q is not the start of a stream name", prefix)})
	}
	v := s.view()
	return func(yield func(StreamID, error) bool) {
		var after []byte
		for {
			stream, end, err := v.snapshotStream(ctx, prefix, after)
			if err != nil {
				yield("", readError("snapshot", err))
				return
			}
			if end == nil || !yield(stream, nil) {
				return
			}
			after = end
		}
	}
}

// snapshotStream returns the first stream with snapshots whose keys do not lie before
// after, and where those of the next begin; nil: there is none.
func (v view) snapshotStream(ctx context.Context, prefix string, after []byte) (stream StreamID, end []byte, err error) {
	if err := v.begin(ctx); err != nil {
		return "", nil, err
	}
	defer v.end()
	id, ok := v.tenantID()
	if !ok {
		return "", nil, nil
	}
	lower, upper, err := keys.Range(keys.SnapshotPrefix(nil, id, prefix))
	if err != nil {
		return "", nil, err
	}
	if after != nil {
		lower = after
	}
	if bytes.Compare(lower, upper) >= 0 {
		return "", nil, nil
	}
	it, err := v.db.eng.NewIter(lower, upper)
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	if !it.First() {
		return "", nil, nil // an error surfaces in Close
	}
	_, stream, _, err = keys.ParseSnapshot(it.Key())
	if err != nil {
		return "", nil, &CorruptionError{What: "snapshot key", Err: err}
	}
	_, end, err = keys.Range(keys.AppendSnapshots(nil, id, stream))
	return stream, end, err
}
