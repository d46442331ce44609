package projection

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/keys"
)

// A rebuild with several workers parts the streams among them. Each worker applies the
// events of its streams in their order, in commits of its own, with a checkpoint of its
// own, until all have reached the head; then the parts are joined, and the rest is
// applied by one. That gives the view that one worker would have made, if no key was
// written by two of them: then the order of its writes would be lost.

// SharedKeyError is a key of a view that events of several streams wrote, of a projection
// that declares [Definition.PartitionedByStream].
type SharedKeyError struct {
	Projection string
	Key        []byte
}

// Error names the key and the mend.
func (e *SharedKeyError) Error() string {
	return fmt.Sprintf("projection %q: key %q was written by events of more than one stream: rebuild with one worker, and do not declare PartitionedByStream", e.Projection, e.Key)
}

// partOf returns which of n parts a stream is in. It is the FNV-1a hash of its name: the
// same in every session, since a rebuild may be interrupted.
func partOf(stream eventstream.StreamID, n int) int {
	h := uint64(14695981039346656037)
	for i := range len(stream) {
		h = (h ^ uint64(stream[i])) * 1099511628211
	}
	return int(h % uint64(n))
}

// owners notes which part wrote which keys, beside the view, in the same commits.
type owners struct {
	part  uint16
	known map[string]struct{} // keys that are noted already: the newest, to note them once
	bytes int                 // that they take, about
	fresh []string            // those of the commit that is being made
}

// What an owners holds in memory is bounded, and what a key takes beside its bytes.
const (
	mostKnownBytes = 8 << 20
	knownBytes     = 64
)

func newOwners(part int) *owners {
	return &owners{part: uint16(part), known: make(map[string]struct{})}
}

// note notes the keys that tx wrote.
func (o *owners) note(tx *eventstream.Tx) error {
	for key := range tx.Written() {
		if _, ok := o.known[string(key)]; !ok {
			o.known[string(key)] = struct{}{}
			o.bytes += len(key) + knownBytes
			o.fresh = append(o.fresh, string(key))
		}
	}
	beside := tx.Beside(besideOwners)
	for _, key := range o.fresh {
		noted := binary.BigEndian.AppendUint16(keys.AppendPart(nil, key), o.part)
		if err := beside.Put(noted, nil); err != nil {
			return err
		}
	}
	return nil
}

// settle ends the commit: what it noted counts if it committed.
func (o *owners) settle(committed bool) {
	if !committed || o.bytes > mostKnownBytes {
		clear(o.known)
		o.bytes = 0
	}
	o.fresh = o.fresh[:0]
}

// check returns a [*SharedKeyError] if a key of w's view was written by several parts so
// far. A view that is not written in parts has none.
func (o *owners) check(w *writer) error {
	if o == nil {
		return nil
	}
	return w.tenant.ReadView(w.view, func(view *eventstream.ViewReader) error {
		key, err := sharedKey(view.Beside(besideOwners))
		if err == nil && key != nil {
			err = &SharedKeyError{Projection: w.def.Name, Key: key}
		}
		return err
	})
}

// sharedKey returns a key that several parts wrote, or nil.
func sharedKey(noted *eventstream.ViewReader) ([]byte, error) {
	var last []byte // a key, as noted, without the part
	for record, err := range noted.Scan(nil, nil) {
		if err != nil {
			return nil, err
		}
		part := record.Key[:len(record.Key)-2]
		if last != nil && bytes.Equal(part, last) { // what a part noted twice is one record
			key, _, ok := keys.ParsePart(part)
			if !ok {
				return nil, &eventstream.CorruptionError{What: "owner of a view's key", Err: errNotAKey}
			}
			return []byte(key), nil
		}
		last = append(last[:0], part...)
	}
	return nil, nil
}

var errNotAKey = errors.New("it is not a key")

// joined sums up the progress of parts.
func joined(parts []progress) progress {
	if len(parts) == 0 {
		return progress{}
	}
	sum := parts[0]
	for _, p := range parts[1:] {
		sum.Checkpoint = min(sum.Checkpoint, p.Checkpoint)
		sum.Processed += p.Processed
		sum.Failures += p.Failures
		sum.UpdatedAt = max(sum.UpdatedAt, p.UpdatedAt)
		if p.LastErrorAt > sum.LastErrorAt {
			sum.LastError, sum.LastErrorAt = p.LastError, p.LastErrorAt
		}
	}
	return sum
}

// partWriter returns the writer of a part as it is stored.
func (j *job) partWriter(generation uint64, part int) (*writer, error) {
	var p progress
	name := partName(j.r.def.Name, generation, part)
	_, err := stored(j.r.e.tenant.DerivedState).read(name, &p)
	w := j.r.writer(generation, p, j.lease.Check)
	w.state, w.owners = name, newOwners(part)
	return w, err
}

// inParts applies the log up to the head with several workers, if they are asked for and
// have enough to do, or if a rebuild was interrupted at it.
func (j *job) inParts(b *building) error {
	head := j.r.e.db.Head()
	if b.parts == nil {
		n := b.opts.Workers
		if n == 1 || head < b.whole.checkpoint()+eventstream.Position(n*j.r.def.BatchEvents) {
			return nil
		}
		if err := b.split(n); err != nil {
			return err
		}
	}
	b.see()
	err := b.applyParts(head)
	if err == nil {
		err = b.join()
	}
	if shared := (*SharedKeyError)(nil); errors.As(err, &shared) {
		err = errors.Join(err, j.drop(b.record.Generation))
	}
	return err
}

// split begins n parts where the whole is.
func (b *building) split(n int) error {
	j, name := b.j, b.j.r.def.Name
	record := b.record
	record.Parts = n
	parts := make([]*writer, n)
	j.r.e.at("before parting")
	err := j.r.e.tenant.Derive(eventstream.Derivation{View: b.whole.view, Guard: j.lease.Check}, func(tx *eventstream.Tx) error {
		for i := range parts {
			p := b.whole.progress
			if i > 0 { // what was counted so far counts once
				p.Processed, p.Failures = 0, 0
			}
			parts[i] = j.r.writer(record.Generation, p, j.lease.Check)
			parts[i].state, parts[i].owners = partName(name, record.Generation, i), newOwners(i)
			if err := setState(tx, parts[i].state, p); err != nil {
				return err
			}
		}
		return setState(tx, rebuildName(name), record)
	})
	j.r.e.at("after parting")
	if err == nil {
		b.parts, b.record = parts, record
	}
	return err
}

// share is what one worker is to apply.
type share struct {
	events *[]eventstream.Event // goes back to where it came from
	until  eventstream.Position
}

// sharesAhead is how many shares wait for a worker that is behind the others.
const sharesAhead = 4

// applyParts lets each worker apply what is behind its own checkpoint, up to head. If the
// policy ends that at an event, the others still apply what was read with it: what made
// it fail may be a key that they share, and then they show it.
func (b *building) applyParts(head eventstream.Position) error {
	ctx, cancel := context.WithCancelCause(b.j.ctx)
	defer cancel(nil)
	reading, stopReading := context.WithCancelCause(ctx)
	defer stopReading(nil)
	var (
		workers sync.WaitGroup
		spare   = sync.Pool{New: func() any { return new([]eventstream.Event) }}
	)
	shares := make([]chan share, len(b.parts))
	after := b.parts[0].checkpoint()
	for i, w := range b.parts {
		after = min(after, w.checkpoint())
		shares[i] = make(chan share, sharesAhead)
		workers.Go(func() {
			told, failed := b.teller(w, i), false
			for s := range shares[i] {
				if !failed {
					if err := b.j.applyShare(ctx, w, s, told); err != nil {
						failed = true
						stopReading(err)
						if failure := (*Error)(nil); !errors.As(err, &failure) {
							cancel(err) // the store, or a shared key: it is over for all
						}
					}
				}
				clear(*s.events)
				*s.events = (*s.events)[:0]
				spare.Put(s.events)
			}
		})
	}
	def := &b.j.r.def
	err := def.readBatches(reading, b.j.r.e.tenant, after, head, def.BatchEvents*len(shares), func(events []eventstream.Event, until eventstream.Position) error {
		split := make([]*[]eventstream.Event, len(shares))
		for i := range split {
			split[i] = spare.Get().(*[]eventstream.Event)
		}
		for i := range events {
			mine := split[partOf(events[i].Stream, len(shares))]
			*mine = append(*mine, events[i])
		}
		for i := range shares {
			select {
			case shares[i] <- share{split[i], until}:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return reading.Err()
	})
	for _, s := range shares {
		close(s)
	}
	workers.Wait()
	if cause := context.Cause(reading); cause != nil {
		err = cause
	}
	if failure := (*Error)(nil); errors.As(err, &failure) {
		if shared := b.parts[0].owners.check(b.whole); shared != nil {
			return shared
		}
	}
	return err
}

// applyShare applies what of s is behind w's checkpoint.
func (j *job) applyShare(ctx context.Context, w *writer, s share, told func()) error {
	if s.until <= w.checkpoint() {
		return nil
	}
	events := *s.events
	return j.apply(ctx, w, events[len(before(events, w.checkpoint()+1)):], s.until, told)
}

// join makes one view of the parts, if no key was written by two of them.
func (b *building) join() error {
	j, r := b.j, b.j.r
	if err := b.parts[0].owners.check(b.whole); err != nil {
		return err
	}
	b.see()
	whole, record := joined(b.seen), b.record
	record.Parts = 1
	r.e.at("before joining")
	err := r.e.tenant.Derive(eventstream.Derivation{View: b.whole.view, Guard: j.lease.Check}, func(tx *eventstream.Tx) error {
		if err := tx.ClearBeside(besideOwners); err != nil {
			return err
		}
		for _, w := range b.parts {
			if err := tx.SetState(w.state, nil); err != nil {
				return err
			}
		}
		return errors.Join(setState(tx, b.whole.state, whole), setState(tx, rebuildName(r.def.Name), record))
	})
	r.e.at("after joining")
	if err == nil {
		b.whole.progress, b.parts, b.record = whole, nil, record
	}
	return err
}
