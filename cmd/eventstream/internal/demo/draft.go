package demo

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/nexus-erp/eventstream"
)

// Entry is one atomic append of the plan: a document, the journal entry that it
// causes, and the stock moves that go with it.
type Entry struct {
	Number   int       // from 1, in the order of appending
	Recorded time.Time // when the shop books it
	Appends  []eventstream.StreamAppend
}

// Name returns the entry's number in the journal.
func (e *Entry) Name() string { return entryName(e.Number) }

func entryName(n int) string { return fmt.Sprintf("JE-%d-%05d", year, n) }

// events returns how many events the entry has.
func (e *Entry) events() int {
	n := 0
	for _, a := range e.Appends {
		n += len(a.Events)
	}
	return n
}

// draft is an entry in the making.
type draft struct {
	p        *planner
	entry    Entry
	user     string
	occurred time.Time
	cause    string // the id of the first event, which caused the others
}

// draft begins an entry at the planner's present time.
func (p *planner) draft(user string) *draft {
	return &draft{
		p:        p,
		entry:    Entry{Number: len(p.plan.Entries) + 1, Recorded: p.now},
		user:     user,
		occurred: p.now,
	}
}

// append adds an event to stream. expect counts for the stream's first event in
// this entry.
func (d *draft) append(stream eventstream.StreamID, expect eventstream.Expected, eventType string, data any) {
	ev := eventstream.NewEvent{
		ID:            d.p.newID(),
		Type:          eventType,
		Data:          data,
		OccurredAt:    d.occurred,
		CorrelationID: d.entry.Name(),
		CausationID:   d.cause,
		UserID:        d.user,
	}
	if d.cause == "" {
		d.cause = ev.ID.String()
	}
	d.p.versions[stream]++
	for i := range d.entry.Appends {
		if a := &d.entry.Appends[i]; a.Stream == stream {
			a.Events = append(a.Events, ev)
			return
		}
	}
	d.entry.Appends = append(d.entry.Appends, eventstream.StreamAppend{
		Stream: stream, Expect: expect, Events: []eventstream.NewEvent{ev},
	})
}

// post posts an amount to an account. Postings of others to the same account do not
// matter to it, so it expects nothing once the account exists.
func (d *draft) post(account string, cents int64, text string) {
	d.p.plan.Balances[account] += cents
	stream := accountStream(account)
	d.append(stream, d.p.firstOr(stream, eventstream.Any), typeAmountPosted,
		&Posting{Entry: d.entry.Name(), AmountCents: cents, Text: text})
}

// move moves an item's stock. An issue was decided on a certain stock, so it
// expects the version that showed it; a receipt is welcome at any.
func (d *draft) move(sku, eventType string, quantity, valueCents int64) {
	stream := itemStream(sku)
	expect := d.p.firstOr(stream, eventstream.Any)
	if v := d.p.versions[stream]; v > 0 && quantity < 0 {
		expect = eventstream.Exact(v)
	}
	s := d.p.stock[sku]
	s.Quantity += quantity
	s.ValueCents += valueCents
	d.p.stock[sku] = s
	d.append(stream, expect, eventType, &StockMove{Entry: d.entry.Name(), Quantity: quantity, ValueCents: valueCents})
}

// book adds the entry to the plan, on the condition that its month is still open.
// The period's stream is only checked.
func (d *draft) book() {
	d.entry.Appends = append(d.entry.Appends, eventstream.StreamAppend{
		Stream: periodStream(d.entry.Recorded), Expect: periodIsOpen(),
	})
	d.bookUnchecked()
}

// bookUnchecked adds the entry to the plan.
func (d *draft) bookUnchecked() {
	d.p.plan.Entries = append(d.p.plan.Entries, d.entry)
	d.p.plan.Events += d.entry.events()
}

// periodIsOpen holds for a period's stream that was opened, and not closed since.
func periodIsOpen() eventstream.Expected { return eventstream.Exact(1) }

// firstOr returns NoStream for a stream that has no events yet, and else otherwise.
func (p *planner) firstOr(stream eventstream.StreamID, otherwise eventstream.Expected) eventstream.Expected {
	if p.versions[stream] == 0 {
		return eventstream.NoStream
	}
	return otherwise
}

// newID makes a ULID of the planner's present time and randomness.
func (p *planner) newID() eventstream.EventID {
	var id eventstream.EventID
	ms := uint64(p.now.UnixMilli())
	binary.BigEndian.PutUint16(id[0:2], uint16(ms>>32))
	binary.BigEndian.PutUint32(id[2:6], uint32(ms))
	binary.BigEndian.PutUint16(id[6:8], uint16(p.rng.Uint32()))
	binary.BigEndian.PutUint64(id[8:16], p.rng.Uint64())
	return id
}
