package eventstream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
	"unicode/utf8"

	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/internal/engine"
	"github.com/nexus-erp/eventstream/keys"
)

// StreamInfo tells where a stream stands. Its events have the versions 1 to
// Version.
type StreamInfo struct {
	Tenant          string
	Stream          StreamID
	Version         Version // of the newest event, which is also how many there are
	FirstPosition   Position
	LastPosition    Position
	FirstRecordedAt time.Time
	LastRecordedAt  time.Time
}

func (v view) stream(ctx context.Context, stream StreamID) (StreamInfo, error) {
	if err := validStream(stream); err != nil {
		return StreamInfo{}, err
	}
	if err := v.begin(ctx); err != nil {
		return StreamInfo{}, err
	}
	defer v.end()
	if id, ok := v.tenantID(); ok {
		found, _, err := v.streamsFrom(id, keys.AppendStream(nil, id, stream), nil, 1)
		if err != nil {
			return StreamInfo{}, readError("stream", err)
		}
		if len(found) > 0 {
			return found[0], nil
		}
	}
	return StreamInfo{}, fmt.Errorf("%w: %q in tenant %q", ErrStreamNotFound, stream, v.tenant)
}

// streamsPage is how many streams one page of a listing holds.
const streamsPage = 256

func (v view) streams(ctx context.Context, prefix string) iter.Seq2[StreamInfo, error] {
	if !utf8.ValidString(prefix) || len(prefix) > keys.MaxNameBytes {
		return failed[StreamInfo](&ArgumentError{Field: "prefix", Reason: fmt.Sprintf("%q is not the start of a stream name", prefix)})
	}
	return func(yield func(StreamInfo, error) bool) {
		var after []byte
		for {
			found, next, err := v.streamPage(ctx, prefix, after)
			for _, info := range found {
				if !yield(info, nil) {
					return
				}
			}
			if err != nil {
				yield(StreamInfo{}, readError("stream", err))
				return
			}
			if next == nil {
				return
			}
			after = next
		}
	}
}

func (v view) streamPage(ctx context.Context, prefix string, after []byte) (found []StreamInfo, next []byte, err error) {
	if err := v.begin(ctx); err != nil {
		return nil, nil, err
	}
	defer v.end()
	id, ok := v.tenantID()
	if !ok {
		return nil, nil, nil
	}
	return v.streamsFrom(id, keys.StreamPrefix(nil, id, prefix), after, streamsPage)
}

// streamsFrom lists up to n streams whose event keys start with prefix, from the
// key after on. next is where the next page starts, or nil at the end.
func (v view) streamsFrom(id TenantID, prefix, after []byte, n int) (found []StreamInfo, next []byte, err error) {
	it, err := v.db.eng.NewPrefixIter(prefix)
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	var ok bool
	if after == nil {
		ok = it.First()
	} else {
		ok = it.SeekGE(after)
	}
	for ok {
		if len(found) == n {
			return found, append([]byte(nil), it.Key()...), nil
		}
		_, stream, _, err := keys.ParseEvent(it.Key())
		if err != nil {
			return found, nil, &CorruptionError{What: "event key", Err: err}
		}
		_, end, err := keys.Range(keys.AppendStream(nil, id, stream))
		if err != nil {
			return found, nil, err
		}
		info, exists, err := v.describe(it, id, stream, end)
		if err != nil {
			return found, nil, err
		}
		if exists {
			found = append(found, info)
		}
		ok = it.SeekGE(end)
	}
	return found, nil, nil // the iterator's error surfaces when it is closed
}

// describe reads the first and the last event of the stream that it stands on, as
// far as the view sees it.
func (v view) describe(it engine.Iter, id TenantID, stream StreamID, end []byte) (info StreamInfo, exists bool, err error) {
	version, env, err := envelopeAt(it, id, stream)
	if err != nil || env.Position > v.head {
		return StreamInfo{}, false, err
	}
	if version != 1 {
		return StreamInfo{}, false, damagedEvent(stream, 1, 0, errVersionMissing)
	}
	info = StreamInfo{
		Tenant:          v.tenant,
		Stream:          stream,
		FirstPosition:   env.Position,
		FirstRecordedAt: time.Unix(0, env.RecordedAt).UTC(),
	}
	for ok := it.SeekLT(end); ok; ok = it.Prev() {
		version, env, err = envelopeAt(it, id, stream)
		if err != nil {
			return StreamInfo{}, false, err
		}
		if env.Position <= v.head {
			break
		}
	}
	if err := it.Err(); err != nil { // what is there at version 1 is not the last
		return StreamInfo{}, false, err
	}
	info.Version, info.LastPosition = version, env.Position
	info.LastRecordedAt = time.Unix(0, env.RecordedAt).UTC()
	return info, true, nil
}

func envelopeAt(it engine.Iter, id TenantID, stream StreamID) (Version, codec.Envelope, error) {
	_, _, version, err := keys.ParseEvent(it.Key())
	if err != nil {
		return 0, codec.Envelope{}, &CorruptionError{What: "event key", Err: err}
	}
	value, err := it.Value()
	if err != nil {
		return 0, codec.Envelope{}, err
	}
	env, err := codec.ParseEnvelope(value, id, stream, version)
	if err != nil {
		return 0, codec.Envelope{}, damagedEvent(stream, version, 0, err)
	}
	return version, env, nil
}
