package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"sync"

	"github.com/nexus-erp/eventstream"
	"github.com/nexus-erp/eventstream/cmd/eventstream/internal/source"
	"github.com/nexus-erp/eventstream/codec"
)

// Result is what the second pass did.
type Result struct {
	Events     int // appended by it
	Duplicates int // that were in the store already
}

// ahead is how many blocks are decoded while another one waits for the disk.
const ahead = 8

// Load appends what the plan found, in the order of the file: one append at a time,
// since the order of the file is often the only order that there is. What an
// earlier run appended is found there and not appended again.
func (j *Job) Load(ctx context.Context, plan Plan, to *eventstream.Tenant) (Result, error) {
	ctx, cancel := context.WithCancel(ctx)
	blocks := make(chan source.Block, ahead)
	var decodeErr error
	var decoding sync.WaitGroup
	decoding.Go(func() {
		defer close(blocks)
		decodeErr = j.blocks(ctx, io.Discard, func(block source.Block) error {
			identify(block, plan.Source)
			select {
			case blocks <- block:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}, func(*source.BadRecord) {}) // the first pass told of them
	})
	a := appender{file: j.Input.Name, to: to}
	var err error
	for block := range blocks {
		if err = a.append(ctx, block); err != nil {
			break
		}
	}
	cancel()
	decoding.Wait()
	if err == nil {
		err = decodeErr
	}
	return a.result, err
}

// identify gives an id to each event that has none.
func identify(block source.Block, from string) {
	for i := range block.Records {
		r := &block.Records[i]
		if r.Event.ID.IsZero() {
			r.Event.ID = source.EventID(from, r.Stream, r.Ordinal, r.Event.OccurredAt)
		}
	}
}

// appender appends blocks.
type appender struct {
	file   string
	to     *eventstream.Tenant
	result Result
}

func (a *appender) append(ctx context.Context, block source.Block) error {
	res, err := a.to.AppendAll(ctx, StreamAppends(block.Records))
	switch {
	case errors.Is(err, eventstream.ErrDuplicateEvent):
		return a.merge(ctx, block)
	case err != nil:
		return a.wrap(block.Records, err)
	case res.Deduplicated:
		a.result.Duplicates += len(block.Records)
	default:
		a.result.Events += len(block.Records)
	}
	return nil
}

// merge appends those events of a block that the store does not hold yet, as one
// append, after an append of the whole block was refused. So it happens when an
// earlier run left out bad records which this one loads, or was cut differently,
// and when events come back into the store they were exported from: an export gives
// each event the time when it occurred, also if the store had to set it.
func (a *appender) merge(ctx context.Context, block source.Block) error {
	var missing []source.Record
	for i := range block.Records {
		r := &block.Records[i]
		have, err := a.to.Event(ctx, r.Event.ID)
		switch {
		case errors.Is(err, eventstream.ErrEventNotFound):
			missing = append(missing, *r)
		case err != nil:
			return a.wrap(block.Records[i:], err)
		case !same(&have, r):
			return a.wrap(block.Records[i:], &eventstream.DuplicateEventError{
				EventID: r.Event.ID, Position: have.Position, Reason: "the store holds another event under this id",
			})
		}
	}
	if len(missing) > 0 {
		if _, err := a.to.AppendAll(ctx, StreamAppends(missing)); err != nil {
			return a.wrap(missing, err)
		}
	}
	a.result.Events += len(missing)
	a.result.Duplicates += len(block.Records) - len(missing)
	return nil
}

// same reports whether the store's event says what the record does.
func same(have *eventstream.Event, r *source.Record) bool {
	ev := &r.Event
	data, ok := ev.Data.(codec.Encoded)
	occurred := have.OccurredAt.Equal(ev.OccurredAt) || ev.OccurredAt.IsZero() && !have.OccurredGiven()
	return ok && occurred && string(have.Data) == string(data) &&
		have.Stream == r.Stream && have.Type == ev.Type && have.Codec == ev.Codec &&
		have.SchemaVersion == max(ev.SchemaVersion, 1) &&
		have.CorrelationID == ev.CorrelationID && have.CausationID == ev.CausationID && have.UserID == ev.UserID &&
		maps.Equal(have.Metadata, ev.Metadata)
}

func (a *appender) wrap(records []source.Record, err error) error {
	return fmt.Errorf("%s:%d: %w", a.file, records[0].Line, err)
}

// StreamAppends is one append of records, those of one stream standing together. It
// keeps nothing of records but what their events hold.
func StreamAppends(records []source.Record) []eventstream.StreamAppend {
	var parts []eventstream.StreamAppend
	for i := range records {
		r := &records[i]
		if n := len(parts); n == 0 || parts[n-1].Stream != r.Stream {
			expect := r.Expect
			if expect == 0 {
				expect = eventstream.Any
			}
			parts = append(parts, eventstream.StreamAppend{Stream: r.Stream, Expect: expect})
		}
		last := &parts[len(parts)-1]
		last.Events = append(last.Events, r.Event)
	}
	return parts
}
