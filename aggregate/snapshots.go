package aggregate

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/codec"
	"github.com/nexus-erp/eventstream/snapshot"
)

// Snapshot takes a snapshot of the aggregate of stream now, whatever the policy says, and
// returns the version that it has; 0 if there are no events. If the newest snapshot that
// serves holds all events already, nothing is written. It is for those who take them by
// hand, as after an import.
//
// Errors: those of Load; a [*SnapshotError]; an [*eventstream.ArgumentError] with
// Options.NoSnapshots.
func (r *Repository[S, C]) Snapshot(ctx context.Context, stream eventstream.StreamID) (eventstream.Version, error) {
	if r.opts.NoSnapshots {
		return 0, argument("Options.NoSnapshots", "it is set: the repository takes no snapshots")
	}
	f, err := r.load(ctx, stream)
	if err != nil {
		return 0, err
	}
	if f.Version == f.Snapshot && !f.damaged {
		return f.Version, nil
	}
	return f.Version, r.save(ctx, f)
}

// save stores a state that was just loaded, and that nobody else has.
func (r *Repository[S, C]) save(ctx context.Context, f *fold[S, C]) error {
	if f.Version == 0 {
		return nil
	}
	s := snapshot.Snapshot{
		Stream: f.Stream, Version: f.Version, Fingerprint: r.fingerprint, Codec: r.opts.StateCodec,
		OccurredUntil: f.OccurredUntil, Algorithm: r.opts.Algorithm,
	}
	if !r.opts.Uncompressed {
		s.Compression = snapshot.Zstd
	}
	var err error
	if s.State, err = r.encodeState(&f.State); err == nil {
		err = r.tenant.SaveSnapshot(ctx, s, r.opts.Keep)
	}
	if err != nil {
		r.stats.failed.Add(1)
		return &SnapshotError{Stream: f.Stream, Version: f.Version, Err: err}
	}
	r.stats.taken.Add(1)
	r.opts.Logger.Debug("a snapshot was taken", slog.String("stream", string(f.Stream)), slog.Uint64("version", uint64(f.Version)))
	return nil
}

var errUnstable = errors.New("the state is encoded to other bytes once it was decoded: a type that encodes itself does not decode to what it was")

// encodeState encodes *state, and makes sure that it comes back.
func (r *Repository[S, C]) encodeState(state *S) ([]byte, error) {
	data, err := codec.EncodeAs(r.opts.StateCodec, state)
	if err != nil {
		return nil, err
	}
	back, err := r.decodeState(r.opts.StateCodec, data)
	if err != nil {
		return nil, err
	}
	again, err := codec.EncodeAs(r.opts.StateCodec, &back)
	if err == nil && !bytes.Equal(data, again) {
		err = errUnstable
	}
	return data, err
}

func (r *Repository[S, C]) decodeState(id codec.ID, data []byte) (S, error) {
	return codec.DecodeAs[S](codec.Payload{Type: "state", Schema: r.opts.StateVersion, Codec: id, Data: data})
}

// offer asks for a snapshot of what was loaded, if it is due. It never waits.
func (r *Repository[S, C]) offer(f *fold[S, C]) {
	if f.due() && !r.snapshots.offer(f.Stream, f.Version) {
		r.stats.skipped.Add(1)
	}
}

// snapshotIfDue takes a snapshot if one is still due. The state is loaded again: the one
// that led here belongs to its caller, who may change it.
func (r *Repository[S, C]) snapshotIfDue(ctx context.Context, stream eventstream.StreamID) (version eventstream.Version, ok bool) {
	f, err := r.load(ctx, stream)
	if err != nil {
		err = &SnapshotError{Stream: stream, Err: err}
	} else if f.due() {
		version, err = f.Version, r.save(ctx, f)
	}
	if err == nil {
		return version, true
	}
	if errors.Is(err, eventstream.ErrClosed) || ctx.Err() != nil {
		return version, true // nobody is interested any more
	}
	r.opts.Logger.Warn("a snapshot was not taken", slog.String("stream", string(stream)), slog.Any("error", err))
	r.opts.OnFault(err)
	return version, false
}

// Wait waits until no snapshot is under way and none waits, or ctx ends. It is for tests,
// and for those who end.
func (r *Repository[S, C]) Wait(ctx context.Context) error { return r.snapshots.wait(ctx) }

// Close ends what takes snapshots: the one under way is given up if it can be, those that
// wait are not taken. Loads and commands go on, without taking snapshots. Closing the
// store has the same effect; Close is for those who want to wait for it.
func (r *Repository[S, C]) Close() { r.snapshots.close() }

const (
	// mostWaiting bounds the streams that wait for a snapshot. What does not fit is asked
	// for again by the next load.
	mostWaiting = 1024
	// mostFailing bounds the streams that are remembered for their snapshots' failing.
	mostFailing = 1024
)

// snapshotter takes snapshots one at a time. Its goroutine ends when there are none to
// take.
type snapshotter struct {
	take func(context.Context, eventstream.StreamID) (eventstream.Version, bool)

	mu      sync.Mutex
	closed  bool
	queue   []eventstream.StreamID
	waiting map[eventstream.StreamID]bool
	failing map[eventstream.StreamID]eventstream.Version // not to be tried again below it
	stop    context.CancelFunc                           // of the goroutine that runs, or ran last
	idle    chan struct{}                                // closed while none runs
}

func (s *snapshotter) init(take func(context.Context, eventstream.StreamID) (eventstream.Version, bool)) {
	s.take = take
	s.waiting = make(map[eventstream.StreamID]bool)
	s.failing = make(map[eventstream.StreamID]eventstream.Version)
	s.stop = func() {}
	s.idle = make(chan struct{})
	close(s.idle)
}

// offer queues a stream. It reports false if there are too many.
func (s *snapshotter) offer(stream eventstream.StreamID, version eventstream.Version) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.waiting[stream] || version < s.failing[stream] {
		return true
	}
	if len(s.queue) >= mostWaiting {
		return false
	}
	s.queue = append(s.queue, stream)
	s.waiting[stream] = true
	select {
	case <-s.idle:
		var ctx context.Context
		ctx, s.stop = context.WithCancel(context.Background())
		s.idle = make(chan struct{})
		go s.run(ctx)
	default: // it runs
	}
	return true
}

func (s *snapshotter) run(ctx context.Context) {
	for {
		stream, ok := s.next()
		if !ok {
			return
		}
		version, ok := s.take(ctx, stream)
		s.note(stream, version, ok)
	}
}

// next returns the stream that has waited longest. Without one, the goroutine ends.
func (s *snapshotter) next() (stream eventstream.StreamID, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.queue) == 0 || s.closed {
		s.stop()
		close(s.idle)
		return "", false
	}
	stream = s.queue[0]
	s.queue = s.queue[1:]
	delete(s.waiting, stream)
	return stream, true
}

// note remembers a failure: what does not work now will not with the next event either,
// and each try reads the whole stream.
func (s *snapshotter) note(stream eventstream.StreamID, version eventstream.Version, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ok {
		delete(s.failing, stream)
		return
	}
	if len(s.failing) >= mostFailing {
		clear(s.failing)
	}
	s.failing[stream] = 2*version + snapshot.DefaultEvery
}

func (s *snapshotter) wait(ctx context.Context) error {
	s.mu.Lock()
	idle := s.idle
	s.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *snapshotter) close() {
	s.mu.Lock()
	s.closed = true
	s.stop()
	idle := s.idle
	s.mu.Unlock()
	<-idle
}
